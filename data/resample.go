package data

import (
	"math"
	"sync"

	"pretrain/internal/pixel"
)

// Resample makes view p of window w of a picture, with an antialiased bicubic filter (Keys 1981, a = −1/2, widened
// by the factor of reduction, as Pillow and torchvision's antialias=True do). Pixels around the window but inside
// the picture take part in the filter; a window that reaches outside sees the nearest edge. Values are clamped to
// [0,1]. It may be called concurrently.
func Resample(p *Pixels, img Image, w Window) {
	resample(p.Data, p.Side, p.Side, img.Pix, img.Width, img.Height, w, 1./255)
	clampAll(p.Data)
}

// ResamplePixels is Resample from another view; p and src must not share memory.
func ResamplePixels(p, src *Pixels, w Window) {
	resample(p.Data, p.Side, p.Side, src.Data, src.Side, src.Side, w, 1)
	clampAll(p.Data)
}

// clampAll undoes the overshoot of the bicubic filter at hard edges.
func clampAll(values []float32) {
	for i, v := range values {
		values[i] = clamp(v)
	}
}

// Reduce returns the picture with its short side reduced to side pixels and rounded to 8 bits once; a picture that
// is small enough is returned as it is.
func Reduce(img Image, side int) Image {
	if img.Side() <= side {
		return img
	}
	small := NewImage(reducedSize(img.Width, img.Height, side))
	values := make([]float32, len(small.Pix))
	resample(values, small.Width, small.Height, img.Pix, img.Width, img.Height, Whole(img), 1)
	for i, v := range values {
		small.Pix[i] = toByte(v)
	}
	return small
}

// reducedSize is the size of a picture whose short side is brought to `side` pixels.
func reducedSize(width, height, side int) (int, int) {
	scale := float64(side) / float64(min(width, height))
	return max(side, int(math.Round(float64(width)*scale))), max(side, int(math.Round(float64(height)*scale)))
}

// resampler holds the buffers of one separable resampling, so that none is allocated after warm-up.
type resampler struct {
	horizontal, vertical filter
	row                  []float32 // one source row, and one number more
	rows                 []float32 // source rows that the window needs, already resampled horizontally
}

var resamplers = sync.Pool{New: func() any { return new(resampler) }}

// resample filters src (width×height×3) within w into dst (outWidth×outHeight×3), times gain.
func resample[T uint8 | float32](dst []float32, outWidth, outHeight int, src []T, width, height int, w Window, gain float32) {
	r := resamplers.Get().(*resampler)
	defer resamplers.Put(r)
	r.horizontal.build(outWidth, width, w.X, w.Width, gain)
	r.vertical.build(outHeight, height, w.Y, w.Height, 1)
	left, right := r.horizontal.span()
	if w.Flip {
		r.horizontal.mirror()
	}
	first, last := r.vertical.span()
	stride := outWidth * 3
	r.row, r.rows = grow(r.row, width*3+1), grow(r.rows, (last-first)*stride)
	for y := first; y < last; y++ {
		widen(r.row[left*3:right*3], src[(y*width+left)*3:(y*width+right)*3])
		pixel.FilterRow(r.rows[(y-first)*stride:], r.row, r.horizontal.starts, r.horizontal.weights, r.horizontal.taps)
	}
	for y := range outHeight {
		start, weights := r.vertical.at(y)
		pixel.CombineRows(dst[y*stride:][:stride], r.rows[(start-first)*stride:], weights)
	}
}

// widen copies a row as float32.
func widen[T uint8 | float32](dst []float32, src []T) {
	switch src := any(src).(type) {
	case []uint8:
		pixel.Widen(dst, src)
	case []float32:
		copy(dst, src)
	}
}

// filter holds, for each output position, the first source position and the weights of `taps` successive ones.
type filter struct {
	taps    int
	starts  []int
	weights []float32 // positions × taps
}

// build fills the filter for `positions` outputs that cover source range [offset, offset+length) of `size` pixels.
func (f *filter) build(positions, size int, offset, length float64, gain float32) {
	scale := length / float64(positions)
	stretch := math.Max(scale, 1)                 // widens the filter when reducing: this is the antialiasing
	f.taps = min(size, int(math.Ceil(4*stretch))) // the kernel is not zero over (−2, 2)·stretch
	f.starts = grow(f.starts, positions)
	f.weights = grow(f.weights, positions*f.taps)
	for i := range positions {
		centre := math.Max(0, math.Min(float64(size), offset+(float64(i)+0.5)*scale))
		start := int(math.Ceil(centre - 2*stretch - 0.5))
		start = max(0, min(size-f.taps, start))
		f.starts[i] = start
		f.fill(f.weights[i*f.taps:][:f.taps], start, centre, stretch, gain)
	}
}

// fill computes the weights of one output position; they sum to gain even where the picture's edge cuts the filter.
func (f *filter) fill(weights []float32, start int, centre, stretch float64, gain float32) {
	var sum float64
	for k := range weights {
		sum += cubic((float64(start+k) + 0.5 - centre) / stretch)
	}
	for k := range weights {
		weights[k] = float32(cubic((float64(start+k)+0.5-centre)/stretch)/sum) * gain
	}
}

// cubic is Keys' kernel with a = −1/2, zero outside (−2, 2).
func cubic(x float64) float64 {
	x = math.Abs(x)
	switch {
	case x < 1:
		return (1.5*x-2.5)*x*x + 1
	case x < 2:
		return ((-0.5*x+2.5)*x-4)*x + 2
	}
	return 0
}

func (f *filter) at(i int) (start int, weights []float32) {
	return f.starts[i], f.weights[i*f.taps:][:f.taps]
}

// span is the range of source positions that any output needs.
func (f *filter) span() (first, last int) {
	return f.starts[0], f.starts[len(f.starts)-1] + f.taps
}

// mirror reverses the order of the outputs.
func (f *filter) mirror() {
	for i, j := 0, len(f.starts)-1; i < j; i, j = i+1, j-1 {
		f.starts[i], f.starts[j] = f.starts[j], f.starts[i]
		_, a := f.at(i)
		_, b := f.at(j)
		for k := range a {
			a[k], b[k] = b[k], a[k]
		}
	}
}

// grow returns a slice of n elements with undefined content, reusing the memory of s where it suffices.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
