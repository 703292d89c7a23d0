package main

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{2, 1}, 1.5}, {[]float64{5, 1, 3}, 3}, {[]float64{9, 0, 8, 1}, 4.5}} {
		if got := median(test.values); got != test.want {
			t.Errorf("%v: %g, want %g", test.values, got, test.want)
		}
	}
}

// TestMedianInterval: the interval holds the median, lies within the values, and is the same one every time.
func TestMedianInterval(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-10, 10), 1, 30).Draw(t, "values")
		before := slices.Clone(values)
		low, middle, high := medianInterval(values)
		if low > middle || middle > high || low < slices.Min(values) || high > slices.Max(values) {
			t.Fatalf("%v: %g (%g to %g)", values, middle, low, high)
		}
		if again, _, _ := medianInterval(values); again != low || !slices.Equal(values, before) {
			t.Fatal("it is another one the second time, or changed the values")
		}
	})
}
