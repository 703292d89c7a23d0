package search

import (
	"slices"

	"pretrain/internal/kernel"
)

// walker searches a graph. It keeps its scratch memory from one search to the next and belongs to one goroutine.
type walker struct {
	graph    *Graph
	seen     []uint32 // of each row, the number of the last walk that came by
	walks    uint32
	frontier heap // rows whose links are still to be looked at, the nearest first
	found    heap // the nearest rows so far, the farthest first
}

// newWalkers makes one walker a worker of the engine.
func newWalkers(engine *kernel.Engine, g *Graph) []*walker {
	walkers := make([]*walker, engine.Workers())
	for i := range walkers {
		walkers[i] = &walker{graph: g, seen: make([]uint32, g.vectors.Rows)}
	}
	return walkers
}

// search descends to the base and returns the nearest rows found there, the nearest first. The slice is the caller's.
func (w *walker) search(query []float32, candidates int) []Neighbour {
	nearest := w.descend(query, len(w.graph.levels)-1, 0)
	return w.walk(query, nearest, candidates, 0)
}

// descend goes greedily from a level to the one above `to`, and returns where it arrived.
func (w *walker) descend(query []float32, from, to int) []Neighbour {
	entry := w.graph.entry
	nearest := []Neighbour{{entry, Cosine(query, w.graph.vectors.Row(entry))}}
	for level := from; level > to; level-- {
		nearest = w.walk(query, nearest, 1, level)
	}
	return nearest
}

// walk finds the nearest rows of a level that can be reached from some rows, over at most so many candidates at a time
// (algorithm 2). They come the nearest first.
func (w *walker) walk(query []float32, from []Neighbour, candidates, level int) []Neighbour {
	w.begin()
	for _, n := range from {
		w.visit(n, candidates)
	}
	links := &w.graph.levels[level]
	for len(w.frontier) > 0 {
		next := w.frontier.pop()
		if len(w.found) == candidates && next.key < -w.found[0].key {
			break
		}
		for _, row := range links.of(int(next.row)) {
			if w.seen[row] != w.walks {
				w.visit(Neighbour{int(row), Cosine(query, w.graph.vectors.Row(int(row)))}, candidates)
			}
		}
	}
	return w.found.drain()
}

// begin forgets the walk before.
func (w *walker) begin() {
	if w.walks++; w.walks == 0 { // after four billion walks the numbers begin anew
		clear(w.seen)
		w.walks = 1
	}
	w.frontier, w.found = w.frontier[:0], w.found[:0]
}

// visit takes a row in if it is among the nearest so far.
func (w *walker) visit(n Neighbour, candidates int) {
	w.seen[n.Row] = w.walks
	if len(w.found) == candidates {
		if n.Similarity <= -w.found[0].key {
			return
		}
		w.found.pop()
	}
	w.found.push(item{-n.Similarity, int32(n.Row)})
	w.frontier.push(item{n.Similarity, int32(n.Row)})
}

// heap is a binary heap with the greatest key first. It is not container/heap, whose calls through an interface would
// cost more than the comparisons.
type heap []item

type item struct {
	key float32
	row int32
}

func (h *heap) push(added item) {
	*h = append(*h, added)
	items := *h
	at := len(items) - 1
	for at > 0 {
		parent := (at - 1) / 2
		if items[parent].key >= added.key {
			break
		}
		items[at] = items[parent]
		at = parent
	}
	items[at] = added
}

func (h *heap) pop() item {
	items := *h
	first, last := items[0], items[len(items)-1]
	items = items[:len(items)-1]
	*h = items
	at := 0
	for child := 1; child < len(items); child = 2*at + 1 {
		if child+1 < len(items) && items[child+1].key > items[child].key {
			child++
		}
		if last.key >= items[child].key {
			break
		}
		items[at] = items[child]
		at = child
	}
	if len(items) > 0 {
		items[at] = last
	}
	return first
}

// drain empties a heap of negated similarities into a list in the order of Exact.
func (h *heap) drain() []Neighbour {
	list := make([]Neighbour, len(*h))
	for i, found := range *h {
		list[i] = Neighbour{int(found.row), -found.key}
	}
	*h = (*h)[:0]
	slices.SortFunc(list, compare)
	return list
}

// compare orders neighbours, the nearest first.
func compare(a, b Neighbour) int {
	switch {
	case a.before(b):
		return -1
	case b.before(a):
		return 1
	}
	return 0
}
