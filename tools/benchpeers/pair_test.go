package main

import (
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
	if err := compare(t.Context(), options{}); err == nil {
		t.Error("no repetitions were accepted")
	}
	if err := compare(t.Context(), options{python: "/bin/false", repetitions: 1}); err != nil {
		t.Errorf("without PyTorch: %v, want to skip", err)
	}
}

func TestFeaturesTakeTheFasterWay(t *testing.T) {
	o := options{python: program(t, `case "$*" in *--freeze*) echo '{"images_per_second":3}';; *) echo '{"images_per_second":2}';; esac`)}
	got, err := (&pair{mode: "features"}).measurePeer(t.Context(), o)
	if err != nil || got.ImagesPerSecond != 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPairs(t *testing.T) {
	got := pairs(options{models: []string{"vit_t4_32", "pretext"}, modes: []string{"train", "features"}, precisions: []string{"fp32", "bf16"}})
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
