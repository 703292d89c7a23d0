package eval

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"pretrain/internal/kernel"
)

// gaussian is a normal distribution of feature vectors.
type gaussian struct {
	mean   []float64
	factor mat.TriDense // L of the covariance L·Lᵀ, lower
	flat   bool         // no feature varies: there is no covariance
}

// mostCovariances bounds the length of vectors whose covariance is factorised.
const mostCovariances = 4096

// fitGaussian fits one normal distribution to all rows, whatever their class, for Mahalanobis distances (Rippel, Mertens &
// Merhof 2020, arXiv:2005.14140). The covariance is shrunk towards a multiple of the identity, since there may be fewer
// rows than columns.
func fitGaussian(engine *kernel.Engine, rows Matrix) (*gaussian, error) {
	if err := checkLength("the Mahalanobis distance", rows.Cols, mostCovariances); err != nil {
		return nil, err
	}
	g := &gaussian{mean: columnMeans(rows)}
	covariance, _ := ledoitWolf(engine, centred(rows, g.mean))
	var cholesky mat.Cholesky
	if g.flat = mat.Trace(covariance) == 0 || !cholesky.Factorize(covariance); !g.flat {
		cholesky.LTo(&g.factor)
	}
	return g, nil
}

// ledoitWolf is the covariance (1−ρ)·S + ρ·μ·I of centred rows, with S their sample covariance, μ its mean variance, and
// the ρ that has the least expected error (Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional
// covariance matrices", lemmas 3.2 to 3.4).
func ledoitWolf(engine *kernel.Engine, rows Matrix) (covariance *mat.SymDense, shrinkage float64) {
	n, d := float64(rows.Rows), rows.Cols
	covariance = secondMoments(engine, rows)
	var squares, spread float64 // |S|², and Σ|x|⁴/n²
	for i := range d {
		for j := range d {
			squares += covariance.At(i, j) * covariance.At(i, j)
		}
	}
	for i := range rows.Rows {
		spread += math.Pow(squaredLength(rows.Row(i)), 2) / (n * n)
	}
	mean := mat.Trace(covariance) / float64(d)
	distance := squares - float64(d)*mean*mean // |S − μI|²
	if distance > 0 {
		shrinkage = min(1, max(0, spread-squares/n)/distance)
	}
	covariance.ScaleSym(1-shrinkage, covariance)
	for i := range d {
		covariance.SetSym(i, i, covariance.At(i, i)+shrinkage*mean)
	}
	return covariance, shrinkage
}

// secondMoments is XᵀX/n of the rows.
func secondMoments(engine *kernel.Engine, rows Matrix) *mat.SymDense {
	d := rows.Cols
	product := make([]float32, d*d)
	engine.MatMul(kernel.Product{
		M: d, N: d, K: rows.Rows,
		A: kernel.Operand{Data: kernel.F32(rows.Data), RowStride: 1, ColStride: d},
		B: kernel.Operand{Data: kernel.F32(rows.Data), RowStride: d, ColStride: 1},
		C: kernel.F32(product), CStride: d,
	})
	moments := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			moments.SetSym(i, j, float64(product[i*d+j])/float64(rows.Rows))
		}
	}
	return moments
}

// distances is the Mahalanobis distance √((x−μ)ᵀ Σ⁻¹ (x−μ)) of every row; 0 where the training part does not vary. With
// Σ = L·Lᵀ it is the length of L⁻¹(x−μ), which is solved for blocks of rows at a time.
func (g *gaussian) distances(engine *kernel.Engine, rows Matrix) []float64 {
	distances := make([]float64, rows.Rows)
	if g.flat {
		return distances
	}
	const block = 32
	centred := centred(rows, g.mean)
	engine.Parallel((rows.Rows+block-1)/block, func(_, i int) {
		from, to := i*block, min((i+1)*block, rows.Rows)
		solved := blas64.General{Rows: rows.Cols, Cols: to - from, Stride: to - from, Data: make([]float64, rows.Cols*(to-from))}
		for row := from; row < to; row++ {
			for j, v := range centred.Row(row) {
				solved.Data[j*solved.Stride+row-from] = float64(v)
			}
		}
		blas64.Trsm(blas.Left, blas.NoTrans, 1, g.factor.RawTriangular(), solved)
		for at, v := range solved.Data {
			distances[from+at%solved.Stride] += v * v
		}
	})
	for i, squares := range distances {
		distances[i] = math.Sqrt(squares)
	}
	return distances
}
