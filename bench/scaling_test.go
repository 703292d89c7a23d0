package bench

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pretrain/internal/kernel"
	"pretrain/train"
)

func TestFitPower(t *testing.T) {
	x, y := []float64{1, 2, 4, 8}, make([]float64, 4)
	for i := range x {
		y[i] = 3 * math.Pow(x[i], 1.5)
	}
	fit := fitPower(x, y)
	if math.Abs(fit.Exponent-1.5) > 1e-9 || math.Abs(fit.Factor-3) > 1e-9 || math.Abs(fit.R2-1) > 1e-9 {
		t.Errorf("fitted %+v to 3·x^1.5", fit)
	}
}

// counted stands for a machine that computes everything at one speed: steps take what their products take.
func counted(_ context.Context, spec Spec) (Row, error) {
	predicted, err := spec.predict()
	return Row{
		Model: spec.Model, Batch: spec.Batch, StepSeconds: predicted.flops / 1e9, FLOPsPerImage: predicted.flops / float64(spec.Batch),
		ArenaBytes: predicted.memory.Arena,
	}, err
}

// TestScale fits the laws that arithmetic alone would give: linear in batch, nearly so in depth, as the last block of a
// transformer computes the class token alone, between linear and quadratic in width, quadratic and more in the side of a
// picture for transformers, quadratic for convolutions.
func TestScale(t *testing.T) {
	shown := 0
	report, err := Scale(t.Context(), options(nil), counted, func(Row) error { shown++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	bounds := [][2]float64{{2, 2.6}, {1.99, 2.01}, {1.5, 2}, {1.1, 1.15}, {0.99, 1.01}, {0.99, 1.08}}
	for i, axis := range report.Scaling.Axes {
		if e := axis.Time.Exponent; e < bounds[i][0] || e > bounds[i][1] || math.Abs(e-axis.FLOPs.Exponent) > 1e-9 {
			t.Errorf("%s of %s: exponent %.3f, want %v", axis.Name, axis.Model, e, bounds[i])
		}
		if axis.Memory.Exponent <= 0 || axis.Unit == "" || len(axis.Points) < 4 {
			t.Errorf("%+v", axis)
		}
	}
	s := report.Scaling
	if ratio := s.Together.StepSeconds / s.SumSeconds; len(s.Tasks) != 4 || math.Abs(ratio-1) > 0.01 {
		t.Errorf("%d tasks in one step cost %.3f of single ones: the views are as many", len(s.Tasks), ratio)
	}
	if want := 28 + 5; shown != want {
		t.Errorf("%d rows were shown, want %d", shown, want)
	}
}

func TestScaleStopsAtErrors(t *testing.T) {
	broken := errors.New("broken")
	_, err := Scale(t.Context(), options(nil), func(context.Context, Spec) (Row, error) { return Row{}, broken }, nil)
	if !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	for _, change := range []func(*Options){
		func(o *Options) { o.Seconds = -1 },
		func(o *Options) { o.Precisions = []string{"fp8"} },
		func(o *Options) { o.MemoryLimit = 1 << 20 },
	} {
		var usage *train.UsageError
		if _, err := Scale(t.Context(), options(change), nil, nil); !errors.As(err, &usage) {
			t.Errorf("the error is %v, want one of usage", err)
		}
	}
}

func TestVariants(t *testing.T) {
	for _, test := range []struct {
		model   string
		variant Variant
		want    string // of the error
	}{
		{"resnet18_c", Variant{Width: 32}, "those of a ViT"},
		{"pretext", Variant{Tasks: []string{"rotation", "jigsaw"}}, "does not have all of the tasks"},
		{"pretext", Variant{Tasks: []string{"rotation"}}, ""},
		{"vit_t4_32", Variant{Side: 16, Width: 64, Depth: 1, Heads: 1}, ""},
	} {
		model, err := Find(test.model)
		if err != nil {
			t.Fatal(err)
		}
		_, err = model.with(test.variant)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s with %v: %v", test.model, test.variant, err)
		}
	}
	if got, want := (Variant{Side: 8, Tasks: []string{"a", "b"}}).String(), "side=8 tasks=a+b"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFitFindsTheLaw: whatever the law and the numbers it is measured at, the fit is that law; noise lowers the share that
// it explains.
func TestFitFindsTheLaw(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		exponent, factor := rapid.Float64Range(-3, 3).Draw(r, "exponent"), rapid.Float64Range(1e-6, 1e6).Draw(r, "factor")
		x := rapid.SliceOfNDistinct(rapid.Float64Range(1, 1000), 2, 6, math.Floor).Draw(r, "x")
		y := make([]float64, len(x))
		for i := range x {
			y[i] = factor * math.Pow(x[i], exponent)
		}
		if slices.Max(x)/slices.Min(x) < 1.01 {
			return // too near for any law
		}
		fit := fitPower(x, y)
		if math.Abs(fit.Exponent-exponent) > 1e-6 || math.Abs(fit.Factor/factor-1) > 1e-5 {
			r.Fatalf("fitted %+v to %g·x^%g", fit, factor, exponent)
		}
	})
	noisy := fitPower([]float64{1, 2, 4, 8}, []float64{1, 3, 2, 8})
	if noisy.R2 < 0.5 || noisy.R2 > 0.95 {
		t.Errorf("the law explains %v of the variance", noisy.R2)
	}
}

// TestScalePassesOnTheOptions: every step is measured in the precision, with the threads and for the seconds that are
// asked for; the axes differ in one number each.
func TestScalePassesOnTheOptions(t *testing.T) {
	o := Options{Seconds: 3, Threads: 2, Kernels: kernel.Portable, Precisions: []string{"bf16"}, MemoryLimit: 1 << 40}
	var specs []Spec
	measure := func(ctx context.Context, spec Spec) (Row, error) {
		specs = append(specs, spec)
		return counted(ctx, spec)
	}
	report, err := Scale(t.Context(), o, measure, func(Row) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range specs {
		if spec.Seconds != 3 || spec.Threads != 2 || spec.Kernels != kernel.Portable || spec.Precision != "bf16" || spec.Mode != Train {
			t.Errorf("%+v", spec)
		}
	}
	for _, axis := range report.Scaling.Axes {
		var values []float64
		for _, point := range axis.Points {
			values = append(values, point.Value)
		}
		if !slices.IsSorted(values) || values[len(values)-1] < 4*values[0] {
			t.Errorf("%s of %s was measured at %v, want growth by a factor of 4 at least", axis.Name, axis.Model, values)
		}
	}
	o.Precisions = []string{"fp32", "bf16"}
	if _, err := Scale(t.Context(), o, measure, nil); err == nil || !strings.Contains(err.Error(), "fp32,bf16") {
		t.Errorf("the error is %v, want both precisions in it", err)
	}
}
