package eval

import (
	"slices"

	"pretrain/internal/kernel"
)

// eachProduct calls visit with the inner products of each row of queries with all rows of reference, plus bias, which has
// one number a row of reference or is nil. Calls come from the workers of the engine, several at a time and in any order,
// and must not call its kernels; the products belong to the call.
func eachProduct(engine *kernel.Engine, queries, reference Matrix, bias []float32, visit func(query int, products []float32)) {
	const block = 256 // queries at a time: bounds the memory
	products := make([]float32, min(block, queries.Rows)*reference.Rows)
	for from := 0; from < queries.Rows; from += block {
		rows := min(block, queries.Rows-from)
		engine.MatMul(kernel.Product{
			M: rows, N: reference.Rows, K: queries.Cols,
			A: kernel.Operand{Data: kernel.F32(queries.Data[from*queries.Cols:]), RowStride: queries.Cols, ColStride: 1},
			B: kernel.Operand{Data: kernel.F32(reference.Data), RowStride: 1, ColStride: queries.Cols},
			C: kernel.F32(products), CStride: reference.Rows, Bias: bias,
		})
		engine.Parallel(rows, func(_, i int) {
			visit(from+i, products[i*reference.Rows:(i+1)*reference.Rows])
		})
	}
}

// minusHalfSquares is −|row|²/2 of every row, the bias with which the largest product is the least Euclidean distance:
// |x−c|² = |x|² − 2·(x·c − |c|²/2).
func minusHalfSquares(m Matrix) []float32 {
	bias := make([]float32, m.Rows)
	for i := range bias {
		bias[i] = float32(-squaredLength(m.Row(i)) / 2)
	}
	return bias
}

func squaredLength(row []float32) float64 {
	var squares float64
	for _, x := range row {
		squares += float64(x) * float64(x)
	}
	return squares
}

// columnMeans is the mean row.
func columnMeans(m Matrix) []float64 {
	means := make([]float64, m.Cols)
	for i := range m.Rows {
		for j, x := range m.Row(i) {
			means[j] += float64(x)
		}
	}
	for j := range means {
		means[j] /= float64(max(1, m.Rows))
	}
	return means
}

// centred copies a matrix less a row.
func centred(m Matrix, mean []float64) Matrix {
	out := Matrix{Rows: m.Rows, Cols: m.Cols, Data: slices.Clone(m.Data)}
	for i := range out.Rows {
		row := out.Row(i)
		for j := range row {
			row[j] = float32(float64(row[j]) - mean[j])
		}
	}
	return out
}

// argmax is the position of the largest value, the first one of equals.
func argmax(values []float32) int {
	best := 0
	for i, v := range values {
		if v > values[best] {
			best = i
		}
	}
	return best
}
