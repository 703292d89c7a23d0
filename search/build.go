package search

import (
	"cmp"
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
	heights []int
	walkers []*walker
	top     int // levels that hold a row
}

func newBuilder(engine *kernel.Engine, vectors eval.Matrix) *builder {
	tall := heights(vectors.Rows)
	g := &Graph{vectors: vectors, levels: newLevels(tall)}
	return &builder{graph: g, engine: engine, heights: tall, walkers: newWalkers(engine, g)}
}

// add links a batch of rows, which follow those that are in the graph.
func (b *builder) add(batch span) {
	chosen := make([][][]Neighbour, batch.len()) // of each row, by level
	b.engine.Parallel(batch.len(), func(worker, i int) {
		chosen[i] = b.choose(b.walkers[worker], batch.from, batch.from+i)
	})
	var back []backlink
	for i, levels := range chosen {
		for level, links := range levels {
			row := batch.from + i
			b.graph.levels[level].set(row, links)
			for _, n := range links {
				back = append(back, backlink{level, n.Row, Neighbour{row, n.Similarity}})
			}
		}
	}
	b.linkBack(back)
	for row := batch.from; row < batch.to; row++ {
		if b.heights[row] > b.top {
			b.graph.entry, b.top = row, b.heights[row]
		}
	}
}

// choose finds the links of a row on all levels that it stands on (algorithm 1). Rows of the batch in front of it count
// from first.
func (b *builder) choose(w *walker, first, row int) [][]Neighbour {
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
		for other := first; other < row; other++ {
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
