package history

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pretrain/metrics"
	"pretrain/train"
)

// TestAnyRubbishIsReadAsFarAsItGoes: whatever the files of a run hold, it is read and told of without a panic, what is wrong
// names its file, and every text that is shown has a reason.
func TestAnyRubbishIsReadAsFarAsItGoes(t *testing.T) {
	whole := fake{record: train.Record{Step: 30, Backbone: "vit"}, lines: 3, ended: time.Now()}.make(t, t.TempDir())
	putEvaluation(t, whole, "eval", 0.5)
	files := []string{"run.json", "config.resolved.yaml", "metrics.jsonl", "eval/eval.json"}
	pristine := map[string]string{}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(whole, file))
		if err != nil {
			t.Fatal(err)
		}
		pristine[file] = string(content)
	}
	rapid.Check(t, func(rt *rapid.T) {
		file := rapid.SampledFrom(files).Draw(rt, "file")
		content := damaged(rt, pristine[file])
		put(t, filepath.Join(whole, file), content)
		defer put(t, filepath.Join(whole, file), pristine[file])
		r, err := Read(whole)
		if err != nil {
			rt.Fatalf("the run is none with %s: %q", file, content)
		}
		for _, problem := range r.Problems {
			if !strings.Contains(problem.Error(), file) || strings.Contains(problem.Error(), "%!") {
				rt.Errorf("a problem of %s is told as %q", file, problem)
			}
		}
		s := Found{Name: "x", Run: r}.Summarise(time.Now())
		if s.State == StateBroken && s.Why == "" {
			rt.Errorf("broken for no reason by %s: %q", file, content)
		}
		c := Compare([]string{"A", "B"}, []*Run{r, r})
		if len(c.Settings)+len(c.Surroundings) > 0 {
			rt.Errorf("a run differs from itself: %+v", c)
		}
	})
}

// damaged is a text that was cut, has bytes changed in it, or is another.
func damaged(t *rapid.T, text string) string {
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		return text[:rapid.IntRange(0, len(text)).Draw(t, "length")]
	case 1:
		bytes := []byte(text)
		for range rapid.IntRange(1, 5).Draw(t, "changes") {
			bytes[rapid.IntRange(0, len(bytes)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		return string(bytes)
	}
	return rapid.OneOf(rapid.String(), rapid.StringMatching(`[{}\[\]:,"&*!|> \na-z0-9-]{0,40}`)).Draw(t, "text")
}

// TestOddConfigurations: the configuration of another version, or one that a person has edited, is shown as it stands.
func TestOddConfigurations(t *testing.T) {
	for text, want := range map[string]string{
		"a: {b: {c: 1}}":                 "a.b.c=1",
		"a:\n  - 1\n  - {b: 2}\n":        "a=[1, {b: 2}]",
		"a: |\n  two\n  lines\n":         "a=| two lines",
		"a: # why\n  b: 'x' # because\n": "a.b='x'",
		"a: &x {b: 1}\nc: *x\n":          "a.b=1 c=*x",
		"a: {}\nb: null\nc: ~\nd:\n":     "a={} b=null c=~ d=",
		"":                               "",
		"# nothing":                      "",
		"just a word":                    "=just a word",
	} {
		t.Run(text, func(t *testing.T) {
			dir := fake{ended: time.Now()}.make(t, t.TempDir())
			put(t, filepath.Join(dir, "config.resolved.yaml"), text)
			var parts []string
			for _, setting := range read(t, dir).Settings {
				parts = append(parts, setting.Path+"="+setting.Value)
			}
			if got := strings.Join(parts, " "); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestFilesThatAreFolders: a folder in the place of a file is a problem and nothing worse.
func TestFilesThatAreFolders(t *testing.T) {
	for _, name := range []string{"run.json", "metrics.jsonl", "config.resolved.yaml", "eval/eval.json"} {
		dir := fake{lines: 2, ended: time.Now()}.make(t, t.TempDir())
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		r := read(t, dir)
		if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Error(), name) || !strings.Contains(r.Problems[0].Error(), "is a directory") {
			t.Errorf("%s: %v", name, r.Problems)
		}
	}
	dir := fake{lines: 2, ended: time.Now()}.make(t, t.TempDir())
	put(t, filepath.Join(dir, "checkpoints"), "a file")
	put(t, filepath.Join(dir, "eval"), "a file")
	if r := read(t, dir); len(r.Problems) != 2 || r.Last() == nil {
		t.Errorf("files in the place of folders: %v", r.Problems)
	}
}

// TestSummaryOfWhatCannotBeRead has no numbers that nobody measured.
func TestSummaryOfWhatCannotBeRead(t *testing.T) {
	s := Found{Name: "closed", Err: errors.New("the folder cannot be read: permission denied")}.Summarise(time.Now())
	if s.State != StateBroken || s.Why != "the folder cannot be read: permission denied" || !math.IsNaN(float64(s.Loss)) || !math.IsNaN(float64(s.PicturesPerSecond)) {
		t.Errorf("got %+v", s)
	}
	empty := fake{ended: time.Now()}.make(t, t.TempDir())
	s = Found{Name: "begun", Run: read(t, empty)}.Summarise(time.Now())
	if s.Probe != nil || s.Checkpoint != nil || s.Tasks != nil || s.Step != 0 || !math.IsNaN(float64(s.Loss)) || !math.IsNaN(float64(s.PicturesPerSecond)) {
		t.Errorf("a run that has just begun: %+v", s)
	}
}

// TestProblemsAreToldOnce: what makes a run broken is its reason and not one of its problems too.
func TestProblemsAreToldOnce(t *testing.T) {
	dir := fake{lines: 2, ended: time.Now()}.make(t, t.TempDir())
	put(t, filepath.Join(dir, "run.json"), `{"state":`)
	put(t, filepath.Join(dir, "metrics.jsonl"), "rubbish\n")
	s := Found{Name: "x", Run: read(t, dir)}.Summarise(time.Now())
	if !strings.HasPrefix(s.Why, "run.json") || len(s.Problems) != 1 || !strings.HasPrefix(s.Problems[0], "metrics.jsonl: line 1") {
		t.Errorf("because %q, and besides %q", s.Why, s.Problems)
	}
}

// TestProbesWithoutANumber: an accuracy that is null hides none that was measured, in whatever order they come.
func TestProbesWithoutANumber(t *testing.T) {
	nan := metrics.Number(math.NaN())
	measured := metrics.Probe{Probe: "knn", Layer: "2", Accuracy: 0.5}
	missing := metrics.Probe{Probe: "knn", Layer: "1", Accuracy: nan}
	for _, probes := range [][]metrics.Probe{{missing, measured}, {measured, missing}} {
		r := &Run{Metrics: []metrics.Record{{Probes: probes}}}
		if best := r.BestProbe(); best == nil || best.Accuracy != 0.5 || best.Layer != "2" {
			t.Errorf("the best of %+v is %+v", probes, best)
		}
		for _, result := range resultsOf([]*Run{r}) {
			if strings.HasPrefix(result.Name, "probe knn") && result.Values[0] != 0.5 {
				t.Errorf("%s is %g with %+v", result.Name, float64(result.Values[0]), probes)
			}
		}
	}
}

// TestThroughputIsTheMedian, which neither a slow start nor lines without a speed move.
func TestThroughputIsTheMedian(t *testing.T) {
	for _, test := range []struct {
		rates []float64
		want  float64
	}{
		{nil, math.NaN()}, {[]float64{math.NaN()}, math.NaN()}, {[]float64{7}, 7}, {[]float64{1, 100, 101, 102, 103}, 101},
		{[]float64{math.NaN(), 50, math.NaN(), 60, 40}, 50},
	} {
		r := &Run{}
		for _, rate := range test.rates {
			r.Metrics = append(r.Metrics, metrics.Record{PicturesPerSecond: metrics.Number(rate)})
		}
		if got := float64(r.Throughput()); got != test.want && !(math.IsNaN(got) && math.IsNaN(test.want)) {
			t.Errorf("%v: %g, want %g", test.rates, got, test.want)
		}
	}
}

// TestPatience follows the longest recent pause between two lines: an evaluation of ten minutes is no reason to call a run
// stopped, and one long ago is none to wait.
func TestPatience(t *testing.T) {
	lines := func(pauses ...time.Duration) *Run {
		r := &Run{Metrics: []metrics.Record{{}}}
		for i, pause := range pauses {
			r.Metrics = append(r.Metrics, metrics.Record{Time: r.Metrics[i].Time.Add(pause)})
		}
		return r
	}
	long := append([]time.Duration{time.Hour}, slices.Repeat([]time.Duration{time.Second}, 60)...)
	for name, test := range map[string]struct {
		run  *Run
		want time.Duration
	}{
		"nothing yet": {&Run{}, 10 * time.Minute}, "one line": {lines(), 10 * time.Minute}, "quick": {lines(time.Second, 2*time.Second), 66 * time.Second},
		"an evaluation": {lines(time.Second, 10*time.Minute, time.Second), 31 * time.Minute}, "long ago": {lines(long...), 63 * time.Second},
	} {
		if got := test.run.patience(); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// TestCompareMany puts values of many runs in the order in which they were named, with gaps where a run has none.
func TestCompareMany(t *testing.T) {
	var fakes []fake
	for i := range 5 {
		f := fake{ended: time.Now(), settings: with("seed: 1", fmt.Sprintf("seed: %d", i)), step: 20, weight: float32(i % 2)}
		if i == 3 {
			f.settings = with("  seed: 1\n", "")
		}
		fakes = append(fakes, f)
	}
	c := compared(t, fakes...)
	if len(c.Settings) != 1 || !slices.Equal(c.Settings[0].Values, []string{"0", "1", "2", "", "4"}) {
		t.Errorf("settings %+v", c.Settings)
	}
	for i, same := range c.Weights {
		if same.Name != c.Names[i+1] || same.Equal != (i%2 == 1) || !same.Equal && !slices.Equal(same.Because, []string{"train.seed"}) {
			t.Errorf("weights of the first and %s: %+v", c.Names[i+1], same)
		}
	}
}
