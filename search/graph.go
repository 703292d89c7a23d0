package search

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas/blas32"

	"pretrain/eval"
	"pretrain/internal/kernel"
	"pretrain/internal/random"
)

// Graph is a hierarchical navigable small world (Malkov & Yashunin 2018, arXiv:1603.09320) over the rows of a matrix: on
// every level a row is linked to rows near it in different directions, each level holds a sixteenth of the rows of the one
// below, and a search descends greedily from the sparsest to the base. It is a pure function of the matrix, whatever the
// number of workers. It does not change once it is built, and may be searched by several goroutines with engines of
// their own.
type Graph struct {
	vectors eval.Matrix   // unit rows; shared with whoever built the graph
	levels  []level       // the base, which holds every row, first
	entry   int           // where searches begin: a row of the highest level
	copies  map[int][]int // of rows in the graph, the rows that equal them, which are not
}

// Parameters of the paper, by its names. These are the ones that hnswlib and most of its users take.
const (
	linksUp      = 16  // M: links of a row that is added, and the most that a row of the upper levels has
	linksBase    = 32  // Mmax0: the most that a row of the base has
	construction = 200 // efConstruction: candidates among which links are chosen

	// Candidates is efSearch where nothing else is asked for: the more, the better and the slower.
	Candidates = 100
)

// levelSeed draws the levels of rows. They are no property of a run, so it is fixed.
const levelSeed = 1

// level holds the links of the rows that stand on it.
type level struct {
	width int     // the most links of a row
	slot  []int32 // of each row of the matrix, its place in links; -1 = the row is not on this level; nil = row i is at i
	links []int32 // [rows on the level, width], -1 behind the last link of a row
}

// at is the place of a row.
func (l *level) at(row int) int {
	if l.slot == nil {
		return row
	}
	return int(l.slot[row])
}

// of lists the rows that a row is linked to. The slice belongs to the level.
func (l *level) of(row int) []int32 {
	links := l.links[l.at(row)*l.width:][:l.width]
	if end := slices.Index(links, -1); end >= 0 {
		return links[:end]
	}
	return links
}

// set replaces the links of a row.
func (l *level) set(row int, links []Neighbour) {
	stored := l.links[l.at(row)*l.width:][:l.width]
	for i := range stored {
		stored[i] = -1
		if i < len(links) {
			stored[i] = int32(links[i].Row)
		}
	}
}

// mostRows bounds a graph: its file keeps row numbers as float32, which are exact up to here.
const mostRows = 1 << 24

// NewGraph links the rows of a matrix of unit vectors, which the graph goes on to use.
func NewGraph(engine *kernel.Engine, vectors eval.Matrix) (*Graph, error) {
	if vectors.Rows < 1 || vectors.Rows > mostRows {
		return nil, fmt.Errorf("a graph over %d vectors: must be 1 to %d; search exactly instead", vectors.Rows, mostRows)
	}
	b := newBuilder(engine, vectors)
	for from := 0; from < len(b.order); {
		to := min(len(b.order), from+min(max(1, from/16), mostBatch))
		b.add(span{from, to})
		from = to
	}
	return b.graph, nil
}

// heights draws how many levels each row stands on, at least 1 (algorithm 1, line 4).
func heights(rows int) []int {
	drawn := make([]int, rows)
	r := random.New(levelSeed, "hnsw levels")
	for i := range drawn {
		drawn[i] = 1 + int(-math.Log(1-r.Float64())/math.Log(linksUp))
	}
	return drawn
}

// newLevels makes room for the links of rows that stand on so many levels each.
func newLevels(heights []int) []level {
	levels := make([]level, slices.Max(heights))
	for i := range levels {
		l := &levels[i]
		l.width = linksUp
		count := len(heights)
		if i == 0 {
			l.width = linksBase
		} else {
			l.slot, count = slots(heights, i)
		}
		l.links = slices.Repeat([]int32{-1}, count*l.width)
	}
	return levels
}

// slots numbers the rows that stand on a level.
func slots(heights []int, level int) (slot []int32, count int) {
	slot = slices.Repeat([]int32{-1}, len(heights))
	for row, height := range heights {
		if height > level {
			slot[row] = int32(count)
			count++
		}
	}
	return slot, count
}

// Cosine is the similarity of two unit vectors.
func Cosine(a, b []float32) float32 {
	return blas32.Dot(blas32.Vector{N: len(a), Inc: 1, Data: a}, blas32.Vector{N: len(b), Inc: 1, Data: b})
}

// Search finds about k nearest rows for every row of queries (algorithm 5), in the order of Exact. It looks at the given
// number of candidates, at least k and one; more of them find more of the true neighbours.
func (g *Graph) Search(engine *kernel.Engine, queries eval.Matrix, k, candidates int) [][]Neighbour {
	found := make([][]Neighbour, queries.Rows)
	walkers := newWalkers(engine, g)
	engine.Parallel(queries.Rows, func(worker, i int) {
		found[i] = g.withCopies(walkers[worker].search(queries.Row(i), max(k, candidates, 1)), k)
	})
	return found
}

// withCopies adds to rows of the graph those that equal them, up to k rows in all.
func (g *Graph) withCopies(nearest []Neighbour, k int) []Neighbour {
	all := make([]Neighbour, 0, k)
	for _, n := range nearest {
		if len(all) >= k {
			break
		}
		all = append(all, n)
		for _, row := range g.copies[n.Row] {
			all = append(all, Neighbour{row, n.Similarity})
		}
	}
	return all[:min(k, len(all))]
}

// check reports links that lead nowhere, which a damaged file could have.
func (g *Graph) check() error {
	if g.entry < 0 || g.entry >= g.vectors.Rows || g.levels[len(g.levels)-1].at(g.entry) < 0 {
		return fmt.Errorf("entry row %d is not on the highest level", g.entry)
	}
	for i := range g.levels {
		l := &g.levels[i]
		for _, row := range l.links {
			if row >= 0 && (int(row) >= g.vectors.Rows || l.at(int(row)) < 0) {
				return fmt.Errorf("level %d has a link to row %d, which is not there", i, row)
			}
		}
	}
	return nil
}
