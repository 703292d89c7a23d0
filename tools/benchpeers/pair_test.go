package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// program writes a script that stands for one side.
func program(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestPairAlternatesAndTakesMedians(t *testing.T) {
	order := filepath.Join(t.TempDir(), "order")
	o := options{
		pretrain: program(t, `echo ours >>`+order+`; echo '{"rows":[{"batch":4,"images_per_second":30,"share_of_peak":0.5,"peak_rss_bytes":1e6}]}'`),
		python:   program(t, `echo peer >>`+order+`; echo '{"batch":4,"images_per_second":20,"peak_rss_bytes":4e6,"disturbed":true}'`),
		peer:     "peer.py", repetitions: 2, threads: 2, seconds: 1,
	}
	p := &pair{model: "m", mode: "train", precision: "fp32"}
	if err := p.measure(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(order)
	if err != nil || string(content) != "ours\npeer\npeer\nours\n" {
		t.Errorf("the sides ran as %q (%v)", content, err)
	}
	want := "| m, 4 | train | fp32 | 30.0 | 50 % | 20.0 | 1.50 (disturbed) | 1 MB | 4 MB | 0.25 |\n"
	if got := p.line(); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestUnavailablePrecisionIsADash(t *testing.T) {
	o := options{
		pretrain: program(t, "echo bf16 not available >&2; exit 2"),
		python:   program(t, `echo '{"batch":4,"images_per_second":20,"peak_rss_bytes":4e6}'`), repetitions: 1,
	}
	p := &pair{model: "m", mode: "train", precision: "bf16"}
	if err := p.measure(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if want := "| m, 4 | train | bf16 | – | – | 20.0 | – | – | 4 MB | – |\n"; p.line() != want {
		t.Errorf("got  %swant %s", p.line(), want)
	}
}

func TestFailuresAreErrors(t *testing.T) {
	good := program(t, `echo '{"rows":[{"batch":1,"images_per_second":1}]}'`)
	for name, o := range map[string]options{
		"ours":     {pretrain: program(t, "echo broken >&2; exit 1"), repetitions: 1},
		"no rows":  {pretrain: program(t, "echo '{}'"), repetitions: 1},
		"peer":     {pretrain: good, python: program(t, "echo broken >&2; exit 1"), repetitions: 1},
		"no lines": {pretrain: good, python: program(t, "true"), repetitions: 1},
	} {
		if err := (&pair{model: "m", mode: "train", precision: "fp32"}).measure(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFeaturesTakeTheFasterWay(t *testing.T) {
	o := options{
		python: program(t, `case "$*" in *--freeze*) echo '{"images_per_second":3}';; *) echo '{"images_per_second":2}';; esac`),
	}
	got, err := (&pair{mode: "features"}).measurePeer(t.Context(), o)
	if err != nil || got.ImagesPerSecond != 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPairs(t *testing.T) {
	got := pairs(options{
		models: []string{"vit_t4_32", "pretext"}, modes: []string{"train", "features"},
		precisions: []string{"fp32", "bf16"},
	})
	if len(got) != 6 {
		t.Errorf("%d rows, want 6: pretext has no features", len(got))
	}
}

func TestPeerEnvironment(t *testing.T) {
	got := peerEnvironment([]string{"HOME=/", "OPENBLAS_CORETYPE=Haswell", "OPENBLAS_L2_SIZE=1"}, 3)
	text := strings.Join(got, " ")
	for _, want := range []string{"HOME=/", "MALLOC_TRIM_THRESHOLD_=8589934592", "OMP_NUM_THREADS=3"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if strings.Contains(text, "OPENBLAS_CORETYPE") {
		t.Errorf("the processor is not detected: %s", text)
	}
}

// TestCompare prints a heading with the peer's version and a line a pair, in the order of the options.
func TestCompare(t *testing.T) {
	o := options{
		pretrain: program(t, `echo '{"rows":[{"batch":4,"images_per_second":30,"share_of_peak":0.5,"peak_rss_bytes":1e6}]}'`),
		python: program(t, `case "$*" in *torch.__version__*) echo 2.6.0;; `+
			`*) echo '{"batch":4,"images_per_second":60,"peak_rss_bytes":5e5}';; esac`),
		models: []string{"vit_t4_32", "resnet50"}, modes: []string{"train"}, precisions: []string{"fp32", "bf16"},
		repetitions: 1, threads: 2, seconds: 1,
	}
	var text strings.Builder
	if err := compare(t.Context(), &text, o); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != 6 || !strings.Contains(lines[0], "PyTorch 2.6.0, images/s") {
		t.Fatalf("%d lines:\n%s", len(lines), text.String())
	}
	for i, begins := range []string{
		"| vit_t4_32, 4 | train | fp32 |", "| vit_t4_32, 4 | train | bf16 |", "| resnet50, 4 | train | fp32 |",
	} {
		if !strings.HasPrefix(lines[2+i], begins) || !strings.HasSuffix(lines[2+i], "| 0.50 | 1 MB | 0 MB | 2.00 |") {
			t.Errorf("line %d is %s", i, lines[2+i])
		}
	}
	for i, line := range lines {
		if strings.Count(line, "|") != strings.Count(lines[0], "|") {
			t.Errorf("line %d has another number of columns:\n%s", i, text.String())
		}
	}
}

func TestCompareRefusesAndSkips(t *testing.T) {
	good := options{python: "/bin/false", repetitions: 1, threads: 1, seconds: 1}
	for want, spoil := range map[string]func(*options){
		"-repetitions is 0": func(o *options) { o.repetitions = 0 },
		"-threads is 0":     func(o *options) { o.threads = 0 },
		"-seconds is 0":     func(o *options) { o.seconds = 0 },
		"-seconds is NaN":   func(o *options) { o.seconds = math.NaN() },
	} {
		o := good
		spoil(&o)
		if err := compare(t.Context(), &strings.Builder{}, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	var text strings.Builder
	if err := compare(t.Context(), &text, good); err != nil || !strings.HasPrefix(text.String(), "skipped: /bin/false has no PyTorch") {
		t.Errorf("without PyTorch: %v, want to skip:\n%s", err, text.String())
	}
}

// TestBothSidesAreAskedTheSame: model, mode, precision, seconds and threads reach both programs.
func TestBothSidesAreAskedTheSame(t *testing.T) {
	asked := filepath.Join(t.TempDir(), "asked")
	o := options{
		pretrain: program(t, `echo "$*" >>`+asked+`; echo '{"rows":[{"batch":1,"images_per_second":1}]}'`),
		python:   program(t, `echo "$*, $OMP_NUM_THREADS threads" >>`+asked+`; echo '{"batch":1,"images_per_second":1}'`),
		peer:     "peer.py", repetitions: 1, threads: 3, seconds: 1.5,
	}
	if err := (&pair{model: "resnet50", mode: "train", precision: "bf16"}).measure(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(asked)
	if err != nil {
		t.Fatal(err)
	}
	want := "bench --models resnet50 --modes train --precisions bf16 --seconds 1.5 --threads 3 --json -\n" +
		"-W ignore peer.py resnet50 --mode train --precision bf16 --seconds 1.5 --threads 3, 3 threads\n"
	if string(content) != want {
		t.Errorf("asked\n%swant\n%s", content, want)
	}
}

// TestMedians are taken of each number apart, and one disturbed repetition marks the row.
func TestMedians(t *testing.T) {
	three := []result{
		{Batch: 4, ImagesPerSecond: 30, PeakRSSBytes: 1, ShareOfPeak: 0.9},
		{Batch: 4, ImagesPerSecond: 10, PeakRSSBytes: 3, ShareOfPeak: 0.1, Disturbed: true},
		{Batch: 4, ImagesPerSecond: 20, PeakRSSBytes: 2, ShareOfPeak: 0.5},
	}
	for _, test := range []struct {
		results []result
		want    result
	}{
		{nil, result{}},
		{three[:1], three[0]},
		{three[:2], result{Batch: 4, ImagesPerSecond: 20, PeakRSSBytes: 2, ShareOfPeak: 0.5, Disturbed: true}},
		{three, result{Batch: 4, ImagesPerSecond: 20, PeakRSSBytes: 2, ShareOfPeak: 0.5, Disturbed: true}},
	} {
		if got := medians(test.results); got != test.want {
			t.Errorf("medians of %d are %+v, want %+v", len(test.results), got, test.want)
		}
	}
}
