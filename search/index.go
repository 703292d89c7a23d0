package search

import (
	"pretrain/eval"
	"pretrain/internal/kernel"
)

// ExactBelow is the number of vectors from which a graph pays: comparing a query with fewer takes at most some 4 ms for one
// alone and 0.15 ms for one of many, less than walking the graph (512 features, two cores), and is never wrong.
const ExactBelow = 20_000

// Index is what a folder of pictures is searched by.
type Index struct {
	Vectors    eval.Matrix  // unit rows, in the order of the pictures
	Graph      *Graph       // nil: search is exact
	Unreadable []Unreadable // pictures that have no row
}

// Unreadable is a picture of a folder that could not be read, by its number among the pictures.
type Unreadable struct {
	Picture int    `json:"picture"`
	Reason  string `json:"reason"`
}

// Search finds the k nearest rows for every row of queries, by the graph if there is one.
func (x *Index) Search(engine *kernel.Engine, queries eval.Matrix, k int) [][]Neighbour {
	if x.Graph == nil {
		return Exact(engine, x.Vectors, queries, k)
	}
	return x.Graph.Search(engine, queries, k, Candidates)
}

// Pictures maps rows to the numbers of their pictures, of which there are so many: unreadable ones are passed over.
func (x *Index) Pictures() []int {
	numbers := make([]int, 0, x.Vectors.Rows)
	left := x.Unreadable
	for picture := range x.Vectors.Rows + len(x.Unreadable) {
		if len(left) > 0 && left[0].Picture == picture {
			left = left[1:]
			continue
		}
		numbers = append(numbers, picture)
	}
	return numbers
}
