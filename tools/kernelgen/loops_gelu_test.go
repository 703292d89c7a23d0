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
	for pieces, degree := range degrees {
		for i := range pieces - 1 {
			f := func(t float64) float64 { a := (float64(i) + t) / densities[pieces]; return normal(a) + a*density(a) }
			polynomial := fit(degree, f)
			for at := -0.5; at <= 0.5; at += 1. / 64 {
				if e := math.Abs(evaluate(polynomial, at) - f(at)); e > 1e-7 {
					t.Errorf("piece %d of %d is off by %g at %g", i, pieces, e, at)
				}
			}
		}
		// From the middle of the border to the last piece on it is taken for constant.
		if a := (float64(pieces) - 1.5) / densities[pieces]; a*normal(-a) > 3e-7 || a*density(a)-normal(-a) > 3e-7 {
			t.Errorf("with %d pieces the last one begins at %g, where neither curve is at its end", pieces, a)
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
