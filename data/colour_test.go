package data

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestLabKnownValues: the corners of the sRGB cube, from Bruce Lindbloom's calculator (D65, no adaptation).
func TestLabKnownValues(t *testing.T) {
	for _, test := range []struct{ rgb, lab [3]float32 }{
		{[3]float32{0, 0, 0}, [3]float32{0, 0, 0}},
		{[3]float32{1, 1, 1}, [3]float32{100, 0, 0}},
		{[3]float32{1, 0, 0}, [3]float32{53.2408, 80.0925, 67.2032}},
		{[3]float32{0, 1, 0}, [3]float32{87.7347, -86.1827, 83.1793}},
		{[3]float32{0, 0, 1}, [3]float32{32.2970, 79.1875, -107.8602}},
		{[3]float32{0.5, 0.5, 0.5}, [3]float32{53.3890, 0, 0}},
	} {
		l, a, b := RGBToLab(test.rgb[0], test.rgb[1], test.rgb[2])
		for i, got := range [3]float32{l, a, b} {
			if math.Abs(float64(got-test.lab[i])) > 0.02 {
				t.Errorf("%v is L*a*b* (%g, %g, %g), expected %v", test.rgb, l, a, b, test.lab)
				break
			}
		}
	}
}

func TestLabRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		channel := rapid.Float32Range(0, 1)
		want := [3]float32{channel.Draw(t, "r"), channel.Draw(t, "g"), channel.Draw(t, "b")}
		r, g, b := LabToRGB(RGBToLab(want[0], want[1], want[2]))
		for i, got := range [3]float32{r, g, b} {
			if math.Abs(float64(got-want[i])) > 2e-4 {
				t.Fatalf("%v came back as (%g, %g, %g)", want, r, g, b)
			}
		}
	})
}

func TestOutOfGamutIsVisible(t *testing.T) {
	if r, g, b := LabToRGB(50, 120, -120); min(r, g, b) >= 0 && max(r, g, b) <= 1 {
		t.Errorf("a colour that sRGB lacks became (%g, %g, %g)", r, g, b)
	}
}

func TestTransferTable(t *testing.T) {
	for i := range 100003 {
		v := float64(i) / 100002
		if got, want := toLinear(float32(v)), decodeGamma(float64(float32(v))); math.Abs(got-want) > 2e-7 {
			t.Fatalf("toLinear(%g) is %g, expected %g", v, got, want)
		}
	}
}

func TestToLabIsRGBToLab(t *testing.T) {
	p := &Pixels{Side: 1, Data: []float32{0.2, 0.4, 0.9}}
	dst := make([]float32, 3)
	ToLab(dst, p)
	if l, a, b := RGBToLab(0.2, 0.4, 0.9); dst[0] != l || dst[1] != a || dst[2] != b {
		t.Errorf("ToLab gives %v, RGBToLab (%g, %g, %g)", dst, l, a, b)
	}
}
