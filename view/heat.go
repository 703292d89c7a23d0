package view

import (
	"fmt"
	"slices"

	"pretrain/data"
)

// HeatTile is a heat map over a picture. It stretches small differences, so the caption tells how far the greatest value
// exceeds the mean one.
func HeatTile(caption string, picture *data.Pixels, values []float32) Tile {
	var sum float32
	for _, value := range values {
		sum += value
	}
	peak := slices.Max(values) / sum * float32(len(values))
	return Tile{fmt.Sprintf("%s\npeak %.1f x mean", caption, peak), Overlay(picture, values)}
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
