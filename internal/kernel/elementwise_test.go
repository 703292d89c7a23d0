package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestElementwise(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			n, r := sizes.Draw(t, "n"), randomOf(t)
			a, b := normals(r, n, 0, 2), normals(r, n, 0, 2)
			sum, scaled, twice, positive, slope := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
			for i := range n {
				sum[i] = float64(a[i]) + float64(b[i])
				twice[i] = sum[i] + float64(b[i])
				scaled[i] = float64(a[i]) * -0.3
				positive[i] = max(float64(a[i]), 0)
				if a[i] > 0 {
					slope[i] = float64(b[i])
				}
			}
			got := dirty(n)
			e.Add(F32(got), F32(a), F32(b))
			near(t, "Add", got, sum, 1e-6)
			e.Accumulate(F32(got), F32(b))
			near(t, "Accumulate", got, twice, 1e-6)
			e.Scale(F32(got), F32(a), -0.3)
			near(t, "Scale", got, scaled, 1e-6)
			e.ReLUForward(F32(got), F32(a))
			near(t, "ReLUForward", got, positive, 0)
			dx := dirty(n)
			e.ReLUBackward(F32(dx), F32(b), F32(got))
			near(t, "ReLUBackward", dx, slope, 0)
			e.ReLUBackward(F32(b), F32(b), F32(got))
			near(t, "ReLUBackward in place", b, slope, 0)
		})
	})
}

func TestReLUKeepsNaN(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		x := normals(seeded(1), 37, 0, 1)
		x[3], x[36] = float32(math.NaN()), float32(math.NaN())
		y := make([]float32, len(x))
		e.ReLUForward(F32(y), F32(x))
		for i := range x {
			if (x[i] != x[i]) != (y[i] != y[i]) {
				t.Errorf("ReLU of %g is %g", x[i], y[i])
			}
		}
	})
}

func TestElementwiseSpansManyWorkItems(t *testing.T) {
	n := 3*elementChunk + 5
	a, b := normals(seeded(1), n, 0, 1), normals(seeded(2), n, 0, 1)
	sameForWorkers(t, func(e *Engine) []float32 {
		y := dirty(n)
		e.Add(F32(y), F32(a), F32(b))
		e.GELUBackward(F32(y), F32(y), F32(b))
		return y
	})
}
