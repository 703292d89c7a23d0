package search

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"math"
	"slices"

	"pretrain/eval"
	"pretrain/internal/kernel"
)

// mostBatch bounds the rows that are added to a graph at once.
const mostBatch = 128

// builder adds rows to a graph, a batch at a time. The rows of a batch look for links at once, in the graph as it was
// before and among the rows of the batch in front of them, and then the rows that were chosen link back, each by itself:
// so the result does not depend on how many workers share the work, where the paper adds one row after the other.
type builder struct {
	graph   *Graph
	engine  *kernel.Engine
	order   []int // rows that are added: of equal ones the first
	heights []int
	walkers []*walker
	top     int // levels that hold a row
}

func newBuilder(engine *kernel.Engine, vectors eval.Matrix) *builder {
	order, copies := distinct(vectors)
	tall := heights(vectors.Rows)
	for _, rows := range copies {
		for _, row := range rows {
			tall[row] = 1
		}
	}
	g := &Graph{vectors: vectors, levels: newLevels(tall), copies: copies}
	return &builder{graph: g, engine: engine, order: order, heights: tall, walkers: newWalkers(engine, g)}
}

// distinct lists the rows of a matrix without those that equal one before, and of each row that has such copies the copies.
// A graph in which many rows are equal falls into islands, since a row's nearest are then all in one place.
func distinct(m eval.Matrix) (order []int, copies map[int][]int) {
	copies = map[int][]int{}
	first := map[uint64][]int{}
	seed := maphash.MakeSeed()
	bytes := make([]byte, 4*m.Cols)
	for i := range m.Rows {
		for j, v := range m.Row(i) {
			binary.LittleEndian.PutUint32(bytes[4*j:], math.Float32bits(v))
		}
		sum := maphash.Bytes(seed, bytes)
		same := slices.IndexFunc(first[sum], func(row int) bool { return slices.Equal(m.Row(row), m.Row(i)) })
		if same >= 0 {
			copies[first[sum][same]] = append(copies[first[sum][same]], i)
			continue
		}
		first[sum], order = append(first[sum], i), append(order, i)
	}
	return order, copies
}

// add links a batch of rows, given by their places in the order, which follow those that are in the graph.
func (b *builder) add(batch span) {
	rows := b.order[batch.from:batch.to]
	chosen := make([][][]Neighbour, len(rows)) // of each row, by level
	b.engine.Parallel(len(rows), func(worker, i int) {
		chosen[i] = b.choose(b.walkers[worker], rows[:i], rows[i])
	})
	var back []backlink
	for i, levels := range chosen {
		for level, links := range levels {
			b.graph.levels[level].set(rows[i], links)
			for _, n := range links {
				back = append(back, backlink{level, n.Row, Neighbour{rows[i], n.Similarity}})
			}
		}
	}
	b.linkBack(back)
	for _, row := range rows {
		if b.heights[row] > b.top {
			b.graph.entry, b.top = row, b.heights[row]
		}
	}
}

// choose finds the links of a row on all levels that it stands on (algorithm 1), in the graph and among the rows of the
// batch before it.
func (b *builder) choose(w *walker, before []int, row int) [][]Neighbour {
	query := b.graph.vectors.Row(row)
	chosen := make([][]Neighbour, b.heights[row])
	var nearest []Neighbour
	if b.top > 0 {
		nearest = w.descend(query, b.top-1, min(b.top, b.heights[row])-1)
	}
	for level := len(chosen) - 1; level >= 0; level-- {
		var candidates []Neighbour
		if level < b.top {
			nearest = w.walk(query, nearest, construction, level)
			candidates = slices.Clone(nearest)
		}
		for _, other := range before {
			if b.heights[other] > level {
				candidates = append(candidates, Neighbour{other, Cosine(query, b.graph.vectors.Row(other))})
			}
		}
		slices.SortFunc(candidates, compare)
		chosen[level] = b.spread(candidates, linksUp)
	}
	return chosen
}

// spread picks at most n of some candidates, the nearest first, leaving out those that are nearer to one picked before
// than to the row that asks (algorithm 4): links then lead out of a cluster too.
func (b *builder) spread(candidates []Neighbour, n int) []Neighbour {
	var picked []Neighbour
	for _, candidate := range candidates {
		if len(picked) == n {
			break
		}
		vector := b.graph.vectors.Row(candidate.Row)
		covered := slices.ContainsFunc(picked, func(p Neighbour) bool {
			return Cosine(vector, b.graph.vectors.Row(p.Row)) > candidate.Similarity
		})
		if !covered {
			picked = append(picked, candidate)
		}
	}
	return picked
}

// backlink asks a row to link to a new one.
type backlink struct {
	level, row int
	added      Neighbour
}

// linkBack adds links to rows and, where there are too many, spreads them anew.
func (b *builder) linkBack(back []backlink) {
	slices.SortStableFunc(back, func(x, y backlink) int {
		return cmp.Or(cmp.Compare(x.level, y.level), cmp.Compare(x.row, y.row))
	})
	var groups [][]backlink
	for len(back) > 0 {
		end := 1
		for end < len(back) && back[end].level == back[0].level && back[end].row == back[0].row {
			end++
		}
		groups, back = append(groups, back[:end]), back[end:]
	}
	b.engine.Parallel(len(groups), func(_, i int) { b.extend(groups[i]) })
}

// extend adds the links that one row on one level was asked for.
func (b *builder) extend(asked []backlink) {
	level, row := &b.graph.levels[asked[0].level], asked[0].row
	vector := b.graph.vectors.Row(row)
	var links []Neighbour
	for _, other := range level.of(row) {
		links = append(links, Neighbour{int(other), Cosine(vector, b.graph.vectors.Row(int(other)))})
	}
	for _, a := range asked {
		links = append(links, a.added)
	}
	if len(links) > level.width {
		slices.SortFunc(links, compare)
		links = b.spread(links, level.width)
	}
	level.set(row, links)
}
