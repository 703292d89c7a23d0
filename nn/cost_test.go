package nn_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	G "gorgonia.org/gorgonia"

	"pretrain/nn"
)

// TestCosts holds the costs of operations against numbers worked out by hand.
func TestCosts(t *testing.T) {
	const views, tokens, dim, heads = 2, 5, 12, 3
	m := float64(views * tokens)
	for name, test := range map[string]struct {
		build func(c *nn.Ctx) *G.Node
		want  map[string]nn.Cost // by kind; others do not count
	}{
		"linear": {
			func(c *nn.Ctx) *G.Node { return nn.Linear(c, "l", param(c, "x", views*tokens, dim), 7, true) },
			map[string]nn.Cost{
				"Linear":                {FLOPs: 2 * m * dim * 7, Bytes: 4 * (m*dim + 7*dim + 7 + m*7)},
				"LinearBackwardInput":   {FLOPs: 2 * m * dim * 7, Bytes: 4 * (m*dim + 7*dim + m*7 + 7)},
				"LinearBackwardWeights": {FLOPs: 2 * m * dim * 7, Bytes: 4 * (m*dim + 7*dim + m*7)},
				"ColumnSums":            {},
			},
		},
		"matrix product": {
			func(c *nn.Ctx) *G.Node { return nn.MatMul(c, param(c, "a", 3, 4), param(c, "b", 4, 5)) },
			map[string]nn.Cost{
				"MatMul":              {FLOPs: 2 * 3 * 4 * 5, Bytes: 4 * (12 + 20 + 15)},
				"MatMulBackwardLeft":  {FLOPs: 2 * 3 * 4 * 5, Bytes: 4 * (12 + 20 + 15)},
				"MatMulBackwardRight": {FLOPs: 2 * 3 * 4 * 5, Bytes: 4 * (12 + 20 + 15)},
			},
		},
		"convolution": { // 2 maps of 6×4×3, 3×3 with stride 2: 3×2 positions of 27 weights by 5 filters
			func(c *nn.Ctx) *G.Node { return nn.Conv(c, "c", testMap(c, "x", 2, 6, 4, 3), 5, 3, 2, 1).Node },
			map[string]nn.Cost{
				"Conv":                {FLOPs: 2 * 12 * 27 * 5, Bytes: 4 * (144 + 135 + 60)},
				"ConvBackwardInput":   {FLOPs: 2 * 12 * 27 * 5, Bytes: 4 * (144 + 135 + 60)},
				"ConvBackwardWeights": {FLOPs: 2 * 12 * 27 * 5, Bytes: 4 * (144 + 135 + 60)},
			},
		},
		"attention": { // 2 products forward and 4 backward of 5×5×4 for each of 3 heads of 2 views
			func(c *nn.Ctx) *G.Node {
				return nn.Attention(c, param(c, "qkv", views*tokens, 3*dim), tokens, heads)
			},
			map[string]nn.Cost{
				"Attention":         {FLOPs: 2 * 2 * 5 * 5 * 4 * 6, Bytes: 4 * (m*3*dim + m*dim + m*heads)},
				"AttentionBackward": {FLOPs: 4 * 2 * 5 * 5 * 4 * 6, Bytes: 4 * (2*m*3*dim + m*dim + m*heads)},
			},
		},
		"pair scores": { // 25 pairs of tokens, 3 classes of 4 channels
			func(c *nn.Ctx) *G.Node {
				return nn.PairScores(c, param(c, "q", views*tokens, dim), param(c, "k", views*tokens, dim), tokens, 3)
			},
			map[string]nn.Cost{
				"PairScores":         {FLOPs: 2 * 2 * 25 * 12, Bytes: 4 * (2*m*dim + 2*25*3)},
				"PairScoresBackward": {FLOPs: 4 * 2 * 25 * 12, Bytes: 4 * (4*m*dim + 2*25*3)},
			},
		},
		"element by element": {
			func(c *nn.Ctx) *G.Node { return nn.GELU(c, param(c, "x", views*tokens, dim)) },
			map[string]nn.Cost{"GELU": {Bytes: 4 * 2 * m * dim}, "GELUBackward": {Bytes: 4 * 3 * m * dim}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := profileOf(t, func(c *nn.Ctx) *G.Node { return nn.Sum(c, test.build(c)) }, nil)
			for kind, want := range test.want {
				if diff := cmp.Diff(want, got[kind]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", kind, diff)
				}
			}
		})
	}
}

// profileOf runs a graph once and returns the cost by kind.
func profileOf(t *testing.T, build func(*nn.Ctx) *G.Node, inputs map[string][]float32) map[string]nn.Cost {
	t.Helper()
	_, program, _ := compileModel(t, newEngine(t), nn.Compile, build, inputs)
	program.EnableProfile()
	run(t, program)
	costs := map[string]nn.Cost{}
	for _, row := range program.Profile() {
		costs[row.Kind] = row.Cost
	}
	return costs
}

// TestCostOfSums counts what the parts of a sum move: one of four rows is written first, then two are added to the
// last three, and nobody writes the first row.
func TestCostOfSums(t *testing.T) {
	got := profileOf(t, func(c *nn.Ctx) *G.Node {
		x := nn.Scale(c, param(c, "x", 4, 3), 2)
		a, b := nn.Columns(c, nn.Rows(c, x, 1, 3), 0, 3), nn.Columns(c, nn.Rows(c, x, 2, 4), 0, 3)
		return nn.Sum(c, nn.Multiply(c, a, b))
	}, nil)
	want := nn.Cost{Bytes: 4 * 3 * (1 + 2 + 3)} // a cleared row; a row copied (read, write); a row added (read twice, write)
	if diff := cmp.Diff(want, got["GradientSum"]); diff != "" {
		t.Errorf("(-want +got):\n%s\n%v", diff, got)
	}
}

// TestSizeOf holds what is predicted from a sketch against the program itself.
func TestSizeOf(t *testing.T) {
	engine := newEngine(t)
	for _, model := range models {
		t.Run(model.name, func(t *testing.T) {
			store, program, _ := compileModel(t, engine, nn.Compile, model.build, model.inputs)
			size := sizeOf(t, model.build)
			inputs := 0
			for _, buffer := range model.inputs {
				inputs += 4 * len(buffer)
			}
			buffers := 0
			for _, b := range store.Buffers() {
				buffers += 4 * len(b.Value)
			}
			want := nn.Size{
				Arena: int64(program.ArenaBytes()), Parameters: int64(4 * len(store.Values())), Buffers: int64(buffers), Inputs: int64(inputs),
				FLOPs: size.FLOPs,
			}
			if diff := cmp.Diff(want, size); diff != "" {
				t.Errorf("(-program +predicted):\n%s", diff)
			}
			if size.FLOPs != program.Cost().FLOPs {
				t.Errorf("predicted %g FLOPs, the program has %g", size.FLOPs, program.Cost().FLOPs)
			}
		})
	}
}

func sizeOf(t *testing.T, build func(*nn.Ctx) *G.Node) nn.Size {
	t.Helper()
	c := nn.NewCtx(nn.NewSketch(), true)
	cost := build(c)
	size, err := nn.SizeOf(c, cost, cost)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// TestSizeOfAllocatesNothing plans a graph of a billion rows: far more than any memory.
func TestSizeOfAllocatesNothing(t *testing.T) {
	const rows = 1 << 30
	size := sizeOf(t, func(c *nn.Ctx) *G.Node {
		x := nn.Linear(c, "a", c.Input("x", rows, 64), 64, true)
		x = nn.Add(c, x, nn.GELU(c, nn.Linear(c, "b", x, 64, true)))
		return nn.CrossEntropy(c, nn.ConcatRows(c, nn.Rows(c, x, rows/2, rows), nn.Rows(c, x, 0, rows/2)), c.Input("labels", rows, 1))
	})
	if least := int64(rows * 64 * 4); size.Inputs < least || size.Arena < 2*least {
		t.Errorf("%+v: want at least %d bytes a matrix", size, least)
	}
	if want := 5 * 2 * 64. * 64 * rows; math.Abs(size.FLOPs-want) > 1 {
		t.Errorf("%g FLOPs, want %g: five products", size.FLOPs, want)
	}
}

func TestSketchesAndStoresAreNotMixedUp(t *testing.T) {
	c := nn.NewCtx(nn.NewSketch(), true)
	cost := nn.Sum(c, param(c, "x", 2, 2))
	if _, err := nn.Compile(c, newEngine(t), cost); err == nil {
		t.Error("a sketch was compiled")
	}
	c = nn.NewCtx(nn.NewStore(1), true)
	if _, err := nn.SizeOf(c, nn.Sum(c, param(c, "x", 2, 2))); err == nil {
		t.Error("a store with numbers was taken for a sketch")
	}
}

// TestCostsOfBFloat16: activations take half the bytes, parameters and statistics do not.
func TestCostsOfBFloat16(t *testing.T) {
	const rows, in, out = 10, 12, 8
	got := profileOf(t, func(c *nn.Ctx) *G.Node {
		c.SetPrecision(nn.BFloat16)
		x := nn.Linear(c, "a", c.Input("x", rows, in), in, false)
		return nn.Sum(c, nn.Linear(c, "b", nn.LayerNorm(c, "norm", x), out, false))
	}, map[string][]float32{"x": make([]float32, rows*in)})
	for kind, want := range map[string]nn.Cost{
		"Linear+LayerNorm": { // the bytes of both
			FLOPs: 2 * rows * in * in,
			Bytes: 4*(rows*in+in*in) + 2*rows*in + 2*2*rows*in + 4*(2*in+2*rows),
		},
		"LinearBackwardInput": {FLOPs: 2 * rows * in * out, Bytes: 2*rows*(in+out) + 4*in*out},
	} {
		if diff := cmp.Diff(want, got[kind]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}
