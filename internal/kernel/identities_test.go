package kernel

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The tests here pin what must hold whatever the numbers are, on top of the references of each kernel.

// TestCrossEntropySeesDifferencesOnly: adding one number to all logits of a row changes neither loss nor gradient, the
// gradient of a row adds up to zero, and rows that are left out have none.
func TestCrossEntropySeesDifferencesOnly(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			rows, classes, r := rapid.IntRange(1, 20).Draw(t, "rows"), rapid.IntRange(2, 40).Draw(t, "classes"), randomOf(t)
			logits, labels := normals(r, rows*classes, 0, 3), make([]float32, rows)
			shifted := slices.Clone(logits)
			for i := range rows {
				labels[i] = float32(r.IntN(classes+1) - 1)
				by := float32(r.IntN(2000) - 1000)
				for c := range classes { // quarters keep the sums exact
					at := i*classes + c
					logits[at] = float32(math.Round(4*float64(logits[at])) / 4)
					shifted[at] = logits[at] + by
				}
			}
			losses, gradient, shiftedLosses, shiftedGradient := dirty(rows), dirty(rows*classes), dirty(rows), dirty(rows*classes)
			e.CrossEntropyForward(losses, logits, labels, rows, classes)
			e.CrossEntropyForward(shiftedLosses, shifted, labels, rows, classes)
			e.CrossEntropyBackward(gradient, logits, labels, 1, rows, classes)
			e.CrossEntropyBackward(shiftedGradient, shifted, labels, 1, rows, classes)
			near(t, "losses of shifted logits", shiftedLosses, float64s(losses), 2e-4) // log-sum-exp near 1000 has steps of 6e-5
			near(t, "gradient of shifted logits", shiftedGradient, float64s(gradient), 1e-6)
			for i, label := range labels {
				sum, row := 0.0, gradient[i*classes:(i+1)*classes]
				for c, g := range row {
					sum += float64(g)
					if label < 0 && g != 0 || label >= 0 && (g > 0) != (c != int(label)) && g != 0 {
						t.Fatalf("label %g: gradient %g of class %d", label, g, c)
					}
				}
				if math.Abs(sum) > 1e-5 || label < 0 && losses[i] != 0 || losses[i] < 0 {
					t.Fatalf("row %d of label %g has loss %g and a gradient that adds up to %g", i, label, losses[i], sum)
				}
			}
		})
	})
}

// TestHardLabelsAreSoftOnes: a distribution of one class is that class's label, and twice the weight is twice the loss.
func TestHardLabelsAreSoftOnes(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			rows, classes, r := rapid.IntRange(1, 12).Draw(t, "rows"), rapid.IntRange(1, 40).Draw(t, "classes"), randomOf(t)
			logits, labels := normals(r, rows*classes, 0, 3), make([]float32, rows)
			targets, weights := make([]float32, rows*classes), make([]float32, rows)
			for i := range rows {
				label := r.IntN(classes)
				labels[i], targets[i*classes+label], weights[i] = float32(label), 1, 2
			}
			hard, soft, hardGradient, softGradient := dirty(rows), dirty(rows), dirty(rows*classes), dirty(rows*classes)
			e.CrossEntropyForward(hard, logits, labels, rows, classes)
			e.SoftCrossEntropyForward(soft, logits, targets, weights, rows, classes)
			e.CrossEntropyBackward(hardGradient, logits, labels, 2, rows, classes)
			e.SoftCrossEntropyBackward(softGradient, logits, targets, weights, 1, rows, classes)
			for i := range hard {
				hard[i] *= 2
			}
			near(t, "losses", soft, float64s(hard), 3e-6)
			near(t, "gradient", softGradient, float64s(hardGradient), 1e-6)
		})
	})
}

// TestSoftmaxInPlace: gradients may be written over the logits, as the planner has it.
func TestSoftmaxInPlace(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		const rows, classes = 2*maxBlockRows + 3, 11
		logits, labels := normals(seeded(1), rows*classes, 0, 3), make([]float32, rows)
		want := dirty(rows * classes)
		e.CrossEntropyBackward(want, logits, labels, 0.5, rows, classes)
		e.CrossEntropyBackward(logits, logits, labels, 0.5, rows, classes)
		sameBits(t, "in place", logits, want)
	})
}

// TestGELUIdentities: x·Φ(x) + x·Φ(−x) = x, so that gelu(x) − gelu(−x) = x and the slopes at x and −x add up to one; it
// lies between 0 and x on the right and never far below 0 on the left.
func TestGELUIdentities(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			n := sizes.Draw(t, "n")
			x := normals(randomOf(t), n, 0, rapid.SampledFrom([]float64{1e-3, 1, 5, 50}).Draw(t, "deviation"))
			minus, ones := make([]float32, n), make([]float32, n)
			for i := range x {
				minus[i], ones[i] = -x[i], 1
			}
			y, minusY, slope, minusSlope := dirty(n), dirty(n), dirty(n), dirty(n)
			e.GELUForward(F32(y), F32(x))
			e.GELUForward(F32(minusY), F32(minus))
			e.GELUBackward(F32(slope), F32(ones), F32(x))
			e.GELUBackward(F32(minusSlope), F32(ones), F32(minus))
			for i := range x {
				if y[i] < -0.1701 || y[i] > max(x[i], 0) {
					t.Fatalf("gelu(%g) is %g", x[i], y[i])
				}
				y[i] -= minusY[i]
				slope[i] += minusSlope[i]
			}
			near(t, "gelu(x) − gelu(−x)", y, float64s(x), 1e-6)
			near(t, "the sum of the slopes", slope, float64s(ones), 1e-6)
		})
	})
}

// TestPairScoresOfSwappedSides: with queries and keys in each other's place, the scores of (i, j) are those of (j, i), and
// the gradients change places too.
func TestPairScoresOfSwappedSides(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			views, tokens := rapid.IntRange(1, 2).Draw(t, "views"), rapid.IntRange(1, 10).Draw(t, "tokens")
			classes, dim, r := rapid.IntRange(1, 9).Draw(t, "classes"), rapid.IntRange(1, 17).Draw(t, "dim"), randomOf(t)
			n, pairs := views*tokens*classes*dim, views*tokens*tokens*classes
			q, k, d := normals(r, n, 0, 1), normals(r, n, 0, 1), normals(r, pairs, 0, 1)
			swap := func(x []float32) []float32 {
				swapped := make([]float32, len(x))
				for i := range x {
					view, a, b, c := i/(tokens*tokens*classes), i/(tokens*classes)%tokens, i/classes%tokens, i%classes
					swapped[((view*tokens+b)*tokens+a)*classes+c] = x[i]
				}
				return swapped
			}
			scores, swapped := dirty(pairs), dirty(pairs)
			e.PairScoresForward(scores, q, k, views, tokens, classes, dim)
			e.PairScoresForward(swapped, k, q, views, tokens, classes, dim)
			near(t, "scores", swap(swapped), float64s(scores), 2e-6)
			dq, dk, swappedDq, swappedDk := dirty(n), dirty(n), dirty(n), dirty(n)
			e.PairScoresBackward(dq, dk, d, q, k, views, tokens, classes, dim)
			e.PairScoresBackward(swappedDk, swappedDq, swap(d), k, q, views, tokens, classes, dim)
			near(t, "dq", swappedDq, float64s(dq), 5e-6)
			near(t, "dk", swappedDk, float64s(dk), 5e-6)
		})
	})
}

// TestPoolingOfFlatMaps: pooling what is the same everywhere gives the same again, and a gradient neither grows nor gets
// lost on its way back.
func TestPoolingOfFlatMaps(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			s := PoolShape{Images: 2, Height: rapid.IntRange(3, 8).Draw(t, "height"), Width: rapid.IntRange(3, 8).Draw(t, "width"),
				Channels: rapid.IntRange(1, 20).Draw(t, "channels"), Kernel: 3, Stride: rapid.IntRange(1, 3).Draw(t, "stride"), Pad: 1}
			flat := float32(rapid.IntRange(-5, 5).Draw(t, "value"))
			in, out := s.Images*s.Height*s.Width*s.Channels, s.Images*s.OutHeight()*s.OutWidth()*s.Channels
			x := slices.Repeat([]float32{flat}, in)
			y, argmax, dy, dx := dirty(out), make([]int32, out), normals(randomOf(t), out, 0, 1), dirty(in)
			e.MaxPoolForward(s, F32(y), argmax, F32(x))
			near(t, "maximum", y, float64s(slices.Repeat([]float32{flat}, out)), 0)
			e.MaxPoolBackward(s, F32(dx), F32(dy), argmax)
			before, after := e.Sum(dy), e.Sum(dx)
			if math.Abs(before-after) > 1e-4*float64(len(dy)) {
				t.Fatalf("the gradient adds up to %g before and %g after", before, after)
			}
			mean := dirty(s.Images * s.Channels)
			e.MeanPoolForward(F32(mean), F32(x), s.Images, s.Height*s.Width, s.Channels)
			near(t, "mean", mean, float64s(slices.Repeat([]float32{flat}, len(mean))), 1e-6)
		})
	})
}

// TestReductionsOfTheHardestNumbers: sums that float32 would lose or overflow come out, since they are kept in float64.
func TestReductionsOfTheHardestNumbers(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		x := []float32{1e30, 1, -1e30}
		for range 3 * reduceChunk {
			x = append(x, 0.1)
		}
		rest := float64(3*reduceChunk) * float64(float32(0.1))
		if got := e.Sum(x[3:]); math.Abs(got-rest) > 1e-9*rest {
			t.Errorf("the sum of %d tenths is %g, want %g", len(x)-3, got, rest)
		}
		if got := e.SumSquares(x[:3]); math.Abs(got-2e60) > 1e54 {
			t.Errorf("the squares add up to %g, want 2e60, which float32 lacks", got)
		}
		if got := e.SumSquares([]float32{1e-30}); math.Abs(got-1e-60) > 1e-66 {
			t.Errorf("the square of 1e-30 is %g", got)
		}
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
			if got := e.SumSquares([]float32{1, bad, 2}); got-got == 0 {
				t.Errorf("the squares with %g among them add up to %g: a run would not see that it has diverged", bad, got)
			}
		}
	})
}

// TestLayerNormSeesShapesOnly: moving or stretching a row by exact amounts changes no result, and the gradient of a row is
// at right angles to both: it adds up to zero, alone and times the row.
func TestLayerNormSeesShapesOnly(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			rows, cols, r := rapid.IntRange(1, 9).Draw(t, "rows"), rapid.IntRange(4, 90).Draw(t, "cols"), randomOf(t)
			x, dy := normals(r, rows*cols, 0, 2), normals(r, rows*cols, 0, 1)
			gamma, beta := normals(r, cols, 1, 0.5), normals(r, cols, 0, 1)
			other := make([]float32, len(x))
			for i := range x { // sixteenths keep sums and products exact
				x[i] = float32(math.Round(16*float64(x[i]))/16 + float64(i%cols)/16)
				other[i] = 8*x[i] + 40
			}
			y, otherY, mean, rstd := dirty(len(x)), dirty(len(x)), dirty(rows), dirty(rows)
			const tiny = 1e-12
			e.LayerNormForward(F32(otherY), mean, rstd, F32(other), gamma, beta, rows, cols, tiny)
			e.LayerNormForward(F32(y), mean, rstd, F32(x), gamma, beta, rows, cols, tiny)
			near(t, "y of moved and stretched rows", otherY, float64s(y), 5e-5)
			dx, dgamma, dbeta := dirty(len(x)), dirty(cols), dirty(cols)
			e.LayerNormBackward(F32(dx), dgamma, dbeta, F32(dy), F32(x), gamma, mean, rstd, rows, cols)
			for i := range rows {
				sum, along, length := 0.0, 0.0, 0.0
				for j := range cols {
					d, v := float64(dx[i*cols+j]), float64(x[i*cols+j])-float64(mean[i])
					sum, along, length = sum+d, along+d*v, length+math.Abs(d)*(1+math.Abs(v))
				}
				if math.Abs(sum) > 1e-5*length || math.Abs(along) > 1e-5*length {
					t.Fatalf("row %d of %d: the gradient adds up to %g, times the row to %g; its size is %g", i, rows, sum, along, length)
				}
			}
		})
	})
}
