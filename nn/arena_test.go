package nn

import (
	"testing"

	"pgregory.net/rapid"
)

// TestPackKeepsLiveBuffersApart draws lifetimes and checks every pair that lives at the same step.
func TestPackKeepsLiveBuffersApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buffers := drawIntervals(t)
		arena := pack(buffers)
		for i, a := range buffers {
			if a.offset%lineFloats != 0 || a.offset < 0 || a.offset+a.size > arena {
				t.Fatalf("buffer %d of %d floats at %d: not on a line of an arena of %d", i, a.size, a.offset, arena)
			}
			for j, b := range buffers[:i] {
				together := a.first <= b.last && b.first <= a.last
				apart := a.offset+a.size <= b.offset || b.offset+b.size <= a.offset
				if together && !apart {
					t.Fatalf("buffers %d %+v and %d %+v overlap", i, *a, j, *b)
				}
			}
		}
	})
}

// TestPackNeedsNoMoreThanAllBuffers bounds the arena from both sides: the largest sum of buffers alive at once, and
// the sum of all.
func TestPackNeedsNoMoreThanAllBuffers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buffers := drawIntervals(t)
		arena := pack(buffers)
		all, peak := 0, 0
		for _, a := range buffers {
			all += padded(a.size)
			alive := 0
			for _, b := range buffers {
				if b.first <= a.first && a.first <= b.last {
					alive += padded(b.size)
				}
			}
			peak = max(peak, alive)
		}
		if arena < peak || arena > all {
			t.Fatalf("arena of %d floats: %d live at once and there are %d", arena, peak, all)
		}
	})
}

func drawIntervals(t *rapid.T) []*interval {
	n := rapid.IntRange(1, 40).Draw(t, "buffers")
	var buffers []*interval
	for range n {
		first := rapid.IntRange(0, 30).Draw(t, "first")
		buffers = append(buffers, &interval{
			size:  rapid.IntRange(1, 100).Draw(t, "size"),
			first: first,
			last:  first + rapid.IntRange(0, 10).Draw(t, "length"),
		})
	}
	return buffers
}

// TestPackReusesMemory is a chain as evaluation has it: each buffer lives for two steps, so two places suffice.
func TestPackReusesMemory(t *testing.T) {
	var buffers []*interval
	for step := range 100 {
		buffers = append(buffers, &interval{size: 64, first: step, last: step + 1})
	}
	if got := pack(buffers); got != 2*64 {
		t.Errorf("arena of %d floats, want %d", got, 2*64)
	}
}
