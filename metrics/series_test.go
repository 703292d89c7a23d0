package metrics

import (
	"flag"
	"fmt"
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
		Number: 7, Seconds: 0.2, UnixSeconds: 1.6e9, Phases: Phases{Data: 0.01, Forward: 0.06, Backward: 0.11, Optimizer: 0.015, Other: 0.005},
		DataQueue: 3,
		Pictures:  64, Views: 256, Operations: 1e9, PeakShare: 0.75, RemainingSeconds: 90,
		LearningRate: 0.001, GradientNorm: 1.5, Loss: 2.5, RunProgress: 0.25, EpochProgress: 0.5,
		Tasks: map[string]Task{
			"rotation":     {Loss: 1.25, Weight: 1, Accuracy: number(0.5)},
			"colorization": {Loss: 2.5, Weight: 0.5, Metrics: map[string]Number{"psnr": 20}},
		},
	}
}

func exampleInspection() Inspection {
	return Inspection{
		Step: 1, TaskGradientNorms: map[string]Number{"colorization": 0.5, "rotation": 2},
		Cosines: []Cosine{{"colorization", "rotation", -0.25}}, ParameterNorm: 60,
		Updates: map[string]Number{"blocks.0": 0.001, "tasks.rotation": 0.01}, Features: []FeatureHealth{{"12", 40.5, 0.9}},
	}
}

// filled is a Series in which every series has a value.
func filled() *Series {
	s := NewSeries()
	s.SetRunInfo(RunInfo{Run: "r1", Version: "v1", Backbone: "vit_tiny", Kernels: "avx2", Tasks: []string{"rotation", "colorization"}, Config: "ab"})
	s.ObserveStep(exampleStep())
	s.SetPlan(Plan{ArenaBytes: 1 << 20, PeakOperationsPerSecond: 2e11, ChanceAccuracy: map[string]float64{"rotation": 0.25}})
	s.ObserveInspection(exampleInspection())
	s.ObserveCache(CacheUse{Hits: 60, Misses: 4, Bytes: 5000})
	s.CountBadImage("damaged")
	s.ObserveCheckpoint(1.5, 1000, 1.7e9)
	s.ObserveProbe("knn", "12", 0.75)
	return s
}

func TestSeries(t *testing.T) {
	s := filled()
	s.ObserveStep(exampleStep()) // counters add up, gauges do not
	var got strings.Builder
	for line := range strings.Lines(exposition(t, s)) {
		if strings.Contains(line, namespace+"_") && !strings.Contains(line, "page_faults_total{") { // those differ every time
			got.WriteString(line)
		}
	}
	golden(t, filepath.Join("testdata", "series.txt"), got.String())
}

// golden compares a text with a file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(read(t, path), got); diff != "" {
		t.Errorf("%s (-update writes it anew): %s", path, diff)
	}
}

// TestDocumentation: docs/metrics.md lists what a run serves, in the words of the code.
func TestDocumentation(t *testing.T) {
	s := filled()
	if err := s.WatchDisk(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	families, err := s.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString(documentationHead)
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), namespace) {
			continue
		}
		var labels []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, label.GetName())
		}
		fmt.Fprintf(&text, "| `%s` | %s | %s | %s |\n", family.GetName(), strings.ToLower(family.GetType().String()), strings.Join(labels, ", "), family.GetHelp())
	}
	text.WriteString(documentationTail)
	golden(t, filepath.Join("..", "docs", "metrics.md"), text.String())
}

const documentationHead = `# Metrics

Every series that a training serves at ` + "`/metrics`" + `, written by ` + "`go test ./metrics -update`" + ` from ` + "`metrics/series.go`" + `. Units are base
units; a task, a block, a probe or a layer is a label, a step or an epoch never is, so the number of series depends on the
configuration alone. Counters start at 0 in each process. Series about gradients of single tasks, updates and features come
from the closer looks of ` + "`metrics.inspect_every_steps`" + `, and stand still between them.

| series | type | labels | what |
| --- | --- | --- | --- |
`

const documentationTail = `
Besides there are those of Go and of the process (` + "`go_*`, `process_*`" + `): heap, goroutines, resident memory, open files, CPU time.

Useful expressions: pictures a second ` + "`rate(pretrain_images_total[1m])`" + `; part of the time that waits for data
` + "`rate(pretrain_data_wait_seconds_total[1m]) / rate(pretrain_step_duration_seconds_sum[1m])`" + `; age of the last checkpoint
` + "`time() - pretrain_checkpoint_timestamp_seconds`" + `; operations a second ` + "`rate(pretrain_floating_point_operations_total[1m])`" + `.
`

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
	s.CountBadImage("\xff")
	s.ObserveCache(CacheUse{Hits: -1, Misses: -1})
	s.ObserveStep(Step{Seconds: -1, Phases: Phases{Data: -1, Other: -1}, Pictures: -1, Views: -1, Operations: -1, Loss: math.NaN(),
		Tasks: map[string]Task{"\xff": {Loss: Number(math.Inf(1))}}})
	s.ObserveCheckpoint(-1, 0, 0)
	text := exposition(t, s)
	for _, want := range []string{"\npretrain_data_wait_seconds_total 0\n", "\npretrain_views_total 0\n", "\npretrain_cache_requests_total{result=\"hit\"} 0\n", "\npretrain_loss NaN\n", "{task=\"\uFFFD\"} +Inf\n"} {
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
