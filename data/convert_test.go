package data

import (
	"image"
	"image/color"
	"math/rand/v2"
	"testing"
)

// TestPackYCbCrIsTheLibrarysConversion, pixel by pixel, for every subsampling, odd sizes and bounds that begin anywhere.
func TestPackYCbCrIsTheLibrarysConversion(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for ratio := image.YCbCrSubsampleRatio444; ratio <= image.YCbCrSubsampleRatio410; ratio++ {
		for _, bounds := range []image.Rectangle{image.Rect(0, 0, 640, 480), image.Rect(3, 1, 20, 12), image.Rect(0, 0, 1, 1)} {
			m := image.NewYCbCr(bounds, ratio)
			for _, plane := range [][]uint8{m.Y, m.Cb, m.Cr} {
				for i := range plane {
					plane[i] = uint8(r.IntN(256))
				}
			}
			img := toRGB(m)
			for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
				for x := bounds.Min.X; x < bounds.Max.X; x++ {
					c := m.COffset(x, y)
					var want [3]uint8
					want[0], want[1], want[2] = color.YCbCrToRGB(m.Y[m.YOffset(x, y)], m.Cb[c], m.Cr[c])
					at := 3 * ((y-bounds.Min.Y)*bounds.Dx() + x - bounds.Min.X)
					if got := [3]uint8(img.Pix[at:]); got != want {
						t.Fatalf("%v, %v: pixel %d,%d is %v, want %v", ratio, bounds, x, y, got, want)
					}
				}
			}
		}
	}
}

func TestFromImageRefuses(t *testing.T) {
	for _, picture := range []image.Image{nil, image.NewGray(image.Rectangle{}), image.NewUniform(color.White)} {
		if _, err := FromImage(picture); err == nil {
			t.Errorf("%T passes", picture)
		}
	}
}
