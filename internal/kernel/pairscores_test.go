package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// pairScoresReference is scores[(view, i, j), c] = q_c(i)·k_c(j)/√dim.
func pairScoresReference(q, k []float64, views, tokens, classes, dim int) []float64 {
	scores := make([]float64, 0, views*tokens*tokens*classes)
	for view := range views {
		for i := view * tokens; i < (view+1)*tokens; i++ {
			for j := view * tokens; j < (view+1)*tokens; j++ {
				for c := range classes {
					score := 0.0
					for d := c * dim; d < (c+1)*dim; d++ {
						score += q[i*classes*dim+d] * k[j*classes*dim+d] / math.Sqrt(float64(dim))
					}
					scores = append(scores, score)
				}
			}
		}
	}
	return scores
}

func TestPairScores(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			views, tokens := rapid.IntRange(0, 2).Draw(t, "views"), rapid.IntRange(1, 18).Draw(t, "tokens")
			classes, dim, r := rapid.IntRange(1, 9).Draw(t, "classes"), rapid.IntRange(1, 17).Draw(t, "dim"), randomOf(t)
			n := views * tokens * classes * dim
			q, k, dscores := normals(r, n, 0, 1), normals(r, n, 0, 1), normals(r, views*tokens*tokens*classes, 0, 1)
			scores, dq, dk := dirty(len(dscores)), dirty(n), dirty(n)
			e.PairScoresForward(scores, q, k, views, tokens, classes, dim)
			near(t, "scores", scores, pairScoresReference(float64s(q), float64s(k), views, tokens, classes, dim), 5e-6)
			e.PairScoresBackward(dq, dk, dscores, q, k, views, tokens, classes, dim)
			followsDifferences(t, r, func(in [][]float64) float64 {
				return weighted(dscores, pairScoresReference(in[0], in[1], views, tokens, classes, dim))
			}, [][]float32{q, k}, [][]float32{dq, dk})
		})
	})
}

func TestPairScoresDependOnTheProblemOnly(t *testing.T) {
	const views, tokens, classes, dim = 7, 9, 5, 6
	q, k := normals(seeded(1), views*tokens*classes*dim, 0, 1), normals(seeded(2), views*tokens*classes*dim, 0, 1)
	sameForWorkers(t, func(e *Engine) []float32 {
		scores, dq, dk := dirty(views*tokens*tokens*classes), dirty(len(q)), dirty(len(k))
		e.PairScoresForward(scores, q, k, views, tokens, classes, dim)
		e.PairScoresBackward(dq, dk, scores, q, k, views, tokens, classes, dim)
		return append(append(scores, dq...), dk...)
	})
}
