// Package search finds pictures that are near each other in the space of features: the nearest of a query, exactly or by
// a graph, and groups of near-duplicates.
//
// Nearness is cosine similarity throughout. Matrices hold unit vectors, one a row (eval.Matrix.Unit), of which the
// product of two rows is their cosine.
package search

import (
	"pretrain/eval"
	"pretrain/internal/kernel"
)

// Neighbour is a row of a matrix, with its cosine similarity to what was asked for, -1 to 1.
type Neighbour struct {
	Row        int
	Similarity float32
}

// Blocks of exact search: they bound the matrix of similarities to 4 MiB.
const (
	blockQueries = 256
	blockRows    = 4096
)

// Exact finds the k nearest rows of a reference, the nearest first and equal ones by row, for every row of queries; all of
// them if there are fewer. Both matrices hold unit vectors of one length. It compares everything with everything, in
// blocks.
func Exact(engine *kernel.Engine, reference, queries eval.Matrix, k int) [][]Neighbour {
	found := make([]top, queries.Rows)
	for i := range found {
		found[i] = newTop(min(k, reference.Rows))
	}
	similarities := make([]float32, blockQueries*blockRows)
	for _, query := range blocks(queries.Rows, blockQueries) {
		for _, row := range blocks(reference.Rows, blockRows) {
			multiply(engine, similarities, queries, reference, query, row)
			engine.Parallel(query.len(), func(_, i int) {
				for j, similarity := range similarities[i*row.len():][:row.len()] {
					found[query.from+i].add(Neighbour{row.from + j, similarity})
				}
			})
		}
	}
	nearest := make([][]Neighbour, len(found))
	for i, t := range found {
		nearest[i] = t.found
	}
	return nearest
}

// span is a range of rows.
type span struct{ from, to int }

func (s span) len() int { return s.to - s.from }

// blocks cuts n rows into spans of at most size.
func blocks(n, size int) []span {
	var spans []span
	for from := 0; from < n; from += size {
		spans = append(spans, span{from, min(n, from+size)})
	}
	return spans
}

// multiply writes the similarities of the rows a of one matrix and the rows b of another, [a.len(), b.len()].
func multiply(engine *kernel.Engine, similarities []float32, left, right eval.Matrix, a, b span) {
	engine.MatMul(kernel.Product{
		M: a.len(), N: b.len(), K: left.Cols,
		A: kernel.Operand{Data: kernel.F32(left.Data[a.from*left.Cols:]), RowStride: left.Cols, ColStride: 1},
		B: kernel.Operand{Data: kernel.F32(right.Data[b.from*right.Cols:]), RowStride: 1, ColStride: right.Cols},
		C: kernel.F32(similarities), CStride: b.len(),
	})
}

// top keeps the nearest of the neighbours that it is shown, in order.
type top struct{ found []Neighbour }

func newTop(k int) top { return top{make([]Neighbour, 0, k)} }

// before is the order of neighbours: the nearest first, equal ones by row.
func (n Neighbour) before(other Neighbour) bool {
	return n.Similarity > other.Similarity || n.Similarity == other.Similarity && n.Row < other.Row
}

// add takes a neighbour in if it is near enough. Most are not, so the list is kept sorted by moving its tail.
func (t *top) add(n Neighbour) {
	size := len(t.found)
	if size == cap(t.found) {
		if size == 0 || !n.before(t.found[size-1]) {
			return
		}
		size--
	} else {
		t.found = t.found[:size+1]
	}
	for ; size > 0 && n.before(t.found[size-1]); size-- {
		t.found[size] = t.found[size-1]
	}
	t.found[size] = n
}

// Recall is the share of the true neighbours that were found, over all queries. A row that is as near as the last true
// one counts too, because which of equal rows is listed is no matter of quality.
func Recall(truth, found [][]Neighbour) float64 {
	hits, all := 0, 0
	for i, want := range truth {
		if len(want) == 0 {
			continue
		}
		worst := want[len(want)-1].Similarity - rounding
		all += len(want)
		for _, n := range found[i] {
			if n.Similarity >= worst {
				hits++
			}
		}
	}
	if all == 0 {
		return 1
	}
	return float64(hits) / float64(all)
}

// rounding is what the same product of unit vectors may differ by between kernels that add in another order.
const rounding = 1e-6
