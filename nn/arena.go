package nn

import (
	"cmp"
	"slices"
)

// interval is a buffer of the arena: its size in floats and the first and last step that use it.
type interval struct {
	size, first, last int
	offset            int // where pack puts it
}

// pack places buffers in one arena so that no two that live at the same step overlap, and returns the size of the
// arena. It plays the steps through: a buffer takes the smallest free block that holds it when it is born, and gives
// it back after its last step. Sizes are rounded up to cache lines.
func pack(buffers []*interval) int {
	births := slices.Clone(buffers)
	slices.SortStableFunc(births, func(a, b *interval) int { return cmp.Compare(a.first, b.first) })
	deaths := slices.Clone(buffers)
	slices.SortStableFunc(deaths, func(a, b *interval) int { return cmp.Compare(a.last, b.last) })
	var free freeList
	for _, b := range births {
		for len(deaths) > 0 && deaths[0].last < b.first {
			free.give(block{deaths[0].offset, deaths[0].offset + padded(deaths[0].size)})
			deaths = deaths[1:]
		}
		b.offset = free.take(padded(b.size))
	}
	return free.end
}

// block is a free range of the arena.
type block struct{ from, to int }

// freeList holds the free blocks below end, sorted and never touching each other.
type freeList struct {
	blocks []block
	end    int
}

// take finds the smallest block of at least size; without one the arena grows, by less if its last block is free.
func (f *freeList) take(size int) int {
	best := -1
	for i, b := range f.blocks {
		if b.to-b.from >= size && (best < 0 || b.to-b.from < f.blocks[best].to-f.blocks[best].from) {
			best = i
		}
	}
	if best < 0 {
		return f.grow(size)
	}
	from := f.blocks[best].from
	f.blocks[best].from += size
	if f.blocks[best].from == f.blocks[best].to {
		f.blocks = slices.Delete(f.blocks, best, best+1)
	}
	return from
}

func (f *freeList) grow(size int) int {
	from := f.end
	if n := len(f.blocks); n > 0 && f.blocks[n-1].to == f.end {
		from = f.blocks[n-1].from
		f.blocks = f.blocks[:n-1]
	}
	f.end = from + size
	return from
}

// give returns a block and joins it with its neighbours.
func (f *freeList) give(b block) {
	at, _ := slices.BinarySearchFunc(f.blocks, b.from, func(x block, from int) int { return cmp.Compare(x.from, from) })
	f.blocks = slices.Insert(f.blocks, at, b)
	if at+1 < len(f.blocks) && f.blocks[at+1].from == b.to {
		f.blocks[at].to = f.blocks[at+1].to
		f.blocks = slices.Delete(f.blocks, at+1, at+2)
	}
	if at > 0 && f.blocks[at-1].to == f.blocks[at].from {
		f.blocks[at-1].to = f.blocks[at].to
		f.blocks = slices.Delete(f.blocks, at, at+1)
	}
}
