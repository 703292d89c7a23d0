package metrics

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestScalars: every finite number has a name, in groups that are looked at together.
func TestScalars(t *testing.T) {
	record := Record{
		Step: 7, Epoch: 2, Pictures: 10, Views: 40, PicturesPerSecond: Number(math.Inf(1)), LearningRate: 0.1, GradientNorm: 3,
		DataWaitRatio: 0.25, Loss: 1.5,
		Tasks: map[string]Task{
			"rotation":     {Loss: 1, Weight: 0.5, Accuracy: number(0.75)},
			"colorization": {Loss: Number(math.NaN()), Weight: 1, Metrics: map[string]Number{"psnr": 20}},
		},
		Probes: []Probe{{Probe: "knn", Layer: "4", Accuracy: 0.5}, {Probe: "linear", Layer: "4", Accuracy: 0.625}},
		Phases: Phases{Forward: 0.2, Backward: 0.3}, Operations: 1e9, PeakShare: 0.5, Remaining: 90,
	}
	got, err := record.Scalars()
	if err != nil {
		t.Fatal(err)
	}
	want := []Scalar{
		{"loss/rotation", 1}, {"loss/weighted", 1.5}, {"optimizer/gradient_norm", 3}, {"optimizer/learning_rate", 0.1},
		{"phase_seconds/backward", 0.3}, {"phase_seconds/data", 0}, {"phase_seconds/forward", 0.2}, {"phase_seconds/optimizer", 0},
		{"phase_seconds/other", 0}, {"probes/knn/4/accuracy", 0.5}, {"probes/linear/4/accuracy", 0.625},
		{"run/epoch", 2}, {"run/pictures", 10}, {"run/remaining_seconds", 90}, {"run/views", 40}, {"speed/data_wait_ratio", 0.25},
		{"speed/operations_per_second", 1e9}, {"speed/peak_share", 0.5},
		{"tasks/colorization/metrics/psnr", 20}, {"tasks/colorization/weight", 1},
		{"tasks/rotation/accuracy", 0.75}, {"tasks/rotation/weight", 0.5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestListsOfNumbers are named by their places: a record may come to hold a matrix.
func TestListsOfNumbers(t *testing.T) {
	got := map[string]float64{}
	collect([]any{[]any{1.0, nil}, map[string]any{"value": 2.0}}, []string{"cosines"}, func(path []string, value float64) {
		got[scalarName(path)] = value
	})
	if diff := cmp.Diff(map[string]float64{"cosines/0/0": 1, "cosines/1/value": 2}, got); diff != "" {
		t.Error(diff)
	}
}
