// Package reference computes products and convolutions in float64 with plain loops, for tests to compare with.
package reference

// MatMul returns A·B for A [m, k] and B [k, n] given as functions of row and column.
func MatMul(m, n, k int, a, b func(i, j int) float32) []float64 {
	c := make([]float64, m*n)
	for i := range m {
		for j := range n {
			for p := range k {
				c[i*n+j] += float64(a(i, p)) * float64(b(p, j))
			}
		}
	}
	return c
}

// Conv is the geometry of a convolution of x [Images, Height, Width, Channels] to y [Images, out height, out width,
// Filters] with weights w [Filters, Kernel, Kernel, Channels].
type Conv struct{ Images, Height, Width, Channels, Filters, Kernel, Stride, Pad int }

// each calls visit with the indices of y, x and w of every product that the convolution sums.
func (c Conv) each(visit func(y, x, w int)) {
	outHeight, outWidth := (c.Height+2*c.Pad-c.Kernel)/c.Stride+1, (c.Width+2*c.Pad-c.Kernel)/c.Stride+1
	for out := range c.Images * outHeight * outWidth {
		image, outY, outX := out/(outHeight*outWidth), out/outWidth%outHeight, out%outWidth
		for tap := range c.Kernel * c.Kernel {
			inY, inX := outY*c.Stride-c.Pad+tap/c.Kernel, outX*c.Stride-c.Pad+tap%c.Kernel
			if inY < 0 || inX < 0 || inY >= c.Height || inX >= c.Width {
				continue
			}
			in := (image*c.Height+inY)*c.Width + inX
			for f := range c.Filters {
				for channel := range c.Channels {
					visit(out*c.Filters+f, in*c.Channels+channel, (f*c.Kernel*c.Kernel+tap)*c.Channels+channel)
				}
			}
		}
	}
}

// Forward returns y of length size.
func (c Conv) Forward(size int, x, w []float32) []float64 {
	y := make([]float64, size)
	c.each(func(iy, ix, iw int) { y[iy] += float64(x[ix]) * float64(w[iw]) })
	return y
}

// BackwardInput returns the gradient of x.
func (c Conv) BackwardInput(dy, w []float32) []float64 {
	dx := make([]float64, c.Images*c.Height*c.Width*c.Channels)
	c.each(func(iy, ix, iw int) { dx[ix] += float64(dy[iy]) * float64(w[iw]) })
	return dx
}

// BackwardWeights returns the gradient of w.
func (c Conv) BackwardWeights(dy, x []float32) []float64 {
	dw := make([]float64, c.Filters*c.Kernel*c.Kernel*c.Channels)
	c.each(func(iy, ix, iw int) { dw[iw] += float64(dy[iy]) * float64(x[ix]) })
	return dw
}
