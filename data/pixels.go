package data

import "fmt"

// Pixels is a square view in the making: Side×Side pixels, row-major, red, green, blue interleaved, as sRGB values
// in [0,1] that are not normalised yet. Whoever made it owns it.
type Pixels struct {
	Side int
	Data []float32 // Side·Side·3
}

// NewPixels returns a black view of side×side pixels.
func NewPixels(side int) *Pixels {
	return &Pixels{Side: side, Data: make([]float32, side*side*3)}
}

// Normalization is the mean and the standard deviation of each colour channel over the training pictures.
type Normalization struct {
	Mean, Std [3]float64
}

// Apply writes (p − Mean) / Std to dst, one NHWC picture of p.Side·p.Side·3 floats. dst may be p.Data.
func (n Normalization) Apply(dst []float32, p *Pixels) {
	if len(dst) != len(p.Data) {
		panic(fmt.Sprintf("data: Normalization.Apply: destination holds %d floats, view %d", len(dst), len(p.Data)))
	}
	scale, shift := n.affine()
	for i := 0; i+2 < len(dst); i += 3 {
		dst[i] = p.Data[i]*scale[0] + shift[0]
		dst[i+1] = p.Data[i+1]*scale[1] + shift[1]
		dst[i+2] = p.Data[i+2]*scale[2] + shift[2]
	}
}

// affine gives the factors of (x − mean) / std = x·scale + shift.
func (n Normalization) affine() (scale, shift [3]float32) {
	for c := range scale {
		scale[c], shift[c] = float32(1/n.Std[c]), float32(-n.Mean[c]/n.Std[c])
	}
	return scale, shift
}

// Invert is the inverse of Apply; it turns normalised pixels back into pictures for people to look at.
func (n Normalization) Invert(p *Pixels, src []float32) {
	for i := range p.Data {
		p.Data[i] = src[i]*float32(n.Std[i%3]) + float32(n.Mean[i%3])
	}
}

// Image rounds the view to 8 bits; values outside [0,1] are clamped.
func (p *Pixels) Image() Image {
	img := NewImage(p.Side, p.Side)
	for i, v := range p.Data {
		img.Pix[i] = toByte(v * 255)
	}
	return img
}

// toByte rounds to the nearest byte; halves go up.
func toByte(v float32) uint8 {
	return uint8(max(0, min(255, v)) + 0.5)
}
