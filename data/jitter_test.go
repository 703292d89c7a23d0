package data

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func greyOf(r, g, b float64) float64 { return 0.299*r + 0.587*g + 0.114*b }

// naiveJitter is the definition, operation by operation, for factors that need no clamping on the way.
func naiveJitter(r, g, b, brightness, contrast, saturation, pivot float64) [3]float64 {
	rgb := [3]float64{r * brightness, g * brightness, b * brightness}
	for i := range rgb {
		rgb[i] = contrast*rgb[i] + (1-contrast)*pivot*brightness
	}
	grey := greyOf(rgb[0], rgb[1], rgb[2])
	for i := range rgb {
		rgb[i] = saturation*rgb[i] + (1-saturation)*grey
	}
	return rgb
}

// TestJitterMatchesItsDefinition draws the factors a second time, in the documented order.
func TestJitterMatchesItsDefinition(t *testing.T) {
	a := Augmentation{Brightness: 0.2, Contrast: 0.3, Saturation: 0.4, Jitter: 1}
	const pivot = 0.45
	for seed := range uint64(50) {
		m, changed := a.colourMap(rand.New(rand.NewPCG(seed, 1)), func() float32 { return pivot })
		rng := rand.New(rand.NewPCG(seed, 1))
		rng.Float64() // decides whether to jitter
		brightness, contrast, saturation := uniform(rng, 0.8, 1.2), uniform(rng, 0.7, 1.3), uniform(rng, 0.6, 1.4)
		p := &Pixels{Side: 1, Data: []float32{0.5, 0.4, 0.6}}
		m.apply(p)
		want := naiveJitter(0.5, 0.4, 0.6, brightness, contrast, saturation, pivot)
		for i, v := range p.Data {
			if math.Abs(float64(v)-want[i]) > 1e-5 || !changed {
				t.Fatalf("seed %d: %v, the definition gives %v", seed, p.Data, want)
			}
		}
	}
}

func TestHueTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		turn := rapid.Float64Range(-0.5, 0.5).Draw(t, "turn")
		colour := [3]float32{rapid.Float32Range(0, 1).Draw(t, "r"), rapid.Float32Range(0, 1).Draw(t, "g"), rapid.Float32Range(0, 1).Draw(t, "b")}
		turned := times(hueMatrix(turn), colour)
		back := times(hueMatrix(-turn), turned)
		luma := greyOf(float64(colour[0]), float64(colour[1]), float64(colour[2]))
		if after := greyOf(float64(turned[0]), float64(turned[1]), float64(turned[2])); math.Abs(after-luma) > 1e-5 {
			t.Fatalf("luma went from %g to %g", luma, after)
		}
		for i := range colour {
			if math.Abs(float64(back[i]-colour[i])) > 1e-5 {
				t.Fatalf("there and back again is %v, was %v", back, colour)
			}
		}
	})
	third := times(hueMatrix(1./3), [3]float32{1, 0, 0})
	if slices.Max(third[:]) == third[0] {
		t.Errorf("red turned by a third is still red: %v", third)
	}
}

func times(m [3][3]float32, v [3]float32) (product [3]float32) {
	for i := range product {
		product[i] = m[i][0]*v[0] + m[i][1]*v[1] + m[i][2]*v[2]
	}
	return product
}

// TestGreyHasNoColour, and is the luma of the picture.
func TestGreyHasNoColour(t *testing.T) {
	a := DefaultAugmentation()
	a.Jitter, a.Grey = 0, 1
	s := NewSample(noise(32, 32), 1, 0, 0)
	coloured, p := NewPixels(16), s.Crop(a, 16)
	s.Cut(coloured, s.Window(a))
	for i := 0; i < len(p.Data); i += 3 {
		want := greyOf(float64(coloured.Data[i]), float64(coloured.Data[i+1]), float64(coloured.Data[i+2]))
		for c := range 3 {
			if math.Abs(float64(p.Data[i+c])-want) > 1e-5 {
				t.Fatalf("pixel %d is %v, expected %g", i/3, p.Data[i:i+3], want)
			}
		}
	}
}

// TestPatchesHaveTheColoursOfTheCrop: Colour on a patch that shows the same pixels gives the same values.
func TestPatchesHaveTheColoursOfTheCrop(t *testing.T) {
	a := DefaultAugmentation()
	a.Jitter, a.Grey, a.Contrast, a.Brightness = 1, 0.5, 0.5, 0.5
	for picture := range uint64(20) {
		s := NewSample(noise(48, 40), 1, 0, picture)
		p := NewPixels(24)
		s.Cut(p, s.Window(a))
		s.Colour(a, p)
		if !slices.Equal(p.Data, s.Crop(a, 24).Data) {
			t.Fatalf("picture %d: the patch has other colours than the crop", picture)
		}
	}
}

// TestNothingAskedNothingDone: without colour fields the view keeps its pixels, and probability 0 means never.
func TestNothingAskedNothingDone(t *testing.T) {
	a := DefaultAugmentation().WithoutColour()
	for picture := range uint64(20) {
		s := NewSample(noise(20, 20), 1, 0, picture)
		p := NewPixels(10)
		s.Cut(p, s.Window(a))
		if !slices.Equal(p.Data, s.Crop(a, 10).Data) {
			t.Fatalf("picture %d was changed", picture)
		}
	}
}

func TestMeanGrey(t *testing.T) {
	img := NewImage(2, 1)
	copy(img.Pix, []uint8{255, 0, 0, 255, 255, 255})
	if got, want := meanGrey(img), float32((0.299+1)/2); math.Abs(float64(got-want)) > 1e-6 {
		t.Errorf("mean grey is %g, expected %g", got, want)
	}
}

func TestNormalization(t *testing.T) {
	n := DefaultConfig().Normalization()
	p := &Pixels{Side: 1, Data: []float32{0.485, 1, 0}}
	dst := make([]float32, 3)
	n.Apply(dst, p)
	for i, want := range []float64{0, (1 - 0.456) / 0.224, -0.406 / 0.225} {
		if math.Abs(float64(dst[i])-want) > 1e-6 {
			t.Errorf("channel %d is %g, expected %g", i, dst[i], want)
		}
	}
	back := NewPixels(1)
	n.Invert(back, dst)
	for i, v := range back.Data {
		if math.Abs(float64(v-p.Data[i])) > 1e-6 {
			t.Errorf("channel %d came back as %g, was %g", i, v, p.Data[i])
		}
	}
}
