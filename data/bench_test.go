package data

import (
	"testing"
)

// BenchmarkCrop makes one 64-pixel view of a cached picture, with and without colour.
func BenchmarkCrop(b *testing.B) {
	coloured := DefaultAugmentation()
	coloured.Jitter = 1
	for name, a := range map[string]Augmentation{"geometry": coloured.WithoutColour(), "coloured": coloured} {
		b.Run(name, func(b *testing.B) {
			s, img := NewSample(Image{}, 0, 0, 0), noise(96, 96)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.Reset(img, 1, 0, uint64(i))
				s.Crop(a, 64)
			}
		})
	}
}

func BenchmarkReduce(b *testing.B) {
	img := noise(1280, 960)
	for b.Loop() {
		Reduce(img, 96)
	}
}

func BenchmarkToLab(b *testing.B) {
	p := Preprocess(noise(64, 64), 64)
	dst := make([]float32, len(p.Data))
	for b.Loop() {
		ToLab(dst, p)
	}
}

func BenchmarkDecodeJPEG(b *testing.B) {
	contents := jpegOf(b, noisePicture(128))
	b.SetBytes(int64(len(contents)))
	for b.Loop() {
		if _, err := Decode(contents); err != nil {
			b.Fatal(err)
		}
	}
}
