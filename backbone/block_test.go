package backbone_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pretrain/backbone"
	"pretrain/nn"
)

// TestBlockOfFirstTokens: a block of which only the first tokens of each view are read gives their results and the
// gradients of everything, whether it computes the others or not.
func TestBlockOfFirstTokens(t *testing.T) {
	engine := newEngine(t)
	rapid.Check(t, func(r *rapid.T) {
		tokens, views, heads := rapid.IntRange(1, 9).Draw(r, "tokens"), rapid.IntRange(1, 3).Draw(r, "views"), rapid.IntRange(1, 3).Draw(r, "heads")
		first, width := rapid.IntRange(1, tokens).Draw(r, "first"), 4*heads
		pass := func(computed int) (out, gradients []float32) {
			store := nn.NewStore(1)
			c := nn.NewCtx(store, true)
			x := c.Parameter("x", []int{views * tokens, width}, nn.Weight, nn.Zeros())
			y := nn.SliceTokens(c, backbone.TransformerBlock(c, x, tokens, computed, heads, 2*width), computed, 0, first)
			labels := make([]float32, views*first)
			for i := range labels {
				labels[i] = float32(i % width)
			}
			loss := nn.CrossEntropy(c, y, nn.Constant(c, labels, views*first, 1))
			program := compile(t, c, engine, loss, loss, y)
			setNumbers(store)
			run(t, program)
			return slices.Clone(program.Value(y)), store.Gradients()
		}
		wantOut, want := pass(tokens)
		out, got := pass(first)
		near(t, "the result", out, wantOut, 1e-5)
		near(t, "the gradient", got, want, 1e-5)
		if t.Failed() {
			r.Fatalf("the first %d of %d tokens", first, tokens)
		}
	})
}
