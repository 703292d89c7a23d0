package main

import (
	"math"
	"testing"
)

// TestFit: a polynomial is found again, and pieces of the normal distribution are met within what the kernels promise.
func TestFit(t *testing.T) {
	want := []float64{0.5, -2, 0.25, 3, 0, -1}
	for i, c := range fit(5, func(t float64) float64 { return evaluate(want, t) }) {
		if math.Abs(c-want[i]) > 1e-12 {
			t.Errorf("coefficient %d is %g, want %g", i, c, want[i])
		}
	}
	for _, count := range []int{8, 16} {
		for name, f := range map[string]func(float64) float64{"bump": bump, "rise": rise} {
			end := math.Round(f(40)*2) / 2
			table := pieces(count, f, end)
			for i, polynomial := range table {
				for at := -0.5; at <= 0.5; at += 1. / 64 {
					a, allowed := (float64(i)+at)/densities[count], 1e-7
					if i == 0 {
						allowed *= 2 * math.Abs(at) // nothing is lost near 0
					}
					if i == count-1 {
						allowed = 3e-7 // taken for constant
					}
					if e := math.Abs(evaluate(polynomial, at) - f(a)); e > allowed {
						t.Errorf("%s, piece %d of %d: off by %g at %g", name, i, count, e, a)
					}
				}
			}
		}
	}
}

// evaluate is a polynomial, lowest power first, at t.
func evaluate(powers []float64, t float64) float64 {
	sum := 0.0
	for i := len(powers) - 1; i >= 0; i-- {
		sum = sum*t + powers[i]
	}
	return sum
}
