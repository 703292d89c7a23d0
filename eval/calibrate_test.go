package eval

import (
	"context"
	"slices"
	"strings"
	"testing"

	"pretrain/backbone"
	"pretrain/nn"

	G "gorgonia.org/gorgonia"
)

// TestCalibratedModelEqualsTrainingMode: with the statistics of exactly one batch, evaluation computes what training
// mode computes on that batch.
func TestCalibratedModelEqualsTrainingMode(t *testing.T) {
	const views = 6
	m, pictures := newModel(t, "resnet18", views, 2), newMemory(views, 2, 1)
	if err := m.Calibrate(t.Context(), pictures, 100); err != nil {
		t.Fatal(err)
	}
	input := pixels(pictures, 0, views)
	want := trainingMode(t, m, input)
	got, err := m.Embed(input)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "features", got[len(got)-1], want, 1e-3)
}

// trainingMode is the pooled output of the backbone under batch statistics.
func trainingMode(t *testing.T, m *Model, input []float32) []float32 {
	t.Helper()
	return forward(t, m, true, input, func(c *nn.Ctx, images *G.Node) *G.Node {
		features, err := m.Backbone.Forward(c.Scope("backbone"), backbone.Input{Images: images, Views: m.batch, Side: testSide})
		if err != nil {
			t.Fatal(err)
		}
		return features.Pooled
	})
}

// forward runs a graph over the model's weights and returns the value of one node.
func forward(t *testing.T, m *Model, training bool, input []float32, build func(*nn.Ctx, *G.Node) *G.Node) []float32 {
	t.Helper()
	c := nn.NewCtx(m.store, training)
	images := c.Input("images", len(input)/3, 3)
	node := build(c, images)
	program, err := nn.Compile(c, m.engine, nil, node)
	if err != nil {
		t.Fatal(err)
	}
	program.Bind(images, input)
	if err := program.Run(); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(program.Value(node))
}

// TestCalibrationIsTheStatisticsOfAllPictures compares the first normalisation, whose input depends on no other, with
// mean and variance in float64 over the convolution's output of all pictures, which were read in several batches.
func TestCalibrationIsTheStatisticsOfAllPictures(t *testing.T) {
	const count = 12
	m, pictures := newModel(t, "resnet18", 4, 2), newMemory(count, 3, 1)
	if err := m.Calibrate(t.Context(), pictures, count); err != nil {
		t.Fatal(err)
	}
	filters := len(m.store.Lookup("backbone.bn1.running_mean").Value)
	outputs := forward(t, m, false, pixels(pictures, 0, count), func(c *nn.Ctx, images *G.Node) *G.Node {
		in := nn.Map{Node: images, Views: count, Height: testSide, Width: testSide}
		return nn.Conv(c.Scope("backbone"), "conv1", in, filters, 3, 1, 1).Node
	})
	means, variances := make([]float32, filters), make([]float32, filters)
	for f := range filters {
		var sum, squares float64
		n := float64(len(outputs) / filters)
		for i := f; i < len(outputs); i += filters {
			sum += float64(outputs[i])
			squares += float64(outputs[i]) * float64(outputs[i])
		}
		means[f], variances[f] = float32(sum/n), float32(squares/n-sum/n*sum/n)
	}
	near(t, "mean", m.store.Lookup("backbone.bn1.running_mean").Value, means, 1e-5)
	near(t, "variance", m.store.Lookup("backbone.bn1.running_var").Value, variances, 1e-5)
}

// statisticsOf calibrates a fresh model and returns all its statistics.
func statisticsOf(t *testing.T, pictures *memory, count, workers int) []float32 {
	t.Helper()
	m := newModel(t, "resnet18", 4, workers)
	if err := m.Calibrate(t.Context(), pictures, count); err != nil {
		t.Fatal(err)
	}
	return statistics32(m)
}

func statistics32(m *Model) []float32 {
	var all []float32
	for _, buffer := range m.store.Buffers() {
		all = append(all, buffer.Value...)
	}
	return all
}

func TestCalibrationDoesNotDependOnThreads(t *testing.T) {
	pictures := newMemory(9, 3, 1)
	if !slices.Equal(statisticsOf(t, pictures, 8, 1), statisticsOf(t, pictures, 8, 3)) {
		t.Error("the statistics of 1 and 3 threads differ")
	}
}

// TestCalibrationLeavesOutUnreadablePictures: a broken picture in every batch does not cost the batches, and the rest
// gives the statistics that it gives alone. Too few readable pictures for one batch are repeated.
func TestCalibrationLeavesOutUnreadablePictures(t *testing.T) {
	for _, readable := range []int{8, 3} {
		whole := newMemory(10, 3, 1)
		rest := &memory{}
		for i, example := range whole.examples {
			if whole.bad[i] = i%5 == 1 || len(rest.examples) == readable; !whole.bad[i] {
				rest.examples = append(rest.examples, example)
			}
		}
		for i := len(rest.examples); i < 4; i++ {
			rest.examples = append(rest.examples, rest.examples[i%readable])
		}
		if !slices.Equal(statisticsOf(t, whole, 10, 1), statisticsOf(t, rest, 10, 1)) {
			t.Errorf("%d readable pictures: the statistics are not those of the readable pictures", readable)
		}
	}
}

func TestCalibrationOfUnreadablePictures(t *testing.T) {
	pictures := newMemory(3, 2, 1)
	for i := range pictures.examples {
		pictures.bad[i] = true
	}
	err := newModel(t, "resnet18", 4, 1).Calibrate(t.Context(), pictures, 10)
	if err == nil || !strings.Contains(err.Error(), "none of the training pictures") {
		t.Errorf("got %v", err)
	}
	if err := newModel(t, "vit", 4, 1).Calibrate(t.Context(), pictures, 10); err != nil {
		t.Errorf("a backbone without batch normalisation: %v", err)
	}
}

// TestRandomModelIsCalibratedByItself: the baseline has its own weights and statistics, and the model keeps its.
func TestRandomModelIsCalibratedByItself(t *testing.T) {
	pictures := newMemory(8, 2, 1)
	m := newModel(t, "resnet18", 4, 1)
	for i := range m.store.Values() {
		m.store.Values()[i] *= 1.5 // as if trained
	}
	before := slices.Clone(statistics32(m))
	random, err := m.Random(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := random.Calibrate(t.Context(), pictures, 8); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, statistics32(m)) {
		t.Error("the statistics of the model itself changed")
	}
	if want := statisticsOf(t, pictures, 8, 1); !slices.Equal(statistics32(random), want) {
		t.Error("the random model's statistics are not those of the initial weights")
	}
}

func TestCalibrationEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newModel(t, "resnet18", 4, 1).Calibrate(ctx, newMemory(8, 2, 1), 8); err == nil {
		t.Error("a cancelled calibration succeeds")
	}
}

func TestSpreadIsEven(t *testing.T) {
	chosen := Spread(newMemory(10, 2, 1), 4)
	var paths []string
	for i := range chosen.Len() {
		example, err := chosen.At(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, example.Path)
	}
	if !slices.Equal(paths, []string{"picture00", "picture02", "picture05", "picture07"}) {
		t.Errorf("chose %v", paths)
	}
}
