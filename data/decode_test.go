package data

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"strings"
	"testing"
)

// grey is what a colour becomes in a grey picture.
func grey(c rgb) rgb {
	y := color.GrayModel.Convert(c).(color.Gray).Y
	return rgb{y, y, y}
}

func TestDecodeEveryFormat(t *testing.T) {
	plain := blockColours[:]
	var grey6 []rgb
	for _, c := range plain {
		grey6 = append(grey6, grey(c))
	}
	overWhite := append(append([]rgb{}, plain[:4]...), rgb{137, 137, 137}, rgb{255, 255, 255})
	picture := blockPicture()

	grey8, grey16, deep := image.NewGray(blockBounds), image.NewGray16(blockBounds), image.NewNRGBA64(blockBounds)
	palette := color.Palette{color.NRGBA{}}
	for _, c := range plain {
		palette = append(palette, c)
	}
	paletted := image.NewPaletted(blockBounds, palette)
	for _, set := range []func(int, int, color.Color){grey8.Set, grey16.Set, deep.Set, paletted.Set} {
		drawBlocks(set)
	}
	seeThrough := image.NewPaletted(blockBounds, palette)
	copy(seeThrough.Pix, paletted.Pix)
	for i, index := range seeThrough.Pix {
		if index == 6 {
			seeThrough.Pix[i] = 0
		}
	}
	transparentF := append(append([]rgb{}, plain[:5]...), rgb{255, 255, 255})

	for name, test := range map[string]struct {
		contents  []byte
		want      []rgb
		tolerance int
	}{
		"JPEG":                      {jpegOf(t, picture), plain, 4},
		"JPEG, grey":                {jpegOf(t, grey8), grey6, 2},
		"JPEG, CMYK":                {fixture(t, "cmyk.jpg"), plain, 4},
		"JPEG, YCCK":                {fixture(t, "ycck.jpg"), plain, 4},
		"PNG":                       {pngOf(t, picture), plain, 0},
		"PNG, alpha":                {pngOf(t, transparentBlocks()), overWhite, 0},
		"PNG, grey":                 {pngOf(t, grey8), grey6, 0},
		"PNG, grey, 16 bits":        {pngOf(t, grey16), grey6, 1},
		"PNG, 16 bits":              {pngOf(t, deep), plain, 0},
		"PNG, palette":              {pngOf(t, paletted), plain, 0},
		"PNG, transparent palette":  {pngOf(t, seeThrough), transparentF, 0},
		"GIF":                       {gifOf(t, &gif.GIF{Image: []*image.Paletted{paletted, seeThrough}, Delay: []int{1, 1}}), plain, 0},
		"GIF, transparent":          {gifOf(t, &gif.GIF{Image: []*image.Paletted{seeThrough}, Delay: []int{1}}), transparentF, 0},
		"BMP":                       {bmpOf(t, picture), plain, 0},
		"BMP, grey":                 {bmpOf(t, grey8), grey6, 0},
		"TIFF":                      {tiffOf(t, picture), plain, 0},
		"TIFF, 16 bits":             {tiffOf(t, deep), plain, 0},
		"TIFF, grey, 16 bits":       {tiffOf(t, grey16), grey6, 1},
		"TIFF, palette":             {tiffOf(t, paletted), plain, 0},
		"TIFF, written by the test": {tiffWithOrientation(1), plain, 0},
		"WebP, lossy":               {fixture(t, "lossy.webp"), plain, 4},
		"WebP, lossy, alpha":        {fixture(t, "lossy-alpha.webp"), overWhite, 4},
		"WebP, lossless, alpha":     {fixture(t, "lossless-alpha.webp"), overWhite, 0},
	} {
		t.Run(name, func(t *testing.T) {
			img, err := Decode(test.contents)
			if err != nil {
				t.Fatal(err)
			}
			checkBlocks(t, img, 3, test.want, test.tolerance)
		})
	}
}

// TestGIFFrameOnCanvas: the first frame covers blocks B and C only; the rest of the canvas is white.
func TestGIFFrameOnCanvas(t *testing.T) {
	frame := image.NewPaletted(image.Rect(blockSide, 0, 3*blockSide, blockSide), color.Palette{blockColours[1], blockColours[2]})
	drawBlocks(frame.Set)
	contents := gifOf(t, &gif.GIF{Image: []*image.Paletted{frame}, Delay: []int{0}, Config: image.Config{Width: 48, Height: 32}})
	img, err := Decode(contents)
	if err != nil {
		t.Fatal(err)
	}
	white := rgb{255, 255, 255}
	checkBlocks(t, img, 3, []rgb{white, blockColours[1], blockColours[2], white, white, white}, 0)
}

// TestOrientation holds the eight EXIF orientations, in every container, against layouts written by hand from the
// standard's words (where the stored row 0 and column 0 belong).
func TestOrientation(t *testing.T) {
	layouts := [9]string{1: "ABC DEF", 2: "CBA FED", 3: "FED CBA", 4: "DEF ABC", 5: "AD BE CF", 6: "DA EB FC", 7: "FC EB DA", 8: "CF BE AD"}
	for o := uint16(1); o <= 8; o++ {
		rows := strings.Fields(layouts[o])
		var want []rgb
		for _, block := range strings.Join(rows, "") {
			want = append(want, blockColours[block-'A'])
		}
		for name, contents := range map[string][]byte{
			"JPEG, little": jpegWithEXIF(jpegOf(t, blockPicture()), exifTIFF(binary.LittleEndian, o)),
			"JPEG, big":    jpegWithEXIF(jpegOf(t, blockPicture()), exifTIFF(binary.BigEndian, o)),
			"PNG":          pngWithEXIF(pngOf(t, blockPicture()), exifTIFF(binary.BigEndian, o)),
			"WebP":         webpWithEXIF(fixture(t, "lossy.webp"), exifTIFF(binary.LittleEndian, o)),
			"WebP, header": webpWithEXIF(fixture(t, "lossy.webp"), append([]byte(exifHeader), exifTIFF(binary.LittleEndian, o)...)),
			"TIFF":         tiffWithOrientation(o),
		} {
			img, err := Decode(contents)
			if err != nil {
				t.Fatalf("%s, orientation %d: %v", name, o, err)
			}
			t.Run(name, func(t *testing.T) { checkBlocks(t, img, len(rows[0]), want, 4) })
		}
	}
}

func TestOrientationOfNonsenseIsUpright(t *testing.T) {
	good := exifTIFF(binary.LittleEndian, 6)
	wrongStart := append([]byte{}, good...)
	binary.LittleEndian.PutUint32(wrongStart[4:], 0xfffffffe)
	for name, block := range map[string][]byte{
		"nothing": nil, "short": good[:7], "cut in the directory": good[:20], "start outside": wrongStart,
		"orientation 0": exifTIFF(binary.LittleEndian, 0), "orientation 9": exifTIFF(binary.BigEndian, 9),
		"another byte order": append([]byte("XX"), good[2:]...),
	} {
		if o := orientation(block); o != 1 {
			t.Errorf("%s: orientation %d", name, o)
		}
	}
	if o := orientation(good); o != 6 {
		t.Errorf("the block that the cases spoil has orientation %d, expected 6", o)
	}
}

func TestDecodeErrors(t *testing.T) {
	bomb := pngOf(t, blockPicture())
	binary.BigEndian.PutUint32(bomb[16:], 60000) // width and height of the IHDR chunk
	binary.BigEndian.PutUint32(bomb[20:], 60000)
	fixPNGHeader(bomb)
	whole := jpegOf(t, noisePicture(64))
	for name, test := range map[string]struct {
		contents []byte
		want     string
	}{
		"empty":     {nil, "holds no picture of a type that is read (JPEG, PNG, GIF, WebP, BMP, TIFF)"},
		"text":      {[]byte("BM is how this text begins, which is no bitmap"), "holds no picture"},
		"truncated": {whole[:len(whole)/2], "bad JPEG: "},
		"header":    {whole[:10], "bad JPEG: "},
		"bomb":      {bomb, "60000×60000 pixels: more than data.MaxPixels (200000000)"},
		"HEIC":      {[]byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heic"), "convert it to JPEG"},
	} {
		if _, err := Decode(test.contents); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, expected %q", name, err, test.want)
		}
	}
}

// TestVideoRange: black and white of video are 16 and 235.
func TestVideoRange(t *testing.T) {
	for y, want := range map[int32]uint8{0: 0, 16: 0, 126: 128, 235: 255, 255: 255} {
		if r, g, b := videoToRGB(y, 128, 128); r != want || g != want || b != want {
			t.Errorf("Y %d is (%d, %d, %d), expected %d", y, r, g, b, want)
		}
	}
	if r, g, b := videoToRGB(81, 90, 240); r < 250 || g > 4 || b > 4 {
		t.Errorf("video's red is (%d, %d, %d)", r, g, b)
	}
}

func TestPanicOfADecoderIsAnError(t *testing.T) {
	c := codec{name: "PNG", decode: func([]byte) (Image, error) { panic("index out of range") }}
	if _, err := c.pixels(nil); err == nil || !strings.Contains(err.Error(), "bad PNG: the decoder failed: index out of range") {
		t.Errorf("error is %v", err)
	}
}

func seedDecoders(f *testing.F) {
	for _, name := range []string{"cmyk.jpg", "ycck.jpg", "lossy.webp", "lossy-alpha.webp", "lossless-alpha.webp"} {
		f.Add(fixture(f, name))
	}
	f.Add(jpegWithEXIF(jpegOf(f, blockPicture()), exifTIFF(binary.LittleEndian, 6)))
	f.Add(pngWithEXIF(pngOf(f, blockPicture()), exifTIFF(binary.BigEndian, 8)))
	f.Add(webpWithEXIF(fixture(f, "lossy.webp"), exifTIFF(binary.LittleEndian, 5)))
	f.Add(tiffWithOrientation(7))
	f.Add(bmpOf(f, blockPicture()))
}

// FuzzDecode: whatever the bytes, there is an error or a whole picture. Run it with -fuzzminimizetime 1s, as fastjpeg's.
func FuzzDecode(f *testing.F) {
	seedDecoders(f)
	f.Fuzz(func(t *testing.T, contents []byte) {
		if c, err := findCodec(contents[:min(headBytes, len(contents))]); err == nil {
			config, err := c.dimensions(bytes.NewReader(contents))
			if err == nil && config.Width*config.Height > 1<<20 {
				return // allowed, but too slow for fuzzing
			}
		}
		img, err := Decode(contents)
		if err == nil && (len(img.Pix) != img.Width*img.Height*3 || len(img.Pix) == 0) {
			t.Errorf("picture of %d×%d pixels has %d bytes", img.Width, img.Height, len(img.Pix))
		}
	})
}

// FuzzEXIF: the readers of each container give an orientation of 1 to 8 for any bytes.
func FuzzEXIF(f *testing.F) {
	seedDecoders(f)
	f.Fuzz(func(t *testing.T, contents []byte) {
		for _, c := range codecs() {
			if o := orientation(c.exif(contents)); o < 1 || o > 8 {
				t.Errorf("%s: orientation %d", c.name, o)
			}
		}
	})
}
