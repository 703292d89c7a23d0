package train

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pretrain/nn"
)

// TestGradientsOfTasksAddUp: where no task shares statistics with another one, the gradients of the tasks alone, which
// are computed in the memory of the whole step, add up to that of the whole step, which is the same after as before.
func TestGradientsOfTasksAddUp(t *testing.T) {
	for _, test := range []struct {
		backbone  string
		precision nn.Precision
		tolerance float64 // of the norm of the gradient
	}{
		{"vit", nn.Float32, 1e-4},
		{"vit", nn.BFloat16, 2e-2}, // gradients of rows that tasks share are rounded once, or once a task
		{"resnet18", nn.Float32, 2e-3},
		// In bf16 the statistics of four small maps make rounding errors as large as the gradient.
	} {
		t.Run(fmt.Sprint(test.backbone, " ", test.precision), func(t *testing.T) {
			network := newBackbone(t, test.backbone, 32)
			tasks := realTasks(t, network)
			filled := filledBatch(t, network, tasks, nil, 4)
			whole := newStepIn(t, test.precision, network, tasks, filled)
			want := slices.Clone(whole.store.Gradients())
			gradients, err := newTaskGradients(whole.parts, whole.step)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := gradients.measure(filled.batch); err != nil {
				t.Fatal(err)
			}
			if got := relativeDistance(sumOf(gradients), gradients.trunk, want); got > test.tolerance {
				t.Errorf("the sum of the tasks' gradients is off by %g of its norm, want at most %g", got, test.tolerance)
			}
			if err := whole.step.Run(filled.batch); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(want, whole.store.Gradients()) {
				t.Error("another gradient of the whole step after the tasks were measured")
			}
		})
	}
}

// sumOf adds up the gradients of the tasks.
func sumOf(g *taskGradients) []float32 {
	sum := make([]float32, len(g.alone[0].gradient))
	for _, alone := range g.alone {
		for i, x := range alone.gradient {
			sum[i] += x
		}
	}
	return sum
}

// relativeDistance compares gathered gradients of the trunk with those in the layout of the store.
func relativeDistance(got []float32, trunk []*nn.Parameter, want []float32) float64 {
	distance, norm := 0.0, 0.0
	for _, p := range trunk {
		for i, x := range want[p.Offset : p.Offset+len(p.Value)] {
			distance += math.Pow(float64(x-got[i]), 2)
			norm += float64(x) * float64(x)
		}
		got = got[len(p.Value):]
	}
	return math.Sqrt(distance / norm)
}

func TestCompareGradients(t *testing.T) {
	g := &taskGradients{alone: []taskAlone{
		{gradient: []float32{3, 0, 0, 0, 4}}, {gradient: []float32{-6, 0, 0, 0, -8}},
		{gradient: []float32{0, 2, 0, 0, 0}}, {gradient: make([]float32, 5)},
	}}
	nan := math.NaN()
	want := Conflicts{
		Norms:   []float64{5, 10, 2, 0},
		Cosines: [][]float64{{1, -1, 0, nan}, {-1, 1, 0, nan}, {0, 0, 1, nan}, {nan, nan, nan, nan}},
	}
	if diff := cmp.Diff(want, g.compare(), cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
}

// TestTrunk: the trunk is the backbone and nothing of the heads.
func TestTrunk(t *testing.T) {
	network := newBackbone(t, "vit", 32)
	tasks := realTasks(t, network)
	whole := newStepOf(t, network, tasks, filledBatch(t, network, tasks, nil, 2))
	heads := 0
	for _, p := range whole.store.Parameters() {
		if len(blockOf(p.Name)) > 6 && blockOf(p.Name)[:6] == "tasks." {
			heads++
		}
	}
	if got, want := len(trunkOf(whole.store)), len(whole.store.Parameters())-heads; got != want || heads == 0 {
		t.Errorf("%d parameters in the trunk, want %d; %d of heads", got, want, heads)
	}
}
