package data

import (
	"math"
	"sync"
)

// blurBuffers hold one view each.
var blurBuffers = sync.Pool{New: func() any { return new([]float32) }}

// blur convolves p in place with a Gaussian of standard deviation sigma pixels, cut off at three of them. At the
// edges the weights of the pixels that exist are scaled up to one.
func blur(p *Pixels, sigma float64) {
	radius := int(math.Ceil(3 * sigma))
	kernel := make([]float32, radius+1)
	for i := range kernel {
		kernel[i] = float32(math.Exp(-float64(i*i) / (2 * sigma * sigma)))
	}
	buffer := blurBuffers.Get().(*[]float32)
	defer blurBuffers.Put(buffer)
	*buffer = grow(*buffer, len(p.Data))
	blurAxis(*buffer, p.Data, p.Side, 3*p.Side, 3, kernel)
	blurAxis(p.Data, *buffer, p.Side, 3, 3*p.Side, kernel)
}

// blurAxis convolves along one axis: `step` floats lie between neighbours on it, `line` between parallel lines.
func blurAxis(dst, src []float32, side, line, step int, kernel []float32) {
	radius := len(kernel) - 1
	for i := range side {
		from, to := max(0, i-radius), min(side-1, i+radius)
		var sum float32
		for j := from; j <= to; j++ {
			sum += kernel[abs(i-j)]
		}
		for other := range side {
			at := other * line
			for c := at; c < at+3; c++ {
				var value float32
				for j := from; j <= to; j++ {
					value += kernel[abs(i-j)] * src[c+j*step]
				}
				dst[c+i*step] = value / sum
			}
		}
	}
}

func abs(n int) int { return max(n, -n) }
