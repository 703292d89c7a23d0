package losses

import (
	"slices"

	G "gorgonia.org/gorgonia"

	"pretrain/nn"
)

func init() { Register("fixed", func() Weighter { return &fixed{} }) }

// fixed is Σ wᵢLᵢ with the user's weights.
type fixed struct{ weights []float64 }

func (f *fixed) Combine(c *nn.Ctx, terms []Term) (*G.Node, error) {
	f.weights = userWeights(terms)
	return nn.WeightedSum(c, lossesOf(terms), nn.Constant(c, float32s(f.weights), 1, len(terms))), c.Err()
}

func (f *fixed) Bind(*nn.Program)                   {}
func (f *fixed) Observe([]float64, bool)            {}
func (f *fixed) Weights() []float64                 { return slices.Clone(f.weights) }
func (f *fixed) State() map[string][]float32        { return nil }
func (f *fixed) Restore(map[string][]float32) error { return nil }
