// Package layout puts features where people can see them: principal components, and UMAP in two dimensions.
package layout

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"pretrain/eval"
	"pretrain/internal/kernel"
)

// Components are the directions in which the rows of a matrix vary most, in order.
type Components struct {
	Mean       []float64   // of the rows, [dim]
	Directions eval.Matrix // unit rows, [components, dim]; the entry of each with the greatest size is positive
	Variance   []float64   // of the rows along each
	Total      float64     // variance along all directions
}

// PCA finds the first principal components from the covariance matrix, which takes rows·dim² operations and dim² memory:
// rows may be many, dimensions a few thousand. Fewer rows or dimensions than components are an error.
func PCA(engine *kernel.Engine, m eval.Matrix, components int) (Components, error) {
	if components < 1 || components > m.Cols || m.Rows < 2 {
		return Components{}, fmt.Errorf("%d components of %d rows of %d features: need 2 rows, and as many features as components", components, m.Rows, m.Cols)
	}
	c := Components{Mean: m.Means(), Directions: eval.Matrix{Rows: components, Cols: m.Cols}}
	covariance := c.covariance(engine, m)
	for i := range m.Cols {
		c.Total += covariance.At(i, i)
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(covariance, true) {
		return c, fmt.Errorf("the covariance of %d features has no eigenvalues: are there numbers that are not finite?", m.Cols)
	}
	values := eigen.Values(nil) // ascending
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	for k := range components {
		column := m.Cols - 1 - k
		c.Variance = append(c.Variance, max(0, values[column]))
		c.Directions.Data = append(c.Directions.Data, oriented(mat.Col(nil, column, &vectors))...)
	}
	return c, nil
}

// covariance is [dim, dim], of centred rows; they are multiplied a block at a time, which bounds the copy.
func (c *Components) covariance(engine *kernel.Engine, m eval.Matrix) *mat.SymDense {
	const block = 4096
	sums := make([]float32, m.Cols*m.Cols)
	for from := 0; from < m.Rows; from += block {
		rows := min(block, m.Rows-from)
		centred := c.centre(eval.Matrix{Rows: rows, Cols: m.Cols, Data: m.Data[from*m.Cols : (from+rows)*m.Cols]})
		engine.MatMul(kernel.Product{
			M: m.Cols, N: m.Cols, K: rows,
			A: kernel.Operand{Data: kernel.F32(centred), RowStride: 1, ColStride: m.Cols},
			B: kernel.Operand{Data: kernel.F32(centred), RowStride: m.Cols, ColStride: 1},
			C: kernel.F32(sums), CStride: m.Cols, Accumulate: from > 0,
		})
	}
	covariance := mat.NewSymDense(m.Cols, nil)
	for i := range m.Cols {
		for j := i; j < m.Cols; j++ {
			covariance.SetSym(i, j, float64(sums[i*m.Cols+j])/float64(m.Rows-1))
		}
	}
	return covariance
}

func (c *Components) centre(m eval.Matrix) []float32 {
	centred := make([]float32, len(m.Data))
	for i, v := range m.Data {
		centred[i] = float32(float64(v) - c.Mean[i%m.Cols])
	}
	return centred
}

// oriented fixes the sign of a direction, which eigenvectors leave open.
func oriented(direction []float64) []float32 {
	greatest := 0
	for i, v := range direction {
		if math.Abs(v) > math.Abs(direction[greatest]) {
			greatest = i
		}
	}
	signed := make([]float32, len(direction))
	for i, v := range direction {
		signed[i] = float32(v * math.Copysign(1, direction[greatest]))
	}
	return signed
}

// Project gives the coordinates of rows along the components, [rows, components].
func (c Components) Project(engine *kernel.Engine, m eval.Matrix) eval.Matrix {
	projected := eval.Matrix{Rows: m.Rows, Cols: c.Directions.Rows, Data: make([]float32, m.Rows*c.Directions.Rows)}
	engine.MatMul(kernel.Product{
		M: m.Rows, N: c.Directions.Rows, K: m.Cols,
		A: kernel.Operand{Data: kernel.F32(c.centre(m)), RowStride: m.Cols, ColStride: 1},
		B: kernel.Operand{Data: kernel.F32(c.Directions.Data), RowStride: 1, ColStride: m.Cols},
		C: kernel.F32(projected.Data), CStride: projected.Cols,
	})
	return projected
}
