package random

import "testing"

func TestStreamsDifferInEveryPart(t *testing.T) {
	names := []struct {
		seed    uint64
		purpose string
		parts   []uint64
	}{
		{1, "crop", nil}, {2, "crop", nil}, {1, "flip", nil}, {1, "crop", []uint64{0}}, {1, "crop", []uint64{1}},
		{1, "crop", []uint64{0, 1}}, {1, "crop", []uint64{1, 0}}, {1, "crop", []uint64{0, 0}},
	}
	seen := map[uint64]int{}
	for i, name := range names {
		first := New(name.seed, name.purpose, name.parts...).Uint64()
		if again := New(name.seed, name.purpose, name.parts...).Uint64(); again != first {
			t.Errorf("stream %v gave %d, then %d", name, first, again)
		}
		if j, ok := seen[first]; ok {
			t.Errorf("streams %v and %v start alike", names[j], name)
		}
		seen[first] = i
	}
}

// TestNeighbouringStreamsAreUnrelated draws one number each from the streams of successive pictures: their mean
// and the correlation of neighbours must be those of independent uniform numbers.
func TestNeighbouringStreamsAreUnrelated(t *testing.T) {
	const n = 20000
	var sum, product, previous float64
	for i := range uint64(n) {
		x := New(7, "crop", 3, i).Float64() - 0.5
		sum += x
		product += x * previous
		previous = x
	}
	if mean := sum / n; mean < -0.01 || mean > 0.01 {
		t.Errorf("mean is %g away from a half", mean)
	}
	if correlation := product / n * 12; correlation < -0.03 || correlation > 0.03 {
		t.Errorf("neighbouring streams correlate by %g", correlation)
	}
}
