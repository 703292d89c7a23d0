package losses

import (
	"math"

	G "gorgonia.org/gorgonia"

	"pretrain/nn"
)

func init() { Register("uncertainty", func() Weighter { return &uncertainty{} }) }

// uncertainty learns a log variance sᵢ a task with the network (Kendall, Gal & Cipolla 2018, arXiv:1705.07115): a
// classification loss counts as Lᵢ·e^(−sᵢ) + sᵢ/2 and a regression loss as Lᵢ·e^(−sᵢ)/2 + sᵢ/2, each times the user's
// weight. The sᵢ start at 0, so that a run begins with the user's weights, and do not decay.
type uncertainty struct {
	terms   []Term
	logs    *G.Node // s, [1, tasks]
	program *nn.Program
}

func (u *uncertainty) Combine(c *nn.Ctx, terms []Term) (*G.Node, error) {
	u.terms = terms
	count := len(terms)
	u.logs = c.Parameter("losses.log_variance", []int{count}, nn.Token, nn.Zeros())
	factors, halves := make([]float64, count), make([]float64, count)
	for i := range terms {
		factors[i], halves[i] = u.factor(i), terms[i].Weight/2
	}
	weights := nn.Multiply(c, nn.Exp(c, nn.Scale(c, u.logs, -1)), nn.Constant(c, float32s(factors), 1, count))
	data := nn.WeightedSum(c, lossesOf(terms), weights)
	penalty := nn.Sum(c, nn.Multiply(c, u.logs, nn.Constant(c, float32s(halves), 1, count)))
	return nn.WeightedSum(c, []*G.Node{data, penalty}, nn.Constant(c, []float32{1, 1}, 1, 2)), c.Err()
}

// factor is what multiplies Lᵢ·e^(−sᵢ).
func (u *uncertainty) factor(i int) float64 {
	if u.terms[i].Kind == Regression {
		return u.terms[i].Weight / 2
	}
	return u.terms[i].Weight
}

func (u *uncertainty) Bind(program *nn.Program) { u.program = program }
func (u *uncertainty) Observe([]float64, bool)  {}

// Weights are the present factors, e^(−sᵢ) included.
func (u *uncertainty) Weights() []float64 {
	weights := make([]float64, len(u.terms))
	for i := range weights {
		weights[i] = u.factor(i)
	}
	if u.program == nil { // s starts at 0
		return weights
	}
	for i, s := range u.program.Value(u.logs) {
		weights[i] *= math.Exp(-float64(s))
	}
	return weights
}

// State is empty: the log variances are parameters and saved with them.
func (u *uncertainty) State() map[string][]float32        { return nil }
func (u *uncertainty) Restore(map[string][]float32) error { return nil }
