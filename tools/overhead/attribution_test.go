package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"pgregory.net/rapid"
)

// TestPartOf: stacks are written from the inside outwards, as profiles have them.
func TestPartOf(t *testing.T) {
	for _, test := range []struct {
		stack string
		want  part
	}{
		{"pretrain/internal/kernel.tile pretrain/nn.(*Program).Run pretrain/train.(*Trainer).Step main.main", anyway},
		{"runtime.memmove pretrain/data.(*Loader).fill", anyway},
		{"net.(*conn).Write net/http.(*response).Write pretrain/page.(*Hub).serveEvents net/http.(*conn).serve", serving},
		{"encoding/json.Marshal pretrain/page.encode pretrain/page.(*Hub).Publish pretrain/train.observe main.main", serving},
		{"compress/flate.(*Writer).Write github.com/prometheus/client_golang/prometheus/promhttp.Handler net/http.(*conn).serve", serving},
		{"pretrain/internal/kernel.tile pretrain/train.(*session).showPictures main.main", pictures},
		{"pretrain/page.(*Hub).Show pretrain/train.(*session).showPictures main.main", pictures},
		{"compress/flate.(*Writer).Write runtime/pprof.profileWriter", profiling},
		{"time.Sleep net/http/pprof.Profile net/http.HandlerFunc.ServeHTTP net/http.(*conn).serve", profiling},
		{"runtime.scanobject runtime.gcDrain runtime.gcBgMarkWorker", collecting},
		{"runtime.gcDrainN runtime.gcAssistAlloc runtime.mallocgc pretrain/data.decode", collecting},
		{"runtime.gcAssistAlloc runtime.mallocgc bytes.growSlice net/http.(*conn).serve", serving},
		{"runtime.futex runtime.findRunnable runtime.schedule runtime.mcall", scheduling},
		{"", scheduling},
	} {
		if got := partOf(strings.Fields(test.stack)); got != test.want {
			t.Errorf("%s: %s, want %s", test.stack, partNames[got], partNames[test.want])
		}
	}
}

// testProfile has a sample for every stack, of so many milliseconds each.
func testProfile(stacks ...string) *profile.Profile {
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: int64(10 * time.Millisecond),
	}
	known := map[string]*profile.Location{}
	for i, stack := range stacks {
		sample := &profile.Sample{Value: []int64{1, int64(i+1) * int64(time.Millisecond)}}
		for _, name := range strings.Fields(stack) {
			if known[name] == nil {
				f := &profile.Function{ID: uint64(len(known) + 1), Name: name}
				known[name] = &profile.Location{ID: f.ID, Line: []profile.Line{{Function: f}}}
				p.Function, p.Location = append(p.Function, f), append(p.Location, known[name])
			}
			sample.Location = append(sample.Location, known[name])
		}
		p.Sample = append(p.Sample, sample)
	}
	return p
}

// TestInlined: functions that were inlined share a location, and count.
func TestInlined(t *testing.T) {
	p := testProfile("bytes.Clone", "net/http.(*conn).serve")
	p.Location[0].Line = append(p.Location[0].Line, p.Location[1].Line...)
	var s spent
	if err := s.add(p); err != nil || s[serving] != 3*time.Millisecond || s[anyway] != 0 {
		t.Errorf("%v, %v", s, err)
	}
}

// TestShares: all but the measurement add up to one, whatever was measured.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s spent
		for p := range partCount {
			s[p] = time.Duration(rapid.Int64Range(0, 1e12).Draw(t, partNames[p]))
		}
		s[anyway]++ // something is always done
		sum := 0.0
		for p := range partCount {
			if p != profiling {
				sum += s.share(p)
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("%v add up to %g", s, sum)
		}
	})
}

// TestProfile fetches a profile as a training serves it, for whole seconds, and adds to what was there.
func TestProfile(t *testing.T) {
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String()
		if err := testProfile("pretrain/nn.run", "net/http.(*conn).serve").Write(w); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	var s spent
	for range 2 {
		if err := s.profile(t.Context(), server.URL+"/", 28*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if asked != "/debug/pprof/profile?seconds=28" {
		t.Errorf("asked for %s", asked)
	}
	if want := (spent{anyway: 2 * time.Millisecond, serving: 4 * time.Millisecond}); s != want {
		t.Errorf("%v, want %v", s, want)
	}
}

func TestNoProfile(t *testing.T) {
	wrong := testProfile("main.main")
	wrong.SampleType[1] = &profile.ValueType{Type: "inuse_space", Unit: "bytes"}
	for _, test := range []struct {
		name, want string
		answer     func(io.Writer) error
	}{
		{"other bytes", "gave no profile", func(w io.Writer) error { _, err := io.WriteString(w, "<html>"); return err }},
		{"a profile of memory", "counts no nanoseconds", func(w io.Writer) error { return wrong.Write(w) }},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = test.answer(w) }))
		var s spent
		if err := s.profile(t.Context(), server.URL+"/", time.Second); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
		server.Close()
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	var s spent
	if err := s.profile(t.Context(), server.URL+"/", time.Second); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("no profiles: %v", err)
	}
}

func TestReportParts(t *testing.T) {
	var out bytes.Buffer
	seen := spent{anyway: 98 * time.Second, serving: time.Second, collecting: time.Second, profiling: time.Minute}
	reportParts(&out, spent{anyway: 100 * time.Second}, seen)
	for _, want := range []string{"training  100.00 s 100.000 %  98.00 s 98.000 %", "serving pages and scrapes  0.00 s  0.000 %  1.00 s 1.000 %"} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// TestAwaitDrawing: a log whose last line is being written is not broken, and who waits in vain learns for what.
func TestAwaitDrawing(t *testing.T) {
	run := &training{directory: t.TempDir(), read: make(chan struct{})}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(run.log(), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	line := `{"time":"2026-01-01T00:00:00Z","message":"%s","took":2}` + "\n"
	write(fmt.Sprintf(line, "pictures") + `{"time":"2026-01-01T00:0`)
	if err := run.awaitDrawing(t.Context()); err != nil {
		t.Errorf("a torn line: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	awaitInVain := func(when string) {
		t.Helper()
		if err := run.awaitDrawing(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "end of an epoch") {
			t.Errorf("%s: %v", when, err)
		}
	}
	write(fmt.Sprintf(line, "checkpoint"))
	awaitInVain("no epoch ended")
	if err := os.Remove(run.log()); err != nil {
		t.Fatal(err)
	}
	awaitInVain("no log yet")
	close(run.read)
	if err := run.awaitDrawing(t.Context()); err == nil || !strings.Contains(err.Error(), "ended before") {
		t.Errorf("the training ended: %v", err)
	}
	write("not JSON")
	if err := run.awaitDrawing(t.Context()); err == nil || !strings.Contains(err.Error(), filepath.Base(run.log())) {
		t.Errorf("not a log: %v", err)
	}
}

func TestMistakesInAttribution(t *testing.T) {
	for _, arguments := range [][]string{{"-slice", "50s"}, {"-slice", "500ms"}, {"-pairs", "p", "-slice", "30s"}} {
		_, err := parse(append([]string{"-attribute", "-data", "d"}, arguments...))
		if err == nil || !strings.Contains(err.Error(), "-attribute takes four slices") {
			t.Errorf("%v: %v", arguments, err)
		}
	}
	o, err := parse([]string{"-attribute", "-data", "d", "-slice", "30s"})
	if err != nil {
		t.Fatal(err)
	}
	if arguments := strings.Join(o.arguments("run"), " "); !strings.Contains(arguments, "metrics.pprof=true") || strings.Contains(arguments, "every_steps=2") {
		t.Errorf("it trains with %s", arguments)
	}
}
