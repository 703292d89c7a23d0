package kernel

import (
	"fmt"
	"slices"
	"testing"
)

// benchmark runs body on the preferred family with one worker and with all; arrays is the number of float32 arrays of
// n elements that go through memory.
func benchmark(b *testing.B, n, arrays int, body func(e *Engine)) {
	benchmarkBytes(b, 4*n*arrays, body)
}

func benchmarkBytes(b *testing.B, bytes int, body func(e *Engine)) {
	for _, workers := range []int{1, 0} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			e, err := New(Options{Workers: workers})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			b.SetBytes(int64(bytes))
			for b.Loop() {
				body(e)
			}
		})
	}
}

// benchmarkStorages does the same for activations in float32 and in bf16: values makes an array of n of them.
func benchmarkStorages(b *testing.B, n, arrays int, prepare func(values func() Array) func(e *Engine)) {
	x := benchValues(n)
	b.Run("float32", func(b *testing.B) {
		benchmarkBytes(b, 4*n*arrays, prepare(func() Array { return F32(slices.Clone(x)) }))
	})
	b.Run("bf16", func(b *testing.B) {
		half, _ := rounded(x)
		benchmarkBytes(b, 2*n*arrays, prepare(func() Array { return BF16(slices.Clone(half.bf16)) }))
	})
}

// The rows and channels of ViT-Tiny's activations at batch 128 on 32-pixel pictures, and of ResNet-18's first stage.
const (
	benchTokens, benchWidth      = 128 * 65, 192
	benchHidden                  = 4 * benchWidth
	benchPositions, benchFilters = 128 * 32 * 32, 64
)

func benchValues(n int) []float32 { return normals(seeded(uint64(n)), n, 0, 1) }

func BenchmarkAdd(b *testing.B) {
	benchmarkStorages(b, benchTokens*benchHidden, 3, func(values func() Array) func(e *Engine) {
		x, y := values(), values()
		return func(e *Engine) { e.Accumulate(y, x) }
	})
}

func BenchmarkScale(b *testing.B) {
	benchmarkStorages(b, benchTokens*benchHidden, 2, func(values func() Array) func(e *Engine) {
		x, y := values(), values()
		return func(e *Engine) { e.Scale(y, x, 0.5) }
	})
}

func BenchmarkReLUBackward(b *testing.B) {
	benchmarkStorages(b, benchTokens*benchHidden, 3, func(values func() Array) func(e *Engine) {
		y, dx := values(), values()
		return func(e *Engine) { e.ReLUBackward(dx, dx, y) }
	})
}

func BenchmarkGELUForward(b *testing.B) {
	benchmarkStorages(b, benchTokens*benchHidden, 2, func(values func() Array) func(e *Engine) {
		x, y := values(), values()
		return func(e *Engine) { e.GELUForward(y, x) }
	})
}

func BenchmarkGELUBackward(b *testing.B) {
	benchmarkStorages(b, benchTokens*benchHidden, 3, func(values func() Array) func(e *Engine) {
		x, dy, dx := values(), values(), values()
		return func(e *Engine) { e.GELUBackward(dx, dy, x) }
	})
}

func BenchmarkLayerNormForward(b *testing.B) {
	rows, cols := 4*benchTokens, benchWidth
	benchmarkStorages(b, rows*cols, 2, func(values func() Array) func(e *Engine) {
		x, y, gamma := values(), values(), benchValues(cols)
		mean, rstd := make([]float32, rows), make([]float32, rows)
		return func(e *Engine) { e.LayerNormForward(y, mean, rstd, x, gamma, gamma, rows, cols, 1e-6) }
	})
}

func BenchmarkLayerNormBackward(b *testing.B) {
	rows, cols := 4*benchTokens, benchWidth
	benchmarkStorages(b, rows*cols, 3, func(values func() Array) func(e *Engine) {
		x, dy, dx, gamma := values(), values(), values(), benchValues(cols)
		mean, rstd, dgamma, dbeta := make([]float32, rows), make([]float32, rows), make([]float32, cols), make([]float32, cols)
		return func(e *Engine) { e.LayerNormBackward(dx, dgamma, dbeta, dy, x, gamma, mean, rstd, rows, cols) }
	})
}

func BenchmarkColumnSums(b *testing.B) {
	rows, cols := benchTokens, benchHidden
	benchmarkStorages(b, rows*cols, 1, func(values func() Array) func(e *Engine) {
		x, sums := values(), make([]float32, cols)
		return func(e *Engine) { e.ColumnSums(sums, x, rows, cols) }
	})
}

func BenchmarkBatchNorm(b *testing.B) {
	rows, cols := benchPositions, benchFilters
	benchmarkStorages(b, rows*cols, 3, func(values func() Array) func(e *Engine) {
		x, y, gamma := values(), values(), benchValues(cols)
		mean, rstd := make([]float32, cols), make([]float32, cols)
		return func(e *Engine) {
			e.batchNorm(y, mean, rstd, x, Array{}, gamma, gamma, NormGroups{rows}, cols, 1e-5, true)
		}
	})
}

func BenchmarkBatchNormBackward(b *testing.B) {
	rows, cols := benchPositions, benchFilters
	benchmarkStorages(b, rows*cols, 7, func(values func() Array) func(e *Engine) {
		x, y, dy, dx, gamma := values(), values(), values(), values(), benchValues(cols)
		mean, rstd, dgamma, dbeta := make([]float32, cols), make([]float32, cols), make([]float32, cols), make([]float32, cols)
		return func(e *Engine) {
			e.BatchNormBackward(dx, Array{}, dgamma, dbeta, dy, y, x, gamma, mean, rstd, NormGroups{rows}, cols, true)
		}
	})
}

func BenchmarkMaxPoolForward(b *testing.B) {
	s := PoolShape{Images: 4, Height: 112, Width: 112, Channels: 64, Kernel: 3, Stride: 2, Pad: 1}
	x := benchValues(s.Images * s.Height * s.Width * s.Channels)
	y, argmax := make([]float32, len(x)/4), make([]int32, len(x)/4)
	benchmark(b, len(x), 1, func(e *Engine) { e.MaxPoolForward(s, F32(y), argmax, F32(x)) })
}

func BenchmarkCrossEntropy(b *testing.B) {
	rows, classes := 64*64, 313
	logits, dlogits, losses, labels := benchValues(rows*classes), benchValues(rows*classes), make([]float32, rows), make([]float32, rows)
	benchmark(b, rows*classes, 3, func(e *Engine) {
		e.CrossEntropyForward(losses, logits, labels, rows, classes)
		e.CrossEntropyBackward(dlogits, logits, labels, 1, rows, classes)
	})
}

func BenchmarkPairScores(b *testing.B) {
	const views, tokens, classes, dim = 32, 64, 9, 32
	q, k := benchValues(views*tokens*classes*dim), benchValues(views*tokens*classes*dim)
	scores := make([]float32, views*tokens*tokens*classes)
	benchmark(b, len(scores), 1, func(e *Engine) { e.PairScoresForward(scores, q, k, views, tokens, classes, dim) })
}

// BenchmarkAttention counts the operations of the matrix products as its bytes, so that MB/s reads as MFLOP/s: two
// products forward, five backward (one of them the scores again).
func BenchmarkAttention(b *testing.B) {
	for _, s := range []AttentionShape{{64, 65, 3, 64, 0}, {32, 65, 6, 32, 0}, {4, 197, 6, 64, 0}} {
		n := s.Views * s.Tokens * s.Heads * s.HeadDim
		qkv, dqkv, out, dout, lse := benchValues(3*n), make([]float32, 3*n), make([]float32, n), benchValues(n), make([]float32, s.Views*s.Heads*s.Tokens)
		for storage, array := range storages {
			name := fmt.Sprintf("tokens=%d,dim=%d/%s", s.Tokens, s.HeadDim, storage)
			q, dq, y, dy := array(qkv), array(dqkv), array(out), array(dout)
			b.Run(name+"/forward", func(b *testing.B) {
				benchmark(b, n*s.Tokens/2, 2, func(e *Engine) { e.AttentionForward(s, y, lse, q) })
			})
			b.Run(name+"/backward", func(b *testing.B) {
				benchmark(b, n*s.Tokens/2, 5, func(e *Engine) { e.AttentionBackward(s, dq, dy, lse, q) })
			})
		}
	}
}

func BenchmarkAdamW(b *testing.B) {
	n := 5_500_000
	p, g, m, v := benchValues(n), benchValues(n), make([]float32, n), make([]float32, n)
	h := AdamWStep{LearningRate: 1e-3, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.05, Step: 1, GradientScale: 1}
	benchmark(b, n, 7, func(e *Engine) { e.AdamW(p, g, m, v, h) })
}

func BenchmarkSumSquares(b *testing.B) {
	x := benchValues(5_500_000)
	benchmark(b, len(x), 1, func(e *Engine) { e.SumSquares(x) })
}
