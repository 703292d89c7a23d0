package eval

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"pretrain/internal/kernel"
)

// Health tells whether a representation has collapsed, without labels.
type Health struct {
	Features   string  `json:"features"`
	Layer      int     `json:"layer"`
	Dim        int     `json:"dim"`         // numbers a vector
	Pictures   int     `json:"pictures"`    // that were looked at
	RankMe     float64 `json:"rankme"`      // 1 to Dim, see RankMe
	FeatureStd float64 `json:"feature_std"` // 0 to about 1, see FeatureStd
	Alignment  float64 `json:"alignment"`   // 0 to 4, see Alignment
	Uniformity float64 `json:"uniformity"`  // −8 to 0, see Uniformity
}

// MostRanked bounds the smaller side of a matrix whose RankMe is computed; time grows with its cube.
const MostRanked = 2048

// RankMe is the effective rank of a representation: exp(−Σ p·log p) with p_k = σ_k/Σσ + ε, σ the singular values of the
// rows, not centred, and ε = 1e-7 (Garrido et al. 2023, arXiv:2210.02885, eq. 1 and 2). It lies between 1, all rows are
// multiples of one, and the smaller of rows and columns; a representation looked at through fewer rows than columns
// seems the poorer. The singular values are the roots of the eigenvalues of the smaller of XᵀX and XXᵀ, in float64, so
// those below 1e-8 of the largest are lost in rounding. It is 0 for rows of zeros, and NaN where a number is not finite or
// the smaller side exceeds MostRanked.
func RankMe(m Matrix) float64 {
	values := singularValues(m)
	if values == nil {
		return math.NaN()
	}
	const epsilon = 1e-7
	var sum, entropy float64
	for _, v := range values {
		sum += v
	}
	if sum == 0 {
		return 0
	}
	for _, v := range values {
		p := v/sum + epsilon
		entropy -= p * math.Log(p)
	}
	return math.Exp(entropy)
}

// singularValues of a matrix, min(Rows, Cols) of them; nil where they cannot be found.
func singularValues(m Matrix) []float64 {
	if min(m.Rows, m.Cols) > MostRanked || m.Rows == 0 {
		return nil
	}
	x := mat.NewDense(m.Rows, m.Cols, nil)
	for i := range m.Rows {
		for j, v := range m.Row(i) {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return nil
			}
			x.Set(i, j, float64(v))
		}
	}
	var product mat.Dense
	if m.Rows < m.Cols {
		product.Mul(x, x.T())
	} else {
		product.Mul(x.T(), x)
	}
	side, _ := product.Dims()
	var eigen mat.EigenSym
	if !eigen.Factorize(mat.NewSymDense(side, product.RawMatrix().Data), false) {
		return nil
	}
	values := eigen.Values(nil)
	for i, v := range values {
		values[i] = math.Sqrt(max(0, v))
	}
	return values
}

// FeatureStd is the standard deviation of each feature over the rows scaled to length one, averaged over the features and
// divided by 1/√Cols: about 1 where directions spread over the sphere about its centre, 0 where all rows point the same
// way, which is collapse (Chen & He 2021, arXiv:2011.10566, section 4.1 and figure 2).
func FeatureStd(m Matrix) float64 {
	unit := normalizeRows(m)
	mean := columnMeans(unit)
	squares := make([]float64, m.Cols)
	for i := range unit.Rows {
		for j, x := range unit.Row(i) {
			squares[j] += math.Pow(float64(x)-mean[j], 2)
		}
	}
	var sum float64
	for _, s := range squares {
		sum += math.Sqrt(s / float64(max(1, m.Rows)))
	}
	return sum / math.Sqrt(float64(m.Cols))
}

// Alignment is the mean squared distance between the features of two views of the same picture, rows i of a and b, scaled
// to length one: 0 where the representation ignores what the views differ in (Wang & Isola 2020, arXiv:2005.10242, section
// 4.1.1 with α = 2).
func Alignment(a, b Matrix) float64 {
	left, right := normalizeRows(a), normalizeRows(b)
	var sum float64
	for i, x := range left.Data {
		sum += math.Pow(float64(x)-float64(right.Data[i]), 2)
	}
	return sum / float64(max(1, a.Rows))
}

// Uniformity is the logarithm of the mean of exp(−2·|x−y|²) over all pairs of different rows, scaled to length one: 0
// where they coincide, and the lower the more evenly they cover the sphere, to about −4 for directions drawn at random
// (Wang & Isola 2020, section 4.1.2 with t = 2). It is 0 for fewer than two rows.
func Uniformity(engine *kernel.Engine, m Matrix) float64 {
	if m.Rows < 2 {
		return 0
	}
	unit, sums := normalizeRows(m), make([]float64, m.Rows)
	halves := minusHalfSquares(unit) // nearly −1/2 each, but 0 for a row of zeros
	eachProduct(engine, unit, unit, halves, func(row int, products []float32) {
		for _, product := range products[:row] {
			sums[row] += math.Exp(4 * float64(halves[row]+product)) // −2·|x−y|² = 4·(x·y − |x|²/2 − |y|²/2)
		}
	})
	var sum float64
	for _, s := range sums {
		sum += s
	}
	return math.Log(sum / (float64(m.Rows) * float64(m.Rows-1) / 2))
}
