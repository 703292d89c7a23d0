package view

import (
	"testing"

	"pretrain/data"
)

// TestOverlayLiesOverItsPatch: the greatest of four values is bright in its quarter and the others are dark.
func TestOverlayLiesOverItsPatch(t *testing.T) {
	const side = 32
	painted := Overlay(data.NewPixels(side), []float32{0, 0, 1, 0})
	for quarter := range 4 {
		x, y := side/4+quarter%2*side/2, side/4+quarter/2*side/2
		if bright := painted.Data[(y*side+x)*3] > 0.5; bright != (quarter == 2) {
			t.Errorf("quarter %d: bright is %v", quarter, bright)
		}
	}
}
