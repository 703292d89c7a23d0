package history

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pretrain/metrics"
	"pretrain/train"
)

// compared writes runs and compares them.
func compared(t *testing.T, fakes ...fake) Comparison {
	t.Helper()
	var names []string
	var all []*Run
	for i, f := range fakes {
		names = append(names, string(rune('A'+i)))
		all = append(all, read(t, f.make(t, t.TempDir())))
	}
	return Compare(names, all)
}

func with(old, replacement string) string { return strings.Replace(settings, old, replacement, 1) }

// TestWeights: whether they are the same, and what explains it if they are not.
func TestWeights(t *testing.T) {
	now := time.Now()
	record := train.Record{Version: "v1", Kernels: "avx2", Precision: "fp32", Threads: 2}
	otherKernels, otherThreads := record, record
	otherKernels.Kernels, otherThreads.Threads = "avx512", 8
	whole := fake{record: record, lines: 2, ended: now, step: 20, weight: 1}
	for name, test := range map[string]struct {
		other     func(f *fake)
		equal     bool
		different int
		because   []string
	}{
		"the same":           {func(*fake) {}, true, 0, nil},
		"more threads":       {func(f *fake) { f.record, f.settings = otherThreads, with("workers: 2", "workers: 4") }, true, 0, nil},
		"another seed":       {func(f *fake) { f.weight, f.settings = 2, with("seed: 1", "seed: 2") }, false, 1, []string{"train.seed"}},
		"a key less":         {func(f *fake) { f.weight, f.settings = 2, with("  seed: 1\n", "") }, false, 1, []string{"train.seed"}},
		"kernels and folder": {func(f *fake) { f.weight, f.record, f.settings = 2, otherKernels, with("/pictures", "/others") }, false, 1, []string{"kernels"}},
		"no known reason":    {func(f *fake) { f.weight = 2 }, false, 1, nil},
		"minus zero":         {func(f *fake) { f.weight = float32(math.Copysign(0, -1)) }, false, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			other := whole
			test.other(&other)
			same := compared(t, whole, other).Weights[0]
			want := SameWeight{Name: "B", Compared: true, What: "checkpoints of step 20", Equal: test.equal, Tensors: 2, Different: test.different, Because: test.because}
			if difference := cmp.Diff(want, same); difference != "" {
				t.Error(difference)
			}
		})
	}
}

func TestWeightsThatCannotBeCompared(t *testing.T) {
	now := time.Now()
	same := compared(t, fake{ended: now, step: 20}, fake{ended: now, step: 30}).Weights[0]
	if same.Compared || same.Note == "" {
		t.Errorf("checkpoints of other steps: %+v", same)
	}
	dir := fake{ended: now, step: 20}.make(t, t.TempDir())
	put(t, filepath.Join(dir, "exported", "backbone.safetensors"), "rubbish")
	other := fake{ended: now, step: 30}.make(t, t.TempDir())
	put(t, filepath.Join(other, "exported", "backbone.safetensors"), "rubbish")
	same = Compare([]string{"A", "B"}, []*Run{read(t, dir), read(t, other)}).Weights[0]
	if same.Compared || !strings.Contains(same.Note, "backbone.safetensors") {
		t.Errorf("damaged files: %+v", same)
	}
}

// TestDifferences: only what differs is told, in the order of the configuration, and not what one run did not record.
func TestDifferences(t *testing.T) {
	now := time.Now()
	first := fake{record: train.Record{Version: "v1", Host: "here"}, ended: now}
	second := fake{record: train.Record{Version: "v2"}, ended: now, settings: with("epochs: 20  # --set", "epochs: 30\n  more: {}") + "metrics: {address: x}\n"}
	c := compared(t, first, second)
	want := []Difference{
		{"train.epochs", []string{"20", "30"}, true}, {"train.more", []string{"", "{}"}, true}, {"metrics.address", []string{"", "x"}, false},
	}
	if difference := cmp.Diff(want, c.Settings); difference != "" {
		t.Error(difference)
	}
	if want := []Difference{{"version", []string{"v1", "v2"}, true}}; !cmp.Equal(want, c.Surroundings) {
		t.Errorf("surroundings: %+v", c.Surroundings)
	}
	second.settings = "# nothing\n"
	if c := compared(t, first, second); len(c.Settings) > 0 {
		t.Errorf("against a run without a configuration: %+v", c.Settings)
	}
}

func TestResults(t *testing.T) {
	a := fake{record: train.Record{Seconds: 5}, lines: 4, ended: time.Now()}.make(t, t.TempDir())
	b := fake{lines: 1, ended: time.Now()}.make(t, t.TempDir())
	putEvaluation(t, b, "eval", 0.6)
	c := Compare([]string{"A", "B"}, []*Run{read(t, a), read(t, b)})
	got := map[string][]metrics.Number{}
	for _, result := range c.Results {
		got[result.Name] = result.Values
	}
	for name, want := range map[string][2]float64{
		"seconds": {5, math.NaN()}, "pictures": {2560, 640}, "loss": {4.6, 4.9}, "rotation accuracy": {0.04, 0.01},
		"probe knn at the end": {0.5, math.NaN()}, "probe knn at its best": {0.7, math.NaN()},
		"eval pretrained linear": {math.NaN(), 0.6}, "eval pretrained linear layer": {math.NaN(), 3}, "eval pixels linear": {math.NaN(), 0.3},
	} {
		for i, w := range want {
			if len(got[name]) != 2 {
				t.Errorf("%s is missing", name)
			} else if g := float64(got[name][i]); math.Abs(g-w) > 1e-9 || math.IsNaN(g) != math.IsNaN(w) {
				t.Errorf("%s of run %d is %g, want %g", name, i, g, w)
			}
		}
	}
}
