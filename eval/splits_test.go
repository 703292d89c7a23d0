package eval

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRedrawDealsEveryPictureOnce: parts of about the wanted sizes, classes in proportion, no picture twice, and the
// same split for the same number.
func TestRedrawDealsEveryPictureOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		classes := rapid.IntRange(1, 5).Draw(t, "classes")
		labels := rapid.SliceOfN(rapid.IntRange(0, classes-1), 1, 200).Draw(t, "labels")
		test := rapid.IntRange(0, len(labels)/2).Draw(t, "test")
		val := rapid.IntRange(0, len(labels)/3).Draw(t, "val")
		train := len(labels) - test - val
		split := redraw(labels, classes, train, test, val, 3)
		all := slices.Sorted(slices.Values(slices.Concat(split.Train, split.Test, split.Val)))
		for i := range labels {
			if len(all) != len(labels) || all[i] != i {
				t.Fatalf("%d pictures were dealt as %v", len(labels), all)
			}
		}
		if off := math.Abs(float64(len(split.Test) - test)); off > float64(classes)/2 {
			t.Fatalf("the test part has %d pictures, want about %d", len(split.Test), test)
		}
		if again := redraw(labels, classes, train, test, val, 3); !slices.Equal(again.Train, split.Train) {
			t.Fatal("the same split was dealt in two ways")
		}
	})
}

func TestRedrawDiffersByNumber(t *testing.T) {
	labels := make([]int, 100)
	if slices.Equal(redraw(labels, 1, 50, 30, 20, 0).Test, redraw(labels, 1, 50, 30, 20, 1).Test) {
		t.Error("two splits are equal")
	}
}

// TestSplitsChooseTheLayerOnValidation: of a layer of noise and a layer of clusters every split chooses the clusters.
func TestSplitsChooseTheLayerOnValidation(t *testing.T) {
	good, labels := clusters(3, 60, 5, 0.5, 1)
	noise, _ := clusters(3, 60, 5, 0.5, 2)
	slices.Reverse(noise.Data[:len(noise.Data)/2]) // labels no longer fit the first rows
	whole := part{features: Features{Layers: []Matrix{noise, good}}, labels: labels}
	e := Evaluation{Engine: newEngine(t, 2), Probes: map[string]Probe{"knn": KNN{Neighbours: 5, Temperature: 0.07}}, Splits: 4}
	rows := e.splits("pretrained", []int{1, 2}, [3]part{whole, whole, whole}, 3)
	if len(rows) != 1 || !slices.Equal(rows[0].Layers, []int{2, 2, 2, 2}) || rows[0].Mean < 0.95 {
		t.Errorf("got %+v", rows)
	}
}

func TestMeanAndDeviation(t *testing.T) {
	mean, deviation := meanAndDeviation([]float64{1, 2, 3, 6})
	if math.Abs(mean-3) > 1e-12 || math.Abs(deviation-math.Sqrt(14.0/3)) > 1e-12 {
		t.Errorf("mean %g, deviation %g", mean, deviation)
	}
}
