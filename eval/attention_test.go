package eval

import "testing"

// TestMeanAttention has one head that looks at the patch of each query and one that looks at patch 2; token 0 is the
// class token and looks at patch 1 with both.
func TestMeanAttention(t *testing.T) {
	one := func(at int) []float32 { row := make([]float32, 4); row[at] = 1; return row }
	var weights []float32
	for _, keys := range []int{2, 1, 2, 3, 2, 3, 3, 3} { // [heads, queries]
		weights = append(weights, one(keys)...)
	}
	m := AttentionMap{Heads: 2, tokens: 4, first: 1, weights: weights}
	for _, test := range []struct {
		class    bool
		from, to int
		want     [3]float32
	}{
		{false, 0, 1, [3]float32{1. / 3, 1. / 3, 1. / 3}},
		{false, 1, 2, [3]float32{0, 0, 1}},
		{false, 0, 2, [3]float32{1. / 6, 1. / 6, 4. / 6}},
		{true, 0, 2, [3]float32{0, 1, 0}},
	} {
		m.class = test.class
		for i, got := range m.Mean(0, test.from, test.to) {
			if d := got - test.want[i]; d > 1e-6 || d < -1e-6 {
				t.Errorf("class %v, heads %d to %d: patch %d receives %g, want %g", test.class, test.from, test.to, i, got, test.want[i])
			}
		}
	}
}
