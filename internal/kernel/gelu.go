package kernel

import "math"

// GELUForward sets y = x·Φ(x), Φ the normal distribution function (Hendrycks & Gimpel 2016; the exact form, not the
// tanh approximation), with an absolute error below 1e-6. The slices are of one length; y may be x.
func (e *Engine) GELUForward(y, x Array) { e.unary(e.vector.gelu, y, x) }

// GELUBackward sets dx = dy·(Φ(x) + x·φ(x)), φ the normal density. The slices are of one length; dx may be dy or x.
func (e *Engine) GELUBackward(dx, dy, x Array) { e.binary(e.vector.geluBackward, dx, dy, x) }

func geluPortable(y, x []float32) {
	x = x[:len(y)]
	for i, v := range x {
		y[i] = v * normalDistribution(v)
	}
}

func geluBackwardPortable(dx, dy, x []float32) {
	dy, x = dy[:len(dx)], x[:len(dx)]
	for i, v := range x {
		density := math.Exp(-0.5*float64(v)*float64(v)) / math.Sqrt(2*math.Pi)
		dx[i] = dy[i] * (normalDistribution(v) + v*float32(density))
	}
}

// normalDistribution is Φ(x) = erfc(−x/√2)/2, accurate relative to Φ in both tails.
func normalDistribution(x float32) float32 {
	return float32(0.5 * math.Erfc(-float64(x)/math.Sqrt2))
}
