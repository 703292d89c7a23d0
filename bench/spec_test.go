package bench

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pretrain/internal/kernel"
	"pretrain/nn"
	"pretrain/train"
)

// TestLargestBatchThatFits: the batch that a refusal names fits, and one more does not.
func TestLargestBatchThatFits(t *testing.T) {
	for _, mode := range []Mode{Train, Features} {
		spec := Spec{
			Model: "vit_t4_32", Variant: Variant{Side: 8, Width: 64, Depth: 2, Heads: 1}, Mode: mode, Precision: nn.BFloat16, Batch: 1 << 16,
		}
		total := func(batch int) int64 {
			needed, err := spec.memory(batch)
			if err != nil {
				t.Fatal(err)
			}
			return needed.Total()
		}
		for _, limit := range []int64{
			train.ProgramBytes, total(1), total(7) - 1, total(7), total(7) + 1, 3 * train.ProgramBytes,
		} {
			var refused *train.MemoryError
			if err := (Options{MemoryLimit: limit}).checkMemory([]Spec{spec}); !errors.As(err, &refused) {
				t.Errorf("%s: %d bytes are enough for a batch of %d (%v)", mode, limit, spec.Batch, err)
				continue
			}
			if refused.Largest > 0 && total(refused.Largest) > limit || total(refused.Largest+1) <= limit {
				t.Errorf("%s: a batch of %d is said to be the largest in %d bytes", mode, refused.Largest, limit)
			}
			spec.Batch = max(1, refused.Largest)
			if err := (Options{MemoryLimit: limit}).checkMemory([]Spec{spec}); (err == nil) != (refused.Largest > 0) {
				t.Errorf("%s: a batch of %d in %d bytes: %v", mode, spec.Batch, limit, err)
			}
			spec.Batch = 1 << 16
		}
	}
}

// TestRefusalNamesEveryRowThatDoesNotFit, with what would.
func TestRefusalNamesEveryRowThatDoesNotFit(t *testing.T) {
	_, err := options(func(o *Options) {
		o.Models, o.Modes, o.Precisions = []string{"vit_t4_32", "vit_t16_96"}, []string{"train"}, []string{"fp32"}
		o.MemoryLimit = 256 << 20
	}).Specs()
	if err == nil {
		t.Fatal("no error")
	}
	for _, row := range []string{"vit_t4_32, train, fp32", "vit_t16_96, train, fp32"} {
		if !strings.Contains(err.Error(), "--batch ("+row+") is ") {
			t.Errorf("%s is not in\n%v", row, err)
		}
	}
	for _, part := range []string{"intermediate results", "parameters", "gradients", "optimizer", "the given limit"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not in\n%v", part, err)
		}
	}
	_, err = options(func(o *Options) {
		o.Models, o.Modes, o.MemoryLimit = []string{"resnet18_c"}, []string{"features"}, 1<<20
	}).Specs()
	if err == nil || !strings.Contains(err.Error(), "not even a batch of 1 fits") {
		t.Errorf("one MiB is enough: %v", err)
	}
}

// TestSpecsPassOnTheOptions: every row is measured as asked, and a batch of 0 is the model's own.
func TestSpecsPassOnTheOptions(t *testing.T) {
	o := Options{
		Models: []string{"pretext", "vit_t16_96"}, Precisions: []string{"bf16"}, Seconds: 2, Threads: 3, Kernels: kernel.Portable,
		Profile: true, Recompute: true, MemoryLimit: 1 << 40,
	}
	specs, err := o.Specs()
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		model string
		mode  Mode
		batch int
	}{{"pretext", Train, 64}, {"vit_t16_96", Train, 64}, {"vit_t16_96", Features, 64}}
	if len(specs) != len(want) {
		t.Fatalf("%d rows, want %d: %+v", len(specs), len(want), specs)
	}
	for i, spec := range specs {
		if spec.Model != want[i].model || spec.Mode != want[i].mode || spec.Batch != want[i].batch {
			t.Errorf("row %d is %+v, want %+v", i, spec, want[i])
		}
		passed := spec.Seconds == 2 && spec.Threads == 3 && spec.Kernels == kernel.Portable && spec.Profile && spec.Recompute == (spec.Mode == Train)
		if !passed || spec.Precision != nn.BFloat16 {
			t.Errorf("row %d has lost an option: %+v", i, spec)
		}
	}
	if model, err := specs[0].model(); err != nil || !model.Recompute {
		t.Errorf("the model is told nothing of recomputing: %v", err)
	}
}

func TestCheckSeconds(t *testing.T) {
	for seconds, good := range map[float64]bool{
		0.001: true, 1: true, longest: true, 0: false, -1: false, longest + 1: false, 1e300: false, math.Inf(1): false,
	} {
		if err := CheckSeconds(seconds); (err == nil) != good {
			t.Errorf("%v: %v", seconds, err)
		}
	}
	if CheckSeconds(math.NaN()) == nil {
		t.Error("what is no number is accepted")
	}
}

// TestSpecsThatCannotBeMeasured: the hidden flag of one row is given by the program, and still no rubbish may run.
func TestSpecsThatCannotBeMeasured(t *testing.T) {
	for want, spoil := range map[string]func(*Spec){
		`model "vit"`:            func(s *Spec) { s.Model = "vit" },
		`mode "both": there are`: func(s *Spec) { s.Mode = "both" },
		`mode ""`:                func(s *Spec) { s.Mode = "" },
		`precision "fp64"`:       func(s *Spec) { s.Precision = "fp64" },
		"must be 1 to 0":         func(s *Spec) { s.Batch = 0 },
		`unknown family "mmx"`:   func(s *Spec) { s.Kernels = "mmx" },
		"does not have all":      func(s *Spec) { s.Variant.Tasks = []string{"rotation"} },
		"heads":                  func(s *Spec) { s.Variant.Heads = 5 },
		"data.size is 7":         func(s *Spec) { s.Variant.Side = 7 },
	} {
		spec := small(Train)
		spoil(&spec)
		if _, err := Measure(t.Context(), spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestFind: every listed model is found and says what it is, and an unknown one leads to the nearest.
func TestFind(t *testing.T) {
	for _, name := range ModelNames() {
		if model, err := Find(name); err != nil || model.Name != name || model.Summary == "" || model.Batch < 1 {
			t.Errorf("%s: %+v (%v)", name, model, err)
		}
	}
	for name, want := range map[string]string{
		"resnet-50": "resnet50", "vit_t4": "vit_t4_32", "RESNET18_C": "resnet18_c", "": "pretext",
	} {
		if _, err := Find(name); err == nil || !strings.Contains(err.Error(), "did you mean \""+want+"\"?") {
			t.Errorf("%q: got %v, want %s", name, err, want)
		}
	}
}

// TestDocumentedModels: a model that can be measured is in the document of measurements.
func TestDocumentedModels(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range ModelNames() {
		if !strings.Contains(string(content), name) {
			t.Errorf("docs/performance.md does not know %s", name)
		}
	}
}
