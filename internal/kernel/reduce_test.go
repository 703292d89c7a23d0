package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestReductions(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			n, r := sizes.Draw(t, "n")*rapid.SampledFrom([]int{1, 1, 1, 997}).Draw(t, "times"), randomOf(t)
			x := normals(r, n, 0.1, 1)
			sum, squares := 0.0, 0.0
			for _, v := range float64s(x) {
				sum += v
				squares += v * v
			}
			if got := e.Sum(x); math.Abs(got-sum) > 1e-10*(1+squares) {
				t.Fatalf("Sum is %g, want %g", got, sum)
			}
			if got := e.SumSquares(x); math.Abs(got-squares) > 1e-10*(1+squares) {
				t.Fatalf("SumSquares is %g, want %g", got, squares)
			}
			if !e.AllFinite(x) {
				t.Fatalf("AllFinite is false for finite values")
			}
			if n > 0 {
				x[r.IntN(n)] = rapid.SampledFrom([]float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}).Draw(t, "bad")
				if e.AllFinite(x) {
					t.Fatalf("AllFinite is true for a value that is not")
				}
			}
		})
	})
}

func TestAllFiniteTakesTheLargest(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		if !e.AllFinite([]float32{math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32}) {
			t.Error("the largest finite values are finite")
		}
	})
}

func TestColumnSums(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			rows, cols, r := rapid.IntRange(0, 3*maxBlockRows).Draw(t, "rows"), rapid.IntRange(0, 70).Draw(t, "cols"), randomOf(t)
			x, got, want := normals(r, rows*cols, 1, 1), dirty(cols), make([]float64, cols)
			for i, v := range float64s(x) {
				want[i%cols] += v
			}
			e.ColumnSums(got, F32(x), rows, cols)
			near(t, "ColumnSums", got, want, 2e-6)
		})
	})
}

func TestColumnSumsOfManyRowsStayAccurate(t *testing.T) {
	const rows, cols = 200_000, 3
	x := make([]float32, rows*cols)
	for i := range x {
		x[i] = 0.1
	}
	inFamilies(t, func(t *testing.T, e *Engine) {
		got := dirty(cols)
		e.ColumnSums(got, F32(x), rows, cols)
		want := rows * float64(float32(0.1))
		near(t, "ColumnSums", got, []float64{want, want, want}, 1e-6)
	})
}

func TestReductionsDependOnTheProblemOnly(t *testing.T) {
	x := normals(seeded(3), 700_001, 0, 1)
	sameForWorkers(t, func(e *Engine) []float32 {
		sums := dirty(7)
		e.ColumnSums(sums, F32(x), len(x)/7, 7)
		return append(sums, float32(e.Sum(x)), float32(e.SumSquares(x)))
	})
}
