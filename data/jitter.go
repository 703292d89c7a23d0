package data

import (
	"math"
	"math/rand/v2"
)

// luma are the weights of red, green and blue in a grey value (ITU-R BT.601, as in torchvision).
var luma = [3]float32{0.299, 0.587, 0.114}

// colourMap is an affine map of colours: rgb' = clamp(matrix·rgb + offset).
type colourMap struct {
	matrix [3][3]float32
	offset float32
}

// colourMap draws the colour treatment of one picture. The order is fixed: brightness, contrast, saturation, hue,
// grey. Factors have torchvision's ranges (ColorJitter); all five are linear maps of the colour, so they become one
// matrix and values are clamped once, at the end. Hue turns the chroma plane of YIQ, as NVIDIA DALI's ColorTwist
// does. Contrast pivots on the mean grey of the whole picture, so that equal colours stay equal in all its views.
func (a Augmentation) colourMap(rng *rand.Rand, grey func() float32) (m colourMap, changed bool) {
	m.matrix = saturationMatrix(1)
	if rng.Float64() < a.Jitter && a.Brightness+a.Contrast+a.Saturation+a.Hue > 0 {
		brightness := float32(uniform(rng, 1-a.Brightness, 1+a.Brightness))
		contrast := float32(uniform(rng, 1-a.Contrast, 1+a.Contrast))
		saturation := float32(uniform(rng, 1-a.Saturation, 1+a.Saturation))
		turn := uniform(rng, -a.Hue, a.Hue)
		m.matrix = multiply(hueMatrix(turn), saturationMatrix(saturation))
		m.scale(brightness * contrast)
		m.offset = (1 - contrast) * brightness * grey()
		changed = true
	}
	if rng.Float64() < a.Grey {
		m.matrix = multiply(saturationMatrix(0), m.matrix)
		changed = true
	}
	return m, changed
}

func (m *colourMap) scale(factor float32) {
	for i := range m.matrix {
		for j := range m.matrix[i] {
			m.matrix[i][j] *= factor
		}
	}
}

// apply maps every pixel of p in place.
func (m *colourMap) apply(p *Pixels) {
	d, a, o := p.Data, m.matrix, m.offset
	for i := 0; i+2 < len(d); i += 3 {
		r, g, b := d[i], d[i+1], d[i+2]
		d[i] = clamp(a[0][0]*r + a[0][1]*g + a[0][2]*b + o)
		d[i+1] = clamp(a[1][0]*r + a[1][1]*g + a[1][2]*b + o)
		d[i+2] = clamp(a[2][0]*r + a[2][1]*g + a[2][2]*b + o)
	}
}

func clamp(v float32) float32 { return max(0, min(1, v)) }

// saturationMatrix blends a colour with its grey value: factor 1 is the identity, 0 is grey.
func saturationMatrix(factor float32) (m [3][3]float32) {
	for i := range m {
		for j := range m[i] {
			m[i][j] = (1 - factor) * luma[j]
		}
		m[i][i] += factor
	}
	return m
}

// rgbToYIQ is the NTSC matrix with exact luma weights; its rows I and Q span the plane of chroma.
var rgbToYIQ = [3][3]float64{{0.299, 0.587, 0.114}, {0.596, -0.274, -0.322}, {0.211, -0.523, 0.312}}

// yiqToRGB is its inverse.
var yiqToRGB = invert(rgbToYIQ)

// hueMatrix turns the hue by a share of a full turn; grey values and luma stay what they are.
func hueMatrix(turn float64) (m [3][3]float32) {
	sin, cos := math.Sincos(2 * math.Pi * turn)
	rotation := [3][3]float64{{1, 0, 0}, {0, cos, -sin}, {0, sin, cos}}
	product := multiply(yiqToRGB, multiply(rotation, rgbToYIQ))
	for i := range m {
		for j := range m[i] {
			m[i][j] = float32(product[i][j])
		}
	}
	return m
}

func multiply[T float32 | float64](a, b [3][3]T) (product [3][3]T) {
	for i := range product {
		for j := range product[i] {
			product[i][j] = a[i][0]*b[0][j] + a[i][1]*b[1][j] + a[i][2]*b[2][j]
		}
	}
	return product
}

// invert returns the inverse of a regular matrix by Cramer's rule.
func invert(m [3][3]float64) (inverse [3][3]float64) {
	minor := func(i, j int) float64 { // cyclic indices carry the sign
		i1, i2, j1, j2 := (i+1)%3, (i+2)%3, (j+1)%3, (j+2)%3
		return m[i1][j1]*m[i2][j2] - m[i1][j2]*m[i2][j1]
	}
	determinant := m[0][0]*minor(0, 0) + m[0][1]*minor(0, 1) + m[0][2]*minor(0, 2)
	for i := range inverse {
		for j := range inverse[i] {
			inverse[j][i] = minor(i, j) / determinant
		}
	}
	return inverse
}

// meanGrey is the mean grey value of a picture in [0,1].
func meanGrey(img Image) float32 {
	var sum [3]uint64
	for i := 0; i+2 < len(img.Pix); i += 3 {
		sum[0] += uint64(img.Pix[i])
		sum[1] += uint64(img.Pix[i+1])
		sum[2] += uint64(img.Pix[i+2])
	}
	grey := float64(luma[0])*float64(sum[0]) + float64(luma[1])*float64(sum[1]) + float64(luma[2])*float64(sum[2])
	return float32(grey / 255 / float64(img.Width*img.Height))
}
