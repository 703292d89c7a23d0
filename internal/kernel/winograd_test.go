package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
	"pretrain/internal/kernel/reference"
)

// errorOf is the norm of the error relative to the norm of what a result must be.
func errorOf(got []float32, want []float64) float64 {
	var errors, squares float64
	for i, w := range want {
		d := float64(got[i]) - w
		errors, squares = errors+d*d, squares+w*w
	}
	return math.Sqrt(errors / max(squares, 1e-30))
}

// winogradTolerance bounds errors relative to the norm of a result. The largest of TestWinogradErrors is 2.2e-6; sums over
// few channels and over maps smaller than a tile have less to average.
const winogradTolerance = 5e-6

// checkNorm compares a result with what it must become, relative to its norm; NaN fails.
func checkNorm(t failer, name string, got []float32, want []float64, tolerance float64) {
	t.Helper()
	if e := errorOf(got, want); !(e <= tolerance) {
		t.Fatalf("%s is off by %.3g of its norm", name, e)
	}
}

// winogradAll runs the three kernels of a convolution by Winograd's algorithm, whatever the rule says of its shape.
func (e *Engine) winogradAll(s ConvShape, x, dy, w []float32) (y, dx, dw []float32) {
	y, dx, dw = dirty(len(dy)), dirty(len(x)), dirty(len(w))
	e.winogradForward(s, F32(y), F32(x), w)
	e.winogradBackwardInput(s, F32(dx), F32(dy), w)
	e.winogradBackwardWeights(s, dw, F32(dy), F32(x))
	return y, dx, dw
}

// drawWinograd draws a shape for Winograd's algorithm, whatever the rule says of it.
func drawWinograd(t *rapid.T, channels ...int) ConvShape {
	some := rapid.SampledFrom(channels)
	return ConvShape{
		Images: rapid.IntRange(0, 3).Draw(t, "images"), Height: rapid.IntRange(1, 13).Draw(t, "height"), Width: rapid.IntRange(1, 13).Draw(t, "width"),
		Channels: some.Draw(t, "channels"), Filters: some.Draw(t, "filters"), Kernel: 3, Stride: 1, Pad: 1,
	}
}

func TestWinograd(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			s := drawWinograd(t, 1, 3, 16, 17, 33, 64, 70)
			x, dy, w := convTensors(s)
			y, dx, dw := e.winogradAll(s, x, dy, w)
			c := reference.Conv(s)
			x2, dy2, w2 := squaresOf(x), squaresOf(dy), squaresOf(w)
			checkTerms(t, "y", y, c.Forward(len(y), x, w), c.Forward(len(y), x2, w2))
			checkTerms(t, "dx", dx, c.BackwardInput(dy, w), c.BackwardInput(dy2, w2))
			checkTerms(t, "dw", dw, c.BackwardWeights(dy, x), c.BackwardWeights(dy2, x2))
		})
	})
}

// checkTerms compares sums with what they must be, relative to the norm that they would have if their terms, whose squares are
// given in sum, had random signs: the terms of a few sums may cancel, the error does not.
func checkTerms(t failer, name string, got []float32, want, squares []float64) {
	t.Helper()
	norm, typical := 0.0, 0.0
	for i, w := range want {
		norm, typical = norm+w*w, typical+squares[i]
	}
	checkNorm(t, name, got, want, winogradTolerance*math.Sqrt(max(1, typical/max(norm, 1e-30))))
}

func squaresOf(x []float32) []float32 {
	squares := make([]float32, len(x))
	for i, v := range x {
		squares[i] = v * v
	}
	return squares
}

// TestWinogradOfHalves holds the algorithm on bf16 maps, and on maps of which one is bf16, to the rounded results of the
// same numbers in float32, bit by bit. Infinities and NaN are among them.
func TestWinogradOfHalves(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			s := drawWinograd(t, 2, 6, 16, 18, 34, 64, 70, 142)
			x, dy, w := convTensors(s)
			if len(x) > 0 && rapid.Bool().Draw(t, "special") {
				x[len(x)/3], x[len(x)/2], dy[len(dy)/2] = float32(math.Inf(1)), 3e38, float32(math.NaN())
			}
			halfX, x := rounded(x)
			halfDY, dy := rounded(dy)
			y, dx, dw := e.winogradAll(s, x, dy, w)
			_, roundedY := rounded(y)
			_, roundedDX := rounded(dx)

			gotY, _ := rounded(dirty(len(y)))
			gotDX, _ := rounded(dirty(len(dx)))
			gotDW := dirty(len(w))
			e.winogradForward(s, gotY, halfX, w)
			e.winogradBackwardInput(s, gotDX, halfDY, w)
			e.winogradBackwardWeights(s, gotDW, halfDY, halfX)
			sameBits(t, "y", float32sOf(gotY), roundedY)
			sameBits(t, "dx", float32sOf(gotDX), roundedDX)
			sameBits(t, "dw", gotDW, dw)

			mixedY, mixedDX := dirty(len(y)), dirty(len(dx))
			e.winogradForward(s, F32(mixedY), halfX, w)
			e.winogradBackwardInput(s, F32(mixedDX), halfDY, w)
			e.winogradBackwardWeights(s, gotDW, F32(dy), halfX)
			sameBits(t, "y in float32", mixedY, y)
			sameBits(t, "dx in float32", mixedDX, dx)
			sameBits(t, "dw of float32 and bf16", gotDW, dw)
			e.winogradForward(s, gotY, F32(x), w)
			e.winogradBackwardWeights(s, gotDW, halfDY, F32(x))
			sameBits(t, "y of float32", float32sOf(gotY), roundedY)
			sameBits(t, "dw of bf16 and float32", gotDW, dw)
		})
	})
}

// TestWinogradServesHalves: convolutions of bf16 maps take the algorithm in all families but AMX.
func TestWinogradServesHalves(t *testing.T) {
	s := ConvShape{9, 16, 15, 34, 40, 3, 1, 1}
	x, dy, w := convTensors(s)
	halfX, x := rounded(x)
	halfDY, dy := rounded(dy)
	inFamilies(t, func(t *testing.T, e *Engine) {
		if !e.byWinograd(s, F32(x), F32(dy)) {
			t.Fatal("float32 maps do not take Winograd's algorithm")
		}
		want := e.family != AMX
		for _, maps := range [][2]Array{{halfX, halfDY}, {halfX, F32(dy)}, {F32(x), halfDY}} {
			if got := e.byWinograd(s, maps[0], maps[1]); got != want {
				t.Errorf("bf16 maps by Winograd's algorithm: %v, want %v", got, want)
			}
		}
		if !want {
			return
		}
		y, dx, dw := e.winogradAll(s, x, dy, w)
		_, y = rounded(y)
		_, dx = rounded(dx)
		gotY, gotDX, gotDW := BF16(make([]BFloat16, len(y))), BF16(make([]BFloat16, len(dx))), make([]float32, len(w))
		e.ConvForward(s, gotY, halfX, w)
		e.ConvBackwardInput(s, gotDX, halfDY, w)
		e.ConvBackwardWeights(s, gotDW, halfDY, halfX)
		sameBits(t, "y", float32sOf(gotY), y)
		sameBits(t, "dx", float32sOf(gotDX), dx)
		sameBits(t, "dw", gotDW, dw)
	})
	few := ConvShape{2, 12, 12, 34, 40, 3, 1, 1}
	for _, c := range []struct {
		shape  ConvShape
		family Family
		want   bool
	}{
		{s, AVX2, true},
		{s, AVX512, true},
		{s, AVX512BF16, true},
		{s, AMX, false},
		{few, Portable, true},
		{few, AVX512, true},
		{few, AVX512BF16, false},
		{ConvShape{128, 4, 4, 512, 512, 3, 1, 1}, AVX512BF16, true},
		{ConvShape{128, 7, 7, 512, 512, 3, 1, 1}, AVX512BF16, true},
		{ConvShape{128, 6, 6, 512, 512, 3, 1, 1}, AVX512BF16, false}, // too much of a tile would be waste
		{ConvShape{64, 4, 4, 512, 512, 3, 1, 1}, AVX512BF16, false},  // too much of the work would be the weights
		{ConvShape{128, 32, 32, 64, 128, 3, 2, 1}, AVX2, false},      // stride
	} {
		if got := (&Engine{family: c.family}).byWinograd(c.shape, halfX, halfDY); got != c.want {
			t.Errorf("%+v of bf16 by Winograd's algorithm in family %s: %v, want %v", c.shape, c.family, got, c.want)
		}
	}
}

// TestWinogradErrors measures the error that winograd.go states, on the channels of ResNet-18.
func TestWinogradErrors(t *testing.T) {
	for _, s := range []ConvShape{{1, 32, 32, 64, 64, 3, 1, 1}, {1, 16, 16, 128, 128, 3, 1, 1}, {1, 8, 8, 256, 256, 3, 1, 1}, {1, 4, 4, 512, 512, 3, 1, 1}} {
		x, dy, w := convTensors(s)
		c := reference.Conv(s)
		wantY, wantDX, wantDW := c.Forward(len(dy), x, w), c.BackwardInput(dy, w), c.BackwardWeights(dy, x)
		inFamilies(t, func(t *testing.T, e *Engine) {
			y, dx, dw := e.winogradAll(s, x, dy, w)
			if !s.winograd() {
				direct := dirty(len(y))
				e.ConvForward(s, F32(direct), F32(x), w)
				t.Logf("%v: y %.2g of the norm by direct sums", s, errorOf(direct, wantY))
			}
			t.Logf("%v: y %.2g, dx %.2g, dw %.2g of the norm", s, errorOf(y, wantY), errorOf(dx, wantDX), errorOf(dw, wantDW))
			checkNorm(t, "y", y, wantY, winogradTolerance)
			checkNorm(t, "dx", dx, wantDX, winogradTolerance)
			checkNorm(t, "dw", dw, wantDW, winogradTolerance)
		})
	}
}

// TestWinogradDoesNotDependOnWorkers has blocks of tiles, of outputs, of weights and parts of their sum.
func TestWinogradDoesNotDependOnWorkers(t *testing.T) {
	for _, s := range []ConvShape{{9, 16, 15, 40, 70, 3, 1, 1}, {2, 7, 7, 140, 150, 3, 1, 1}} {
		x, dy, w := convTensors(s)
		sameForWorkers(t, func(e *Engine) []float32 {
			y, dx, dw := e.winogradAll(s, x, dy, w)
			return append(append(y, dx...), dw...)
		})
		halfX, _ := rounded(x)
		halfDY, _ := rounded(dy)
		sameForWorkers(t, func(e *Engine) []float32 {
			y, dx, dw := BF16(make([]BFloat16, len(dy))), BF16(make([]BFloat16, len(x))), make([]float32, len(w))
			e.winogradForward(s, y, halfX, w)
			e.winogradBackwardInput(s, dx, halfDY, w)
			e.winogradBackwardWeights(s, dw, halfDY, halfX)
			return append(append(float32sOf(y), float32sOf(dx)...), dw...)
		})
	}
}

// TestWinogradDoesNotDependOnTheBatch: a picture's values have the same bits whatever pictures stand beside it.
func TestWinogradDoesNotDependOnTheBatch(t *testing.T) {
	s := ConvShape{5, 9, 9, 70, 40, 3, 1, 1}
	x, dy, w := convTensors(s)
	inFamilies(t, func(t *testing.T, e *Engine) {
		y, dx, _ := e.winogradAll(s, x, dy, w)
		one := s
		one.Images = 1
		for i := range s.Images {
			alone, dAlone, _ := e.winogradAll(one, x[i*len(x)/5:(i+1)*len(x)/5], dy[i*len(y)/5:(i+1)*len(y)/5], w)
			sameBits(t, "y", y[i*len(y)/5:(i+1)*len(y)/5], alone)
			sameBits(t, "dx", dx[i*len(x)/5:(i+1)*len(x)/5], dAlone)
		}
	})
}

func TestWinogradAllocatesNothing(t *testing.T) {
	s := ConvShape{15, 12, 12, 32, 40, 3, 1, 1}
	if !s.winograd() || !s.worthwhile() {
		t.Fatal("not by Winograd's algorithm")
	}
	x, y, w := convTensors(s)
	dw := make([]float32, len(w))
	for storage, array := range storages {
		x, y, dx := array(x), array(y), array(make([]float32, len(x)))
		inFamilies(t, func(t *testing.T, e *Engine) {
			// Which worker grows its scratch memory depends on who is quicker: the best of several runs counts.
			least := math.Inf(1)
			for range 6 {
				least = min(least, testing.AllocsPerRun(1, func() {
					e.ConvForward(s, y, x, w)
					e.ConvBackwardInput(s, dx, y, w)
					e.ConvBackwardWeights(s, dw, y, x)
				}))
			}
			if least > 0 {
				t.Errorf("%g allocations in %s", least, storage)
			}
		})
	}
}

func TestWinogradShapes(t *testing.T) {
	for _, c := range []struct {
		shape ConvShape
		want  bool
	}{
		{ConvShape{128, 32, 32, 64, 64, 3, 1, 1}, true},
		{ConvShape{128, 4, 4, 512, 512, 3, 1, 1}, true},
		{ConvShape{128, 5, 5, 512, 512, 3, 1, 1}, true},
		{ConvShape{128, 2, 2, 512, 512, 3, 1, 1}, false},   // most of a tile would be waste
		{ConvShape{8, 4, 4, 512, 512, 3, 1, 1}, false},     // most of the work would be the weights
		{ConvShape{128, 32, 32, 3, 64, 3, 1, 1}, false},    // pictures
		{ConvShape{128, 32, 32, 64, 128, 3, 2, 1}, false},  // stride
		{ConvShape{128, 32, 32, 64, 64, 3, 1, 0}, false},   // no border
		{ConvShape{128, 32, 32, 128, 128, 1, 1, 0}, false}, // pointwise
	} {
		if got := c.shape.winograd(); got != c.want {
			t.Errorf("%+v by Winograd's algorithm: %v, want %v", c.shape, got, c.want)
		}
	}
}
