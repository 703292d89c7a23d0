package data

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// drawImage makes a picture of up to 40×40 random pixels.
func drawImage(t *rapid.T) Image {
	img := NewImage(rapid.IntRange(1, 40).Draw(t, "width"), rapid.IntRange(1, 40).Draw(t, "height"))
	copy(img.Pix, rapid.SliceOfN(rapid.Byte(), len(img.Pix), len(img.Pix)).Draw(t, "pixels"))
	return img
}

// drawWindow makes a window inside of a picture, not on whole pixels.
func drawWindow(t *rapid.T, img Image) Window {
	width := rapid.Float64Range(0.5, float64(img.Width)).Draw(t, "window width")
	height := rapid.Float64Range(0.5, float64(img.Height)).Draw(t, "window height")
	return Window{
		X: rapid.Float64Range(0, float64(img.Width)-width).Draw(t, "x"), Y: rapid.Float64Range(0, float64(img.Height)-height).Draw(t, "y"),
		Width: width, Height: height, Flip: rapid.Bool().Draw(t, "flip"),
	}
}

// naiveResample sums the two-dimensional filter over the whole picture, in float64, for one output value.
func naiveResample(img Image, w Window, side, outX, outY, channel int) float64 {
	if w.Flip {
		outX = side - 1 - outX
	}
	scaleX, scaleY := w.Width/float64(side), w.Height/float64(side)
	var sum, weights float64
	for y := range img.Height {
		for x := range img.Width {
			weight := cubic((float64(x)+0.5-w.X-(float64(outX)+0.5)*scaleX)/math.Max(1, scaleX)) *
				cubic((float64(y)+0.5-w.Y-(float64(outY)+0.5)*scaleY)/math.Max(1, scaleY))
			sum += weight * float64(img.Pix[3*(y*img.Width+x)+channel]) / 255
			weights += weight
		}
	}
	return math.Max(0, math.Min(1, sum/weights))
}

func TestResampleMatchesTheNaiveFilter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img := drawImage(t)
		w := drawWindow(t, img)
		p := NewPixels(rapid.IntRange(1, 12).Draw(t, "side"))
		Resample(p, img, w)
		for i, got := range p.Data {
			want := naiveResample(img, w, p.Side, i/3%p.Side, i/3/p.Side, i%3)
			if math.Abs(float64(got)-want) > 1e-5 {
				t.Fatalf("value %d of window %+v is %g, the naive filter gives %g", i, w, got, want)
			}
		}
	})
}

func TestResampleKeepsConstants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img := drawImage(t)
		value := rapid.Byte().Draw(t, "value")
		for i := range img.Pix {
			img.Pix[i] = value
		}
		p := NewPixels(rapid.IntRange(1, 50).Draw(t, "side"))
		Resample(p, img, drawWindow(t, img))
		for i, v := range p.Data {
			if math.Abs(float64(v)-float64(value)/255) > 1e-6 {
				t.Fatalf("value %d is %g, the picture is %g everywhere", i, v, float64(value)/255)
			}
		}
	})
}

// TestWindowsOutsideSeeTheEdge: also far away, where no weight of the filter is left.
func TestWindowsOutsideSeeTheEdge(t *testing.T) {
	img := NewImage(4, 4)
	for y := range 4 {
		copy(img.Pix[3*(4*y+2):], []uint8{255, 255, 255, 255, 255, 255}) // the right half is white
	}
	for x, want := range map[float64]float32{-9: 0, -3: 0, 5: 1, 100: 1} {
		p := NewPixels(3)
		Resample(p, img, Window{X: x, Y: -7, Width: 2, Height: 30})
		for i, v := range p.Data {
			if v != want {
				t.Fatalf("value %d of a window at x = %g is %g, expected %g", i, x, v, want)
			}
		}
	}
}

// TestFlipIsExact: a mirrored window gives the very bits of the mirrored view.
func TestFlipIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img := drawImage(t)
		w := drawWindow(t, img)
		side := rapid.IntRange(1, 20).Draw(t, "side")
		plain, mirrored := NewPixels(side), NewPixels(side)
		Resample(plain, img, w)
		w.Flip = !w.Flip
		Resample(mirrored, img, w)
		for i := range side * side {
			j := i - i%side + side - 1 - i%side
			for c := range 3 {
				if plain.Data[3*i+c] != mirrored.Data[3*j+c] {
					t.Fatalf("pixel %d is %g, mirrored %g", i, plain.Data[3*i+c], mirrored.Data[3*j+c])
				}
			}
		}
	})
}

func TestResampleIdentity(t *testing.T) {
	img := noise(24, 24)
	p := NewPixels(24)
	Resample(p, img, Whole(img))
	for i, v := range p.Image().Pix {
		if v != img.Pix[i] {
			t.Fatalf("byte %d is %d, was %d", i, v, img.Pix[i])
		}
	}
	copied := NewPixels(24)
	ResamplePixels(copied, p, Window{Width: 24, Height: 24})
	for i, v := range copied.Data {
		if v != p.Data[i] {
			t.Fatalf("value %d is %g, was %g", i, v, p.Data[i])
		}
	}
}

// TestReducePreservesTheMean: reducing noise keeps its mean and removes most of its variance (antialiasing).
func TestReducePreservesTheMean(t *testing.T) {
	img := noise(256, 192)
	small := Reduce(img, 24)
	if small.Width != 32 || small.Height != 24 {
		t.Fatalf("reduced to %d×%d, expected 32×24", small.Width, small.Height)
	}
	mean, deviation := moments(img.Pix)
	meanSmall, deviationSmall := moments(small.Pix)
	if math.Abs(mean-meanSmall) > 1 {
		t.Errorf("mean went from %g to %g", mean, meanSmall)
	}
	if deviationSmall > deviation/5 {
		t.Errorf("standard deviation went from %g to %g: not antialiased", deviation, deviationSmall)
	}
}

func moments(pix []uint8) (mean, deviation float64) {
	var sum, squares float64
	for _, v := range pix {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	n := float64(len(pix))
	return sum / n, math.Sqrt(squares/n - sum*sum/n/n)
}

func TestReduceNeverEnlarges(t *testing.T) {
	for _, size := range [][4]int{{10, 10, 10, 10}, {96, 500, 96, 500}, {97, 500, 96, 495}, {500, 97, 495, 96}, {1000, 97, 990, 96}} {
		if got := Reduce(NewImage(size[0], size[1]), 96); got.Width != size[2] || got.Height != size[3] {
			t.Errorf("%d×%d became %d×%d, expected %d×%d", size[0], size[1], got.Width, got.Height, size[2], size[3])
		}
	}
}

func TestPreprocessTakesTheMiddle(t *testing.T) {
	img := NewImage(30, 10) // black, white, black
	for y := range 10 {
		for x := 10; x < 20; x++ {
			copy(img.Pix[3*(30*y+x):], []uint8{255, 255, 255})
		}
	}
	p := Preprocess(img, 20)
	if middle, edge := p.Data[3*(10*20+10)], p.Data[3*10*20]; middle != 1 || edge < 0.5 {
		t.Errorf("middle is %g, left edge %g: expected the white square", middle, edge)
	}
}

// TestResampleReusesItsBuffers: without reuse a call allocates six. (The pool may lose some of them now and then, to
// the garbage collector and on purpose under the race detector.)
func TestResampleReusesItsBuffers(t *testing.T) {
	img, p := noise(96, 96), NewPixels(64)
	w := Window{X: 3, Y: 5, Width: 80, Height: 70, Flip: true}
	if n := testing.AllocsPerRun(50, func() { Resample(p, img, w) }); n > 3 {
		t.Errorf("%g allocations a call", n)
	}
}

func TestBlur(t *testing.T) {
	p := NewPixels(15)
	for i := range p.Data {
		p.Data[i] = 0.25
	}
	blur(p, 1.3)
	for i, v := range p.Data {
		if math.Abs(float64(v)-0.25) > 1e-6 {
			t.Fatalf("value %d of a flat view became %g", i, v)
		}
	}
	clear(p.Data)
	p.Data[3*(7*15+7)] = 1
	blur(p, 1.3)
	ratio := float64(p.Data[3*(7*15+9)] / p.Data[3*(7*15+7)])
	if want := math.Exp(-4 / (2 * 1.3 * 1.3)); math.Abs(ratio-want) > 1e-6 {
		t.Errorf("two pixels from the point the blur is %g of the middle, expected %g", ratio, want)
	}
	if p.Data[3*(9*15+7)] != p.Data[3*(7*15+9)] || p.Data[3*(7*15+9)+1] != 0 {
		t.Error("the blur is not the same along both axes, or leaks between channels")
	}
}
