package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAlternate: what is done at the ends of epochs, though it takes seconds, counts for neither side, and slices of both
// kinds are as long as asked for.
func TestAlternate(t *testing.T) {
	at, step, looks := time.Unix(0, 0), int64(0), 0
	next := func(context.Context) ([]mark, error) {
		if step == 4000 {
			return nil, io.EOF
		}
		took := 200 * time.Millisecond
		if step += 2; step%50 == 2 && step > 50 { // after the line that told of the end
			took += 7 * time.Second
		}
		at = at.Add(took)
		return []mark{{step: step, epoch: step / 50, pictures: 64 * step, time: at, processor: float64(step)}}, nil
	}
	look := func(ctx context.Context) error {
		looks++
		<-ctx.Done()
		return nil
	}
	pairs, err := alternate(t.Context(), next, 2*time.Second, look, rand.New(rand.NewPCG(1, 1)))
	if err != nil || len(pairs) < 20 || looks < len(pairs) {
		t.Fatalf("%d pairs of which %d were seen, %v", len(pairs), looks, err)
	}
	for _, p := range pairs {
		for _, s := range []slice{p.Unseen, p.Seen} {
			if math.Abs(s.speed()-640) > 1e-6 || s.processor() != 1 || s.Seconds < 1.999 {
				t.Errorf("%+v is not 640 pictures a second over two", s)
			}
		}
	}
}

// TestWhoCannotLook ends the measurement with the reason.
func TestWhoCannotLook(t *testing.T) {
	step := int64(0)
	next := func(context.Context) ([]mark, error) {
		step += 100
		return []mark{{step: step, pictures: step, time: time.Unix(step, 0)}}, nil
	}
	blind := errors.New("blind")
	_, err := alternate(t.Context(), next, time.Second, func(context.Context) error { return blind }, rand.New(rand.NewPCG(1, 1)))
	if !errors.Is(err, blind) {
		t.Errorf("got %v", err)
	}
}

// TestPairsAreKept: what is added to a file is read back after what was there; another file is refused by name.
func TestPairsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pairs")
	want := []pair{{Seen: slice{Steps: 1, Seconds: 2}}, {Unseen: slice{Steps: 3, Processor: 4}}}
	for _, p := range want {
		if err := addPairs(path, []pair{p}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readPairs(path)
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%v, %v", got, err)
	}
	if err := os.WriteFile(path, []byte(`{"step":1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readPairs(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("another file gives %v", err)
	}
	if got, err := readPairs(path + "-none"); got != nil || err != nil {
		t.Errorf("no file gives %v, %v", got, err)
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	report(&out, []pair{{
		Unseen: slice{Steps: 10, Pictures: 100, Seconds: 1, Processor: 2},
		Seen:   slice{Steps: 10, Pictures: 100, Seconds: 2, Processor: 3, Watcher: 1},
	}}, drawings{count: 3, first: 1, later: 0.5, total: 100})
	for _, want := range []string{
		"speed seen over unseen, median of 1 pairs: 0.5000", "step seen over unseen, median of 1 pairs: 1.5000",
		"of who looks, median of 1 pairs: 0.5000", "drawn 3 times in 100 s, the first time for 1.00 s, then for 0.0050",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestDrawings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "train.log")
	text := `{"time":"2026-01-01T00:00:00Z","message":"training"}
{"time":"2026-01-01T00:00:10Z","message":"pictures","took":1.5}
{"time":"2026-01-01T00:00:20Z","message":"pictures","took":0.25}
{"time":"2026-01-01T00:01:40Z","message":"checkpoint"}
`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := readDrawings(path); err != nil || got != (drawings{2, 1.5, 0.25, 100}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestMistakesInFlags(t *testing.T) {
	for _, arguments := range [][]string{{}, {"-data", "d", "-slice", "0s"}, {"-data", "d", "-time", "1s"}} {
		if _, err := parse(arguments); err == nil || !strings.Contains(err.Error(), "-data must be given") {
			t.Errorf("%v: %v", arguments, err)
		}
	}
}
