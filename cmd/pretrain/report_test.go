package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"pretrain/bench"
	"pretrain/eval"
	"pretrain/train"
)

var errBroken = errors.New("no space left")

var update = flag.Bool("update", false, "rewrite testdata/*.golden by what the tests got")

// golden holds a text against testdata/NAME.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update accepts it): %s", file, diff)
	}
}

// measuredRows are rows of every kind: usual, of a variant, disturbed, with a profile.
func measuredRows() []bench.Row {
	usual := bench.Row{
		Model: "vit_t4_32", Mode: bench.Train, Precision: "fp32", Batch: 128, ImagesPerSecond: 1234.56, StepSeconds: 0.10368,
		ShareOfPeak: 0.8734, PeakRSSBytes: 1 << 30, Kernels: "avx512",
	}
	variant, disturbed, profiled := usual, usual, usual
	variant.Variant = &bench.Variant{Side: 64, Tasks: []string{"rotation", "colorization"}}
	disturbed.Disturbed, disturbed.OtherCores = true, 0.734
	profiled.Mode, profiled.Precision = bench.Features, "bf16"
	profiled.Profile = []bench.ProfileRow{
		{Kind: "Linear", Calls: 49, Seconds: 0.0123, Share: 0.655, GFLOPsPerSecond: 205.4, GigabytesPerSecond: 12.34},
		{Kind: "GELU", Calls: 12, Seconds: 0.00456, Share: 0.345, GigabytesPerSecond: 20},
	}
	return []bench.Row{usual, variant, disturbed, profiled}
}

func TestBenchTable(t *testing.T) {
	var out strings.Builder
	table := benchTable{out: &out}
	for _, row := range measuredRows() {
		if err := table.row(row); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "bench", out.String())
}

// evaluation has two layers of features, of which one is chosen, pixels, and splits if asked for.
func evaluation(splits bool) eval.Report {
	row := func(features string, layer int, accuracy float64, chosen bool) eval.Row {
		return eval.Row{
			Features: features, Layer: layer, Probe: "knn", Accuracy: accuracy, BalancedAccuracy: accuracy - 0.01,
			Interval: [2]float64{accuracy - 0.05, accuracy + 0.05}, Chosen: chosen,
		}
	}
	measured := eval.Report{Test: 372, Rows: []eval.Row{
		row("pretrained", 1, 0.5, false), row("pretrained", 12, 0.71234, true), row("pixels", 0, 0.45, true),
	}}
	if splits {
		measured.Splits = []eval.SplitRow{
			{Features: "pretrained", Probe: "knn", Mean: 0.7, Deviation: 0.0234, Accuracies: make([]float64, 10)},
		}
	}
	return measured
}

func TestEvaluationTable(t *testing.T) {
	for name, measured := range map[string]eval.Report{
		"eval": evaluation(false), "eval_splits": evaluation(true), "eval_all": fullEvaluation(),
	} {
		var out strings.Builder
		if err := printReport(&out, measured); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.String())
	}
}

// fullEvaluation has whatever a report may hold.
func fullEvaluation() eval.Report {
	measured := evaluation(true)
	for _, layer := range []int{1, 12} {
		for i, name := range []string{"map", "recall_1", "recall_5", "recall_10"} {
			value := 0.1*float64(i+1) + 0.01*float64(layer)
			measured.Measures = append(measured.Measures, eval.Measure{
				Features: "pretrained", Layer: layer, Probe: "retrieval", Measure: name, Value: value, Low: value - 0.05, High: value + 0.05,
			})
		}
		measured.Measures = append(measured.Measures, eval.Measure{
			Features: "pretrained", Layer: layer, Probe: "kmeans", Measure: "ari", Value: -0.01, Low: -0.025, High: 0.0123,
		})
		measured.Outliers = append(measured.Outliers, eval.Outlier{
			Features: "pretrained", Layer: layer, Distance: "knn", Path: "test/hat/odd.jpg", Value: 0.1 * float64(layer),
		})
	}
	measured.Measures = append(measured.Measures, eval.Measure{Features: "pixels", Probe: "kmeans", Measure: "ari", Value: 1, Low: 1, High: 1})
	measured.Health = []eval.Health{{
		Features: "pretrained", Layer: 12, Dim: 192, Pictures: 2048, RankMe: 80.12, FeatureStd: 0.5, Alignment: 0.25, Uniformity: -1.25,
	}}
	measured.Leaks = &eval.Leaks{Layer: 12, ByHash: 1, ByFeatures: 2, ByBoth: 1, TestPictures: 2, Pairs: []eval.LeakPair{
		{Train: "train/hat/a.jpg", Test: "test/hat/b.jpg", Cosine: 0.9999, Distance: 0},
		{Train: "train/hat/c.jpg", Test: "test/hat/d.jpg", Cosine: 0.985, Distance: 14},
	}}
	measured.Notes = []string{"pixels, layer 0: something is left out"}
	measured.BestLayer = &eval.Best{Layer: 1, Probe: "knn", Validation: 0.5}
	return measured
}

// TestTablesFitATerminal of 100 columns, paths apart.
func TestTablesFitATerminal(t *testing.T) {
	var out strings.Builder
	if err := printReport(&out, fullEvaluation()); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if utf8.RuneCountInString(line) > 101 {
			t.Errorf("%d columns: %s", utf8.RuneCountInString(line), line)
		}
	}
}

// TestCleanSplitIsNotMentioned: a warning is for those who have to do something.
func TestCleanSplitIsNotMentioned(t *testing.T) {
	var out strings.Builder
	if err := printLeaks(&out, &eval.Leaks{}, 10); err != nil || out.Len() > 0 {
		t.Errorf("%q (%v)", out.String(), err)
	}
}

// TestOneLayerIsShownOnce: where there is nothing to choose from there is one table.
func TestOneLayerIsShownOnce(t *testing.T) {
	measured := evaluation(false)
	measured.Rows = measured.Rows[1:]
	var out strings.Builder
	if err := printReport(&out, measured); err != nil {
		t.Fatal(err)
	}
	if strings.Count(out.String(), "FEATURES") != 1 || strings.Contains(out.String(), "chosen") {
		t.Error(out.String())
	}
}

// TestReportGoesWhereItIsWanted: JSON to a file, to standard output with the table beside it, or nowhere.
func TestReportGoesWhereItIsWanted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "bench.json")
	for _, test := range []struct{ path, stdout, stderr string }{
		{"", "table", ""},
		{"-", "{\n  \"a\": 1\n}\n", "table"},
		{file, "table\nwritten to " + file + "\n", ""},
	} {
		var stdout, stderr bytes.Buffer
		report, err := program{stdout: &stdout, stderr: &stderr}.openReport(test.path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := report.table.Write([]byte("table")); err != nil {
			t.Fatal(err)
		}
		if err := report.finish(map[string]int{"a": 1}); err != nil {
			t.Error(err)
		}
		report.close()
		if stdout.String() != test.stdout || stderr.String() != test.stderr {
			t.Errorf("--json %q: standard output is %q, want %q; standard error %q, want %q",
				test.path, stdout.String(), test.stdout, stderr.String(), test.stderr)
		}
	}
	if content, err := os.ReadFile(file); err != nil || !json.Valid(content) {
		t.Errorf("the file holds %q (%v)", content, err)
	}
}

// TestReportThatCannotBeWrittenIsRefusedBeforeTheWork, as bad usage: measuring takes minutes.
func TestReportThatCannotBeWrittenIsRefusedBeforeTheWork(t *testing.T) {
	folder := t.TempDir()
	blocked := filepath.Join(folder, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		folder: "as a folder", filepath.Join(blocked, "bench.json"): "not a folder",
	} {
		var usage *train.UsageError
		if _, err := (program{}).openReport(path); !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
		for _, arguments := range [][]string{{"bench"}, {"bench", "--scaling"}, {"bench", "--calibrate"}} {
			code, stdout, stderr := call(nil, append(arguments, "--json", path)...)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, "--json: ") {
				t.Errorf("%q: exit code %d\n%s%s", arguments, code, stdout, stderr)
			}
		}
	}
}

// TestUnfinishedReportLeavesNothing: a measurement that fails leaves an older file alone, and no other one behind.
func TestUnfinishedReportLeavesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bench.json")
	if err := os.WriteFile(file, []byte("older"), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := program{}.openReport(file)
	if err != nil {
		t.Fatal(err)
	}
	report.close()
	entries, err := os.ReadDir(filepath.Dir(file))
	if content, _ := os.ReadFile(file); err != nil || len(entries) != 1 || string(content) != "older" {
		t.Errorf("%v %q (%v)", entries, content, err)
	}
}
