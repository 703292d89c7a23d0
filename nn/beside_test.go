package nn_test

import (
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
	"pretrain/nn"
)

// TestBesideAnotherProgram: two programs over one store that take turns in one arena compute, bit for bit, what they
// compute in arenas of their own, whether the second one fits into the first one's or not.
func TestBesideAnotherProgram(t *testing.T) {
	for _, depths := range [][2]int{{3, 3}, {3, 1}, {1, 3}} {
		engine := newEngine(t)
		store := nn.NewStore(7)
		deep := func(c *nn.Ctx) *G.Node { return transformer(c, max(depths[0], depths[1])) }
		declared := nn.NewCtx(store, true)
		if _, err := nn.Compile(declared, engine, deep(declared)); err != nil { // declares every parameter
			t.Fatal(err)
		}
		first := compileOver(t, engine, store, depths[0], nn.Compile)
		alone := compileOver(t, engine, store, depths[1], nn.Compile)
		beside := compileOver(t, engine, store, depths[1], func(c *nn.Ctx, e *kernel.Engine, cost *G.Node, keep ...*G.Node) (*nn.Program, error) {
			return nn.CompileBeside(first.program, c, e, cost, keep...)
		})
		wantFirst, wantSecond := first.result(t), alone.result(t)
		for range 2 {
			if got := beside.result(t); got.Cost != wantSecond.Cost || !slices.Equal(got.Gradients, wantSecond.Gradients) {
				t.Fatalf("depths %v: another result beside a program than alone", depths)
			}
			if got := first.result(t); got.Cost != wantFirst.Cost || !slices.Equal(got.Gradients, wantFirst.Gradients) {
				t.Fatalf("depths %v: another result after a program beside it ran", depths)
			}
		}
	}
}

// built is a program over a store that others use too.
type built struct {
	store   *nn.Store
	program *nn.Program
	cost    *G.Node
}

func compileOver(t *testing.T, engine *kernel.Engine, store *nn.Store, depth int, compile compiler) built {
	t.Helper()
	c := nn.NewCtx(store, true)
	cost := transformer(c, depth)
	program, err := compile(c, engine, cost, cost)
	if err != nil {
		t.Fatal(err)
	}
	bindAll(c, program, transformerInputs())
	return built{store, program, cost}
}

func (b built) result(t *testing.T) result { return runModel(t, b.store, b.program, b.cost) }

// TestForwardEndsAtTheCost: nothing of the backward pass is counted as forward, and a program without cost has none.
func TestForwardEndsAtTheCost(t *testing.T) {
	engine := newEngine(t)
	for _, model := range []func(*nn.Ctx) *G.Node{func(c *nn.Ctx) *G.Node { return transformer(c, 2) }, residualNetwork} {
		c := nn.NewCtx(nn.NewStore(7), true)
		cost := model(c)
		program, err := nn.Compile(c, engine, cost, cost)
		if err != nil {
			t.Fatal(err)
		}
		kinds, turn := program.Kinds(), nn.Turn(program)
		if turn == 0 || turn == len(kinds) {
			t.Fatalf("%d of %d calls are forward", turn, len(kinds))
		}
		if at := slices.IndexFunc(kinds, func(kind string) bool { return strings.Contains(kind, "Backward") }); at < turn {
			t.Errorf("call %d, %s, is counted as forward: the first %d are", at, kinds[at], turn)
		}
		if kinds[turn-1] != "WeightedSum" {
			t.Errorf("the last forward call is %s, want that of the cost", kinds[turn-1])
		}
		inference := nn.NewCtx(nn.NewStore(7), false)
		kept := model(inference)
		program, err = nn.Compile(inference, engine, nil, kept)
		if err != nil {
			t.Fatal(err)
		}
		if turn := nn.Turn(program); turn != len(program.Kinds()) {
			t.Errorf("without a cost %d of %d calls are forward", turn, len(program.Kinds()))
		}
	}
}

// TestTook: the times of a Run are those of its two passes, and profiling does not disturb them.
func TestTook(t *testing.T) {
	b := compileOver(t, newEngine(t), nn.NewStore(7), 2, nn.Compile)
	if took := b.program.Took(); took != (nn.Durations{}) {
		t.Errorf("%v before the first Run", took)
	}
	run(t, b.program)
	if took := b.program.Took(); took.Forward <= 0 || took.Backward <= 0 {
		t.Errorf("a Run took %v", took)
	}
}
