package eval

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pretrain/data"
	"pretrain/nn"
)

// TestMeanAttention has one head that looks at the patch of each query and one that looks at patch 2; token 0 is the
// class token and looks at patch 1 with both.
func TestMeanAttention(t *testing.T) {
	one := func(at int) []float32 { row := make([]float32, 4); row[at] = 1; return row }
	var weights []float32
	for _, keys := range []int{2, 1, 2, 3, 2, 3, 3, 3} { // [heads, queries]
		weights = append(weights, one(keys)...)
	}
	a := Attention{Tokens: 4, Heads: 2, First: 1, Weights: weights}
	for _, test := range []struct {
		class    bool
		from, to int
		want     [3]float32
	}{
		{false, 0, 1, [3]float32{1. / 3, 1. / 3, 1. / 3}},
		{false, 1, 2, [3]float32{0, 0, 1}},
		{false, 0, 2, [3]float32{1. / 6, 1. / 6, 4. / 6}},
		{true, 0, 2, [3]float32{0, 1, 0}},
	} {
		a.Class = test.class
		for i, got := range a.Received(0, test.from, test.to) {
			if d := got - test.want[i]; d > 1e-6 || d < -1e-6 {
				t.Errorf("class %v, heads %d to %d: patch %d receives %g, want %g", test.class, test.from, test.to, i, got, test.want[i])
			}
		}
	}
}

// TestPositionsAreWhatIsEmbedded: the mean over the positions of a layer is the vector that the model reads of it, and the
// attention of every token adds up to one.
func TestPositionsAreWhatIsEmbedded(t *testing.T) {
	const views = 3
	input := pixels(newMemory(views, 2, 1), 0, views)
	for _, name := range []string{"vit", "resnet18"} {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, name, views, 2)
			reader, err := m.Positions(views, m.AllLayers()...)
			if err != nil {
				t.Fatal(err)
			}
			read, err := reader.Read(input)
			if err != nil || len(read) != m.Layers() {
				t.Fatalf("%d layers, %v", len(read), err)
			}
			for i, layer := range read {
				if layer.Layer != i+1 || layer.Channels != m.Dim(i+1) || len(layer.Values) != views*layer.Height*layer.Width*layer.Channels {
					t.Errorf("layer %d is %d, %d×%d of %d channels with %d values", i+1, layer.Layer, layer.Height, layer.Width, layer.Channels, len(layer.Values))
				}
				if (layer.Attention != nil) != (name == "vit") {
					t.Errorf("layer %d has attention: %v", i+1, layer.Attention)
				}
				if layer.Attention != nil {
					checkAttention(t, *layer.Attention, views)
				}
			}
			means := meanOfPositions(read[0].Values, views, m.Dim(1))
			vectors, err := m.Embed(input)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "layer 1", vectors[0], means, 1e-5)
		})
	}
}

// checkAttention: weights are shares, and what is received from the patches over all heads is the mean of the heads.
func checkAttention(t *testing.T, a Attention, views int) {
	t.Helper()
	if a.Heads != 2 || a.Tokens != 17 || a.First != 1 || !a.Class || len(a.Weights) != views*a.Heads*a.Tokens*a.Tokens {
		t.Fatalf("%d heads, %d tokens from %d on, %d weights", a.Heads, a.Tokens, a.First, len(a.Weights))
	}
	for row := range len(a.Weights) / a.Tokens {
		sum := 0.0
		for _, weight := range a.Weights[row*a.Tokens:][:a.Tokens] {
			if !(weight >= 0 && weight <= 1) {
				t.Fatalf("a weight of %g", weight)
			}
			sum += float64(weight)
		}
		if math.Abs(sum-1) > 1e-5 {
			t.Fatalf("the weights of row %d add up to %g", row, sum)
		}
	}
	all, one, other := a.Received(views-1, 0, 2), a.Received(views-1, 0, 1), a.Received(views-1, 1, 2)
	for i := range all {
		if mean := (one[i] + other[i]) / 2; math.Abs(float64(all[i]-mean)) > 1e-6 {
			t.Errorf("patch %d receives %g over the heads, %g on their mean", i, all[i], mean)
		}
	}
}

// TestPositionsBesideAnotherProgram share its memory and read the same bits, and pictures are read as their pixels are.
func TestPositionsBesideAnotherProgram(t *testing.T) {
	const views = 2
	pictures := newMemory(views, 2, 3)
	m := newModel(t, "vit", views, 1)
	alone, err := m.Positions(views, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	want, err := alone.Read(pixels(pictures, 0, views))
	if err != nil || want[0].Layer != 3 || want[1].Layer != 1 {
		t.Fatalf("%+v, %v", want, err)
	}
	beside, err := m.PositionsBeside(alone.program, views, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	var kept [2][]float32
	for i := range kept {
		kept[i] = slices.Clone(want[i].Values)
	}
	got, err := beside.Look([]data.Image{pictures.examples[0].Image, pictures.examples[1].Image})
	if err != nil {
		t.Fatal(err)
	}
	for i := range kept {
		if !slices.Equal(got[i].Values, kept[i]) {
			t.Errorf("layer %d is read otherwise beside another program", got[i].Layer)
		}
	}
}

func TestLayersOfPositions(t *testing.T) {
	m := newModel(t, "vit", 1, 1)
	for count, want := range map[int][]int{0: nil, 1: {3}, 2: {2, 3}, 3: {1, 2, 3}, 9: {1, 2, 3}} {
		if got := m.LastLayers(count); !slices.Equal(got, want) {
			t.Errorf("the last %d layers are %v, want %v", count, got, want)
		}
	}
	for _, layer := range []int{0, 4, -1} {
		if _, err := m.Positions(1, 1, layer); err == nil || !strings.Contains(err.Error(), "layers 1 to 3") {
			t.Errorf("layer %d: %v", layer, err)
		}
	}
	size, err := SizeOf(m.Backbone, nn.Float32, 4)
	if err != nil || size.Inputs != 4*4*testSide*testSide*3 || size.Arena <= 0 || size.Parameters <= 0 {
		t.Errorf("a batch of four takes %+v, %v", size, err)
	}
}

// TestMatricesForPages: unit rows keep their directions and leave zero rows alone, means are those of the columns, and
// clusters are numbered from 0 and hold what is near.
func TestMatricesForPages(t *testing.T) {
	m := Matrix{Rows: 4, Cols: 2, Data: []float32{3, 4, 0, 0, -6, 8, 0.5, 0}}
	unit := m.Unit()
	near(t, "unit rows", unit.Data, []float32{0.6, 0.8, 0, 0, -0.6, 0.8, 1, 0}, 1e-6)
	if m.Data[0] != 3 {
		t.Error("the matrix itself was scaled")
	}
	if means := m.Means(); math.Abs(means[0]+0.625) > 1e-12 || math.Abs(means[1]-3) > 1e-12 {
		t.Errorf("means %v", means)
	}
	points := Matrix{Rows: 6, Cols: 1, Data: []float32{0, 10, 0.1, 10.1, 0.2, 20}}
	of := KMeans{Restarts: 5, Iterations: 50, Seed: 1}.Clusters(newEngine(t, 1), points, 3)
	if of[0] != of[2] || of[0] != of[4] || of[1] != of[3] || of[0] == of[1] || of[5] == of[0] || of[5] == of[1] || slices.Min(of) != 0 || slices.Max(of) != 2 {
		t.Errorf("clusters %v", of)
	}
}

// TestIntervalsOfNothing: no picture gives no interval and no NaN.
func TestIntervalsOfNothing(t *testing.T) {
	if got := Interval(nil, nil, 1); got != [2]float64{} {
		t.Errorf("got %v", got)
	}
	if got := Accuracy(nil, nil) + BalancedAccuracy(nil, nil, 3); got != 0 {
		t.Errorf("got %g", got)
	}
	if got := meanScore("x", []float64{2}, 1); got != (Score{"x", 2, 2, 2}) {
		t.Errorf("one picture gives %+v", got)
	}
}
