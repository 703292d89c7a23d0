package main

import (
	"math"
	"math/rand/v2"
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

// TestMedianIntervalReference holds the interval against the exact distribution of the median of a resample: that of an odd
// number n of values is at most the k-th smallest one, if at least half of the draws are, which has the probability of
// that many successes of a binomial distribution with n trials and chance k/n.
func TestMedianIntervalReference(t *testing.T) {
	for _, n := range []int{1, 3, 5, 11, 25, 41} {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(i + 1)
		}
		rand.New(rand.NewPCG(1, uint64(n))).Shuffle(n, func(i, j int) { values[i], values[j] = values[j], values[i] })
		low, middle, high := medianInterval(values)
		if middle != float64(n+1)/2 {
			t.Errorf("the median of %d values is %g", n, middle)
		}
		// 10,000 resamples place a quantile within 0.6 % of probability, four standard deviations of it.
		for got, wanted := range map[float64]float64{low: 0.025, high: 0.975} {
			below, upTo := atMost(n, int(got)-1), atMost(n, int(got))
			if below > wanted+0.006 || upTo < wanted-0.006 {
				t.Errorf("of %d values %g is a limit, which is below the quantile %g at %.4f to %.4f", n, got, wanted, below, upTo)
			}
		}
	}
}

// atMost is the probability that the median of a resample of n values is at most the k-th smallest of them.
func atMost(n, k int) float64 {
	sum, chance := 0.0, float64(k)/float64(n)
	for hits := (n + 1) / 2; hits <= n; hits++ {
		sum += choose(n, hits) * math.Pow(chance, float64(hits)) * math.Pow(1-chance, float64(n-hits))
	}
	return sum
}

func choose(n, k int) float64 {
	ways := 1.0
	for i := range k {
		ways *= float64(n-i) / float64(i+1)
	}
	return ways
}

// TestMedianIntervalNarrows as the root of the number of values, about: four times as many halve it.
func TestMedianIntervalNarrows(t *testing.T) {
	width := func(n int) float64 {
		r, values := rand.New(rand.NewPCG(5, 5)), make([]float64, n)
		for i := range values {
			values[i] = r.NormFloat64()
		}
		low, _, high := medianInterval(values)
		return high - low
	}
	if ratio := width(400) / width(100); ratio < 0.3 || ratio > 0.8 {
		t.Errorf("the interval of four times as many values is %.2f times as wide", ratio)
	}
}
