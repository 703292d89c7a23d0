package backbone

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func grids(t *rapid.T) (from, to int) {
	return rapid.IntRange(1, 9).Draw(t, "from"), rapid.IntRange(1, 9).Draw(t, "to")
}

// TestInterpolationKeepsConstants: every row of the matrix sums to 1.
func TestInterpolationKeepsConstants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := grids(t)
		matrix := interpolation2D(from, to)
		for i := range to * to {
			sum := 0.0
			for _, x := range matrix[i*from*from : (i+1)*from*from] {
				sum += float64(x)
			}
			if math.Abs(sum-1) > 1e-5 {
				t.Fatalf("row %d sums to %v", i, sum)
			}
		}
	})
}

func TestInterpolationToTheSameSideIsTheIdentity(t *testing.T) {
	for side := 1; side < 6; side++ {
		for i, x := range interpolation2D(side, side) {
			if want := i/(side*side) == i%(side*side); (x == 1) != want || (x == 0) == want {
				t.Fatalf("side %d: element %d is %v", side, i, x)
			}
		}
	}
}

// TestInterpolationCommutesWithMirrors: turning the picture by 180 degrees reverses both grids.
func TestInterpolationCommutesWithMirrors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := grids(t)
		matrix := interpolation2D(from, to)
		for i, x := range matrix {
			if y := matrix[len(matrix)-1-i]; math.Abs(float64(x-y)) > 1e-6 {
				t.Fatalf("element %d is %v, its mirror %v", i, x, y)
			}
		}
	})
}

// TestInterpolationIsSeparable: x and y trade places when rows and columns do.
func TestInterpolationIsSeparable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := grids(t)
		matrix := interpolation2D(from, to)
		for i := range to * to {
			for j := range from * from {
				x := matrix[i*from*from+j]
				y := matrix[(i%to*to+i/to)*from*from+j%from*from+j/from]
				if math.Abs(float64(x-y)) > 1e-6 {
					t.Fatalf("element (%d, %d) is %v, transposed %v", i, j, x, y)
				}
			}
		}
	})
}

// TestInterpolationKeepsHalves: doubling a line puts weights of Keys' kernel at a quarter and three quarters.
func TestInterpolationKeepsHalves(t *testing.T) {
	matrix := interpolation1D(8, 16)
	want := []float64{-0.03515625, 0.26171875, 0.87890625, -0.10546875} // kernel at 1.75, 0.75, 0.25, 1.25
	for tap, w := range want {
		if got := matrix[8*8+2+tap]; math.Abs(got-w) > 1e-12 {
			t.Errorf("tap %d is %v, want %v", tap, got, w)
		}
	}
}

// TestSinCos checks the table against the formula of Vaswani et al. 2017, section 3.5, in two dimensions.
func TestSinCos(t *testing.T) {
	const prefix, side, width = 1, 3, 8
	table := sinCos(prefix, side, width)
	for channel := range width {
		if table[channel] != 0 {
			t.Errorf("the class token's channel %d is %v, want 0", channel, table[channel])
		}
	}
	row := table[(prefix+1*side+2)*width:][:width] // y = 1, x = 2
	want := []float64{
		math.Sin(2), math.Sin(0.02), math.Cos(2), math.Cos(0.02),
		math.Sin(1), math.Sin(0.01), math.Cos(1), math.Cos(0.01),
	}
	for channel, w := range want {
		if math.Abs(float64(row[channel])-w) > 1e-6 {
			t.Errorf("channel %d is %v, want %v", channel, row[channel], w)
		}
	}
}
