package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// geluReference is x·Φ(x).
func geluReference(x []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v * 0.5 * math.Erfc(-v/math.Sqrt2)
	}
	return y
}

func TestGELU(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			n, r := sizes.Draw(t, "n"), randomOf(t)
			x, dy := normals(r, n, 0, 3), normals(r, n, 0, 1)
			y, dx := dirty(n), dirty(n)
			e.GELUForward(F32(y), F32(x))
			near(t, "GELUForward", y, geluReference(float64s(x)), 5e-7)
			e.GELUBackward(F32(dx), F32(dy), F32(x))
			followsDifferences(t, r, func(in [][]float64) float64 { return weighted(dy, geluReference(in[0])) }, [][]float32{x}, [][]float32{dx})
		})
	})
}

// TestGELUEverywhere walks the line, the far tails included, in pieces of all lengths.
func TestGELUEverywhere(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		var x []float32
		for v := -40.0; v <= 40; v += 0.003 {
			x = append(x, float32(v))
		}
		x = append(x, -1e30, 1e30, -200, 200, 0, float32(math.Copysign(0, -1)), 1e-30)
		y, dx, ones, slopes := dirty(len(x)), dirty(len(x)), make([]float32, len(x)), make([]float64, len(x))
		for i, v := range float64s(x) {
			ones[i] = 1
			slopes[i] = 0.5*math.Erfc(-v/math.Sqrt2) + v*math.Exp(-v*v/2)/math.Sqrt(2*math.Pi)
		}
		for from, length := 0, 1; from < len(x); length = length%37 + 1 {
			to := min(from+length, len(x))
			e.GELUForward(F32(y[from:to]), F32(x[from:to]))
			e.GELUBackward(F32(dx[from:to]), F32(ones[from:to]), F32(x[from:to]))
			from = to
		}
		near(t, "GELUForward", y, geluReference(float64s(x)), 5e-7)
		near(t, "GELUBackward", dx, slopes, 5e-7)
	})
}
