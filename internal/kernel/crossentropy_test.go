package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// softReference is the cross-entropy of each row against a target distribution.
func softReference(logits, targets, weights []float64, rows, classes int) []float64 {
	losses := make([]float64, rows)
	for i := range rows {
		row := logits[i*classes : (i+1)*classes]
		normalizer := logSumExpReference(row)
		for c, v := range row {
			losses[i] += weights[i] * targets[i*classes+c] * (normalizer - v)
		}
	}
	return losses
}

func logSumExpReference(row []float64) float64 {
	largest, sum := math.Inf(-1), 0.0
	for _, v := range row {
		largest = max(largest, v)
	}
	for _, v := range row {
		sum += math.Exp(v - largest)
	}
	return largest + math.Log(sum)
}

// oneHot turns labels into the targets and weights of softReference.
func oneHot(labels []float32, classes int) (targets, weights []float64) {
	targets, weights = make([]float64, len(labels)*classes), make([]float64, len(labels))
	for i, label := range labels {
		if label >= 0 {
			targets[i*classes+int(label)], weights[i] = 1, 1
		}
	}
	return targets, weights
}

func TestCrossEntropy(t *testing.T) {
	const scale = 0.25
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			rows, classes, r := rapid.IntRange(0, 9).Draw(t, "rows"), 1+sizes.Draw(t, "classes"), randomOf(t)
			logits, labels := normals(r, rows*classes, 0, 5), make([]float32, rows)
			for i := range labels {
				labels[i] = float32(r.IntN(classes+1) - 1)
			}
			targets, weights := oneHot(labels, classes)
			losses, dlogits := dirty(rows), dirty(rows*classes)
			e.CrossEntropyForward(losses, logits, labels, rows, classes)
			near(t, "losses", losses, softReference(float64s(logits), targets, weights, rows, classes), 3e-6)
			e.CrossEntropyBackward(dlogits, logits, labels, scale, rows, classes)
			followsDifferences(t, r, func(in [][]float64) float64 {
				total := 0.0
				for _, v := range softReference(in[0], targets, weights, rows, classes) {
					total += scale * v
				}
				return total
			}, [][]float32{logits}, [][]float32{dlogits})
		})
	})
}

func TestSoftCrossEntropy(t *testing.T) {
	const scale = 0.25
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			rows, classes, r := rapid.IntRange(0, 9).Draw(t, "rows"), 1+sizes.Draw(t, "classes"), randomOf(t)
			logits, targets, ones := normals(r, rows*classes, 0, 5), normals(r, rows*classes, 0, 1), make([]float64, rows)
			for i, v := range targets {
				targets[i] = v * v / float32(classes)
			}
			for i := range ones {
				ones[i] = 1
			}
			var weights []float32
			want := ones
			if rapid.Bool().Draw(t, "weighted") {
				weights = normals(r, rows, 1, 1)
				want = float64s(weights)
			}
			losses, dlogits := dirty(rows), dirty(rows*classes)
			e.SoftCrossEntropyForward(losses, logits, targets, weights, rows, classes)
			near(t, "losses", losses, softReference(float64s(logits), float64s(targets), want, rows, classes), 1e-5)
			e.SoftCrossEntropyBackward(dlogits, logits, targets, weights, scale, rows, classes)
			followsDifferences(t, r, func(in [][]float64) float64 {
				total := 0.0
				for _, v := range softReference(in[0], float64s(targets), want, rows, classes) {
					total += scale * v
				}
				return total
			}, [][]float32{logits}, [][]float32{dlogits})
		})
	})
}

// TestCrossEntropyOfExtremeLogits wants finite losses where exp alone overflows, and NaN where the logits hold NaN.
func TestCrossEntropyOfExtremeLogits(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		nan := float32(math.NaN())
		logits, labels, losses := []float32{1e4, -1e4, 0, -500, -501, -502, 1, nan, 2}, []float32{0, 1, 0}, dirty(3)
		e.CrossEntropyForward(losses, logits, labels, 3, 3)
		near(t, "losses", losses[:2], []float64{0, 1.4076059644443804}, 1e-5)
		if losses[2] == losses[2] {
			t.Errorf("the loss of a row with NaN is %g", losses[2])
		}
	})
}

func TestCrossEntropyDependsOnTheProblemOnly(t *testing.T) {
	const rows, classes = 3*maxBlockRows + 1, 9
	logits, labels := normals(seeded(1), rows*classes, 0, 2), make([]float32, rows)
	sameForWorkers(t, func(e *Engine) []float32 {
		out := dirty(rows*classes + rows)
		e.CrossEntropyForward(out[:rows], logits, labels, rows, classes)
		e.CrossEntropyBackward(out[rows:], logits, labels, 1, rows, classes)
		return out
	})
}
