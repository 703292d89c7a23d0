package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pretrain/metrics"
)

// pretended makes this test the program that is measured, in the way that the variable says.
const pretended = "OVERHEAD_TEST_PRETENDS"

func TestMain(m *testing.M) {
	if way := os.Getenv(pretended); way != "" {
		os.Exit(pretend(way, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// pretend trains a thousand steps a second, with a page, until it is interrupted.
func pretend(way string, arguments []string) int {
	if way == "refuses" {
		fmt.Fprintln(os.Stderr, "no such recipe")
		return 2
	}
	directory := arguments[slices.Index(arguments, "--out")+1]
	if err := os.MkdirAll(directory, 0o755); err != nil {
		panic(err)
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	page := httptest.NewServer(pretendedPage(way, filepath.Join(directory, "looks")))
	fmt.Fprintf(os.Stderr, "metrics  {\"page\": \"%s/\"}\n", page.URL)
	log, lines := create(directory, "train.log"), create(directory, "metrics.jsonl")
	fmt.Fprintln(log, `{"time":"2026-01-01T00:00:00Z","message":"training"}`)
	fmt.Fprintln(log, `{"time":"2026-01-01T00:00:10Z","message":"pictures","took":1.5}`)
	for step := int64(2); ; step += 2 {
		if err := json.NewEncoder(lines).Encode(metrics.Record{Step: step, Pictures: 64 * step, Time: time.Now()}); err != nil {
			panic(err)
		}
		select {
		case <-interrupted:
			return 130
		case <-time.After(2 * time.Millisecond):
		}
		if way == "fails" && step > 200 {
			fmt.Fprintln(os.Stderr, "the disk is full")
			return 1
		}
	}
}

func create(directory, name string) *os.File {
	file, err := os.Create(filepath.Join(directory, name))
	if err != nil {
		panic(err)
	}
	return file
}

// pretendedPage has events, pictures, metrics and profiles, in which half of the time goes to who looks.
func pretendedPage(way, looks string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live/events", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "event: pictures\ndata: 1\n\n")
		if way == "page ends" {
			return
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("GET /live/pictures.json", func(http.ResponseWriter, *http.Request) {
		if err := os.WriteFile(looks, nil, 0o644); err != nil {
			panic(err)
		}
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "pretrain_step 1") })
	mux.HandleFunc("GET /debug/pprof/profile", func(w http.ResponseWriter, _ *http.Request) {
		p := testProfile("pretrain/nn.run", "net/http.(*conn).serve")
		p.Sample[1].Value = p.Sample[0].Value
		_ = p.Write(w) // who measures will complain
	})
	return mux
}

// pretending are options for a program that is this test.
func pretending(t *testing.T, way string) options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(pretended, way)
	t.Setenv("TMPDIR", t.TempDir()) // nothing may be left there
	return options{pretrain: self, config: "quickstart", data: "d", time: time.Minute, slice: 30 * time.Millisecond, scrape: 5 * time.Millisecond}
}

// nothingLeft checks that no folder of a training stays.
func nothingLeft(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) != 0 {
		t.Errorf("%d folders are left, %v", len(left), err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestPairsOfATraining measures a training as it measures a real one, twice, and counts the pairs of both.
func TestPairsOfATraining(t *testing.T) {
	o := pretending(t, "trains")
	o.time, o.pairs = 1500*time.Millisecond, filepath.Join(t.TempDir(), "pairs")
	for range 2 {
		var out bytes.Buffer
		if err := o.run(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		pairs, err := readPairs(o.pairs)
		if err != nil || !strings.Contains(out.String(), fmt.Sprintf("speed seen over unseen, median of %d pairs", len(pairs))) {
			t.Errorf("%d pairs, %v:\n%s", len(pairs), err, out.String())
		}
		for _, p := range pairs {
			if p.Seen.Steps == 0 || p.Unseen.Pictures != 64*p.Unseen.Steps {
				t.Errorf("%+v", p)
			}
		}
		if !strings.Contains(out.String(), "drawn 1 times in 10 s, the first time for 1.50 s") {
			t.Errorf("the drawings are not told:\n%s", out.String())
		}
	}
	nothingLeft(t)
}

// TestPartsOfATraining: half of the profile of the pretended training is serving.
func TestPartsOfATraining(t *testing.T) {
	o := pretending(t, "trains")
	var out bytes.Buffer
	if err := o.attributeTime(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`serving pages and scrapes +0.00 s 50.000 % +0.00 s 50.000 %`, `first for 1.50 s, then 0 times, 0.00 s in 60ms of being seen`} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	nothingLeft(t)
}

// TestTrainingsThatGoWrong: what the program said is in the error, and nothing stays behind.
func TestTrainingsThatGoWrong(t *testing.T) {
	for way, want := range map[string]string{
		"refuses": "no such recipe", "fails": "the disk is full", "page ends": "who looks sees nothing any more",
	} {
		t.Run(way, func(t *testing.T) {
			o := pretending(t, way)
			if err := o.run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
			nothingLeft(t)
		})
	}
	o := pretending(t, "trains")
	o.time, o.slice = 500*time.Millisecond, time.Minute
	if err := o.run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "give it more -time") {
		t.Errorf("too little time: %v", err)
	}
	o.pretrain = filepath.Join(t.TempDir(), "none")
	if err := o.run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), o.pretrain) {
		t.Errorf("no program: %v", err)
	}
	nothingLeft(t)
}

// TestAudience scrapes as often as told, fetches pictures when told of them, and says what it could not get.
func TestAudience(t *testing.T) {
	var scrapes, pictures atomic.Int64
	enough := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live/events", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "event: snapshot\ndata: {}\n\nevent: pictures\ndata: 1\n\n: alive\n\nevent: pictures\ndata: 2\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("GET /live/pictures.json", func(http.ResponseWriter, *http.Request) { pictures.Add(1) })
	mux.HandleFunc("GET /metrics", func(http.ResponseWriter, *http.Request) {
		if scrapes.Add(1) == 5 {
			close(enough)
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	go func() { <-enough; stop() }()
	if err := (audience{server.URL + "/", time.Millisecond}).look(ctx); err != nil || pictures.Load() != 2 {
		t.Errorf("%d pictures, %v", pictures.Load(), err)
	}
	nowhere := audience{server.URL + "/nowhere/", time.Millisecond}
	if err := nowhere.watch(t.Context()); err == nil || !strings.Contains(err.Error(), "nowhere/live/events: 404") {
		t.Errorf("no page: %v", err)
	}
	if err := nowhere.scrape(t.Context()); err == nil || !strings.Contains(err.Error(), "nowhere/metrics: 404") {
		t.Errorf("no metrics: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}
