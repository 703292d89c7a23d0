package nn_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	G "gorgonia.org/gorgonia"
	"pgregory.net/rapid"

	"pretrain/internal/kernel"
	"pretrain/nn"
)

// TestPlansNeverReadWhatIsGone plays the plans of random graphs through on paper, in both precisions, with and without a
// second computation of cheap results: whatever a step reads is still in its memory.
func TestPlansNeverReadWhatIsGone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		instructions := drawGraph(t)
		width := 2 * rapid.IntRange(1, 2).Draw(t, "half the width") // bf16 wants even rows
		c := nn.NewCtx(nn.NewStore(7), true)
		c.SetPrecision(rapid.SampledFrom([]nn.Precision{nn.Float32, nn.BFloat16}).Draw(t, "precision"))
		c.SetRecompute(rapid.Bool().Draw(t, "recompute"))
		nodes := buildWide(c, instructions, width)
		kept := nodes[rapid.IntRange(2, len(nodes)-1).Draw(t, "kept")]
		if err := nn.CheckOwnership(c, costOf(c, nodes), kept); err != nil {
			t.Fatal(err)
		}
	})
}

// TestPlansOfWholeModels does so for the transformer and the residual network, with everything that they hold.
func TestPlansOfWholeModels(t *testing.T) {
	for _, model := range models {
		for _, recompute := range []bool{false, true} {
			c := nn.NewCtx(nn.NewStore(7), true)
			c.SetRecompute(recompute)
			cost := model.build(c)
			if err := nn.CheckOwnership(c, cost, cost); err != nil {
				t.Errorf("%s, recompute %v: %v", model.name, recompute, err)
			}
		}
	}
	for _, precision := range []nn.Precision{nn.Float32, nn.BFloat16} {
		c := nn.NewCtx(nn.NewStore(7), true)
		c.SetPrecision(precision)
		loss, _, _ := halfModel(c)
		if err := nn.CheckOwnership(c, loss, loss); err != nil {
			t.Errorf("%s: %v", precision, err)
		}
	}
}

// TestSpoiltPlansAreFound: the check above would see two live buffers in one place.
func TestSpoiltPlansAreFound(t *testing.T) {
	for _, model := range models {
		c := nn.NewCtx(nn.NewStore(7), true)
		spoilt, found, err := nn.SpoilPlans(c, model.build(c))
		if err != nil || spoilt < 5 || found != spoilt {
			t.Errorf("%s: %d of %d spoilt plans were found, %v", model.name, found, spoilt, err)
		}
	}
}

// buildWide is buildGraph with rows of another width, from a projection of the input on.
func buildWide(c *nn.Ctx, instructions []instruction, width int) []*G.Node {
	first := nn.Linear(c, "first", c.Input("input", 8, 3), width, false)
	return extendGraph(c, []*G.Node{first, param(c, "p", 8, width)}, instructions)
}

// costOf depends on every matrix, so that all of them have gradients and many are alive at once.
func costOf(c *nn.Ctx, nodes []*G.Node) *G.Node {
	sum := nodes[0]
	for _, node := range nodes[1:] {
		sum = nn.Add(c, sum, node)
	}
	return nn.Sum(c, nn.Multiply(c, sum, sum))
}

// TestRandomGraphsAgreeWithTheTapeMachine runs random graphs by our plan, on memory full of rubbish, and by gorgonia's own
// differentiation and machine.
func TestRandomGraphsAgreeWithTheTapeMachine(t *testing.T) {
	engine := newEngine(t)
	inputs := map[string][]float32{"input": noise("input", 8*3)}
	rapid.Check(t, func(r *rapid.T) {
		instructions := drawGraph(r)
		build := func(c *nn.Ctx) *G.Node { return costOf(c, buildGraph(c, instructions)) }
		store, program, cost := compileModel(t, engine, nn.Compile, build, inputs)
		program.Dirty(1e30)
		got := runModel(t, store, program, cost)
		want, gradients := tapeRun(t, engine, store, build, inputs)
		if got.Cost != want {
			r.Fatalf("the cost is %v, the tape machine has %v", got.Cost, want)
		}
		for i, p := range store.Parameters() {
			scale := 1.0
			for _, g := range gradients[i] {
				scale = max(scale, g, -g)
			}
			for j, g := range gradients[i] {
				if d := (float64(p.Gradient[j]) - g) / scale; !(max(d, -d) < 2e-5) { // graphs square numbers again and again
					r.Fatalf("number %d of the gradient of %s is %g, the tape machine has %g", j, p.Name, p.Gradient[j], g)
				}
			}
		}
	})
}

// TestRecomputingChangesNoBit of any random graph.
func TestRecomputingChangesNoBit(t *testing.T) {
	engine := newEngine(t)
	inputs := map[string][]float32{"input": noise("input", 8*3)}
	rapid.Check(t, func(r *rapid.T) {
		instructions := drawGraph(r)
		var results [2]result
		var calls [2]int
		for i, recompute := range []bool{false, true} {
			store, program, cost := compileModel(t, engine, nn.Compile, func(c *nn.Ctx) *G.Node {
				c.SetRecompute(recompute)
				return costOf(c, buildGraph(c, instructions))
			}, inputs)
			program.Dirty(1e30)
			results[i], calls[i] = runModel(t, store, program, cost), len(program.Kinds())
		}
		if diff := cmp.Diff(results[0], results[1]); diff != "" {
			r.Fatalf("results differ (-kept +recomputed):\n%s", diff)
		}
		if calls[1] < calls[0] {
			r.Fatalf("%d calls became %d", calls[0], calls[1])
		}
	})
}

// TestOneProgramServesManyBatches: what a run leaves in the arena does not reach the next one, and going back to the first
// batch gives the first bits.
func TestOneProgramServesManyBatches(t *testing.T) {
	engine := newEngine(t)
	for _, model := range models {
		store := nn.NewStore(7)
		c := nn.NewCtx(store, true)
		cost := model.build(c)
		program, err := nn.Compile(c, engine, cost, cost)
		if err != nil {
			t.Fatal(err)
		}
		bindAll(c, program, model.inputs)
		first := runModel(t, store, program, cost)
		other := map[string][]float32{}
		for name, values := range model.inputs {
			other[name] = slices.Clone(values)
			slices.Reverse(other[name])
		}
		bindAll(c, program, other)
		if between := runModel(t, store, program, cost); between.Cost == first.Cost {
			t.Errorf("%s: another batch has the same cost", model.name)
		}
		bindAll(c, program, model.inputs)
		if diff := cmp.Diff(first, runModel(t, store, program, cost)); diff != "" {
			t.Errorf("%s: the first batch again differs:\n%s", model.name, diff)
		}
	}
}

// TestTwoProgramsOfOneStore share parameters: what one learns the other one shows, and their arenas are their own.
func TestTwoProgramsOfOneStore(t *testing.T) {
	engine := newEngine(t)
	store := nn.NewStore(7)
	training, reading := nn.NewCtx(store, true), nn.NewCtx(store, false)
	build := func(c *nn.Ctx) *G.Node { return nn.GELU(c, nn.Linear(c, "fc", c.Input("x", 4, 3), 2, true)) }
	cost := nn.Sum(training, build(training))
	output := build(reading)
	trainer, err := nn.Compile(training, engine, cost, cost)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := nn.Compile(reading, engine, nil, output)
	if err != nil {
		t.Fatal(err)
	}
	x := noise("x", 12)
	trainer.Bind(nn.InputNode(training, "x"), x)
	reader.Bind(nn.InputNode(reading, "x"), x)
	for range 3 {
		run(t, trainer)
		for i, g := range store.Gradients() {
			store.Values()[i] -= 0.1 * g
		}
		run(t, reader)
		sum := 0.0
		for _, v := range reader.Value(output) {
			sum += float64(v)
		}
		run(t, trainer)
		compare(t, "cost", trainer.Value(cost), []float64{sum}, 1e-6)
	}
}

// TestGradientsAreThoseOfOneRun: they are written anew, not added to those of the run before.
func TestGradientsAreThoseOfOneRun(t *testing.T) {
	for _, workers := range []int{1, 2} {
		engine, err := kernel.New(kernel.Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Close()
		store, program, cost := compileModel(t, engine, nn.Compile, models[0].build, models[0].inputs)
		first := runModel(t, store, program, cost)
		for _, p := range store.Parameters() { // between them are gaps that stay zero
			for i := range p.Gradient {
				p.Gradient[i] = 1e30
			}
		}
		if diff := cmp.Diff(first, runModel(t, store, program, cost)); diff != "" {
			t.Errorf("a second run differs:\n%s", diff)
		}
	}
}
