package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// attentionReference returns the output, lse and the probabilities.
func attentionReference(s AttentionShape, qkv []float64) (out, lse, weights []float64) {
	t, d, width, asking := s.Tokens, s.HeadDim, s.Heads*s.HeadDim, s.asking()
	out = make([]float64, s.Views*asking*width)
	at := func(view, token, part, head, c int) float64 {
		return qkv[(view*t+token)*3*width+part*width+head*d+c]
	}
	for view := range s.Views {
		for head := range s.Heads {
			for i := range t {
				scores := make([]float64, t)
				for j := range t {
					for c := range d {
						scores[j] += at(view, i, 0, head, c) * at(view, j, 1, head, c) / math.Sqrt(float64(d))
					}
				}
				normalizer := logSumExpReference(scores)
				if i < asking {
					lse = append(lse, normalizer)
				}
				for j, score := range scores {
					p := math.Exp(score - normalizer)
					weights = append(weights, p)
					for c := range d {
						if i < asking {
							out[(view*asking+i)*width+head*d+c] += p * at(view, j, 2, head, c)
						}
					}
				}
			}
		}
	}
	return out, lse, weights
}

func checkAttention(t failer, e *Engine, s AttentionShape, seed uint64) {
	t.Helper()
	r, width, rows, results := seeded(seed), s.Heads*s.HeadDim, s.Views*s.Tokens, s.Views*s.asking()
	qkv, dout := normals(r, rows*3*width, 0, 1.5), normals(r, results*width, 0, 1)
	out, lse, weights, dqkv := dirty(results*width), dirty(results*s.Heads), dirty(rows*s.Heads*s.Tokens), dirty(rows*3*width)
	wantOut, wantLSE, wantWeights := attentionReference(s, float64s(qkv))
	e.AttentionForward(s, F32(out), lse, F32(qkv))
	near(t, "out", out, wantOut, 1e-5)
	near(t, "lse", lse, wantLSE, 1e-5)
	e.AttentionWeights(s, weights, F32(qkv))
	near(t, "weights", weights, wantWeights, 1e-5)
	e.AttentionBackward(s, F32(dqkv), F32(dout), lse, F32(qkv))
	followsDifferences(t, r, func(in [][]float64) float64 {
		out, _, _ := attentionReference(s, in[0])
		return weighted(dout, out)
	}, [][]float32{qkv}, [][]float32{dqkv})
}

func TestAttention(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			s := AttentionShape{
				Views: rapid.IntRange(0, 2).Draw(t, "views"), Heads: rapid.IntRange(1, 3).Draw(t, "heads"),
				Tokens: rapid.IntRange(1, 20).Draw(t, "tokens"), HeadDim: rapid.IntRange(1, 18).Draw(t, "head dim"),
			}
			s.Queries = rapid.IntRange(0, s.Tokens).Draw(t, "queries")
			checkAttention(t, e, s, rapid.Uint64().Draw(t, "seed"))
		})
	})
}

func TestAttentionOfVisionTransformers(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		for _, s := range []AttentionShape{{1, 65, 2, 64, 0}, {1, 37, 3, 32, 0}, {1, 197, 1, 64, 0}, {1, 65, 2, 64, 1}, {2, 37, 3, 32, 9}} {
			checkAttention(t, e, s, 1)
		}
	})
}

func TestAttentionDependsOnTheProblemOnly(t *testing.T) {
	s := AttentionShape{Views: 5, Tokens: 33, Heads: 3, HeadDim: 8}
	n := s.Views * s.Tokens * s.Heads * s.HeadDim
	qkv := normals(seeded(1), 3*n, 0, 1)
	sameForWorkers(t, func(e *Engine) []float32 {
		all, lse := dirty(4*n), dirty(s.Views*s.Heads*s.Tokens)
		e.AttentionForward(s, F32(all[:n]), lse, F32(qkv))
		e.AttentionBackward(s, F32(all[n:]), F32(all[:n]), lse, F32(qkv))
		return append(all, lse...)
	})
}
