package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// batchNormCase is a drawn problem.
type batchNormCase struct {
	groups                             NormGroups
	rows, cols                         int
	relu                               bool
	x, residual, gamma, beta, gradient []float32
}

func drawBatchNorm(t *rapid.T) (c batchNormCase) {
	c.groups = rapid.SliceOfN(rapid.IntRange(2, 40), 1, 3).Draw(t, "groups")
	if rapid.IntRange(0, 9).Draw(t, "large") == 0 {
		c.groups[0] += 2 * maxBlockRows
	}
	for _, n := range c.groups {
		c.rows += n
	}
	c.cols, c.relu = rapid.IntRange(1, 35).Draw(t, "cols"), rapid.Bool().Draw(t, "relu")
	r := randomOf(t)
	c.x, c.gamma, c.beta = normals(r, c.rows*c.cols, 2, 3), normals(r, c.cols, 1, 0.5), normals(r, c.cols, 0, 1)
	if rapid.Bool().Draw(t, "residual") {
		c.residual = normals(r, c.rows*c.cols, 0, 1)
	}
	c.gradient = normals(r, c.rows*c.cols, 0, 1)
	return c
}

// batchNormReference returns y, and mean and rstd of each group.
func batchNormReference(c batchNormCase, x, residual, gamma, beta []float64, eps float64) (y, mean, rstd []float64) {
	y, mean, rstd = make([]float64, len(x)), make([]float64, len(c.groups)*c.cols), make([]float64, len(c.groups)*c.cols)
	first := 0
	for k, rows := range c.groups {
		for j := range c.cols {
			center, variance := 0.0, 0.0
			for i := first; i < first+rows; i++ {
				center += x[i*c.cols+j] / float64(rows)
			}
			for i := first; i < first+rows; i++ {
				variance += math.Pow(x[i*c.cols+j]-center, 2) / float64(rows)
			}
			inverse := 1 / math.Sqrt(variance+eps)
			for i := first * c.cols; i < (first+rows)*c.cols; i += c.cols {
				v := (x[i+j]-center)*inverse*gamma[j] + beta[j]
				if residual != nil {
					v += residual[i+j]
				}
				if c.relu {
					v = max(v, 0)
				}
				y[i+j] = v
			}
			mean[k*c.cols+j], rstd[k*c.cols+j] = center, inverse
		}
		first += rows
	}
	return y, mean, rstd
}

// lossAround is the loss whose gradient by the output is c.gradient, on the side of each ReLU's kink where y is.
func (c batchNormCase) lossAround(y []float32, eps float64) func(in [][]float64) float64 {
	linear, slopes := c, make([]float32, len(y))
	linear.relu = false
	for i, v := range y {
		if v > 0 || !c.relu {
			slopes[i] = c.gradient[i]
		}
	}
	return func(in [][]float64) float64 {
		var residual []float64
		if c.residual != nil {
			residual = in[3]
		}
		y, _, _ := batchNormReference(linear, in[0], residual, in[1], in[2], eps)
		return weighted(slopes, y)
	}
}

// batchNorm is the whole forward pass.
func (e *Engine) batchNorm(y Array, mean, rstd []float32, x, residual Array, gamma, beta []float32, groups NormGroups, cols int, eps float32, relu bool) {
	e.BatchNormStatistics(mean, rstd, x, groups, cols, eps)
	e.BatchNormApply(y, x, residual, gamma, beta, mean, rstd, groups, cols, relu)
}

func TestBatchNorm(t *testing.T) {
	const eps = 0.1 // bounds rstd, and with it what rounding of the mean does to y
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			c := drawBatchNorm(t)
			n, statistics := c.rows*c.cols, len(c.groups)*c.cols
			y, mean, rstd := dirty(n), dirty(statistics), dirty(statistics)
			e.batchNorm(F32(y), mean, rstd, F32(c.x), F32(c.residual), c.gamma, c.beta, c.groups, c.cols, eps, c.relu)
			wantY, wantMean, wantRstd := batchNormReference(c, float64s(c.x), float64s(c.residual), float64s(c.gamma), float64s(c.beta), eps)
			near(t, "mean", mean, wantMean, 1e-6)
			near(t, "rstd", rstd, wantRstd, 3e-6)
			near(t, "y", y, wantY, 1e-5)

			dx, dgamma, dbeta := dirty(n), dirty(c.cols), dirty(c.cols)
			inputs, gradients := [][]float32{c.x, c.gamma, c.beta}, [][]float32{dx, dgamma, dbeta}
			var dresidual []float32
			if c.residual != nil {
				dresidual = dirty(n)
				inputs, gradients = append(inputs, c.residual), append(gradients, dresidual)
			}
			e.BatchNormBackward(F32(dx), F32(dresidual), dgamma, dbeta, F32(c.gradient), F32(y), F32(c.x), c.gamma, mean, rstd, c.groups, c.cols, c.relu)
			followsDifferences(t, seeded(1), c.lossAround(y, eps), inputs, gradients)
		})
	})
}

func TestBatchNormInference(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			c, r := drawBatchNorm(t), seeded(5)
			mean, variance := normals(r, c.cols, 1, 1), normals(r, c.cols, 0, 1)
			for j, v := range variance {
				variance[j] = v * v
			}
			want := make([]float64, len(c.x))
			for i, v := range float64s(c.x) {
				j := i % c.cols
				want[i] = (v-float64(mean[j]))/math.Sqrt(float64(variance[j])+1e-3)*float64(c.gamma[j]) + float64(c.beta[j])
				if c.residual != nil {
					want[i] += float64(c.residual[i])
				}
				if c.relu {
					want[i] = max(want[i], 0)
				}
			}
			y := dirty(len(c.x))
			e.BatchNormInference(F32(y), F32(c.x), F32(c.residual), c.gamma, c.beta, mean, variance, c.rows, c.cols, 1e-3, c.relu)
			near(t, "y", y, want, 2e-5)
		})
	})
}

// TestBatchNormStatisticsOfManyRowsFarFromZero would fail with Σx² − (Σx)², or with one float32 sum over all rows.
func TestBatchNormStatisticsOfManyRowsFarFromZero(t *testing.T) {
	const rows, cols = 100_000, 2
	c := batchNormCase{groups: NormGroups{rows}, rows: rows, cols: cols, x: normals(seeded(1), rows*cols, 1000, 1)}
	ones, zeros := []float32{1, 1}, []float32{0, 0}
	_, wantMean, wantRstd := batchNormReference(c, float64s(c.x), nil, float64s(ones), float64s(zeros), 1e-5)
	inFamilies(t, func(t *testing.T, e *Engine) {
		y, mean, rstd := dirty(rows*cols), dirty(cols), dirty(cols)
		e.batchNorm(F32(y), mean, rstd, F32(c.x), Array{}, ones, zeros, c.groups, cols, 1e-5, false)
		near(t, "mean", mean, wantMean, 1e-6)
		near(t, "rstd", rstd, wantRstd, 2e-6)
	})
}

func TestBatchNormDependsOnTheProblemOnly(t *testing.T) {
	const rows, cols = 5*maxBlockRows + 3, 37
	r := seeded(1)
	x, gamma, dy := normals(r, rows*cols, 1, 2), normals(r, cols, 1, 0.5), normals(r, rows*cols, 0, 1)
	groups := NormGroups{rows - 300, 300}
	sameForWorkers(t, func(e *Engine) []float32 {
		out := dirty(2*rows*cols + 6*cols)
		y, dx, rest := out[:rows*cols], out[rows*cols:2*rows*cols], out[2*rows*cols:]
		mean, rstd, dgamma, dbeta := rest[:2*cols], rest[2*cols:4*cols], rest[4*cols:5*cols], rest[5*cols:]
		e.batchNorm(F32(y), mean, rstd, F32(x), Array{}, gamma, gamma, groups, cols, 1e-5, true)
		e.BatchNormBackward(F32(dx), Array{}, dgamma, dbeta, F32(dy), F32(y), F32(x), gamma, mean, rstd, groups, cols, true)
		return out
	})
}
