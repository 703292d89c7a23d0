package eval

import (
	"fmt"
	"math"
	"slices"

	"pretrain/internal/kernel"
)

// Retrieval asks with every test picture for pictures of its class: all training pictures are ranked by cosine
// similarity, and those of the query's class are the relevant ones.
type Retrieval struct {
	Depths []int // of the recalls
	Seed   uint64
}

func init() {
	registerScorer("retrieval", func(_ Config, seed uint64) Scorer { return Retrieval{Depths: []int{1, 5, 10}, Seed: seed} })
}

// Score has map, the mean over the queries of the average precision, which is the mean over all relevant pictures of the
// share of relevant ones down to their rank (no cut-off); and recall_K, the share of queries with a relevant picture
// among the first K (Oh Song et al. 2016, arXiv:1511.06452, section 5). Intervals resample the queries.
func (r Retrieval) Score(engine *kernel.Engine, sets Sets) Scores {
	precision, first := make([]float64, sets.Test.Rows), make([]int, sets.Test.Rows)
	eachProduct(engine, normalizeRows(sets.Test), normalizeRows(sets.Train), nil, func(query int, similarities []float32) {
		precision[query], first[query] = averagePrecision(similarities, func(row int) bool {
			return sets.TrainLabels[row] == sets.TestLabels[query]
		})
	})
	scores := Scores{Values: []Score{meanScore("map", precision, r.Seed)}}
	for _, depth := range r.Depths {
		found := make([]float64, len(first))
		for query, rank := range first {
			if rank <= depth {
				found[query] = 1
			}
		}
		scores.Values = append(scores.Values, meanScore(fmt.Sprintf("recall_%d", depth), found, r.Seed))
	}
	return scores
}

// averagePrecision of the ranking by similarity, and the rank from 1 of the first relevant row; 0 and the largest number
// where none is relevant. Equal similarities rank by row.
func averagePrecision(similarities []float32, relevant func(row int) bool) (average float64, first int) {
	first = math.MaxInt
	found := 0
	for at, row := range ranking(similarities) {
		if !relevant(row) {
			continue
		}
		found++
		first = min(first, at+1)
		average += float64(found) / float64(at+1)
	}
	return average / float64(max(1, found)), first
}

// ranking lists the rows from the largest similarity to the smallest, equal ones by row. Similarity and row share a
// 64-bit key, which sorts several times faster than by comparing similarities.
func ranking(similarities []float32) []int {
	keys := make([]uint64, len(similarities))
	for row, similarity := range similarities {
		bits := math.Float32bits(similarity + 0) // −0 becomes 0
		if bits>>31 == 0 {
			bits = ^bits &^ (1 << 31) // larger numbers come first
		}
		keys[row] = uint64(bits)<<32 | uint64(row)
	}
	slices.Sort(keys)
	rows := make([]int, len(keys))
	for rank, key := range keys {
		rows[rank] = int(key & math.MaxUint32)
	}
	return rows
}
