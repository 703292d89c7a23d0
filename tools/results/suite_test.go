package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pretrain/configs"
)

// calls is a script in place of pretrain: it writes its arguments to a log, a line a call, and what train and eval leave
// behind. Its evaluation has two layers, of which the second is chosen.
const calls = `#!/bin/sh
echo "$*" >>LOG
case "$1" in
train)
	while [ "$1" != --out ]; do shift; done
	mkdir -p "$2/eval"
	echo a >"$2/config.resolved.yaml"
	echo '{"pictures": 3068, "step": 100, "seconds": 120}' >"$2/run.json" ;;
eval)
	while [ "$1" != --json ]; do shift; done
	echo '{"rows": [
		{"features": "pretrained", "layer": 1, "probe": "knn", "accuracy": 0.5, "balanced_accuracy": 0.4, "interval": [0.4, 0.6]},
		{"features": "pretrained", "layer": 2, "probe": "knn", "accuracy": 0.75, "balanced_accuracy": 0.7,
		 "interval": [0.7, 0.8], "validation": 0.77, "chosen": true}],
		"splits": [{"features": "pretrained", "probe": "knn", "mean": 0.74, "deviation": 0.01}]}' >"$2" ;;
esac
`

// newSuite is a suite whose program is the script; log returns what it was asked for since the last time.
func newSuite(t *testing.T) (s suite, log func() []string) {
	t.Helper()
	folder := t.TempDir()
	s = suite{
		pretrain: filepath.Join(folder, "pretrain"), data: "labelled", out: filepath.Join(folder, "runs"),
		seeds: []string{"1", "2"},
	}
	file := filepath.Join(folder, "log")
	if err := os.WriteFile(s.pretrain, []byte(strings.ReplaceAll(calls, "LOG", file)), 0o700); err != nil {
		t.Fatal(err)
	}
	return s, func() []string {
		content, _ := os.ReadFile(file)
		_ = os.Remove(file)
		return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	}
}

// TestSuiteMakesWhatIsMissing: each experiment is trained and evaluated once, a stopped one is resumed, a finished one
// is read.
func TestSuiteMakesWhatIsMissing(t *testing.T) {
	s, log := newSuite(t)
	s.settings = []string{"train.precision=bf16"}
	e := single("resnet18", "clothing-resnet18", "rotation", 20)
	rows, err := s.measure(e, "1")
	if err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(s.out, "resnet18-rotation-seed1")
	train := "train clothing-resnet18 --data labelled/train --out " + run + " --set train.seed=1 --set train.epochs=20 " +
		"--set tasks.rotation.weight=1 --set tasks.rotation.share=1 --set tasks.relative_position.weight=0 " +
		"--set tasks.patch_location.weight=0 --set tasks.colorization.weight=0 --set train.precision=bf16"
	evaluate := "eval " + run + " --train labelled/train --val labelled/val --test labelled/test --splits 10 " +
		"--json " + run + "/eval/eval.json --features pretrained"
	if diff := cmp.Diff([]string{train, evaluate}, log()); diff != "" {
		t.Error(diff)
	}
	want := row{
		Experiment: "resnet18-rotation", Seed: "1", Pictures: 6400, Seconds: 120, Features: "pretrained", Layer: 2, Probe: "knn",
		Accuracy: 0.75, Balanced: 0.7, Interval: [2]float64{0.7, 0.8}, Validation: 0.77, Chosen: true,
		Splits: splitRow{Features: "pretrained", Probe: "knn", Mean: 0.74, Deviation: 0.01},
	}
	if diff := cmp.Diff(want, rows[1]); diff != "" {
		t.Error(diff)
	}
	if _, err := s.measure(e, "1"); err != nil || !slices.Equal(log(), []string{""}) {
		t.Errorf("a finished run was made again (%v)", err)
	}
	if err := os.Remove(filepath.Join(run, "eval", "eval.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.measure(e, "1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{train + " --resume", evaluate}, log()); diff != "" {
		t.Error(diff)
	}
	s.grid = 4
	if _, err := s.measure(e, "1"); err != nil {
		t.Fatal(err)
	}
	evaluate = strings.NewReplacer("--splits 10", "--grid 4", "eval.json", "eval-grid4.json").Replace(evaluate)
	if diff := cmp.Diff([]string{train + " --resume", evaluate}, log()); diff != "" {
		t.Error(diff)
	}
}

// TestRandomWeightsAreMeasuredOnce, beside the first seed of the experiments that ask for it.
func TestRandomWeightsAreMeasuredOnce(t *testing.T) {
	s, log := newSuite(t)
	if err := s.run(regexp.MustCompile("^resnet18-(rotation|all)$")); err != nil {
		t.Fatal(err)
	}
	var beside []string
	for _, line := range log() {
		if strings.HasPrefix(line, "eval ") && !strings.Contains(line, "--features") {
			beside = append(beside, filepath.Base(strings.Fields(line)[1]))
		}
	}
	if diff := cmp.Diff([]string{"resnet18-rotation-seed1"}, beside); diff != "" {
		t.Error(diff)
	}
	file, err := os.Open(filepath.Join(s.out, "results.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil || len(lines) != 1+2*2*2 {
		t.Fatalf("%d lines, want a heading and two layers of two seeds of two experiments (%v)", len(lines), err)
	}
	want := strings.Split("resnet18-rotation,1,6400,120,pretrained,2,knn,0.75,0.7,0.7,0.8,0.77,true", ",")
	if diff := cmp.Diff(want, lines[2]); diff != "" {
		t.Error(diff)
	}
}

// TestOnlyWhatMatchesNothing: an expression that matches nothing must not replace measured results by empty ones.
func TestOnlyWhatMatchesNothing(t *testing.T) {
	s, log := newSuite(t)
	if err := s.run(regexp.MustCompile("resnet19")); err == nil || !strings.Contains(err.Error(), "resnet18-rotation") {
		t.Errorf("the error is %v, want the names that there are", err)
	}
	if _, err := os.Stat(filepath.Join(s.out, "results.csv")); err == nil || !slices.Equal(log(), []string{""}) {
		t.Error("something was made")
	}
}

// TestTablesOnly trains nothing and passes over what is not measured.
func TestTablesOnly(t *testing.T) {
	s, log := newSuite(t)
	if _, err := s.measure(single("resnet18", "clothing-resnet18", "rotation", 20), "1"); err != nil {
		t.Fatal(err)
	}
	log()
	s.tables = true
	if err := s.run(regexp.MustCompile("")); err != nil || !slices.Equal(log(), []string{""}) {
		t.Errorf("the error is %v", err)
	}
}

// TestFailuresStopTheSuite, and broken files are named.
func TestFailuresStopTheSuite(t *testing.T) {
	s, _ := newSuite(t)
	e := experiments[0]
	run := filepath.Join(s.out, e.name+"-seed1")
	if _, err := s.measure(e, "1"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"run.json", "eval/eval.json"} {
		file := filepath.Join(run, name)
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, good[:len(good)/2], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.measure(e, "1"); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("half of %s: %v", name, err)
		}
		if err := os.WriteFile(file, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.pretrain = "/bin/false"
	if err := s.run(regexp.MustCompile("resnet18-all")); err == nil || !strings.Contains(err.Error(), "resnet18-all, seed 1: ") {
		t.Errorf("the error is %v, want the run that failed in it", err)
	}
}

// TestExperiments: names are unique, every recipe and setting is one that the program takes, a single task is alone, and
// what is compared was shown the same pictures.
func TestExperiments(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range experiments {
		if seen[e.name] {
			t.Errorf("%s is there twice", e.name)
		}
		seen[e.name] = true
		source := configs.Source{Name: e.recipe}
		for _, setting := range e.settings {
			key, value, _ := strings.Cut(setting, "=")
			source.Overrides = append(source.Overrides, configs.Override{Flag: "--set", Path: key, Value: value})
		}
		resolved, err := configs.Load(source)
		if err != nil {
			t.Errorf("%s: %v", e.name, err)
			continue
		}
		c := resolved.Config
		if c.Train.BatchSize != batch || c.Train.Accumulate != 1 {
			t.Errorf("%s: a step shows %d × %d pictures, and the tables count %d", e.name, c.Train.BatchSize,
				c.Train.Accumulate, batch)
		}
		wanted := 1
		switch {
		case strings.Contains(e.name, "-all"):
			wanted = len(tasks)
		case strings.HasSuffix(e.name, "-rotation-patch_location"):
			wanted = 2
		}
		if active := c.ActiveTasks(); len(active) != wanted {
			t.Errorf("%s trains %v", e.name, active)
		}
		epochs := map[string][2]int{"clothing-resnet18": {resnetEpochs, resnetLong}, "clothing-vit-tiny": {vitEpochs, vitLong}}[e.recipe]
		want := epochs[0]
		if strings.HasSuffix(e.name, "-long") {
			want = epochs[1]
		}
		if c.Train.Epochs != want {
			t.Errorf("%s trains for %d epochs, want %d", e.name, c.Train.Epochs, want)
		}
	}
}

// chosen is a chosen row of the linear probe.
func chosen(experiment, seed, features string, layer int, accuracy float64) row {
	return row{
		Experiment: experiment, Seed: seed, Features: features, Probe: "linear", Layer: layer, Chosen: true, Accuracy: accuracy,
		Balanced: accuracy - 0.1, Interval: [2]float64{accuracy - 0.05, accuracy + 0.05}, Splits: splitRow{
			Mean: accuracy + 0.01,
		},
		Pictures: 61360, Seconds: 480,
	}
}

// TestTables prints every table from rows of two seeds, random weights beside the first, and a layer that was not chosen.
func TestTables(t *testing.T) {
	rows := []row{
		chosen("m-rotation", "1", "pretrained", 3, 0.5), chosen("m-rotation", "1", "random", 1, 0.3),
		chosen("m-rotation", "2", "pretrained", 4, 0.7),
	}
	unchosen := chosen("m-rotation", "1", "pretrained", 2, 0.25)
	unchosen.Chosen = false
	rows = append(rows, unchosen)
	var text strings.Builder
	if err := printTables(&text, rows); err != nil {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	for line := range strings.Lines(text.String()) {
		lines[strings.Join(strings.Fields(line), " ")] = true
	}
	for _, want := range []string{
		"| m-rotation | linear | 3,4 | 0.600 ± 0.141 | 0.500 ± 0.141 | 0.55–0.65 | 0.610 ± 0.141 | 61360 | 8.0 |",
		"| m-rotation: random | linear | 1 | 0.300 | 0.200 | 0.25–0.35 | 0.310 | 61360 | 8.0 |",
		"| m-rotation | linear | 0.250 0.500 0.700 |",
		"| m-rotation: random | linear | 0.300 |",
	} {
		if !lines[want] {
			t.Errorf("the line %s is not in\n%s", want, text.String())
		}
	}
}

// TestMeanAndError against numbers worked out by hand: the standard error is the deviation of one over the root of all.
func TestMeanAndError(t *testing.T) {
	for want, values := range map[string][]float64{
		"+0.125":         {0.125},
		"+0.200 ± 0.100": {0.1, 0.3},
		"-0.010 ± 0.000": {-0.01, -0.01, -0.01},
		"+0.000 ± 0.577": {-1, 0, 1},
	} {
		if got := meanAndError(values); got != want {
			t.Errorf("%v: got %s, want %s", values, got, want)
		}
	}
}

// TestNothingToCompare: without an experiment of all tasks there is a heading and no line.
func TestNothingToCompare(t *testing.T) {
	var text strings.Builder
	rows := []row{chosen("m-rotation", "1", "pretrained", 3, 0.5), chosen("n-all", "1", "pretrained", 3, 0.5)}
	if err := printDifferences(&text, rows); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(strings.TrimSpace(text.String()), "\n"); got != 1 {
		t.Errorf("%d lines below the first, want one:\n%s", got, text.String())
	}
}
