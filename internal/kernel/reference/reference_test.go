package reference

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func normals(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// inner is the inner product of a result in float64 and float32 numbers.
func inner(a []float64, b []float32) (sum float64) {
	for i, v := range a {
		sum += v * float64(b[i])
	}
	return sum
}

// TestMatMul by hand.
func TestMatMul(t *testing.T) {
	a, b := []float32{1, 2, 3, 4, 5, 6}, []float32{7, 8, 9, 10, 11, 12}
	got := MatMul(2, 2, 3, func(i, j int) float32 { return a[i*3+j] }, func(i, j int) float32 { return b[i*2+j] })
	if want := []float64{58, 64, 139, 154}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := MatMul(1, 1, 0, nil, nil); !slices.Equal(got, []float64{0}) {
		t.Errorf("the sum over nothing is %v", got)
	}
}

// TestConvByHand: a corner of a map of two lines, padded, with stride 2.
func TestConvByHand(t *testing.T) {
	c := Conv{Images: 1, Height: 2, Width: 3, Channels: 1, Filters: 1, Kernel: 3, Stride: 2, Pad: 1}
	x, w := []float32{1, 2, 3, 4, 5, 6}, []float32{1, 10, 100, 1000, 1e4, 1e5, 1e6, 1e7, 1e8}
	want := []float64{1e4*1 + 1e5*2 + 1e7*4 + 1e8*5, 1000*2 + 1e4*3 + 1e6*5 + 1e7*6}
	if got := c.Forward(2, x, w); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestConvOfOnePixel is a product of matrices.
func TestConvOfOnePixel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	c := Conv{Images: 2, Height: 3, Width: 4, Channels: 5, Filters: 6, Kernel: 1, Stride: 1}
	x, w := normals(r, 24*5), normals(r, 6*5)
	want := MatMul(24, 6, 5, func(i, j int) float32 { return x[i*5+j] }, func(i, j int) float32 { return w[j*5+i] })
	for i, got := range c.Forward(24*6, x, w) {
		if math.Abs(got-want[i]) > 1e-12 {
			t.Fatalf("number %d is %g, want %g", i, got, want[i])
		}
	}
}

// TestGradientsAreAdjoint: a convolution is linear in maps and in weights, so that its gradients are the transposed maps:
// ⟨dy, y(x, w)⟩ = ⟨dx(dy, w), x⟩ = ⟨dw(dy, x), w⟩.
func TestGradientsAreAdjoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Conv{
			Images: rapid.IntRange(1, 2).Draw(t, "images"), Height: rapid.IntRange(3, 7).Draw(t, "height"),
			Width: rapid.IntRange(3, 7).Draw(t, "width"), Channels: rapid.IntRange(1, 3).Draw(t, "channels"),
			Filters: rapid.IntRange(1, 3).Draw(t, "filters"), Kernel: rapid.IntRange(1, 3).Draw(t, "kernel"),
			Stride: rapid.IntRange(1, 3).Draw(t, "stride"), Pad: rapid.IntRange(0, 2).Draw(t, "pad"),
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		outputs := c.Images * ((c.Height+2*c.Pad-c.Kernel)/c.Stride + 1) * ((c.Width+2*c.Pad-c.Kernel)/c.Stride + 1)
		x, w := normals(r, c.Images*c.Height*c.Width*c.Channels), normals(r, c.Filters*c.Kernel*c.Kernel*c.Channels)
		dy := normals(r, outputs*c.Filters)
		want := inner(c.Forward(len(dy), x, w), dy)
		for name, got := range map[string]float64{
			"maps": inner(c.BackwardInput(dy, w), x), "weights": inner(c.BackwardWeights(dy, x), w),
		} {
			if math.Abs(got-want) > 1e-9*(1+math.Abs(want)) {
				t.Errorf("%+v: the gradient of %s gives %g, want %g", c, name, got, want)
			}
		}
	})
}
