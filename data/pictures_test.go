package data

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"math"
	"testing"

	"golang.org/x/image/tiff"
	"pgregory.net/rapid"
)

// models are the kinds of picture that decoders return, each with a way to set a pixel.
func models(bounds image.Rectangle) map[string]interface {
	image.Image
	Set(x, y int, c color.Color)
} {
	var palette color.Palette
	for i := range 256 { // every third entry lets something through
		palette = append(palette, color.NRGBA{uint8(i), uint8(i * 7), uint8(i * 31), uint8(255 - i%3*60)})
	}
	return map[string]interface {
		image.Image
		Set(x, y int, c color.Color)
	}{
		"RGBA": image.NewRGBA(bounds), "RGBA64": image.NewRGBA64(bounds), "NRGBA": image.NewNRGBA(bounds),
		"NRGBA64": image.NewNRGBA64(bounds), "Gray": image.NewGray(bounds), "Gray16": image.NewGray16(bounds),
		"CMYK": image.NewCMYK(bounds), "Paletted": image.NewPaletted(bounds, palette),
		"Alpha": image.NewAlpha(bounds), "Alpha16": image.NewAlpha16(bounds),
	}
}

// TestEveryColourModelIsLaidOverWhite compares the packing of every kind of picture with the definition in float64:
// premultiplied colour plus white times what the pixel lets through. Bounds need not begin at zero.
func TestEveryColourModelIsLaidOverWhite(t *testing.T) {
	bounds := image.Rect(-3, 5, 9, 12)
	r := seededBytes(1)
	for name, m := range models(bounds) {
		for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
			for x := bounds.Min.X; x < bounds.Max.X; x++ {
				m.Set(x, y, color.NRGBA64{r(), r(), r(), r()})
			}
		}
		packed := toRGB(m)
		if packed.Width != bounds.Dx() || packed.Height != bounds.Dy() {
			t.Fatalf("%s became %d×%d pixels", name, packed.Width, packed.Height)
		}
		for i := range packed.Width * packed.Height {
			x, y := bounds.Min.X+i%packed.Width, bounds.Min.Y+i/packed.Width
			red, green, blue, alpha := m.At(x, y).RGBA()
			for c, v := range [3]uint32{red, green, blue} {
				want := 255 * (float64(v) + 0xffff - float64(alpha)) / 0xffff
				if got := float64(packed.Pix[3*i+c]); math.Abs(got-want) > 0.5+1e-9 {
					t.Fatalf("%s: channel %d of pixel (%d, %d) is %g, want %g", name, c, x, y, got, want)
				}
			}
		}
	}
}

// seededBytes draws 16-bit numbers from noise, the ends of the range among them.
func seededBytes(start int) func() uint16 {
	pix, at := noise(64, 64).Pix, start
	return func() uint16 {
		at += 2
		v := uint16(pix[at%len(pix)])<<8 | uint16(pix[(at+1)%len(pix)])
		switch v % 16 {
		case 0:
			return 0
		case 1:
			return 0xffff
		}
		return v
	}
}

// TestPicturesOfOddSizes: single pixels, single rows and columns, and sizes that chroma blocks do not divide, in every
// format that can be written here. Their size and mean colour survive.
func TestPicturesOfOddSizes(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {1, 9}, {9, 1}, {17, 3}, {16, 33}} {
		m := image.NewNRGBA(image.Rectangle{Max: size})
		for i := range m.Pix {
			m.Pix[i] = [4]uint8{200, 120, 40, 255}[i%4]
		}
		paletted := image.NewPaletted(m.Bounds(), color.Palette{color.Black, color.NRGBA{200, 120, 40, 255}})
		for i := range paletted.Pix {
			paletted.Pix[i] = 1
		}
		for name, contents := range map[string][]byte{
			"JPEG": jpegOf(t, m), "PNG": pngOf(t, m), "PNG, 1 bit": pngOf(t, paletted),
			"BMP": bmpOf(t, m), "BMP, palette": bmpOf(t, paletted), "TIFF": tiffOf(t, m),
			"GIF":           gifOf(t, &gif.GIF{Image: []*image.Paletted{paletted}, Delay: []int{0}}),
			"TIFF, no code": encoded(t, func(b *bytes.Buffer) error { return tiff.Encode(b, m, &tiff.Options{}) }),
		} {
			img, err := Decode(contents)
			if err != nil || img.Width != size.X || img.Height != size.Y {
				t.Errorf("%s of %v: %d×%d, %v", name, size, img.Width, img.Height, err)
				continue
			}
			for i, v := range img.Pix {
				if abs(int(v)-[3]int{200, 120, 40}[i%3]) > 4 {
					t.Errorf("%s of %v: byte %d is %d", name, size, i, v)
					break
				}
			}
		}
	}
}

// TestPalettesOfAllDepths: PNG packs palettes of up to 2, 4, 16 and 256 colours into 1, 2, 4 and 8 bits a pixel.
func TestPalettesOfAllDepths(t *testing.T) {
	for _, colours := range []int{2, 3, 4, 5, 16, 17, 256} {
		var palette color.Palette
		for i := range colours {
			palette = append(palette, color.NRGBA{uint8(i), uint8(255 - i), uint8(i * 5), 255})
		}
		m := image.NewPaletted(image.Rect(0, 0, 19, 15), palette)
		for i := range m.Pix {
			m.Pix[i] = uint8(i % colours)
		}
		animation := &gif.GIF{Image: []*image.Paletted{m}, Delay: []int{0}}
		for name, contents := range map[string][]byte{"PNG": pngOf(t, m), "GIF": gifOf(t, animation)} {
			img, err := Decode(contents)
			if err != nil {
				t.Fatal(err)
			}
			for i := range m.Pix {
				index := i % colours
				if p := img.Pix[3*i:]; p[0] != uint8(index) || p[1] != uint8(255-index) || p[2] != uint8(index*5) {
					t.Fatalf("%s of %d colours: pixel %d is %v", name, colours, i, p[:3])
				}
			}
		}
	}
}

// TestOrientationsUndoEachOther: every orientation is undone by one of the eight, and the sizes swap for four of them.
func TestOrientationsUndoEachOther(t *testing.T) {
	inverse := [9]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
	rapid.Check(t, func(t *rapid.T) {
		img := drawImage(t)
		for o := 1; o <= 8; o++ {
			turned := orient(img, o)
			width, height := img.Width, img.Height
			if o >= 5 {
				width, height = height, width
			}
			if turned.Width != width || turned.Height != height {
				t.Fatalf("orientation %d makes %d×%d of %d×%d", o, turned.Width, turned.Height, img.Width, img.Height)
			}
			if back := orient(turned, inverse[o]); !bytes.Equal(back.Pix, img.Pix) || back.Width != img.Width {
				t.Fatalf("orientation %d after %d is not the picture again", inverse[o], o)
			}
		}
		if twice := orient(orient(img, 6), 6); !bytes.Equal(twice.Pix, orient(img, 3).Pix) {
			t.Fatal("two quarter turns are no half turn")
		}
	})
}

// TestCutEXIFNeverMisleads: a file that ends anywhere in its EXIF block, as a torn download does, is upright or turned as
// the whole one says, and nothing else.
func TestCutEXIFNeverMisleads(t *testing.T) {
	for name, whole := range map[string][]byte{
		"JPEG": jpegWithEXIF(jpegOf(t, blockPicture()), exifTIFF(binary.BigEndian, 6)),
		"PNG":  pngWithEXIF(pngOf(t, blockPicture()), exifTIFF(binary.LittleEndian, 6)),
		"WebP": webpWithEXIF(fixture(t, "lossy.webp"), exifTIFF(binary.LittleEndian, 6)),
		"TIFF": tiffWithOrientation(6),
	} {
		c, err := findCodec(whole)
		if err != nil {
			t.Fatal(err)
		}
		for n := range whole {
			if o := orientation(c.exif(whole[:n])); o != 1 && o != 6 {
				t.Errorf("%s: the first %d of %d bytes have orientation %d", name, n, len(whole), o)
			}
		}
		if o := orientation(c.exif(whole)); o != 6 {
			t.Errorf("%s: the whole file has orientation %d", name, o)
		}
	}
}

// TestEveryFormatCutShort: half a file is an error that names the type, never a panic and never half a picture.
func TestEveryFormatCutShort(t *testing.T) {
	m := noisePicture(24)
	grey := image.NewPaletted(m.Bounds(), color.Palette{color.Black, color.White, color.Gray{99}})
	for i := range grey.Pix {
		grey.Pix[i] = uint8(i * i % 3)
	}
	for name, whole := range map[string][]byte{
		"JPEG": jpegOf(t, m), "PNG": pngOf(t, m), "BMP": bmpOf(t, m), "TIFF": tiffOf(t, m),
		"WebP": fixture(t, "lossless-alpha.webp"), "GIF": gifOf(t, &gif.GIF{Image: []*image.Paletted{grey}, Delay: []int{0}}),
	} {
		for _, n := range []int{headBytes, len(whole) / 4, len(whole) / 2} {
			_, err := Decode(whole[:n])
			wantError(t, err, "bad "+name+": ")
		}
		if _, err := Decode(whole); err != nil {
			t.Errorf("the whole %s: %v", name, err)
		}
	}
}

// TestNamesDoNotMatter: a file's first bytes say what it is, whatever its name says.
func TestNamesDoNotMatter(t *testing.T) {
	root := tree(t, map[string][]byte{
		"a.png": jpegOf(t, blockPicture()), "b.jpg": pngOf(t, blockPicture()), "c.gif": bmpOf(t, blockPicture()),
		"d": fixture(t, "lossy.webp"), "e.heic": tiffOf(t, blockPicture()),
	})
	f := open(t, root, nil)
	for _, format := range []string{"JPEG", "PNG", "BMP", "WebP", "TIFF"} {
		if f.Report().Formats[format] != 1 {
			t.Errorf("formats are %v: want one %s", f.Report().Formats, format)
		}
	}
	for i := range f.Len() {
		checkBlocks(t, at(t, f, i).Image, 3, blockColours[:], 4)
	}
}

// TestChromaSubsamplingKeepsColours: photographs come with halved chroma; its blocks are as large as ours.
func TestChromaSubsamplingKeepsColours(t *testing.T) {
	for _, quality := range []int{75, 90, 100} {
		contents := encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, blockPicture(), &jpeg.Options{Quality: quality}) })
		img, err := Decode(contents)
		if err != nil {
			t.Fatal(err)
		}
		checkBlocks(t, img, 3, blockColours[:], 6)
	}
}
