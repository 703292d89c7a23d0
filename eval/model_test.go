package eval

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/nn"

	"github.com/google/go-cmp/cmp"
	G "gorgonia.org/gorgonia"
)

// TestLayersEqualAGraphBuiltByHand compares each layer's vectors with the mean over positions, in float64, of the
// backbone's own features; the last layer's with its pooled features.
func TestLayersEqualAGraphBuiltByHand(t *testing.T) {
	const views = 3
	for _, name := range []string{"vit", "resnet18"} {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, name, views, 2)
			input := pixels(newMemory(views, 2, 1), 0, views)
			features, program := byHand(t, m, input)
			got, err := m.Embed(input)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != m.Backbone.Depth() || m.Layers() != len(got) {
				t.Fatalf("%d layers, the backbone has %d", len(got), m.Backbone.Depth())
			}
			for i, layer := range features.Layers {
				want := meanOfPositions(program.Value(layer.Node), views, m.Dim(i+1))
				if i == len(features.Layers)-1 {
					want = program.Value(features.Pooled)
				}
				near(t, "layer", got[i], want, 1e-5)
			}
		})
	}
}

// byHand runs the backbone's graph over the model's weights.
func byHand(t *testing.T, m *Model, input []float32) (backbone.Features, *nn.Program) {
	t.Helper()
	c := nn.NewCtx(m.store, false)
	images := c.Input("images", len(input)/3, 3)
	features, err := m.Backbone.Forward(c.Scope("backbone"), backbone.Input{Images: images, Views: m.batch, Side: testSide})
	if err != nil {
		t.Fatal(err)
	}
	keep := []*G.Node{features.Pooled}
	for _, layer := range features.Layers {
		keep = append(keep, layer.Node)
	}
	program, err := nn.Compile(c, m.engine, nil, keep...)
	if err != nil {
		t.Fatal(err)
	}
	program.Bind(images, input)
	if err := program.Run(); err != nil {
		t.Fatal(err)
	}
	return features, program
}

func meanOfPositions(rows []float32, views, channels int) []float32 {
	positions := len(rows) / views / channels
	means := make([]float32, views*channels)
	for view := range views {
		for c := range channels {
			sum := 0.0
			for p := range positions {
				sum += float64(rows[(view*positions+p)*channels+c])
			}
			means[view*channels+c] = float32(sum / float64(positions))
		}
	}
	return means
}

func near(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= tolerance*(1+math.Abs(float64(want[i])))) {
			t.Fatalf("%s: number %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}

// TestWalkVisitsInOrder: seven pictures in batches of three, one of them broken: the others come in order, each with
// the vectors that it has alone, and the broken one is returned with its path.
func TestWalkVisitsInOrder(t *testing.T) {
	pictures := newMemory(7, 2, 1)
	pictures.bad[4] = true
	m, alone := newModel(t, "vit", 3, 2), newModel(t, "vit", 1, 1)
	var visited []int
	bad, err := m.Walk(t.Context(), pictures, func(v Vectors) error {
		visited = append(visited, v.Index)
		if want := pictures.examples[v.Index]; v.Path != want.Path || v.Label != want.Label {
			t.Errorf("picture %d came as %q, %q", v.Index, v.Path, v.Label)
		}
		want, err := alone.Embed(pixels(pictures, v.Index, v.Index+1))
		for i := range want {
			near(t, v.Path, v.Layers[i], want[i], 1e-5)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(visited, []int{0, 1, 2, 3, 5, 6}) {
		t.Errorf("visited %v", visited)
	}
	if len(bad) != 1 || bad[0].Path != "picture04" || bad[0].Err != errBroken {
		t.Errorf("bad pictures: %v", bad)
	}
}

// TestWalkEnds: the end of the context, an error of the visit and an error of the data set that is no picture's fault
// each end the walk with that error. (TestMain looks for goroutines left behind.)
func TestWalkEnds(t *testing.T) {
	failure := errors.New("disk on fire")
	m := newModel(t, "vit", 2, 1)
	never := func(Vectors) error { return nil }
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		pictures := newMemory(20, 2, 1)
		pictures.before = func(i int) error {
			if i == 7 {
				cancel()
			}
			return nil
		}
		if _, err := m.Walk(ctx, pictures, never); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("visit", func(t *testing.T) {
		if _, err := m.Walk(t.Context(), newMemory(20, 2, 1), func(Vectors) error { return failure }); err != failure {
			t.Errorf("got %v", err)
		}
	})
	t.Run("data set", func(t *testing.T) {
		pictures := newMemory(20, 2, 1)
		pictures.before = func(i int) error {
			if i == 7 {
				return failure
			}
			return nil
		}
		if bad, err := m.Walk(t.Context(), pictures, never); err != failure || len(bad) != 0 {
			t.Errorf("got %v, bad pictures %v", err, bad)
		}
	})
}

func TestExtractKeepsRowsAndLabelsTogether(t *testing.T) {
	pictures := newMemory(5, 3, 1)
	pictures.bad[0] = true
	m := newModel(t, "resnet18", 2, 1)
	features, err := m.Extract(t.Context(), pictures)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"class1", "class2", "class0", "class1"}, features.Labels); diff != "" {
		t.Error(diff)
	}
	for i, layer := range features.Layers {
		if layer.Rows != 4 || layer.Cols != m.Dim(i+1) || len(layer.Data) != layer.Rows*layer.Cols {
			t.Errorf("layer %d is %d×%d with %d numbers", i+1, layer.Rows, layer.Cols, len(layer.Data))
		}
	}
	if err := m.CheckLayer(m.Layers() + 1); err == nil {
		t.Error("a layer too many passes")
	}
	if err := m.CheckLayer(0); err == nil {
		t.Error("layer 0 passes")
	}
}

func TestPixelsAreThePreprocessedPicture(t *testing.T) {
	pictures := newMemory(3, 2, 1)
	pictures.bad[1] = true
	features, err := Pixels(t.Context(), pictures, standard)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float32, 32*32*3)
	standard.Apply(want, data.Preprocess(pictures.examples[2].Image, 32))
	if !slices.Equal(features.Layers[0].Row(1), want) {
		t.Error("the row is not the 32×32 picture")
	}
	if !slices.Equal(features.Paths, []string{"picture00", "picture02"}) || len(features.Bad) != 1 || features.Bad[0].Path != "picture01" {
		t.Errorf("rows %v, bad %v", features.Paths, features.Bad)
	}
}

// TestWeightsLeaveOutHeads: only the backbone leaves, under public names and with filters before channels.
func TestWeightsLeaveOutHeads(t *testing.T) {
	store := nn.NewStore(1)
	c := nn.NewCtx(store, true)
	nn.Linear(c.Scope("tasks.rotation"), "head", c.Input("x", 2, 3), 4, true)
	if err := c.Err(); err != nil {
		t.Fatal(err)
	}
	m, err := NewModel(newBackbone(t, "resnet18"), store, newEngine(t, 1), standard, 2)
	if err != nil {
		t.Fatal(err)
	}
	weights, err := m.Weights()
	if err != nil {
		t.Fatal(err)
	}
	shapes := map[string][]int{}
	for _, tensor := range weights.Tensors {
		shapes[tensor.Name] = tensor.Shape
	}
	if shapes["tasks.rotation.head.weight"] != nil || shapes["head.weight"] != nil {
		t.Error("the head of a task is exported")
	}
	if got := shapes["layer2.0.conv1.weight"]; !slices.Equal(got, []int{8, 4, 3, 3}) {
		t.Errorf("layer2.0.conv1.weight has shape %v", got)
	}
	if shapes["bn1.running_mean"] == nil {
		t.Error("the statistics of bn1 are missing")
	}
	if weights.Model.Name != "resnet18" || weights.Model.InputSide != testSide {
		t.Errorf("the model is described as %+v", weights.Model)
	}
}
