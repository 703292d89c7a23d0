package nn_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	G "gorgonia.org/gorgonia"
	"pgregory.net/rapid"

	"pretrain/nn"
)

// TestRandomHalfGraphsShareMemorySafely runs random graphs of bf16, whose values are half as large as those of float32
// that stand among them, with a buffer for every value and with shared memory full of rubbish.
func TestRandomHalfGraphsShareMemorySafely(t *testing.T) {
	engine := newEngine(t)
	inputs := map[string][]float32{"input": noise("input", 8*3)}
	rapid.Check(t, func(r *rapid.T) {
		instructions, width := drawGraph(r), 2*rapid.IntRange(1, 3).Draw(r, "half the width")
		recompute := rapid.Bool().Draw(r, "recompute")
		build := func(c *nn.Ctx) *G.Node {
			c.SetPrecision(nn.BFloat16)
			c.SetRecompute(recompute)
			return costOf(c, buildWide(c, instructions, width))
		}
		store, program, cost := compileModel(t, engine, nn.CompileSeparate, build, inputs)
		program.Dirty(float32(math.NaN()))
		want, separate := runModel(t, store, program, cost), program.ArenaBytes()
		store, program, cost = compileModel(t, engine, nn.Compile, build, inputs)
		program.Dirty(float32(math.NaN()))
		if diff := cmp.Diff(want, runModel(t, store, program, cost)); diff != "" {
			r.Fatalf("results differ (-separate +shared):\n%s\ncalls %v", diff, program.Kinds())
		}
		if shared := program.ArenaBytes(); shared > separate {
			r.Fatalf("shared memory takes %d bytes, separate buffers %d", shared, separate)
		}
	})
}

// TestSizesOfRandomGraphsAreKnownBefore: the plan over a sketch has the arena of the program to the byte, in both
// precisions, and counts parameters and inputs right.
func TestSizesOfRandomGraphsAreKnownBefore(t *testing.T) {
	engine := newEngine(t)
	rapid.Check(t, func(t *rapid.T) {
		instructions, width := drawGraph(t), 2*rapid.IntRange(1, 3).Draw(t, "half the width")
		precision := rapid.SampledFrom([]nn.Precision{nn.Float32, nn.BFloat16}).Draw(t, "precision")
		draw := func(store *nn.Store) (*nn.Ctx, *G.Node) {
			c := nn.NewCtx(store, true)
			c.SetPrecision(precision)
			return c, costOf(c, buildWide(c, instructions, width))
		}
		sketch, sketchCost := draw(nn.NewSketch())
		size, err := nn.SizeOf(sketch, sketchCost)
		if err != nil {
			t.Fatal(err)
		}
		store := nn.NewStore(7)
		c, cost := draw(store)
		program, err := nn.Compile(c, engine, cost)
		if err != nil {
			t.Fatal(err)
		}
		want := nn.Size{
			Arena: int64(program.ArenaBytes()), Parameters: int64(4 * len(store.Values())), Inputs: 4 * 8 * 3, FLOPs: size.FLOPs,
		}
		if diff := cmp.Diff(want, size); diff != "" || size.FLOPs <= 0 {
			t.Fatalf("the sketch differs from the program (-program +sketch):\n%s", diff)
		}
	})
}

// TestGradientsAreLinearInTheCost: twice the cost has twice the gradient, bit for bit, and the gradient of a sum of two
// costs is the sum of both, computed by three programs over one store.
func TestGradientsAreLinearInTheCost(t *testing.T) {
	engine := newEngine(t)
	rapid.Check(t, func(r *rapid.T) {
		instructions := drawGraph(r)
		store := nn.NewStore(7)
		gradientOf := func(weights ...float32) []float64 {
			c := nn.NewCtx(store, true)
			nodes := buildGraph(c, instructions)
			first := nn.Sum(c, nn.Multiply(c, nodes[len(nodes)-1], nodes[1]))
			second := nn.Sum(c, nn.LinearInit(c, "head", nodes[len(nodes)-1], 2, true, nn.XavierUniform(3, 2)))
			cost := nn.WeightedSum(c, []*G.Node{first, second}, nn.Constant(c, weights, 1, 2))
			program, err := nn.Compile(c, engine, cost)
			if err != nil {
				r.Fatal(err)
			}
			program.Bind(nn.InputNode(c, "input"), noise("input", 8*3))
			run(t, program)
			return float64s(store.Gradients())
		}
		whole, twice := gradientOf(1, 1), gradientOf(2, 2)
		a, b := gradientOf(1, 0), gradientOf(0, 1)
		scale := 1.0
		for i := range whole {
			scale = max(scale, math.Abs(a[i]), math.Abs(b[i]))
		}
		for i, g := range whole {
			if twice[i] != 2*g {
				r.Fatalf("number %d of the gradient is %g, for twice the cost %g", i, g, twice[i])
			}
			if d := math.Abs(a[i] + b[i] - g); !(d <= 1e-5*scale) {
				r.Fatalf("number %d of the gradient is %g, those of the parts are %g and %g", i, g, a[i], b[i])
			}
		}
	})
}

// TestCostsOfRandomGraphsFollowTheirGradient: along the gradient the cost rises by the square of its length, whatever
// operations are on the way.
func TestCostsOfRandomGraphsFollowTheirGradient(t *testing.T) {
	engine := newEngine(t)
	inputs := map[string][]float32{"input": noise("input", 8*3)}
	rapid.Check(t, func(r *rapid.T) {
		instructions := drawSmooth(r)
		build := func(c *nn.Ctx) *G.Node {
			nodes := buildGraph(c, instructions)
			last := nn.Add(c, nodes[len(nodes)-1], nodes[1])
			return nn.Sum(c, nn.Multiply(c, last, last))
		}
		store, program, cost := compileModel(t, engine, nn.Compile, build, inputs)
		before := runModel(t, store, program, cost)
		square, start := 0.0, append([]float32(nil), store.Values()...)
		for _, g := range before.Gradients {
			square += float64(g) * float64(g)
		}
		// The central difference along the gradient, over a distance of a thousandth.
		step := 1e-3 / math.Sqrt(square)
		var costs [2]float64
		for side, sign := range []float64{1, -1} {
			for i, g := range before.Gradients {
				store.Values()[i] = start[i] + float32(sign*step*float64(g))
			}
			run(t, program)
			costs[side] = float64(program.Value(cost)[0])
		}
		slope, rounding := (costs[0]-costs[1])/(2*step), 1e-6*float64(before.Cost)/step
		if math.Abs(slope-square) > 0.02*square+rounding {
			r.Fatalf("the cost rises by %g along the gradient, want %g; the cost is %g", slope, square, before.Cost)
		}
	})
}

// drawSmooth leaves out ReLU, whose corner a step may cross.
func drawSmooth(r *rapid.T) []instruction {
	instructions := drawGraph(r)
	for i := range instructions {
		if instructions[i].operation == 2 || instructions[i].operation == 4 {
			instructions[i].operation = 3
		}
	}
	return instructions[:min(len(instructions), 5)]
}
