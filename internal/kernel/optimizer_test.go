package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestAdamW follows a few steps of algorithm 2 of Loshchilov & Hutter (2019).
func TestAdamW(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			n, r := sizes.Draw(t, "n"), randomOf(t)
			h := AdamWStep{LearningRate: 0.01, Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-6, WeightDecay: 0.1, GradientScale: 0.5}
			p, m, v := normals(r, n, 0, 1), make([]float32, n), make([]float32, n)
			wantP, wantM, wantV := float64s(p), float64s(m), float64s(v)
			for h.Step = 1; h.Step <= 3; h.Step++ {
				g := normals(r, n, 0, 1)
				e.AdamW(p, g, m, v, h)
				for i := range n {
					gradient := h.GradientScale * float64(g[i])
					wantM[i] = h.Beta1*wantM[i] + (1-h.Beta1)*gradient
					wantV[i] = h.Beta2*wantV[i] + (1-h.Beta2)*gradient*gradient
					mean := wantM[i] / (1 - math.Pow(h.Beta1, float64(h.Step)))
					square := wantV[i] / (1 - math.Pow(h.Beta2, float64(h.Step)))
					wantP[i] -= h.LearningRate * (mean/(math.Sqrt(square)+h.Epsilon) + h.WeightDecay*wantP[i])
				}
			}
			near(t, "m", m, wantM, 1e-6)
			near(t, "v", v, wantV, 1e-6)
			near(t, "p", p, wantP, 1e-6)
		})
	})
}

// TestSGD follows a few steps as the documentation of torch.optim.SGD defines them, without dampening.
func TestSGD(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			n, r := sizes.Draw(t, "n"), randomOf(t)
			h := SGDStep{
				LearningRate: 0.1, Momentum: rapid.SampledFrom([]float64{0, 0.9}).Draw(t, "momentum"),
				Nesterov: rapid.Bool().Draw(t, "nesterov"), WeightDecay: 0.05, GradientScale: 0.5,
			}
			p, momentum := normals(r, n, 0, 1), make([]float32, n)
			wantP, buffer := float64s(p), make([]float64, n)
			for range 3 {
				g := normals(r, n, 0, 1)
				e.SGD(p, g, momentum, h)
				for i := range n {
					step := h.GradientScale*float64(g[i]) + h.WeightDecay*wantP[i]
					buffer[i] = h.Momentum*buffer[i] + step
					if h.Nesterov {
						step += h.Momentum * buffer[i]
					} else {
						step = buffer[i]
					}
					wantP[i] -= h.LearningRate * step
				}
			}
			near(t, "momentum", momentum, buffer, 2e-6)
			near(t, "p", p, wantP, 2e-6)
		})
	})
}

func TestOptimizersDependOnTheProblemOnly(t *testing.T) {
	n := 2*elementChunk + 3
	sameForWorkers(t, func(e *Engine) []float32 {
		r := seeded(1)
		p, g, m, v := normals(r, n, 0, 1), normals(r, n, 0, 1), make([]float32, n), make([]float32, n)
		e.AdamW(p, g, m, v, AdamWStep{LearningRate: 0.1, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Step: 1, GradientScale: 1})
		e.SGD(p, g, m, SGDStep{LearningRate: 0.1, Momentum: 0.9, GradientScale: 1})
		return p
	})
}
