package bench

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pretrain/data"
	"pretrain/nn"
	"pretrain/pretext"
)

// TestMedianOfSteps: half of the counted steps are no slower, and half no faster; the clean ones count alone as soon as
// there are enough of them.
func TestMedianOfSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Float64Range(0.001, 10), leastSteps, 40).Draw(t, "steps")
		clean := all[:rapid.IntRange(0, len(all)).Draw(t, "clean")]
		counted, before := all, slices.Clone(all)
		if len(clean) >= leastClean {
			counted = clean
		}
		median, slower, faster := stepTimes{all: all, clean: clean}.median(), 0, 0
		for _, seconds := range counted {
			if seconds > median {
				slower++
			}
			if seconds < median {
				faster++
			}
		}
		if 2*slower > len(counted) || 2*faster > len(counted) {
			t.Errorf("%g is the median of %v, of which %d are slower and %d faster", median, counted, slower, faster)
		}
		if !slices.Equal(all, before) {
			t.Error("the steps were sorted in place")
		}
	})
}

// TestDisturbed: few clean steps, or others on the processor, make figures that are not to be believed.
func TestDisturbed(t *testing.T) {
	for _, test := range []struct {
		clean  int
		others float64
		want   bool
	}{
		{0, 0, true}, {leastClean - 1, 0, true}, {leastClean, 0, false},
		{20, disturbance, false}, {20, disturbance + 0.01, true},
	} {
		if got := (stepTimes{clean: make([]float64, test.clean), otherCores: test.others}).disturbed(); got != test.want {
			t.Errorf("%d clean steps beside %.2f busy cores: %v, want %v", test.clean, test.others, got, test.want)
		}
	}
}

// TestProfilesAddUp: shares sum to one, the slowest kind comes first, and everything is told of one step.
func TestProfilesAddUp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for steps := 1; steps <= 3; steps++ {
		var measured []nn.ProfileRow
		whole := time.Duration(0)
		for _, kind := range []string{"MatMul", "Conv", "Optimizer", "LayerNorm"} {
			row := nn.ProfileRow{Kind: kind, Calls: steps * (1 + r.IntN(9)), Time: time.Duration(1 + r.IntN(1e6))}
			row.Cost = nn.Cost{FLOPs: 1e6, Bytes: 2e6}
			measured, whole = append(measured, row), whole+row.Time
		}
		rows, shares := profileRows(measured, steps), 0.0
		for i, row := range rows {
			shares += row.Share
			from := measured[slices.IndexFunc(measured, func(m nn.ProfileRow) bool { return m.Kind == row.Kind })]
			if row.Calls*float64(steps) != float64(from.Calls) || math.Abs(row.Seconds*float64(steps)-from.Time.Seconds()) > 1e-12 {
				t.Errorf("%d steps: %+v was made of %+v", steps, row, from)
			}
			if math.Abs(row.GFLOPsPerSecond*float64(from.Time)-1e6) > 1e-3 || row.GigabytesPerSecond < 1.99*row.GFLOPsPerSecond {
				t.Errorf("%s computes %g GFLOP/s and moves %g GB/s", row.Kind, row.GFLOPsPerSecond, row.GigabytesPerSecond)
			}
			if i > 0 && row.Seconds > rows[i-1].Seconds {
				t.Errorf("%s is slower than %s before it", row.Kind, rows[i-1].Kind)
			}
		}
		if math.Abs(shares-1) > 1e-9 {
			t.Errorf("shares of %v sum to %g", whole, shares)
		}
	}
	nothing := profileRows([]nn.ProfileRow{{Kind: "View", Calls: 1}}, 1)[0]
	if nothing.Share != 0 || math.IsNaN(nothing.GFLOPsPerSecond) {
		t.Errorf("what took no time is %+v", nothing)
	}
}

// TestFitsOfOtherUnits: in milliseconds the factor of a law is a thousand times as large, and its exponent the same; noise
// costs some of what it explains.
func TestFitsOfOtherUnits(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	x, seconds, milliseconds := []float64{8, 16, 32, 64, 128}, make([]float64, 5), make([]float64, 5)
	for i, v := range x {
		seconds[i] = 0.01 * math.Pow(v, 0.9) * math.Exp(0.2*r.NormFloat64())
		milliseconds[i] = 1000 * seconds[i]
	}
	a, b := fitPower(x, seconds), fitPower(x, milliseconds)
	if math.Abs(a.Exponent-b.Exponent) > 1e-9 || math.Abs(b.Factor/a.Factor-1000) > 1e-6 || math.Abs(a.R2-b.R2) > 1e-9 {
		t.Errorf("%+v in seconds, %+v in milliseconds", a, b)
	}
	if a.R2 >= 1 || a.R2 < 0.8 {
		t.Errorf("the law explains %.3f of noisy times", a.R2)
	}
}

// TestSweeps: each axis rises, differs in nothing but its own number, and asks for steps that there are.
func TestSweeps(t *testing.T) {
	base := Spec{Precision: nn.BFloat16, Threads: 3, Seconds: 2}
	for _, s := range sweeps(base) {
		distinct := slices.Compact(slices.Clone(s.values))
		if len(s.values) != len(s.specs) || !slices.IsSorted(s.values) || len(distinct) != len(s.values) {
			t.Errorf("%s: %d steps at %v", s.axis.Name, len(s.specs), s.values)
		}
		for i, spec := range s.specs {
			if spec.Mode != Train || spec.Precision != base.Precision || spec.Threads != 3 || spec.Seconds != 2 {
				t.Errorf("%s: %+v is not of the base", s.axis.Name, spec)
			}
			if _, err := spec.model(); err != nil {
				t.Errorf("%s at %g: %v", s.axis.Name, s.values[i], err)
			}
			if i > 0 && reflect.DeepEqual(spec, s.specs[i-1]) {
				t.Errorf("%s: the steps at %g and %g are one", s.axis.Name, s.values[i-1], s.values[i])
			}
			text, err := json.Marshal(spec)
			var back Spec
			if err == nil {
				err = json.Unmarshal(text, &back)
			}
			if err != nil || !reflect.DeepEqual(back, spec) {
				t.Errorf("%s: %+v comes back as %+v (%v)", s.axis.Name, spec, back, err)
			}
		}
	}
}

// TestVariantsLeaveTheStandardModels as they are, and say what they change.
func TestVariantsLeaveTheStandardModels(t *testing.T) {
	before := Models()
	for text, v := range map[string]Variant{
		"":                                     {},
		"side=48":                              {Side: 48},
		"width=128 depth=3 heads=2":            {Width: 128, Depth: 3, Heads: 2},
		"side=8 tasks=rotation+patch_location": {Side: 8, Tasks: []string{"rotation", "patch_location"}},
	} {
		model, err := Find("pretext")
		if err != nil {
			t.Fatal(err)
		}
		changed, err := model.with(v)
		if err != nil || v.String() != text || v.empty() != (text == "") {
			t.Errorf("%+v is %q, want %q (%v)", v, v.String(), text, err)
		}
		if v.Side > 0 && changed.Side != v.Side || len(v.Tasks) > 0 && len(changed.Tasks) != len(v.Tasks) {
			t.Errorf("%q gives %+v", text, changed)
		}
	}
	if !reflect.DeepEqual(Models(), before) {
		t.Error("the standard models are others now")
	}
	for want, s := range map[string]Spec{
		"those of a ViT":       {Model: "resnet50", Mode: Train, Variant: Variant{Width: 64}},
		"all of the tasks":     {Model: "pretext", Mode: Train, Variant: Variant{Tasks: []string{"rotation", "jigsaw"}}},
		`did you mean "train"`: {Model: "resnet50", Mode: "trian"},
		`model "resnet5"`:      {Model: "resnet5", Mode: Train},
	} {
		if _, err := s.predict(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q in it", err, want)
		}
	}
}

// TestClassesAreDrawn evenly from all that there are, and the same ones every time.
func TestClassesAreDrawn(t *testing.T) {
	task := newClassification(10, pretext.Env{Side: 8})
	counts := make([]int, 10)
	for i := range uint64(2000) {
		var target, again [1]float32
		for _, into := range []*[1]float32{&target, &again} {
			if err := task.Prepare(data.NewSample(data.NewImage(8, 8), 1, 0, i), nil, into[:]); err != nil {
				t.Fatal(err)
			}
		}
		if target != again {
			t.Fatalf("picture %d is of the classes %g and %g", i, target, again)
		}
		counts[int(target[0])]++
	}
	if least, most := slices.Min(counts), slices.Max(counts); least < 140 || most > 260 {
		t.Errorf("2000 pictures are %v of the classes", counts)
	}
}
