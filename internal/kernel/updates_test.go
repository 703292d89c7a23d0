package kernel

import (
	"math"
	"testing"
)

// adamW64 is one update of algorithm 2 of Loshchilov & Hutter (2019) in float64.
func adamW64(p, g, m, v []float64, h AdamWStep) {
	for i := range p {
		gradient := h.GradientScale * g[i]
		m[i] = h.Beta1*m[i] + (1-h.Beta1)*gradient
		v[i] = h.Beta2*v[i] + (1-h.Beta2)*gradient*gradient
		mean := m[i] / (1 - math.Pow(h.Beta1, float64(h.Step)))
		square := v[i] / (1 - math.Pow(h.Beta2, float64(h.Step)))
		p[i] -= h.LearningRate * (mean/(math.Sqrt(square)+h.Epsilon) + h.WeightDecay*p[i])
	}
}

// sgd64 is one update of torch.optim.SGD without dampening, in float64.
func sgd64(p, g, momentum []float64, h SGDStep) {
	for i := range p {
		step := h.GradientScale*g[i] + h.WeightDecay*p[i]
		momentum[i] = h.Momentum*momentum[i] + step
		if h.Nesterov {
			step += h.Momentum * momentum[i]
		} else {
			step = momentum[i]
		}
		p[i] -= h.LearningRate * step
	}
}

// gradientAt is the gradient of ½·Σ aᵢ·(p − cᵢ)², a bowl of unequal sides, with noise: optimizers walk down and then
// wander, as in training.
func gradientAt(p []float32, step int) []float32 {
	noise := normals(seeded(uint64(step)), len(p), 0, 0.3)
	for i := range noise {
		noise[i] += float32(1+i%7) * (p[i] - float32(i%5))
	}
	return noise
}

// TestAdamWOverAThousandSteps stays beside its float64 reference, which sees the same gradients: rounding neither grows
// nor drifts, and the bias corrections go to one smoothly.
func TestAdamWOverAThousandSteps(t *testing.T) {
	const n, steps = 67, 1000
	inFamilies(t, func(t *testing.T, e *Engine) {
		h := AdamWStep{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-6, WeightDecay: 0.01, GradientScale: 0.7}
		p, m, v := normals(seeded(1), n, 0, 1), make([]float32, n), make([]float32, n)
		want, wantM, wantV := float64s(p), float64s(m), float64s(v)
		for h.Step = 1; h.Step <= steps; h.Step++ {
			h.LearningRate = 0.02 * (1 - float64(h.Step-1)/steps)
			g := gradientAt(p, h.Step)
			e.AdamW(p, g, m, v, h)
			adamW64(want, float64s(g), wantM, wantV, h)
		}
		near(t, "p", p, want, 2e-5)
		near(t, "m", m, wantM, 1e-5)
		near(t, "v", v, wantV, 3e-5) // 0.999 in float32 is 1.3e-8 more, of which a mean over a thousand steps makes 1.3e-5
	})
}

// TestSGDOverAThousandSteps, with and without Nesterov's look ahead.
func TestSGDOverAThousandSteps(t *testing.T) {
	const n, steps = 67, 1000
	inFamilies(t, func(t *testing.T, e *Engine) {
		for _, nesterov := range []bool{false, true} {
			h := SGDStep{Momentum: 0.9, Nesterov: nesterov, WeightDecay: 1e-3, GradientScale: 0.7}
			p, momentum := normals(seeded(2), n, 0, 1), make([]float32, n)
			want, wantMomentum := float64s(p), float64s(momentum)
			for step := range steps {
				h.LearningRate = 0.01 * (1 - float64(step)/steps)
				g := gradientAt(p, step)
				e.SGD(p, g, momentum, h)
				sgd64(want, float64s(g), wantMomentum, h)
			}
			near(t, "p", p, want, 2e-5)
			near(t, "momentum", momentum, wantMomentum, 1e-5)
		}
	})
}

// TestLateUpdatesNeedNoBiasCorrection: a run of a million steps, resumed, has corrections that are one to the last bit,
// and nothing overflows or vanishes on the way to them.
func TestLateUpdatesNeedNoBiasCorrection(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		for _, step := range []int{1, 10, 10_000, 1_000_000, 100_000_000} {
			h := AdamWStep{LearningRate: 0.1, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Step: step, GradientScale: 1}
			p, g, m, v := []float32{1, -2}, []float32{0.5, 1e-3}, []float32{0.25, 1e-3}, []float32{0.3, 1e-6}
			want, wantM, wantV := float64s(p), float64s(m), float64s(v)
			e.AdamW(p, g, m, v, h)
			adamW64(want, float64s(g), wantM, wantV, h)
			near(t, "p", p, want, 1e-5)
		}
	})
}

// TestUpdatesOfNothingChangeNothing: without gradient, momentum and decay every bit stays, negative zeros and the
// smallest numbers included.
func TestUpdatesOfNothingChangeNothing(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		start := []float32{1, -1, 0, float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32, math.MaxFloat32, 1e-38, -3e38, 0.1}
		p, zero := append([]float32{}, start...), make([]float32, len(start))
		e.AdamW(p, zero, make([]float32, len(p)), make([]float32, len(p)),
			AdamWStep{LearningRate: 0.1, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Step: 1, GradientScale: 1})
		e.SGD(p, zero, make([]float32, len(p)), SGDStep{LearningRate: 0.1, Momentum: 0.9, Nesterov: true, GradientScale: 1})
		near(t, "p", p, float64s(start), 0)
	})
}

// TestAScaledGradientIsAnotherGradient: GradientScale, by which clipping and averaging work, is a factor of the gradient
// and of nothing else. Powers of two make both the same bits.
func TestAScaledGradientIsAnotherGradient(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		const n = 33
		for _, scale := range []float64{0.25, 1, 8} {
			var results [2][]float32
			for i := range results {
				r := seeded(3)
				p, g, m, momentum := normals(r, n, 0, 1), normals(r, n, 0, 1), normals(r, n, 0, 1), normals(r, n, 0, 1)
				v := make([]float32, n)
				factor := scale
				if i == 1 {
					for j := range g {
						g[j] *= float32(scale)
					}
					factor = 1
				}
				e.AdamW(p, g, m, v, AdamWStep{
					LearningRate: 0.1, Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-8, WeightDecay: 0.1, Step: 2, GradientScale: factor,
				})
				e.SGD(p, g, momentum, SGDStep{
					LearningRate: 0.1, Momentum: 0.9, Nesterov: true, WeightDecay: 0.1, GradientScale: factor,
				})
				results[i] = append(append(append(p, m...), v...), momentum...)
			}
			near(t, "everything", results[0], float64s(results[1]), 1e-6)
		}
	})
}
