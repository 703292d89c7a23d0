package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// part is what a sample of a profile was taken in.
type part int

const (
	anyway     part = iota // what training does, seen or not
	serving                // answers to browsers and Prometheus, series and the state of the page
	pictures               // of the page, as far as the goroutine of the training draws them
	collecting             // garbage, whoever left it
	scheduling             // the runtime itself, on no goroutine's account
	profiling              // this measurement
	partCount
)

var partNames = [partCount]string{
	"training", "serving pages and scrapes", "drawing pictures", "collecting garbage", "the runtime itself", "profiling",
}

// marks of the parts in a stack, by the beginning of a function's name. The first part that has one anywhere in the stack
// counts: profiles are served too, and so are not counted as serving.
var marksOf = []struct {
	part     part
	prefixes []string
}{
	{profiling, []string{"runtime/pprof.", "net/http/pprof."}},
	{pictures, []string{"pretrain/train.(*session).showPictures"}},
	{serving, []string{"net/http.", "github.com/prometheus/", "pretrain/page."}},
	{collecting, []string{"runtime.gcBgMarkWorker", "runtime.gcAssistAlloc", "runtime.bgsweep", "runtime.bgscavenge"}},
}

// partOf tells by the functions of a stack, the innermost first.
func partOf(stack []string) part {
	for _, m := range marksOf {
		if slices.ContainsFunc(stack, func(name string) bool { return hasPrefix(name, m.prefixes) }) {
			return m.part
		}
	}
	if !slices.ContainsFunc(stack, func(name string) bool { return !strings.HasPrefix(name, "runtime.") }) {
		return scheduling
	}
	return anyway
}

func hasPrefix(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// spent is the processor time of a process by part.
type spent [partCount]time.Duration

// add counts the samples of a CPU profile.
func (s *spent) add(p *profile.Profile) error {
	at := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == "cpu" && t.Unit == "nanoseconds" })
	if at < 0 {
		return fmt.Errorf("the profile counts no nanoseconds of a processor but %v", p.SampleType)
	}
	for _, sample := range p.Sample {
		var stack []string
		for _, location := range sample.Location {
			for _, line := range location.Line {
				stack = append(stack, line.Function.Name)
			}
		}
		s[partOf(stack)] += time.Duration(sample.Value[at])
	}
	return nil
}

// share is that of a part in all but the measurement itself.
func (s spent) share(p part) float64 {
	var all time.Duration
	for _, d := range s {
		all += d
	}
	return float64(s[p]) / float64(all-s[profiling])
}

// attributeTime trains once and tells what the processor time of the process went to, with and without somebody who looks. The
// pictures of the page have been drawn once before.
func (o options) attributeTime(ctx context.Context, out io.Writer) error {
	var unseen, seen spent
	var drawn drawings
	err := o.train(ctx, func(ctx context.Context, t *training) (err error) {
		watcher := audience{page: t.page, every: o.scrape}
		if err := seeing(ctx, watcher.look, func() error { return t.awaitDrawing(ctx) }); err != nil {
			return err
		}
		for _, looks := range []bool{false, true, true, false} { // ABBA
			if looks {
				err = seeing(ctx, watcher.look, func() error { return seen.profile(ctx, t.page, o.slice) })
			} else {
				err = unseen.profile(ctx, t.page, o.slice)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, func(t *training) (err error) {
		drawn, err = readDrawings(t.log())
		return err
	})
	if err != nil {
		return err
	}
	reportParts(out, unseen, seen)
	fmt.Fprintf(out, "pictures for the page: first for %.2f s, then %d times, %.2f s in %s of being seen\n",
		drawn.first, drawn.count-1, drawn.later, 2*o.slice)
	return nil
}

// profile adds the profile of some time from now on.
func (s *spent) profile(ctx context.Context, page string, length time.Duration) error {
	response, err := get(ctx, fmt.Sprintf("%sdebug/pprof/profile?seconds=%d", page, int(length.Seconds())))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	p, err := profile.Parse(response.Body)
	if err != nil {
		return fmt.Errorf("%s gave no profile: %w", response.Request.URL, err)
	}
	return s.add(p)
}

// reportParts prints a table.
func reportParts(out io.Writer, unseen, seen spent) {
	fmt.Fprintf(out, "%-28s %18s %18s\n", "processor time", "nobody looks", "somebody looks")
	for p := range partCount {
		fmt.Fprintf(out, "%-28s %8.2f s %6.3f %% %8.2f s %6.3f %%\n",
			partNames[p], unseen[p].Seconds(), 100*unseen.share(p), seen[p].Seconds(), 100*seen.share(p))
	}
}
