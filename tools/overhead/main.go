// Command overhead measures what it costs a training to be looked at:
//
//	go run ./overhead -pretrain ../bin/pretrain -data DIR [-config quickstart] [-time 170s] [-slice 3s] [-pairs FILE] [-set KEY=VALUE]...
//	go run ./overhead -attribute -pretrain ../bin/pretrain -data DIR [-slice 30s] [-scrape 5s] ...
//
// It starts one training and looks at it in turns: for a slice of time the live page is open, which means that its events
// are read as they come and its pictures as they change, and /metrics is scraped; for the next one nobody looks. Two
// neighbouring slices make a pair, and the order changes from pair to pair, as in ABBA, so that a machine that slows down or
// speeds up favours neither. Slices are cut at lines of metrics.jsonl, of which there is one every other step.
//
// It prints two ratios, seen over unseen, with intervals of 95 % by the bootstrap: pictures a second of wall-clock time, and
// processor seconds of the training a step. Who looks needs processor time too, which a browser or a Prometheus on another
// machine takes from nobody; here it is in the wall-clock time, and printed. Intervals in which an epoch ends count for
// neither side; what the pictures of the page cost there is in the log of the training, and printed as a share of its time.
//
// With -attribute nothing is timed, since wall-clock time says little on a machine that others use too. CPU profiles of the
// training, in four slices of which somebody looks in the second and the third, tell what part of its processor time goes to
// answers, to pictures of the page and to collecting garbage. Lines are as rare as by default then.
//
// With -pairs the pairs are added to those of earlier trainings in FILE, and all of them counted: a machine that is
// free for some minutes now and then suffices. Linux only. Nothing else should run meanwhile.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	pretrain, config, data string
	pairs                  string // file that pairs are added to
	time, slice, scrape    time.Duration
	attribute              bool
	set                    settings
}

// settings are further --set of the training.
type settings []string

func (s *settings) String() string { return strings.Join(*s, " ") }

// Set adds one.
func (s *settings) Set(value string) error {
	*s = append(*s, value)
	return nil
}

func main() {
	log.SetFlags(0)
	o, err := parse(os.Args[1:])
	if err == nil {
		err = o.measurement()(context.Background(), os.Stdout)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func parse(arguments []string) (o options, err error) {
	flags := flag.NewFlagSet("overhead", flag.ContinueOnError)
	flags.StringVar(&o.pretrain, "pretrain", "../bin/pretrain", "the program")
	flags.StringVar(&o.config, "config", "quickstart", "recipe or file")
	flags.StringVar(&o.data, "data", "", "folder of pictures")
	flags.DurationVar(&o.time, "time", 170*time.Second, "time to measure for, start included")
	flags.DurationVar(&o.slice, "slice", 3*time.Second, "time that one looks or does not look, at least")
	flags.DurationVar(&o.scrape, "scrape", time.Second, "time between two scrapes")
	flags.StringVar(&o.pairs, "pairs", "", "file that the pairs are added to, and whose earlier pairs count too")
	flags.BoolVar(&o.attribute, "attribute", false, "tell by profiles what processor time goes to, instead of timing")
	flags.Var(&o.set, "set", "KEY=VALUE of the training, may be repeated")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	if o.data == "" || o.slice <= 0 || o.scrape <= 0 || o.time < 2*o.slice {
		return o, fmt.Errorf("-data must be given, -slice and -scrape be above 0, and -time (%s) hold two slices of %s", o.time, o.slice)
	}
	if o.attribute && (o.time < 4*o.slice || o.slice < time.Second || o.pairs != "") {
		return o, fmt.Errorf("-attribute takes four slices of whole seconds, which -time (%s) must hold, and makes no -pairs", o.time)
	}
	return o, nil
}

// measurement is the one that was asked for.
func (o options) measurement() func(context.Context, io.Writer) error {
	if o.attribute {
		return o.attributeTime
	}
	return o.run
}

// run measures, keeps the pairs and tells what they say.
func (o options) run(ctx context.Context, out io.Writer) error {
	earlier, err := readPairs(o.pairs)
	if err != nil {
		return err
	}
	pairs, drawn, err := o.measure(ctx)
	if err != nil {
		return err
	}
	if len(pairs) == 0 {
		return fmt.Errorf("no pair of slices was complete after %s: give it more -time", o.time)
	}
	for _, p := range pairs {
		fmt.Fprintf(out, "pictures a second: unseen %.1f, seen %.1f; processor seconds a step: %.4f, %.4f\n",
			p.Unseen.speed(), p.Seen.speed(), p.Unseen.processor(), p.Seen.processor())
	}
	if err := addPairs(o.pairs, pairs); err != nil {
		return err
	}
	report(out, append(earlier, pairs...), drawn)
	return nil
}

// measure trains once.
func (o options) measure(ctx context.Context) (pairs []pair, drawn drawings, err error) {
	err = o.train(ctx, func(ctx context.Context, t *training) error {
		watcher := audience{page: t.page, every: o.scrape}
		random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
		pairs, err = alternate(ctx, t.lines(), o.slice, watcher.look, random)
		return err
	}, func(t *training) error {
		drawn, err = readDrawings(t.log())
		return err
	})
	return pairs, drawn, err
}

// train starts a training, does something while it runs, at most for the time of the options, and something after it.
func (o options) train(ctx context.Context, during func(context.Context, *training) error, after func(*training) error) error {
	folder, err := os.MkdirTemp("", "overhead")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	ctx, cancel := context.WithTimeout(ctx, o.time)
	defer cancel()
	t, err := o.start(ctx, folder)
	if err != nil {
		return err
	}
	err = during(ctx, t)
	if stopped := t.stop(); err == nil {
		err = stopped
	}
	if err != nil {
		return err
	}
	return after(t)
}

// report prints what all pairs say together.
func report(out io.Writer, pairs []pair, drawn drawings) {
	var speeds, processors, watchers []float64
	for _, p := range pairs {
		speeds = append(speeds, p.Seen.speed()/p.Unseen.speed())
		processors = append(processors, p.Seen.processor()/p.Unseen.processor())
		watchers = append(watchers, p.Seen.Watcher/p.Seen.Seconds-p.Unseen.Watcher/p.Unseen.Seconds)
	}
	show := func(what string, values []float64) {
		low, middle, high := medianInterval(values)
		fmt.Fprintf(out, "%s, median of %d pairs: %.4f (%.4f to %.4f)\n", what, len(values), middle, low, high)
	}
	show("speed seen over unseen", speeds)
	show("processor time of a step seen over unseen", processors)
	show("processor seconds a second of who looks", watchers)
	if drawn.total > 0 {
		fmt.Fprintf(out, "pictures for the page: drawn %d times in %.0f s, the first time for %.2f s, then for %.4f of the time\n",
			drawn.count, drawn.total, drawn.first, drawn.later/drawn.total)
	}
}
