package pixel

import (
	"image/color"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// needAssembly skips aloud where there is only one implementation to look at.
func needAssembly(t *testing.T) {
	t.Helper()
	if !haveAssembly {
		t.Skip("this build or CPU has no assembly of package pixel to compare")
	}
}

// TestInverseDCT against the definition in float64, on coefficients of real pictures' size.
func TestInverseDCT(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var b Block
		for i := range r.IntN(20) {
			b[r.IntN(1+63*min(i, 1))] = int32(r.IntN(401) - 200)
		}
		got := make([]uint8, 8*10)
		InverseDCT(got, 10, &b)
		for y := range 8 {
			for x := range 8 {
				want := max(0, min(255, definition(&b, x, y)+128))
				if math.Abs(float64(got[y*10+x])-want) > 1 {
					t.Fatalf("pixel %d, %d is %d, expected %.2f", x, y, got[y*10+x], want)
				}
			}
		}
	}
}

// definition is equation A.3.3 of ITU-T T.81.
func definition(b *Block, x, y int) (sum float64) {
	scale := func(k int) float64 { return map[bool]float64{true: math.Sqrt2 / 2, false: 1}[k == 0] }
	for v := range 8 {
		for u := range 8 {
			wave := math.Cos(float64(2*x+1)*float64(u)*math.Pi/16) * math.Cos(float64(2*y+1)*float64(v)*math.Pi/16)
			sum += scale(u) * scale(v) / 4 * float64(b[8*u+v]) * wave
		}
	}
	return sum
}

// TestInverseDCTAssembly: the same bits for any coefficients, those that overflow too, and nothing beside the block.
func TestInverseDCTAssembly(t *testing.T) {
	needAssembly(t)
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		var b Block
		shift := r.IntN(32)
		for i := range b {
			b[i] = int32(r.Uint32()) >> shift
		}
		got, want := make([]uint8, 7*11+8), make([]uint8, 7*11+8)
		inverseDCT(got, 11, &b)
		inversePortable(want, 11, &b)
		if !slices.Equal(got, want) {
			t.Fatalf("%v\nexpected\n%v\nof %v", got, want, b)
		}
	}
}

func TestInverseFlat(t *testing.T) {
	for _, first := range []int32{0, 1, -1, 7, 4, -4, 500, -1016, 1016, 100_000, -100_000, math.MaxInt32, math.MinInt32} {
		got, want := make([]uint8, 64), make([]uint8, 64)
		InverseFlat(got, 8, first)
		inversePortable(want, 8, &Block{first})
		if !slices.Equal(got, want) {
			t.Errorf("%d: %v, expected %v", first, got[0], want)
		}
	}
}

// TestYCbCr against the standard library, over lengths, sharing and offsets.
func TestYCbCr(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, shared := range []int{1, 2, 4} {
		for n := range 70 {
			offset := r.IntN(shared) * r.IntN(2)
			luma, cb, cr := noise(r, n), noise(r, n+2), noise(r, n+2)
			got := make([]uint8, 3*n+1)
			YCbCr(got, luma, cb, cr, shared, offset)
			for x := range n {
				c := (x + offset) / shared
				red, green, blue := color.YCbCrToRGB(luma[x], cb[c], cr[c])
				if pixel := [3]uint8(got[3*x:]); pixel != [3]uint8{red, green, blue} {
					t.Fatalf("%d of %d pixels, %d shared from %d: %v, expected %d %d %d", x, n, shared, offset, pixel, red, green, blue)
				}
			}
			if got[3*n] != 0 {
				t.Fatalf("%d pixels wrote beyond their end", n)
			}
		}
	}
}

func noise(r *rand.Rand, n int) []uint8 {
	bytes := make([]uint8, n)
	for i := range bytes {
		bytes[i] = uint8(r.Uint32())
	}
	return bytes
}

func TestWiden(t *testing.T) {
	for n := range 40 {
		src, got := noise(rand.New(rand.NewPCG(7, uint64(n))), n), make([]float32, n+1)
		Widen(got, src)
		for i, v := range src {
			if got[i] != float32(v) {
				t.Fatalf("%d of %d: %g, expected %d", i, n, got[i], v)
			}
		}
		if got[n] != 0 {
			t.Fatalf("%d bytes wrote beyond their end", n)
		}
	}
}

// TestFilterRow: the bits of the loop in Go, with rising and falling starts, and nothing beyond the row.
func TestFilterRow(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	for n := 1; n < 30; n++ {
		taps := 1 + r.IntN(12)
		src, weights, starts := floats(r, 3*(n+taps)+1), floats(r, n*taps), make([]int, n)
		for i := range starts {
			starts[i] = i
		}
		src[len(src)-1] = float32(math.NaN()) // must not matter
		if n%2 == 0 {
			slices.Reverse(starts)
		}
		got, want := make([]float32, 3*n+1), make([]float32, 3*n+1)
		FilterRow(got, src, starts, weights, taps)
		filterRowPortable(want, src, starts, weights, taps)
		if !slices.Equal(got, want) {
			t.Fatalf("%d pixels, %d taps: %v\nexpected %v", n, taps, got, want)
		}
	}
}

// TestFilterRowReference against sums in float64.
func TestFilterRowReference(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 11))
	src, weights, starts := floats(r, 3*40+1), floats(r, 7*5), []int{0, 0, 3, 9, 20, 30, 35}
	got := make([]float32, 21)
	FilterRow(got, src, starts, weights, 5)
	for i, v := range got {
		var want float64
		for k := range 5 {
			want += float64(weights[i/3*5+k]) * float64(src[(starts[i/3]+k)*3+i%3])
		}
		if math.Abs(float64(v)-want) > 1e-5 {
			t.Errorf("number %d is %g, expected %g", i, v, want)
		}
	}
}

// TestFilterRowBounds: starts that leave the row are the caller's mistake, not a read of other memory.
func TestFilterRowBounds(t *testing.T) {
	for _, starts := range [][]int{{0, 1, 2, 3, 4, 5, 6, 8}, {8, 6, 5, 4, 3, 2, 1, 0}, {-1, 0, 1, 2, 3, 4, 5, 6}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("starts %v of 9 pixels with 2 taps were taken", starts)
				}
			}()
			FilterRow(make([]float32, 24), make([]float32, 28), starts, make([]float32, 16), 2)
		}()
	}
}

func TestCombineRows(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 13))
	for n := 1; n < 80; n++ {
		taps := 1 + r.IntN(9)
		rows, weights := floats(r, n*taps), floats(r, taps)
		got, want := floats(r, n+1), make([]float32, n)
		kept := got[n]
		CombineRows(got[:n], rows, weights)
		combineRowsPortable(want, rows, weights, 0)
		if !slices.Equal(got[:n], want) || got[n] != kept {
			t.Fatalf("%d numbers of %d rows: %v\nexpected %v", n, taps, got, want)
		}
	}
}

func floats(r *rand.Rand, n int) []float32 {
	all := make([]float32, n)
	for i := range all {
		all[i] = float32(r.NormFloat64())
	}
	return all
}
