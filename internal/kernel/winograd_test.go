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

func TestWinograd(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			channels := rapid.SampledFrom([]int{1, 3, 16, 17, 33, 64, 70})
			s := ConvShape{
				Images: rapid.IntRange(0, 3).Draw(t, "images"), Height: rapid.IntRange(1, 13).Draw(t, "height"), Width: rapid.IntRange(1, 13).Draw(t, "width"),
				Channels: channels.Draw(t, "channels"), Filters: channels.Draw(t, "filters"), Kernel: 3, Stride: 1, Pad: 1,
			}
			x, dy, w := convTensors(s)
			y, dx, dw := e.winogradAll(s, x, dy, w)
			c := reference.Conv(s)
			checkNorm(t, "y", y, c.Forward(len(y), x, w), winogradTolerance)
			checkNorm(t, "dx", dx, c.BackwardInput(dy, w), winogradTolerance)
			checkNorm(t, "dw", dw, c.BackwardWeights(dy, x), winogradTolerance)
		})
	})
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
	s := ConvShape{2, 12, 12, 32, 40, 3, 1, 1}
	if !s.winograd() {
		t.Fatal("not by Winograd's algorithm")
	}
	x, y, w := convTensors(s)
	dx, dw := make([]float32, len(x)), make([]float32, len(w))
	inFamilies(t, func(t *testing.T, e *Engine) {
		if n := testing.AllocsPerRun(5, func() {
			e.ConvForward(s, F32(y), F32(x), w)
			e.ConvBackwardInput(s, F32(dx), F32(y), w)
			e.ConvBackwardWeights(s, dw, F32(y), F32(x))
		}); n > 0 {
			t.Errorf("%g allocations", n)
		}
	})
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
