package bench

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"pretrain/internal/kernel"
	"pretrain/nn"
	"pretrain/train"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(change func(*Options)) Options {
	o := Options{Seconds: 1}
	if change != nil {
		change(&o)
	}
	return o
}

// TestFLOPs holds the arithmetic of a picture against the numbers that are known of these networks: three times the
// forward pass, but for the gradient of the pictures, which nobody needs. Transformers are published at 2.19, 27.5 and
// 1.24: here the last block computes the class token alone.
func TestFLOPs(t *testing.T) {
	for name, want := range map[string]float64{
		"vit_t4_32": 2.05e9, "resnet18_c": 3.33e9, "vit_s16_224": 25.7e9, "resnet50": 24.3e9, "vit_t16_96": 1.16e9,
	} {
		spec := Spec{Model: name, Mode: Train, Precision: nn.Float32, Batch: 2}
		predicted, err := spec.predict()
		if err != nil {
			t.Fatal(err)
		}
		got := predicted.flops / 2
		if math.Abs(got/want-1) > 0.02 {
			t.Errorf("%s trains at %.3g FLOP a picture, want %.3g within 2 %%", name, got, want)
		}
		spec.Mode = Features
		if predicted, err = spec.predict(); err != nil {
			t.Fatal(err)
		}
		if ratio := got / (predicted.flops / 2); ratio < 2.9 || ratio > 3 {
			t.Errorf("%s: training takes %.3f times the arithmetic of features, want nearly 3", name, ratio)
		}
	}
}

// TestPretextCostsItsViews holds four tasks against their views: three of ViT-Tiny/4 of which the class token is read, two
// of which all tokens are, each 2.19/2.05 as dear, and small heads.
func TestPretextCostsItsViews(t *testing.T) {
	one, err := Spec{Model: "vit_t4_32", Mode: Train, Precision: nn.Float32, Batch: 2}.predict()
	if err != nil {
		t.Fatal(err)
	}
	five, err := Spec{Model: "pretext", Mode: Train, Precision: nn.Float32, Batch: 2}.predict()
	if err != nil {
		t.Fatal(err)
	}
	if ratio := five.flops / one.flops; ratio < 5.13 || ratio > 5.18 {
		t.Errorf("four tasks cost %.3f times one view, want 5.13 and at most a hundredth for the heads", ratio)
	}
}

func TestSpecs(t *testing.T) {
	all, err := options(nil).Specs()
	if err != nil {
		t.Fatal(err)
	}
	// Every model trains and, but for pretext, makes features, in every precision that there is.
	if want := (2*len(Models()) - 1) * len(PrecisionNames()); len(all) != want {
		t.Errorf("%d rows, want %d", len(all), want)
	}
	some, err := options(func(o *Options) {
		o.Models, o.Modes, o.Precisions, o.Batch, o.Threads = []string{"vit_t4_32"}, []string{"train"}, []string{"fp32"}, 3, 2
	}).Specs()
	if err != nil {
		t.Fatal(err)
	}
	want := []Spec{{Model: "vit_t4_32", Mode: Train, Precision: nn.Float32, Batch: 3, Threads: 2, Seconds: 1}}
	if diff := cmp.Diff(want, some); diff != "" {
		t.Error(diff)
	}
}

func TestBadOptions(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Options)
		want   []string
	}{
		"model": {
			func(o *Options) { o.Models = []string{"vit_t4", "resnet50"} },
			[]string{`--models: model "vit_t4": there are vit_t4_32, `, `did you mean "vit_t4_32"?`},
		},
		"mode": {
			func(o *Options) { o.Modes = []string{"feature"} },
			[]string{`--modes: mode "feature": there are train, features; did you mean "features"?`},
		},
		"precision": {
			func(o *Options) { o.Precisions = []string{"fp16"} },
			[]string{`--precisions: precision "fp16": there are fp32, bf16; did you mean`},
		},
		"features of pretext": {
			func(o *Options) { o.Models, o.Modes = []string{"pretext"}, []string{"features"} },
			[]string{"--modes", "backbone"},
		},
		"batch": {func(o *Options) { o.Batch = -1 }, []string{"--batch is -1", "1 to 1073741824"}},
		"overflow": {
			func(o *Options) { o.Batch = math.MaxInt },
			[]string{"--batch is 9223372036854775807", "1 to 1073741824"},
		},
		"seconds": {func(o *Options) { o.Seconds = 0 }, []string{"--seconds is 0", "above 0"}},
		"no time": {func(o *Options) { o.Seconds = math.NaN() }, []string{"--seconds is NaN"}},
		"threads": {func(o *Options) { o.Threads = -2 }, []string{"--threads is -2"}},
		"kernels": {func(o *Options) { o.Kernels = "avx1024" }, []string{`unknown family "avx1024"`}},
		"several": {
			func(o *Options) { o.Models, o.Threads = []string{"x"}, -1 },
			[]string{"--models", "--threads"},
		},
		"memory": {
			func(o *Options) { o.Models, o.Batch, o.MemoryLimit = []string{"vit_t4_32"}, 1000, 1<<30 },
			[]string{
				"--batch (vit_t4_32, train, fp32) is 1000", "1073741824 bytes (1.00 GiB, the given limit) are free",
				"lower it to at most",
			},
		},
		"largest batch": {
			func(o *Options) { o.Batch = largestBatch },
			[]string{"--batch (resnet50, train, fp32) is 1073741824", "PiB) of memory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := options(test.change).Specs()
			var usage *train.UsageError
			if !errors.As(err, &usage) {
				t.Fatalf("the error is %v, want one of usage", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in:\n%v", want, err)
				}
			}
		})
	}
}

// small is a row that takes a moment.
func small(mode Mode) Spec {
	return Spec{
		Model: "vit_t4_32", Variant: Variant{Side: 8, Width: 32, Depth: 2, Heads: 2}, Mode: mode, Precision: nn.Float32, Batch: 4, Threads: 2,
		Seconds: 0.01, Profile: true,
	}
}

func TestMeasure(t *testing.T) {
	half := small(Train)
	half.Precision = nn.BFloat16
	for _, spec := range []Spec{small(Train), small(Features), half} {
		mode := spec.Mode
		t.Run(string(mode)+"/"+string(spec.Precision), func(t *testing.T) {
			row, err := Measure(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			asked := row.Model == "vit_t4_32" && row.Mode == mode && row.Precision == spec.Precision && row.Variant.Width == 32
			if !asked || row.Batch != 4 || row.Threads != 2 || row.Kernels == "" {
				t.Errorf("the row does not say what was measured: %+v", row)
			}
			if !(row.ImagesPerSecond > 0) || !(row.ShareOfPeak > 0) || row.ShareOfPeak > 1 || row.Steps < leastSteps {
				t.Errorf("impossible speed: %+v", row)
			}
			if row.PeakRSSBytes < row.ArenaBytes || row.ArenaBytes <= 0 {
				t.Errorf("impossible memory: %+v", row)
			}
			if got := row.ImagesPerSecond * row.StepSeconds; math.Abs(got-4) > 1e-9 {
				t.Errorf("speed and time of a step make %v pictures, want 4", got)
			}
			checkProfile(t, row, mode)
		})
	}
}

// checkProfile wants every kind once, the longest first, shares that make a whole, and the arithmetic of the row.
func checkProfile(t *testing.T, row Row, mode Mode) {
	t.Helper()
	shares, flops, seen := 0.0, 0.0, map[string]bool{}
	for i, r := range row.Profile {
		if seen[r.Kind] || i > 0 && r.Seconds > row.Profile[i-1].Seconds || r.Calls < 1 {
			t.Errorf("row %d of the profile: %+v", i, r)
		}
		seen[r.Kind] = true
		shares += r.Share
		flops += r.GFLOPsPerSecond * r.Seconds * 1e9
	}
	if math.Abs(shares-1) > 1e-6 {
		t.Errorf("the shares of the profile make %v", shares)
	}
	if want := row.FLOPsPerImage * 4; math.Abs(flops/want-1) > 1e-3 {
		t.Errorf("the profile has %v FLOPs, the step %v", flops, want)
	}
	if !seen["Linear"] || seen["Optimizer"] != (mode == Train) {
		t.Errorf("kinds of the profile: %v", seen)
	}
}

// TestPredictionsOfRows holds what was planned against the arena of every standard model, at small batches.
func TestPredictionsOfRows(t *testing.T) {
	engine, err := kernel.New(kernel.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	for _, model := range Models() {
		if model.Side > 100 && testing.Short() {
			continue
		}
		for _, spec := range []Spec{
			{Mode: Train, Precision: nn.Float32}, {Mode: Features, Precision: nn.Float32},
			{Mode: Train, Precision: nn.BFloat16}, {Mode: Features, Precision: nn.BFloat16},
		} {
			spec.Model, spec.Batch = model.Name, 2
			predicted, err := spec.predict()
			if err != nil {
				t.Fatal(err)
			}
			step, err := spec.newStep(engine)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := predicted.memory.Arena, int64(step.ArenaBytes()); got != want {
				t.Errorf("%s, %s, %s: predicted an arena of %d bytes, it has %d", model.Name, spec.Mode, spec.Precision,
					got, want)
			}
			if predicted.flops != step.FLOPs() {
				t.Errorf("%s, %s, %s: predicted %g FLOPs, the step has %g", model.Name, spec.Mode, spec.Precision, predicted.flops, step.FLOPs())
			}
		}
	}
}

// TestEveryModelRuns takes one training step of what is small enough for a test.
func TestEveryModelRuns(t *testing.T) {
	engine, err := kernel.New(kernel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	for _, name := range []string{"vit_t4_32", "resnet18_c", "pretext"} {
		step, err := Spec{Model: name, Mode: Train, Precision: nn.Float32, Batch: 2}.newStep(engine)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := step.Run(); err != nil {
				t.Fatal(err)
			}
		}
		if cost := step.training.Cost(); !(cost > 0) || math.IsInf(cost, 0) {
			t.Errorf("%s: the loss is %v", name, cost)
		}
		if name == "pretext" && step.viewsPerImage() != 5 {
			t.Errorf("pretext shows %v views a picture, want 5", step.viewsPerImage())
		}
	}
}

func TestCancelledMeasurement(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	if _, err := Measure(ctx, small(Train)); !errors.Is(err, stopped) {
		t.Errorf("the error is %v", err)
	}
}

func TestSpecSurvivesItsJourney(t *testing.T) {
	spec := small(Train)
	spec.Variant.Tasks, spec.Kernels = []string{"rotation"}, kernel.Portable
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var got Spec
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(spec, got); diff != "" {
		t.Error(diff)
	}
}

func TestMedianTakesCleanSteps(t *testing.T) {
	for _, test := range []struct {
		times     stepTimes
		want      float64
		disturbed bool
	}{
		{stepTimes{all: []float64{5, 1, 2, 3}, clean: []float64{3, 1, 2}}, 2, false},
		{stepTimes{all: []float64{4, 1, 2, 3}, clean: []float64{1}}, 2.5, true},
		{stepTimes{all: []float64{1, 2, 3}, clean: []float64{1, 2, 3}, otherCores: 0.5}, 2, true},
	} {
		if got := test.times.median(); got != test.want || test.times.disturbed() != test.disturbed {
			t.Errorf("%+v: median %v, disturbed %v", test.times, got, test.times.disturbed())
		}
	}
}

func TestClock(t *testing.T) {
	before := clock{wall: time.Unix(0, 0), busy: 10, own: 5}
	spent := clock{wall: time.Unix(1, 0), busy: 11.5, own: 6}.since(before)
	if diff := cmp.Diff(span{1, 0.5}, spent, cmp.AllowUnexported(span{})); diff != "" {
		t.Error(diff)
	}
	if spent.undisturbed() || !(span{1, 0.07}).undisturbed() {
		t.Error("half a core of others is a disturbance, 0.07 is none")
	}
	if now := readClock(); now.busy < 0 || now.own < 0 {
		t.Errorf("%+v", now)
	}
}

func TestProfileRows(t *testing.T) {
	got := profileRows([]nn.ProfileRow{
		{Kind: "A", Calls: 4, Time: 1e6, Cost: nn.Cost{Bytes: 2e6}},
		{Kind: "B", Calls: 2, Time: 3e6, Cost: nn.Cost{FLOPs: 6e6, Bytes: 3e6}},
	}, 2)
	want := []ProfileRow{
		{Kind: "B", Calls: 1, Seconds: 1.5e-3, Share: 0.75, GFLOPsPerSecond: 2, GigabytesPerSecond: 1},
		{Kind: "A", Calls: 2, Seconds: 0.5e-3, Share: 0.25, GigabytesPerSecond: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
