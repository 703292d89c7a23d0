package metrics

import (
	"flag"
	"math"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

var update = flag.Bool("update", false, "write the golden files of this package anew")

func number(x float64) *Number { n := Number(x); return &n }

// exampleStep has a task with everything and one with the least.
func exampleStep() Step {
	return Step{
		Number: 7, Seconds: 0.2, DataWaitSeconds: 0.01, DataQueue: 3, Pictures: 64, Views: 256, BadPictures: 1,
		LearningRate: 0.001, GradientNorm: 1.5, Loss: 2.5, RunProgress: 0.25, EpochProgress: 0.5,
		Tasks: map[string]Task{
			"rotation":     {Loss: 1.25, Weight: 1, Accuracy: number(0.5)},
			"colorization": {Loss: 2.5, Weight: 0.5, Metrics: map[string]Number{"psnr": 20}},
		},
	}
}

// filled is a Series in which every series has a value.
func filled() *Series {
	s := NewSeries()
	s.SetRunInfo(RunInfo{Run: "r1", Version: "v1", Backbone: "vit_tiny", Kernels: "avx2", Tasks: []string{"rotation", "colorization"}, Config: "ab"})
	s.ObserveStep(exampleStep())
	s.ObserveCheckpoint(1.5, 1000, 1.7e9)
	s.ObserveProbe("knn", "12", 0.75)
	return s
}

func TestSeries(t *testing.T) {
	s := filled()
	s.ObserveStep(exampleStep()) // counters add up, gauges do not
	var got strings.Builder
	for line := range strings.Lines(exposition(t, s)) {
		if strings.Contains(line, namespace+"_") {
			got.WriteString(line)
		}
	}
	path := filepath.Join("testdata", "series.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(read(t, path), got.String()); diff != "" {
		t.Errorf("%s (-update writes it anew): %s", path, diff)
	}
}

// exposition is what a scrape of s would get.
func exposition(t *testing.T, s *Series) string {
	t.Helper()
	response := httptest.NewRecorder()
	scrapes(s.Registry()).ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
	if response.Code != 200 {
		t.Fatalf("status %d: %s", response.Code, response.Body)
	}
	return response.Body.String()
}

// TestNothingIsGlobal: a program that embeds this package sees nothing of it in its own registry, and may have two runs.
func TestNothingIsGlobal(t *testing.T) {
	filled()
	filled()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), namespace) {
			t.Errorf("%s is on the default registry", family.GetName())
		}
	}
}

func TestCollectorsOfTheProcess(t *testing.T) {
	text := exposition(t, NewSeries())
	for _, want := range []string{"go_goroutines ", "process_resident_memory_bytes ", "go_build_info{", "pretrain_images_total 0"} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("%s is missing", want)
		}
	}
}

// TestStrangeValuesDoNotStopTraining: client_golang panics when a counter goes down or a label is not UTF-8.
func TestStrangeValuesDoNotStopTraining(t *testing.T) {
	s := NewSeries()
	s.ObserveStep(Step{Seconds: -1, DataWaitSeconds: -1, Pictures: -1, Views: -1, BadPictures: -1, Loss: math.NaN(),
		Tasks: map[string]Task{"\xff": {Loss: Number(math.Inf(1))}}})
	s.ObserveCheckpoint(-1, 0, 0)
	text := exposition(t, s)
	for _, want := range []string{"\npretrain_data_wait_seconds_total 0\n", "\npretrain_views_total 0\n", "\npretrain_loss NaN\n", "{task=\"\uFFFD\"} +Inf\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestRunInfoIsReplaced(t *testing.T) {
	s := NewSeries()
	s.SetRunInfo(RunInfo{Version: "old"})
	s.SetRunInfo(RunInfo{Version: "new"})
	text := exposition(t, s)
	if strings.Contains(text, `version="old"`) || !strings.Contains(text, `version="new"`) {
		t.Error("the scrape holds the old information, or not the new one")
	}
}

// skip leaves out a test for want of a program; with REQUIRE_TOOLS set, as in .ci/run, it fails instead.
func skip(t *testing.T, program string) {
	t.Helper()
	if os.Getenv("REQUIRE_TOOLS") != "" {
		t.Fatalf("REQUIRE_TOOLS is set, but this test needs %s", program)
	}
	t.Skipf("SKIPPED: needs %s", program)
}

// TestPromtool has Prometheus's own linter look at everything that is served.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		skip(t, "promtool, from the Debian package prometheus")
	}
	command := exec.Command(promtool, "check", "metrics")
	command.Stdin = strings.NewReader(exposition(t, filled()))
	output, err := command.CombinedOutput()
	if diff := cmp.Diff("", string(output)); err != nil || diff != "" {
		t.Errorf("%v: %s", err, diff)
	}
}
