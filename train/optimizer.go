package train

import (
	"pretrain/internal/kernel"
	"pretrain/nn"
)

// An Optimizer updates all parameters of a store in place, over its flat buffers. It keeps two moments a parameter
// for AdamW (Loshchilov & Hutter 2019) and one for SGD with Nesterov momentum (Sutskever et al. 2013, as in torch).
// One goroutine may use it.
type Optimizer struct {
	config  OptimizerConfig
	store   *nn.Store
	spans   []span
	moments [][]float32
}

// span is a range of the flat buffers whose parameters are all decayed, or all not.
type span struct {
	from, to int
	decay    bool
}

// NewOptimizer prepares the moments of all parameters of a frozen store.
func NewOptimizer(config OptimizerConfig, store *nn.Store) *Optimizer {
	o := &Optimizer{config: config, store: store, spans: decaySpans(store)}
	for range config.moments() {
		o.moments = append(o.moments, make([]float32, len(store.Values())))
	}
	return o
}

// Bytes is what a Step reads and writes at least: parameters and moments both ways, gradients once.
func (o *Optimizer) Bytes() float64 {
	passes := 2*(1+len(o.moments)) + 1
	return float64(4 * passes * len(o.store.Values()))
}

// moments is the number of moments kept of each parameter.
func (c OptimizerConfig) moments() int {
	if c.Name == "sgd" {
		return 1
	}
	return 2
}

// decaySpans merges neighbouring parameters of equal treatment: weights are decayed; norms, biases, position
// embeddings and tokens are not.
func decaySpans(store *nn.Store) []span {
	var spans []span
	for _, parameter := range store.Parameters() {
		decay := parameter.Kind == nn.Weight
		from, to := parameter.Offset, parameter.Offset+len(parameter.Value)
		if last := len(spans) - 1; last >= 0 && spans[last].decay == decay {
			spans[last].to = to
			continue
		}
		spans = append(spans, span{from, to, decay})
	}
	return spans
}

// Step applies the store's gradients, multiplied by scale, with the given learning rate. Steps count from 1.
func (o *Optimizer) Step(engine *kernel.Engine, step int, rate, scale float64) {
	for _, s := range o.spans {
		decay := 0.0
		if s.decay {
			decay = o.config.WeightDecay
		}
		values, gradients := o.store.Values()[s.from:s.to], o.store.Gradients()[s.from:s.to]
		if o.config.Name == "sgd" {
			engine.SGD(values, gradients, o.moments[0][s.from:s.to], kernel.SGDStep{
				LearningRate: rate, Momentum: o.config.Momentum, Nesterov: o.config.Nesterov,
				WeightDecay: decay, GradientScale: scale,
			})
			continue
		}
		engine.AdamW(values, gradients, o.moments[0][s.from:s.to], o.moments[1][s.from:s.to], kernel.AdamWStep{
			LearningRate: rate, Beta1: o.config.Beta1, Beta2: o.config.Beta2, Epsilon: o.config.Epsilon,
			WeightDecay: decay, Step: step, GradientScale: scale,
		})
	}
}
