package eval

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pretrain/internal/kernel"
	"pretrain/nn"
)

const readViews = 3

// readAs embeds the same pictures as the model does, read otherwise.
func readAs(t *testing.T, m *Model, r Reading) (*Model, [][]float32) {
	t.Helper()
	read, err := m.Read(r)
	if err != nil {
		t.Fatal(err)
	}
	vectors, err := read.Embed(pixels(newMemory(readViews, 2, 1), 0, readViews))
	if err != nil {
		t.Fatal(err)
	}
	return read, vectors
}

// TestReadingsAgree: a layer alone has the vectors that it has among all, to the bit; the means over a map's positions
// are what pooling by the mean gives.
func TestReadingsAgree(t *testing.T) {
	for _, name := range []string{"vit", "resnet18"} {
		m := newModel(t, name, readViews, 2)
		_, all := readAs(t, m, Reading{})
		_, means := readAs(t, m, Reading{Pooling: PoolMean})
		for layer := 1; layer <= m.Layers(); layer++ {
			t.Run(fmt.Sprint(name, layer), func(t *testing.T) {
				one, vectors := readAs(t, m, Reading{Layers: []int{layer}})
				if !slices.Equal(vectors[0], all[layer-1]) || one.Dim(layer) != m.Dim(layer) || !slices.Equal(one.Shape(layer), []int{m.Dim(layer)}) {
					t.Errorf("layer alone: shape %v, other vectors than among all", one.Shape(layer))
				}
				if cost, whole := one.Program().Cost(), m.Program().Cost(); layer < m.Layers() && cost.FLOPs >= whole.FLOPs {
					t.Errorf("layer alone takes %g FLOPs, all take %g", cost.FLOPs, whole.FLOPs)
				}
				maps, values := readAs(t, m, Reading{Layers: []int{layer}, Pooling: PoolMap})
				shape, side := maps.Shape(layer), maps.Map(layer).Height
				if shape[0] != side*side || shape[1] != m.Dim(layer) || maps.Dim(layer) != shape[0]*shape[1] {
					t.Errorf("map of %d×%d has shape %v and %d numbers", side, side, shape, maps.Dim(layer))
				}
				near(t, "mean of the map", meanOfPositions(values[0], readViews, shape[1]), means[layer-1], 1e-5)
			})
		}
	}
}

// TestClassToken: that of the last layer is what the backbone pools by, and each layer has its own.
func TestClassToken(t *testing.T) {
	m := newModel(t, "vit", readViews, 2) // pools by the class token
	_, own := readAs(t, m, Reading{})
	_, class := readAs(t, m, Reading{Pooling: PoolClass})
	_, mean := readAs(t, m, Reading{Pooling: PoolMean})
	last := m.Layers() - 1
	if !slices.Equal(class[last], own[last]) || slices.Equal(class[last], mean[last]) {
		t.Error("the last class token is not what the backbone pools by")
	}
	for i := range last {
		if !slices.Equal(own[i], mean[i]) || slices.Equal(class[i], own[i]) || slices.Equal(class[i], class[i+1]) {
			t.Errorf("layer %d: evaluations read the mean, and the class token is another vector in each layer", i+1)
		}
	}
}

// TestReadInAnotherBatch: a picture has the same vectors to rounding however many are read at once.
func TestReadInAnotherBatch(t *testing.T) {
	m := newModel(t, "vit", readViews, 2)
	_, all := readAs(t, m, Reading{})
	one, err := m.Read(Reading{Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	single, err := one.Embed(pixels(newMemory(readViews, 2, 1), 2, 3))
	if err != nil {
		t.Fatal(err)
	}
	for i, vector := range single {
		near(t, fmt.Sprint("layer ", i+1), vector, all[i][2*len(vector):], 1e-5)
	}
}

// TestRowsDoNotDependOnTheirPlace: a picture has the same bits wherever it stands in a batch and whatever is beside it,
// for every family of kernels and in both precisions. Shards and resumed extractions rely on it.
func TestRowsDoNotDependOnTheirPlace(t *testing.T) {
	const views = 19
	input, size := pixels(newMemory(views, 2, 1), 0, views), testSide*testSide*3
	for _, family := range kernel.Families() {
		engine, err := kernel.New(kernel.Options{Family: family, Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(engine.Close)
		for _, name := range []string{"vit", "resnet18"} {
			for _, precision := range []nn.Precision{nn.Float32, nn.BFloat16} {
				m, err := NewModelIn(precision, newBackbone(t, name), nn.NewStore(1), engine, standard, views)
				if err != nil {
					t.Fatal(err)
				}
				var first []float32
				for _, slot := range []int{0, 1, 7, views - 1} {
					moved := slices.Concat(input[size*(views-slot):], input[:size*(views-slot)]) // picture 0 stands at slot
					layers, err := m.Embed(moved)
					if err != nil {
						t.Fatal(err)
					}
					last := layers[len(layers)-1]
					vector := slices.Clone(last[slot*len(last)/views:][:len(last)/views])
					if first == nil {
						first = vector
					}
					if !slices.Equal(vector, first) {
						t.Errorf("%s, %s, %s: other bits at slot %d", family, name, precision, slot)
					}
				}
			}
		}
	}
}

// TestReadInBFloat16 is the same network to the precision of its storage.
func TestReadInBFloat16(t *testing.T) {
	m := newModel(t, "resnet18", readViews, 2)
	_, want := readAs(t, m, Reading{Layers: []int{2}})
	_, got := readAs(t, m, Reading{Layers: []int{2}, Precision: nn.BFloat16})
	if slices.Equal(got[0], want[0]) {
		t.Error("bf16 has the numbers of fp32")
	}
	near(t, "bf16", got[0], want[0], 0.05)
}

func TestReadRefuses(t *testing.T) {
	for want, r := range map[string]Reading{
		"layers 1 to 4":               {Layers: []int{5}},
		"resnet18 has no class token": {Pooling: PoolClass},
		`pooling "max": must be`:      {Pooling: "max"},
		`precision "fp8": it must be`: {Precision: "fp8"},
	} {
		if _, err := newModel(t, "resnet18", 1, 1).Read(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v: want %q in it", err, want)
		}
	}
}

// TestWalkFrom begins in the middle and shows the broken picture at its place, with its reason and without vectors.
func TestWalkFrom(t *testing.T) {
	pictures := newMemory(7, 2, 1)
	pictures.bad[4] = true
	var visited []string
	err := newModel(t, "vit", 3, 2).WalkFrom(t.Context(), pictures, 2, func(v Vectors) error {
		visited = append(visited, fmt.Sprintf("%d %s %d×%d %d %v", v.Index, v.Path, v.Width, v.Height, len(v.Layers), v.Bad))
		return nil
	})
	want := []string{"2 picture02 20×24 3 <nil>", "3 picture03 20×24 3 <nil>", "4 picture04 0×0 0 broken file",
		"5 picture05 20×24 3 <nil>", "6 picture06 20×24 3 <nil>"}
	if err != nil || !slices.Equal(visited, want) {
		t.Errorf("visited %q, %v", visited, err)
	}
}

func TestScaleRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(1, 5).Draw(t, "columns")
		rows := rapid.IntRange(0, 4).Draw(t, "rows")
		size := rapid.SampledFrom([]float32{1, 1e-42, 1e36}).Draw(t, "size")
		data := rapid.SliceOfN(rapid.Float32Range(-100*size, 100*size), rows*columns, rows*columns).Draw(t, "data")
		scaled := slices.Clone(data)
		ScaleRows(scaled, columns)
		for row := range rows {
			before, after := data[row*columns:][:columns], scaled[row*columns:][:columns]
			var length, dot, square float64
			for i := range columns {
				length += float64(after[i]) * float64(after[i])
				dot += float64(after[i]) * float64(before[i])
				square += float64(before[i]) * float64(before[i])
			}
			if zero := square == 0; zero != (length == 0) || !zero && math.Abs(dot/math.Sqrt(square)-1) > 1e-5 {
				t.Fatalf("%v became %v", before, after)
			}
		}
	})
}
