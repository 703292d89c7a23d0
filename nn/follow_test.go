package nn_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	G "gorgonia.org/gorgonia"

	"pretrain/nn"
)

// TestFollowers pins what a transformer's products take along, forwards and backwards.
func TestFollowers(t *testing.T) {
	engine := newEngine(t)
	for _, recompute := range []bool{false, true} {
		_, program, _ := compileModel(t, engine, nn.Compile, func(c *nn.Ctx) *G.Node {
			c.SetRecompute(recompute)
			return transformer(c, 2)
		}, models[0].inputs)
		counts := map[string]int{}
		for _, kind := range program.Kinds() {
			counts[kind]++
		}
		want := map[string]int{
			"Linear+GELU": 2, "Linear+Add+LayerNorm": 4, "GELU": 0, "GELUBackward": 0, "Add": 0,
			"LinearBackwardInput+GELUBackward": 2, "LinearBackwardInput+GELU+GELUBackward": 0,
		}
		if recompute {
			want["LinearBackwardInput+GELUBackward"], want["LinearBackwardInput+GELU+GELUBackward"] = 0, 2
		}
		for kind, n := range want {
			if counts[kind] != n {
				t.Errorf("recompute %v: %d of %s, want %d; calls: %v", recompute, counts[kind], kind, n, program.Kinds())
			}
		}
	}
}

// TestFollowersOfManyRows: products that are computed strip by strip with followers give the bits of one operation after
// the other, in both precisions.
func TestFollowersOfManyRows(t *testing.T) {
	engine := newEngine(t)
	const views, tokens, dim = 37, 17, 12
	inputs := map[string][]float32{"x": noise("x", views*tokens*dim)}
	for _, precision := range []nn.Precision{nn.Float32, nn.BFloat16} {
		for _, recompute := range []bool{false, true} {
			build := func(c *nn.Ctx) *G.Node {
				c.SetPrecision(precision)
				c.SetRecompute(recompute)
				x := nn.Linear(c, "embed", c.Input("x", views*tokens, dim), dim, true)
				for _, name := range []string{"a", "b"} {
					x = transformerBlock(c.Scope(name), x, tokens, 3)
				}
				return nn.Sum(c, nn.Multiply(c, x, x))
			}
			store, program, cost := compileModel(t, engine, nn.CompileSeparate, build, inputs)
			program.Dirty(float32(math.NaN()))
			want, kinds := runModel(t, store, program, cost), program.Kinds()
			store, program, cost = compileModel(t, engine, nn.Compile, build, inputs)
			program.Dirty(float32(math.NaN()))
			if diff := cmp.Diff(want, runModel(t, store, program, cost)); diff != "" {
				t.Errorf("%s, recompute %v: results differ (-one by one +following):\n%s", precision, recompute, diff)
			}
			if following := program.Kinds(); len(following) >= len(kinds) || slices.Contains(kinds, "Linear+GELU") {
				t.Errorf("%d calls one by one, %d with followers", len(kinds), len(following))
			}
		}
	}
}

// TestWhatMustNotFollow are graphs in which an operation behind a product needs more than the rows that are there.
func TestWhatMustNotFollow(t *testing.T) {
	engine := newEngine(t)
	inputs := map[string][]float32{"x": noise("x", 600*4), "y": noise("y", 600*4)}
	for name, test := range map[string]struct {
		build func(c *nn.Ctx, product, other *G.Node) *G.Node
		kind  string // that must stand alone
	}{
		"other rows of the product": {func(c *nn.Ctx, product, _ *G.Node) *G.Node {
			return nn.ReLU(c, nn.Rows(c, product, 300, 600))
		}, "ReLU"},
		"the product in another shape": {func(c *nn.Ctx, product, _ *G.Node) *G.Node {
			return nn.ReLU(c, nn.Reshape(c, product, 1200, 2))
		}, "ReLU"},
		"an input that may be bound again": {func(c *nn.Ctx, product, other *G.Node) *G.Node {
			return nn.Add(c, product, other)
		}, "Add"},
		"a sum in which the product is another part": {func(c *nn.Ctx, product, _ *G.Node) *G.Node {
			both := nn.ConcatRows(c, nn.Scale(c, param(c, "p", 600, 4), 2), product)
			return nn.ReLU(c, nn.Rows(c, both, 0, 600))
		}, "ReLU"},
	} {
		t.Run(name, func(t *testing.T) {
			build := func(c *nn.Ctx) *G.Node {
				return nn.Sum(c, test.build(c, nn.Linear(c, "product", c.Input("x", 600, 4), 4, true), c.Input("y", 600, 4)))
			}
			store, program, cost := compileModel(t, engine, nn.CompileSeparate, build, inputs)
			want := runModel(t, store, program, cost)
			store, program, cost = compileModel(t, engine, nn.Compile, build, inputs)
			if diff := cmp.Diff(want, runModel(t, store, program, cost)); diff != "" {
				t.Errorf("results differ:\n%s", diff)
			}
			if kinds := program.Kinds(); !slices.Contains(kinds, test.kind) {
				t.Errorf("%s does not stand alone: %v", test.kind, kinds)
			}
		})
	}
}

// TestFollowersReadBoundInputs: a program whose inputs are bound again does not compute on the old ones.
func TestFollowersReadBoundInputs(t *testing.T) {
	engine := newEngine(t)
	c := nn.NewCtx(nn.NewStore(7), false)
	out := nn.GELU(c, nn.Add(c, nn.Linear(c, "l", c.Input("x", 600, 4), 4, true), c.Input("y", 600, 4)))
	program, err := nn.Compile(c, engine, nil, out)
	if err != nil {
		t.Fatal(err)
	}
	var results [][]float32
	for _, name := range []string{"y", "z", "y"} {
		bindAll(c, program, map[string][]float32{"x": noise("x", 2400)})
		program.Bind(nn.InputNode(c, "y"), noise(name, 2400))
		run(t, program)
		results = append(results, slices.Clone(program.Value(out)))
	}
	if !slices.Equal(results[0], results[2]) || slices.Equal(results[0], results[1]) {
		t.Error("what was bound is not what was read")
	}
}
