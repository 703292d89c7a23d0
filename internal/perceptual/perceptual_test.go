package perceptual

import (
	"bytes"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/draw"
	"pgregory.net/rapid"
)

// scene draws a few soft blobs of colour, different ones for every seed.
func scene(seed uint64, width, height int) Picture {
	r := rand.New(rand.NewPCG(seed, 1))
	type blob struct{ x, y, size, weight float64 }
	var blobs [3][8]blob
	for c := range blobs {
		for i := range blobs[c] {
			blobs[c][i] = blob{r.Float64(), r.Float64(), 0.05 + 0.2*r.Float64(), 200*r.Float64() - 100}
		}
	}
	p := Picture{Width: width, Height: height, Pix: make([]uint8, width*height*3)}
	for i := range width * height {
		x, y := (float64(i%width)+0.5)/float64(width), (float64(i/width)+0.5)/float64(height)
		for c := range 3 {
			value := 128.0
			for _, b := range blobs[c] {
				value += b.weight * math.Exp(-(math.Pow(x-b.x, 2)+math.Pow(y-b.y, 2))/(b.size*b.size))
			}
			p.Pix[3*i+c] = uint8(max(0, min(255, value)))
		}
	}
	return p
}

func toRGBA(p Picture) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		copy(m.Pix[4*i:4*i+3], p.Pix[3*i:3*i+3])
		m.Pix[4*i+3] = 255
	}
	return m
}

func fromImage(m image.Image) Picture {
	rgba := image.NewRGBA(image.Rect(0, 0, m.Bounds().Dx(), m.Bounds().Dy()))
	draw.Draw(rgba, rgba.Rect, m, m.Bounds().Min, draw.Src)
	p := Picture{Width: rgba.Rect.Dx(), Height: rgba.Rect.Dy()}
	for i := 0; i < len(rgba.Pix); i += 4 {
		p.Pix = append(p.Pix, rgba.Pix[i:i+3]...)
	}
	return p
}

func compressed(t *testing.T, p Picture, quality int) Picture {
	t.Helper()
	var file bytes.Buffer
	if err := jpeg.Encode(&file, toRGBA(p), &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	m, err := jpeg.Decode(&file)
	if err != nil {
		t.Fatal(err)
	}
	return fromImage(m)
}

func resized(p Picture, width, height int) Picture {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.CatmullRom.Scale(m, m.Rect, toRGBA(p), image.Rect(0, 0, p.Width, p.Height), draw.Src, nil)
	return fromImage(m)
}

func brighter(p Picture) Picture {
	out := Picture{Width: p.Width, Height: p.Height, Pix: make([]uint8, len(p.Pix))}
	for i, v := range p.Pix {
		out.Pix[i] = uint8(min(255, 1.1*float64(v)+5))
	}
	return out
}

// TestCopiesAreNear: what people do to a picture before they keep it twice changes few bits.
func TestCopiesAreNear(t *testing.T) {
	for seed := range uint64(5) {
		original := scene(seed, 150, 117)
		for name, copied := range map[string]Picture{
			"the same":           original,
			"compressed":         compressed(t, original, 50),
			"a third of a side":  resized(original, 50, 39),
			"enlarged":           resized(original, 401, 313),
			"another proportion": resized(original, 120, 120),
			"brighter":           brighter(original),
		} {
			if d := Hash(original).Distance(Hash(copied)); d > NearDuplicate {
				t.Errorf("picture %d, %s: %d bits differ", seed, name, d)
			}
		}
	}
}

func TestOtherPicturesAreFar(t *testing.T) {
	total, pairs := 0, 0
	var hashes []Fingerprint
	for a := range 25 {
		hashes = append(hashes, Hash(scene(uint64(a), 40, 40)))
		for b := range a {
			d := hashes[a].Distance(hashes[b])
			if d <= NearDuplicate {
				t.Errorf("pictures %d and %d differ in %d bits only", a, b, d)
			}
			total += d
			pairs++
		}
	}
	if mean := float64(total) / float64(pairs); mean < 28 || mean > 36 {
		t.Errorf("other pictures differ in %.1f bits on average, want about 32", mean)
	}
}

// TestFlatPicturesShareAHash, whatever their colour and size; so does an empty one.
func TestFlatPicturesShareAHash(t *testing.T) {
	for _, p := range []Picture{{}, {1, 1, []uint8{3, 200, 7}}, {33, 71, bytes.Repeat([]uint8{13, 77, 201}, 33*71)}} {
		if f := Hash(p); f != 0 {
			t.Errorf("%d×%d pixels of one colour have the hash %x", p.Width, p.Height, f)
		}
	}
}

// TestHashOfAWave: a picture that is one cosine has one positive coefficient, that of its frequency.
func TestHashOfAWave(t *testing.T) {
	for k := 1; k <= frequencies; k++ {
		var values [side][side]float64
		for y := range side {
			for x := range side {
				values[y][x] = 100 * math.Cos(math.Pi*float64(k)*(float64(y)+0.5)/side) * math.Cos(math.Pi*2*(float64(x)+0.5)/side)
			}
		}
		for i, c := range transform(values) {
			want := 0.0
			if i == (k-1)*frequencies+1 {
				want = 100 * side / 2 // an orthonormal transform keeps the norm, 100·√(32/2)·√(32/2)
			}
			if math.Abs(c-want) > 1e-9 {
				t.Errorf("wave of frequency %d×2: coefficient %d is %g, want %g", k, i, c, want)
			}
		}
	}
}

// TestGreyKeepsTheMean: every pixel counts once, whatever the size.
func TestGreyKeepsTheMean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Picture{Width: rapid.IntRange(1, 70).Draw(t, "width"), Height: rapid.IntRange(1, 70).Draw(t, "height")}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		var want, got float64
		for range p.Width * p.Height {
			v := uint8(r.IntN(256))
			p.Pix = append(p.Pix, v, v, v)
			want += float64(v) / float64(p.Width*p.Height)
		}
		for _, row := range grey(p) {
			for _, v := range row {
				got += v / (side * side)
			}
		}
		if math.Abs(got-want) > 1e-9*(1+want) {
			t.Fatalf("mean %g became %g", want, got)
		}
	})
}

func TestDistanceCountsBits(t *testing.T) {
	if d := Fingerprint(0b1011).Distance(0b0110); d != 3 {
		t.Errorf("got %d", d)
	}
	if d := Fingerprint(0).Distance(^Fingerprint(0)); d != Bits {
		t.Errorf("got %d", d)
	}
}
