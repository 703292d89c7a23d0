package fastjpeg

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const plenty = 1 << 20

// ordinary are the files of testdata, made by Pillow, that a Decoder reads itself.
var ordinary = []string{"444", "422", "420", "optimised", "grey", "tiny", "coarse"}

func file(t testing.TB, name string) []byte {
	t.Helper()
	contents, err := os.ReadFile(filepath.Join("testdata", name+".jpg"))
	if err != nil {
		t.Fatal(err)
	}
	return contents
}

// check holds the Decoder to its promise: what it decodes, image/jpeg decodes to the same pixels.
func check(t interface{ Errorf(string, ...any) }, d *Decoder, contents []byte) (decoded bool) {
	got, err := d.Decode(contents, plenty)
	if err != nil {
		return false
	}
	want, err := jpeg.Decode(bytes.NewReader(contents))
	if err != nil {
		t.Errorf("was decoded, where image/jpeg says: %v", err)
		return true
	}
	compare(t, got, want)
	return true
}

func compare(t interface{ Errorf(string, ...any) }, got, want image.Image) {
	if got.Bounds() != want.Bounds() || got.ColorModel() != want.ColorModel() {
		t.Errorf("%v %T, expected %v %T", got.Bounds(), got, want.Bounds(), want)
		return
	}
	for y := range want.Bounds().Dy() {
		for x := range want.Bounds().Dx() {
			if got.At(x, y) != want.At(x, y) {
				t.Errorf("pixel %d, %d is %v, expected %v", x, y, got.At(x, y), want.At(x, y))
				return
			}
		}
	}
}

func TestOrdinaryFiles(t *testing.T) {
	d := new(Decoder)
	for _, name := range append(ordinary, ordinary...) { // with the tables of other files known, too
		t.Run(name, func(t *testing.T) {
			if !check(t, d, file(t, name)) {
				t.Error("was declined")
			}
		})
	}
}

// TestRandomPictures over sizes, qualities and contents, as Go's encoder writes them.
func TestRandomPictures(t *testing.T) {
	d := new(Decoder)
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(1, 50).Draw(t, "width"), rapid.IntRange(1, 50).Draw(t, "height")
		quality, noise := rapid.IntRange(1, 100).Draw(t, "quality"), rapid.Uint64().Draw(t, "noise")
		var picture image.Image
		if rapid.Bool().Draw(t, "grey") {
			grey := image.NewGray(image.Rect(0, 0, width, height))
			fill(grey.Pix, noise)
			picture = grey
		} else {
			rgba := image.NewRGBA(image.Rect(0, 0, width, height))
			fill(rgba.Pix, noise)
			picture = rgba
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, picture, &jpeg.Options{Quality: quality}); err != nil {
			t.Fatal(err)
		}
		if !check(t, d, b.Bytes()) {
			t.Errorf("was declined")
		}
	})
}

// fill writes noise, xorshift's, or nothing where it is 0.
func fill(pix []uint8, state uint64) {
	for i := range pix {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		pix[i] = uint8(state)
	}
}

// TestDeclined: files that image/jpeg reads in other ways, or not at all.
func TestDeclined(t *testing.T) {
	whole := file(t, "420")
	cases := map[string][]byte{
		"nothing": nil, "no picture": []byte("GIF89a, surely"), "progressive": file(t, "progressive"),
		"cut in the scan": whole[:len(whole)*2/3], "without an end": whole[:len(whole)-2],
		"16-bit quantizers": replaced(whole, []byte{0xff, 0xdb, 0, 0x43, 0}, []byte{0xff, 0xdb, 0, 0x43, 0x10}),
		"extended":          replaced(whole, []byte{0xff, 0xc0}, []byte{0xff, 0xc1}),
		"12 bits":           replaced(whole, []byte{0xff, 0xc0, 0, 17, 8}, []byte{0xff, 0xc0, 0, 17, 12}),
		"another luma":      replaced(whole, []byte{1, 0x22, 0, 2, 0x11, 1}, []byte{1, 0x41, 0, 2, 0x11, 1}),
		"one identifier":    replaced(whole, []byte{1, 0x22, 0, 2, 0x11, 1}, []byte{1, 0x22, 0, 1, 0x11, 1}),
		"no quantizer":      replaced(whole, []byte{1, 0x22, 0, 2, 0x11, 1}, []byte{1, 0x22, 3, 2, 0x11, 1}),
		"no restarts":       inserted(whole, []byte{0xff, 0xdd, 0, 4, 0, 1}),
		"letters":           withRGB(whole),
	}
	for name, contents := range cases {
		t.Run(name, func(t *testing.T) {
			if check(t, new(Decoder), contents) {
				t.Error("was decoded")
			}
		})
	}
	if _, err := new(Decoder).Decode(whole, 61*43-1); err == nil {
		t.Error("a picture above the limit was decoded")
	}
	if !check(t, new(Decoder), inserted(whole, []byte{0xff, 0xfe, 0, 4, 'h', 'i'})) {
		t.Error("a comment was too much")
	}
}

// replaced changes the first occurrence of old, which has to be there.
func replaced(contents, old, new []byte) []byte {
	if !bytes.Contains(contents, old) {
		panic("the file does not hold what the test replaces")
	}
	return bytes.Replace(contents, old, new, 1)
}

// inserted puts a segment in front of the others.
func inserted(contents, segment []byte) []byte {
	return slices.Insert(slices.Clone(contents), 2, segment...)
}

// withRGB names the components R, G, B and takes JFIF's word away: then they are no YCbCr.
func withRGB(contents []byte) []byte {
	named := replaced(contents, []byte("JFIF"), []byte("none"))
	named = replaced(named, []byte{1, 0x22, 0, 2, 0x11, 1, 3}, []byte{'R', 0x22, 0, 'G', 0x11, 1, 'B'})
	return replaced(named, []byte{3, 1, 0, 2, 0x11, 3, 0x11}, []byte{3, 'R', 0, 'G', 0x11, 'B', 0x11})
}

// TestDamage flips bytes: image/jpeg and the Decoder may not disagree, whatever comes of it, and a Decoder has to
// read whole files afterwards.
func TestDamage(t *testing.T) {
	d := new(Decoder)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(ordinary).Draw(t, "file")
		contents, err := os.ReadFile(filepath.Join("testdata", name+".jpg"))
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 3).Draw(t, "bytes") {
			contents[rapid.IntRange(0, len(contents)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		check(t, d, contents)
	})
	for _, name := range ordinary {
		if !check(t, d, file(t, name)) {
			t.Errorf("%s was declined after damaged ones", name)
		}
	}
}

// TestRestartMarkers over a grey picture of one flat block after another, written by hand: three units, a marker after each.
func TestRestartMarkers(t *testing.T) {
	contents := flatBlocks(t, restart0, restart0+1)
	got, err := new(Decoder).Decode(contents, plenty)
	if err != nil {
		t.Fatal(err)
	}
	check(t, new(Decoder), contents)
	if a, b := got.At(0, 0), got.At(16, 0); a != b || a == (color.Gray{Y: 128}) {
		t.Errorf("blocks %v and %v: predictions do not begin anew", a, b)
	}
	if check(t, new(Decoder), flatBlocks(t, restart0, restart0)) {
		t.Error("markers in disorder were taken")
	}
}

// flatBlocks is a picture of 24×8 pixels: each block is a DC coefficient of 7 and an end of block.
func flatBlocks(t *testing.T, markers ...byte) []byte {
	t.Helper()
	contents := []byte{0xff, 0xd8, 0xff, quantization, 0, 67, 0}
	contents = append(contents, bytes.Repeat([]byte{8}, 64)...)
	contents = append(contents, 0xff, startOfFrame, 0, 11, 8, 0, 8, 0, 24, 1, 1, 0x11, 0)
	for class, symbol := range []byte{3, 0} { // one code, 0: three bits follow, or the end of a block
		contents = append(contents, 0xff, defineHuffman, 0, 20, byte(class<<4), 1)
		contents = append(append(contents, make([]byte, 15)...), symbol)
	}
	contents = append(contents, 0xff, restartEvery, 0, 4, 0, 1, 0xff, startOfScan, 0, 8, 1, 1, 0, 0, 63, 0)
	for _, marker := range markers {
		contents = append(contents, 0b0_111_0_111, 0xff, marker)
	}
	return append(contents, 0b0_111_0_111, 0xff, endOfImage)
}

// FuzzDecode needs -fuzzminimizetime 1s: else the fuzzer spends a minute on making each file that it finds interesting smaller, and
// tries nothing else meanwhile.
func FuzzDecode(f *testing.F) {
	for _, name := range append(ordinary, "progressive") {
		f.Add(file(f, name))
	}
	f.Fuzz(func(t *testing.T, contents []byte) { check(t, new(Decoder), contents) })
}

func BenchmarkDecode(b *testing.B) {
	contents, d := file(b, "420"), new(Decoder)
	b.SetBytes(61 * 43)
	for b.Loop() {
		if _, err := d.Decode(contents, plenty); err != nil {
			b.Fatal(err)
		}
	}
}
