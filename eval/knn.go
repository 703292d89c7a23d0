package eval

import (
	"math"
	"slices"

	"pretrain/internal/kernel"
)

// Matrix holds one feature vector a row.
type Matrix struct {
	Rows, Cols int
	Data       []float32 // row-major
}

// Row is the vector of one picture; it shares the matrix's memory.
func (m Matrix) Row(i int) []float32 { return m.Data[i*m.Cols : (i+1)*m.Cols] }

// Select copies the given rows.
func (m Matrix) Select(rows []int) Matrix {
	selected := Matrix{Rows: len(rows), Cols: m.Cols, Data: make([]float32, 0, len(rows)*m.Cols)}
	for _, row := range rows {
		selected.Data = append(selected.Data, m.Row(row)...)
	}
	return selected
}

// KNN classifies by the nearest neighbours in cosine distance, each of which votes for its class with the weight
// exp(similarity/Temperature) (Wu et al. 2018, eq. 3 and section 3.4).
type KNN struct {
	Neighbours  int
	Temperature float64
}

// Predict gives the class of every row of test. Labels are classes 0 to classes-1, one a row of train.
func (k KNN) Predict(engine *kernel.Engine, train Matrix, labels []int, test Matrix, classes int) []int {
	predicted := make([]int, test.Rows)
	eachProduct(engine, normalizeRows(test), normalizeRows(train), nil, func(query int, similarities []float32) {
		predicted[query] = k.vote(similarities, labels, classes)
	})
	return predicted
}

// vote returns the class with the largest weight among the nearest rows; equal weights go to the lower class. Weights
// are relative to that of the nearest row, because exp(1/Temperature) is infinite for temperatures below 0.0014.
func (k KNN) vote(similarities []float32, labels []int, classes int) int {
	votes := make([]float64, classes)
	rows := nearest(similarities, k.Neighbours)
	for _, i := range rows {
		votes[labels[i]] += math.Exp(float64(similarities[i]-similarities[rows[0]]) / k.Temperature)
	}
	best := 0
	for class, weight := range votes {
		if weight > votes[best] {
			best = class
		}
	}
	return best
}

// nearest lists the rows of the n largest similarities, the largest first; equal ones by row.
func nearest(similarities []float32, n int) []int {
	var found []int
	for i, similarity := range similarities {
		if len(found) == n && similarity <= similarities[found[n-1]] {
			continue
		}
		at, _ := slices.BinarySearchFunc(found, similarity, func(row int, s float32) int {
			if similarities[row] >= s {
				return -1
			}
			return 1
		})
		found = slices.Insert(found, at, i)
		found = found[:min(n, len(found))]
	}
	return found
}

// normalizeRows copies a matrix with every row scaled to length one; zero rows stay zero.
func normalizeRows(m Matrix) Matrix {
	out := Matrix{Rows: m.Rows, Cols: m.Cols, Data: slices.Clone(m.Data)}
	for i := range out.Rows {
		row := out.Row(i)
		squares := squaredLength(row)
		if squares == 0 {
			continue
		}
		scale := float32(1 / math.Sqrt(squares))
		for j := range row {
			row[j] *= scale
		}
	}
	return out
}
