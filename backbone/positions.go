package backbone

import "math"

// sinCos is the fixed position table [prefix+side², width] of MAE (He et al. 2021, pos_embed.py): zeros for the
// prefix tokens; then, patch by patch, sines and cosines of x in the first half of the channels and of y in the
// second, with frequencies 10000^(−4i/width).
func sinCos(prefix, side, width int) []float32 {
	table := make([]float32, (prefix+side*side)*width)
	quarter := width / 4
	for patch := range side * side {
		row := table[(prefix+patch)*width:][:width]
		for i := range quarter {
			frequency := math.Pow(10000, -float64(i)/float64(quarter))
			for half, coordinate := range [2]int{patch % side, patch / side} {
				sine, cosine := math.Sincos(float64(coordinate) * frequency)
				row[half*2*quarter+i] = float32(sine)
				row[half*2*quarter+quarter+i] = float32(cosine)
			}
		}
	}
	return table
}

// interpolation2D is the matrix [to², from²] that resamples a from×from grid of rows to to×to: the Kronecker product
// of one-dimensional bicubic interpolation with itself, as torch.nn.functional.interpolate computes it with
// mode "bicubic", align_corners off and no antialiasing.
func interpolation2D(from, to int) []float32 {
	line := interpolation1D(from, to)
	matrix := make([]float32, to*to*from*from)
	for i := range to * to {
		for j := range from * from {
			matrix[i*from*from+j] = float32(line[i/to*from+j/from] * line[i%to*from+j%from])
		}
	}
	return matrix
}

// interpolation1D is the matrix [to, from] that resamples a line; beyond its ends the end values go on. Every row
// sums to 1, and from = to gives the identity.
func interpolation1D(from, to int) []float64 {
	matrix := make([]float64, to*from)
	for i := range to {
		center := (float64(i)+0.5)*float64(from)/float64(to) - 0.5
		first := int(math.Floor(center)) - 1
		for tap := first; tap < first+4; tap++ {
			matrix[i*from+min(max(tap, 0), from-1)] += cubic(center - float64(tap))
		}
	}
	return matrix
}

// cubic is Keys' kernel with the slope a = −0.75 that torch uses.
func cubic(x float64) float64 { return keys(x, -0.75) }

// keys is the convolution kernel of Keys 1981.
func keys(x, a float64) float64 {
	switch x = math.Abs(x); {
	case x <= 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return ((x-5)*x+8)*x*a - 4*a
	}
	return 0
}
