//go:build turbojpeg

package data

import (
	"image/jpeg"
	"math"
	"testing"
)

// TestTurboMatchesGo on a photograph-like picture; chroma is interpolated differently, so only on average.
func TestTurboMatchesGo(t *testing.T) {
	contents := jpegOf(t, toNRGBA(Preprocess(noise(4, 4), 120).Image())) // soft blobs of colour
	fast, err := decodeTurbo(contents)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := decodeWith(jpeg.Decode)(contents)
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for i := range plain.Pix {
		sum += math.Abs(float64(fast.Pix[i]) - float64(plain.Pix[i]))
	}
	if mean := sum / float64(len(plain.Pix)); mean == 0 || mean > 2 {
		t.Errorf("pixels differ by %g levels on average, expected a little", mean)
	}
}

// TestTurboLeavesTheRestToGo: CMYK and damaged files.
func TestTurboLeavesTheRestToGo(t *testing.T) {
	whole := jpegOf(t, noisePicture(64))
	for name, contents := range map[string][]byte{"CMYK": fixture(t, "cmyk.jpg"), "YCCK": fixture(t, "ycck.jpg"), "cut": whole[:len(whole)/2], "empty": nil} {
		if _, err := decodeTurbo(contents); err == nil {
			t.Errorf("%s was decoded", name)
		}
	}
}
