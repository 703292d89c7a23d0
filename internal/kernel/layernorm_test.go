package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// layerNormReference returns y, mean and rstd of each row.
func layerNormReference(x, gamma, beta []float64, rows, cols int, eps float64) (y, mean, rstd []float64) {
	y, mean, rstd = make([]float64, rows*cols), make([]float64, rows), make([]float64, rows)
	for i := range rows {
		row := x[i*cols : (i+1)*cols]
		for _, v := range row {
			mean[i] += v / float64(cols)
		}
		variance := 0.0
		for _, v := range row {
			variance += (v - mean[i]) * (v - mean[i]) / float64(cols)
		}
		rstd[i] = 1 / math.Sqrt(variance+eps)
		for j, v := range row {
			y[i*cols+j] = (v-mean[i])*rstd[i]*gamma[j] + beta[j]
		}
	}
	return y, mean, rstd
}

func TestLayerNorm(t *testing.T) {
	const eps = 0.1 // bounds rstd, and with it what rounding of the mean does to y
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			rows, cols, r := rapid.IntRange(0, 9).Draw(t, "rows"), 1+sizes.Draw(t, "cols"), randomOf(t)
			x, gamma, beta, dy := normals(r, rows*cols, 3, 2), normals(r, cols, 1, 0.5), normals(r, cols, 0, 1), normals(r, rows*cols, 0, 1)
			y, mean, rstd := dirty(rows*cols), dirty(rows), dirty(rows)
			e.LayerNormForward(F32(y), mean, rstd, F32(x), gamma, beta, rows, cols, eps)
			wantY, wantMean, wantRstd := layerNormReference(float64s(x), float64s(gamma), float64s(beta), rows, cols, eps)
			near(t, "mean", mean, wantMean, 2e-6)
			near(t, "rstd", rstd, wantRstd, 1e-5)
			near(t, "y", y, wantY, 2e-5)
			dx, dgamma, dbeta := dirty(rows*cols), dirty(cols), dirty(cols)
			e.LayerNormBackward(F32(dx), dgamma, dbeta, F32(dy), F32(x), gamma, mean, rstd, rows, cols)
			loss := func(in [][]float64) float64 {
				y, _, _ := layerNormReference(in[0], in[1], in[2], rows, cols, eps)
				return weighted(dy, y)
			}
			followsDifferences(t, r, loss, [][]float32{x, gamma, beta}, [][]float32{dx, dgamma, dbeta})
		})
	})
}

func TestLayerNormOverManyBlocks(t *testing.T) {
	const rows, cols = 3*maxBlockRows + 7, 19
	r := seeded(1)
	x, gamma, dy := normals(r, rows*cols, 3, 2), normals(r, cols, 1, 0.5), normals(r, rows*cols, 0, 1)
	sameForWorkers(t, func(e *Engine) []float32 {
		out := dirty(2*rows*cols + 2*cols + 2*rows)
		y, dx, rest := out[:rows*cols], out[rows*cols:2*rows*cols], out[2*rows*cols:]
		dgamma, dbeta, mean, rstd := rest[:cols], rest[cols:2*cols], rest[2*cols:2*cols+rows], rest[2*cols+rows:]
		e.LayerNormForward(F32(y), mean, rstd, F32(x), gamma, gamma, rows, cols, 1e-6)
		e.LayerNormBackward(F32(dx), dgamma, dbeta, F32(dy), F32(x), gamma, mean, rstd, rows, cols)
		loss := func(in [][]float64) float64 {
			y, _, _ := layerNormReference(in[0], in[1], float64s(gamma), rows, cols, 1e-6)
			return weighted(dy, y)
		}
		followsDifferences(t, r, loss, [][]float32{x, gamma}, [][]float32{dx, dgamma})
		return out
	})
}
