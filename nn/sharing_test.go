package nn_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	G "gorgonia.org/gorgonia"
	"pgregory.net/rapid"

	"pretrain/internal/kernel"
	"pretrain/nn"
)

// TestSharingMemoryChangesNoBit runs whole models with a buffer for every value, and with planned memory that starts
// full of NaN. A value that is overwritten too early, or memory that is read before it is written, would show.
func TestSharingMemoryChangesNoBit(t *testing.T) {
	engine := newEngine(t)
	for _, model := range models {
		t.Run(model.name, func(t *testing.T) {
			store, program, cost := compileModel(t, engine, nn.CompileSeparate, model.build, model.inputs)
			want := runModel(t, store, program, cost)
			separate := program.ArenaBytes()

			store, program, cost = compileModel(t, engine, nn.Compile, model.build, model.inputs)
			for range 2 {
				program.Dirty(float32(math.NaN()))
				if diff := cmp.Diff(want, runModel(t, store, program, cost)); diff != "" {
					t.Fatalf("results differ (-separate +shared):\n%s", diff)
				}
			}
			if share := float64(program.ArenaBytes()) / float64(separate); share > 0.6 {
				t.Errorf("the arena is %.2f of the sum of all buffers: nothing to gain from a plan", share)
			}
		})
	}
}

// TestRandomGraphsShareMemorySafely does the same with graphs drawn from slices, joins, sums and in-place operations.
func TestRandomGraphsShareMemorySafely(t *testing.T) {
	engine := newEngine(t)
	rapid.Check(t, func(r *rapid.T) {
		program := drawGraph(r)
		kept := rapid.IntRange(0, len(program)-1).Draw(r, "kept")
		want, _ := runGraph(t, engine, nn.CompileSeparate, program, kept)
		got, kinds := runGraph(t, engine, nn.Compile, program, kept)
		if diff := cmp.Diff(want, got); diff != "" {
			r.Fatalf("results differ (-separate +shared):\n%s\ncalls %v", diff, kinds)
		}
	})
}

// runGraph runs a drawn graph on dirty memory. It keeps one of its matrices too, which joins the gradients.
func runGraph(t *testing.T, engine *kernel.Engine, compile compiler, instructions []instruction, kept int) (result, []string) {
	var node *G.Node
	build := func(c *nn.Ctx) *G.Node {
		nodes := buildGraph(c, instructions)
		node = nodes[2+kept]
		return nn.Sum(c, nn.Add(c, nodes[len(nodes)-1], param(c, "p", 8, 3)))
	}
	keeping := func(c *nn.Ctx, engine *kernel.Engine, cost *G.Node, keep ...*G.Node) (*nn.Program, error) {
		return compile(c, engine, cost, append(keep, node)...)
	}
	inputs := map[string][]float32{"input": noise("input", 8*3)}
	store, program, cost := compileModel(t, engine, keeping, build, inputs)
	program.Dirty(float32(math.NaN()))
	r := runModel(t, store, program, cost)
	r.Gradients = append(r.Gradients, program.Value(node)...)
	return r, program.Kinds()
}

// instruction applies one operation to two earlier 8×3 matrices.
type instruction struct{ operation, a, b, row int }

func drawGraph(t *rapid.T) []instruction {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) instruction {
		return instruction{
			operation: rapid.IntRange(0, 6).Draw(t, "operation"),
			a:         rapid.IntRange(0, 3).Draw(t, "a"), b: rapid.IntRange(0, 3).Draw(t, "b"),
			row: rapid.IntRange(1, 7).Draw(t, "row"),
		}
	}), 1, 12).Draw(t, "instructions")
}

// buildGraph keeps all matrices at 8×3, so that any may be combined with any.
func buildGraph(c *nn.Ctx, instructions []instruction) []*G.Node {
	return extendGraph(c, []*G.Node{c.Input("input", 8, 3), param(c, "p", 8, 3)}, instructions)
}

// extendGraph appends the results of instructions to matrices of eight rows; a and b count back from the newest.
func extendGraph(c *nn.Ctx, nodes []*G.Node, instructions []instruction) []*G.Node {
	width := nodes[0].Shape()[1]
	for _, i := range instructions {
		a, b := nodes[max(0, len(nodes)-1-i.a)], nodes[max(0, len(nodes)-1-i.b)]
		var node *G.Node
		switch i.operation {
		case 0:
			node = nn.Add(c, a, b)
		case 1:
			node = nn.GELU(c, a)
		case 2:
			node = nn.ReLU(c, nn.Scale(c, a, 1.5))
		case 3:
			node = nn.ConcatRows(c, nn.Rows(c, b, i.row, 8), nn.Rows(c, a, 0, i.row))
		case 4:
			node = nn.ConcatRows(c, nn.GELU(c, nn.Rows(c, a, 0, i.row)), nn.ReLU(c, nn.Rows(c, b, i.row, 8)))
		case 5:
			node = nn.LinearInit(c, "shared", a, width, true, nn.XavierUniform(width, width))
		case 6:
			node = nn.LayerNorm(c, "norm", nn.Add(c, a, nn.Multiply(c, a, b)))
		}
		nodes = append(nodes, node)
	}
	return nodes
}

// TestSharingCorners pins graphs in which a plan that looks right computes a gradient over one that is still needed.
func TestSharingCorners(t *testing.T) {
	engine := newEngine(t)
	for name, build := range map[string]func(c *nn.Ctx) *G.Node{
		// The gradient of x is that of the sum plus a slice of that of the sum, in other rows.
		"a slice of the total is added to the total": func(c *nn.Ctx) *G.Node {
			x := param(c, "x", 8, 3)
			shifted := nn.ConcatRows(c, nn.Rows(c, x, 1, 8), nn.Constant(c, noise("last", 3), 1, 3))
			return nn.Sum(c, nn.Multiply(c, nn.Add(c, shifted, x), param(c, "y", 8, 3)))
		},
		// The gradient of the first slice of x lives in that of x, which is added to that of y; the way back through w
		// reads it after the way back through u has been added too.
		"a part of a part is read late": func(c *nn.Ctx) *G.Node {
			y := nn.GELU(c, param(c, "y", 8, 3))
			w := nn.GELU(c, param(c, "w", 4, 3))
			u := nn.GELU(c, y)
			x := nn.Add(c, y, nn.Constant(c, noise("z", 8*3), 8, 3))
			first := nn.GELU(c, nn.Add(c, nn.Rows(c, x, 0, 4), w))
			second := nn.GELU(c, nn.Rows(c, x, 4, 8))
			return nn.Sum(c, nn.Add(c, nn.ConcatRows(c, first, second), u))
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, program, cost := compileModel(t, engine, nn.CompileSeparate, build, nil)
			want := runModel(t, store, program, cost)
			store, program, cost = compileModel(t, engine, nn.Compile, build, nil)
			if diff := cmp.Diff(want, runModel(t, store, program, cost)); diff != "" {
				t.Errorf("results differ (-separate +shared):\n%s\ncalls %v", diff, program.Kinds())
			}
		})
	}
}

// TestWorkersChangeNoBit compares one worker with several, and a second run with the first.
func TestWorkersChangeNoBit(t *testing.T) {
	for _, model := range models {
		var want result
		for _, workers := range []int{1, 3} {
			engine, err := kernel.New(kernel.Options{Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			store, program, cost := compileModel(t, engine, nn.Compile, model.build, model.inputs)
			for range 2 {
				got := runModel(t, store, program, cost)
				if want.Gradients == nil {
					want = got
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s with %d workers differs:\n%s", model.name, workers, diff)
				}
			}
			engine.Close()
		}
	}
}
