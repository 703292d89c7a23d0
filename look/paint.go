package look

import (
	"slices"

	"pretrain/data"
)

// Centred is the greatest central square of a picture, as evaluation sees it, written as an augmentation.
var Centred = data.Augmentation{CropScale: [2]float64{1, 1}, CropRatio: [2]float64{1, 1}}

// Colours of frames: a right answer, a wrong one, a question.
var (
	Green = [3]float32{0.1, 0.7, 0.3}
	Red   = [3]float32{0.9, 0.2, 0.15}
	Blue  = [3]float32{0.1, 0.45, 0.95}
)

// Copy is a picture of its own with the same pixels.
func Copy(p *data.Pixels) *data.Pixels { return &data.Pixels{Side: p.Side, Data: slices.Clone(p.Data)} }

// Enlarge repeats every pixel.
func Enlarge(p *data.Pixels, factor int) *data.Pixels {
	large := data.NewPixels(p.Side * factor)
	for y := range large.Side {
		for x := range large.Side {
			copy(large.Data[(y*large.Side+x)*3:][:3], p.Data[(y/factor*p.Side+x/factor)*3:][:3])
		}
	}
	return large
}

// Blank is a light grey picture.
func Blank(side int) *data.Pixels {
	blank := data.NewPixels(side)
	for i := range blank.Data {
		blank.Data[i] = 0.85
	}
	return blank
}

// Paste copies src into dst with its upper left corner at (left, top). What lies outside of dst is left out.
func Paste(dst, src *data.Pixels, left, top int) {
	for y := max(0, -top); y < min(src.Side, dst.Side-top); y++ {
		from, to := max(0, -left), min(src.Side, dst.Side-left)
		if from < to {
			copy(dst.Data[((top+y)*dst.Side+left+from)*3:][:(to-from)*3], src.Data[(y*src.Side+from)*3:])
		}
	}
}

// CopyToken copies one token, a square of the given side, from its place in src to the place of another token in dst, a
// picture of the same side. Tokens are numbered row by row.
func CopyToken(dst, src *data.Pixels, to, from, side int) {
	grid := src.Side / side
	for y := range side {
		at := func(token int) int { return ((token/grid*side+y)*src.Side + token%grid*side) * 3 }
		copy(dst.Data[at(to):][:side*3], src.Data[at(from):])
	}
}

// Frame draws a frame of the given width just inside the square of the given side at (left, top).
func Frame(p *data.Pixels, left, top, side, width int, colour [3]float32) {
	for y := max(0, top); y < min(p.Side, top+side); y++ {
		for x := max(0, left); x < min(p.Side, left+side); x++ {
			if min(x-left, y-top, left+side-1-x, top+side-1-y) < width {
				copy(p.Data[(y*p.Side+x)*3:], colour[:])
			}
		}
	}
}

// FrameToken draws a thin frame inside a token.
func FrameToken(p *data.Pixels, token, side int, colour [3]float32) {
	grid := p.Side / side
	Frame(p, token%grid*side, token/grid*side, side, max(1, side/12), colour)
}

// Overlay lays a heat map of a square grid of values, from its least to its greatest, over a picture.
func Overlay(picture *data.Pixels, values []float32) *data.Pixels {
	grid := 1
	for grid*grid < len(values) {
		grid++
	}
	small := data.NewPixels(grid)
	least, most := slices.Min(values), slices.Max(values)
	for i := range small.Data {
		small.Data[i] = (values[i/3] - least) / max(most-least, 1e-9)
	}
	painted := data.NewPixels(picture.Side)
	data.ResamplePixels(painted, small, data.Window{Width: float64(grid), Height: float64(grid)})
	for i := 0; i < len(painted.Data); i += 3 {
		lightness, _, _ := data.RGBToLab(picture.Data[i], picture.Data[i+1], picture.Data[i+2])
		for channel, v := range heat(painted.Data[i]) {
			painted.Data[i+channel] = 0.4*lightness/100 + 0.6*v
		}
	}
	return painted
}

// heat is the colour of a value between 0 and 1: black, red, yellow, white.
func heat(value float32) [3]float32 {
	return [3]float32{min(1, 3*value), min(1, max(0, 3*value-1)), min(1, max(0, 3*value-2))}
}

// Tint mixes a colour into a square of the given side at (left, top).
func Tint(p *data.Pixels, left, top, side int, colour [3]float32, share float32) {
	for y := top; y < top+side; y++ {
		for x := left; x < left+side; x++ {
			for channel, v := range colour {
				at := &p.Data[(y*p.Side+x)*3+channel]
				*at += share * (v - *at)
			}
		}
	}
}
