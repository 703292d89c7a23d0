package view

import (
	"slices"

	"pretrain/data"
	"pretrain/look"
)

// Scale is the range of values that become colours: what lies outside is cut off, so that a few extremes do not make
// everything else look alike.
type Scale struct{ Low, High []float32 } // of each channel

// NewScale takes the range in which 96 % of the values of each channel lie; values is [rows, channels].
func NewScale(values []float32, channels int) Scale {
	var s Scale
	for c := range channels {
		var column []float32
		for i := c; i < len(values); i += channels {
			column = append(column, values[i])
		}
		slices.Sort(column)
		cut := len(column) * 2 / 100
		s.Low, s.High = append(s.Low, column[cut]), append(s.High, column[len(column)-1-cut])
	}
	return s
}

// ColourTile shows up to three channels of a square map, [side, side, channels], as red, green and blue, enlarged
// smoothly.
func ColourTile(caption string, values []float32, channels int, s Scale) look.Tile {
	side := 1
	for side*side*channels < len(values) {
		side++
	}
	small := data.NewPixels(side)
	for i := range side * side {
		for c := range min(3, channels) {
			v := (values[i*channels+c] - s.Low[c]) / max(s.High[c]-s.Low[c], 1e-9)
			small.Data[3*i+c] = max(0, min(1, v))
		}
	}
	large := data.NewPixels(look.TileSide)
	data.ResamplePixels(large, small, data.Window{Width: float64(side), Height: float64(side)})
	return look.Tile{Caption: caption, Pixels: large}
}
