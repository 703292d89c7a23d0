package pixel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestShortSlices: what does not fit its slices is the caller's mistake, before anything beside them is read or written.
func TestShortSlices(t *testing.T) {
	bytes, numbers := func(n int) []uint8 { return make([]uint8, n) }, func(n int) []float32 { return make([]float32, n) }
	for name, call := range map[string]func(){
		"pixels of a transform":   func() { InverseDCT(bytes(7*10+7), 10, &Block{}) },
		"pixels of a flat block":  func() { InverseFlat(bytes(7*10+7), 10, 5) },
		"colours":                 func() { YCbCr(bytes(3*16-1), bytes(16), bytes(16), bytes(16), 1, 0) },
		"blue chroma":             func() { YCbCr(bytes(3*16), bytes(16), bytes(7), bytes(8), 2, 0) },
		"red chroma":              func() { YCbCr(bytes(3*16), bytes(16), bytes(8), bytes(7), 2, 0) },
		"chroma from an offset":   func() { YCbCr(bytes(3*16), bytes(16), bytes(8), bytes(8), 2, 1) },
		"widened numbers":         func() { Widen(numbers(15), bytes(16)) },
		"filtered pixels":         func() { FilterRow(numbers(26), numbers(40), make([]int, 9), numbers(18), 2) },
		"weights of a filter":     func() { FilterRow(numbers(27), numbers(40), make([]int, 9), numbers(17), 2) },
		"a number beyond the row": func() { FilterRow(numbers(27), numbers(6), make([]int, 9), numbers(18), 2) },
		"rows to combine":         func() { CombineRows(numbers(16), numbers(47), numbers(3)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: a slice that is too short was taken", name)
				}
			}()
			call()
		}()
	}
}

// TestFlatStaysFlat: weights that sum to one leave a picture of one colour as it is, to rounding.
func TestFlatStaysFlat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, taps := rapid.IntRange(1, 40).Draw(t, "pixels"), rapid.IntRange(1, 9).Draw(t, "taps")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		colour, src := floats(r, 3), make([]float32, 3*(n+taps)+1)
		for i := range src {
			src[i] = colour[i%3]
		}
		weights, starts, dst := make([]float32, n*taps), make([]int, n), make([]float32, 3*n)
		for i := range starts {
			starts[i] = i
			sum := float32(0)
			for k := range taps - 1 {
				weights[i*taps+k] = r.Float32() / float32(taps)
				sum += weights[i*taps+k]
			}
			weights[i*taps+taps-1] = 1 - sum
		}
		FilterRow(dst, src, starts, weights, taps)
		for i, got := range dst {
			if math.Abs(float64(got-colour[i%3])) > 1e-5 {
				t.Fatalf("number %d is %g, want %g", i, got, colour[i%3])
			}
		}
	})
}

// TestCombineRowsAddsUp: combining by the sums of two sets of weights is combining twice and adding.
func TestCombineRowsAddsUp(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 15))
	for _, n := range []int{1, 7, 8, 9, 31, 32, 33, 64, 100} {
		rows, a, b := floats(r, 3*n), floats(r, 3), floats(r, 3)
		first, second, both := make([]float32, n), make([]float32, n), make([]float32, n)
		CombineRows(first, rows, a)
		CombineRows(second, rows, b)
		CombineRows(both, rows, []float32{a[0] + b[0], a[1] + b[1], a[2] + b[2]})
		for i := range both {
			if math.Abs(float64(both[i]-first[i]-second[i])) > 1e-5 {
				t.Fatalf("%d numbers: number %d is %g, want %g", n, i, both[i], first[i]+second[i])
			}
		}
		alone := make([]float32, n)
		if CombineRows(alone, rows, []float32{0, 1, 0}); !slices.Equal(alone, rows[n:2*n]) {
			t.Errorf("%d numbers: the second row alone is another", n)
		}
	}
}
