package data

import (
	"bytes"
	"encoding/binary"
	"flag"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

var update = flag.Bool("update", false, "write the golden files anew")

// rgb is an opaque colour.
type rgb struct{ R, G, B uint8 }

func (c rgb) RGBA() (r, g, b, a uint32) { return color.RGBA{R: c.R, G: c.G, B: c.B, A: 255}.RGBA() }

// The six blocks of the fixtures: A B C above D E F.
var blockColours = [6]rgb{
	{220, 30, 30}, {30, 200, 40}, {40, 50, 210}, {240, 240, 240}, {20, 20, 20}, {230, 210, 40},
}

const blockSide = 16

// drawBlocks paints the fixture of 48×32 pixels.
func drawBlocks(set func(x, y int, c color.Color)) {
	for y := range 2 * blockSide {
		for x := range 3 * blockSide {
			set(x, y, blockColours[y/blockSide*3+x/blockSide])
		}
	}
}

var blockBounds = image.Rect(0, 0, 3*blockSide, 2*blockSide)

func blockPicture() *image.RGBA {
	m := image.NewRGBA(blockBounds)
	drawBlocks(m.Set)
	return m
}

// transparentBlocks is the fixture with E half transparent and F wholly.
func transparentBlocks() *image.NRGBA {
	m := image.NewNRGBA(blockBounds)
	drawBlocks(func(x, y int, c color.Color) {
		pixel := color.NRGBAModel.Convert(c).(color.NRGBA)
		switch {
		case y >= blockSide && x >= 2*blockSide:
			pixel.A = 0
		case y >= blockSide && x >= blockSide:
			pixel.A = 128
		}
		m.SetNRGBA(x, y, pixel)
	})
	return m
}

// checkBlocks compares the middle of every block.
func checkBlocks(t *testing.T, img Image, columns int, want []rgb, tolerance int) {
	t.Helper()
	if img.Width != columns*blockSide || img.Height != len(want)/columns*blockSide {
		t.Fatalf("picture has %d×%d pixels, expected %d columns of %d blocks", img.Width, img.Height, columns, len(want))
	}
	for i, c := range want {
		x, y := i%columns*blockSide+blockSide/2, i/columns*blockSide+blockSide/2
		got := img.Pix[3*(y*img.Width+x):][:3]
		for j, v := range [3]uint8{c.R, c.G, c.B} {
			if abs(int(got[j])-int(v)) > tolerance {
				t.Errorf("block %d is %v, expected %v ± %d", i, got, c, tolerance)
				break
			}
		}
	}
}

func encoded(t testing.TB, encode func(*bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t testing.TB, m image.Image) []byte {
	return encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, m, &jpeg.Options{Quality: 95}) })
}

func pngOf(t testing.TB, m image.Image) []byte {
	return encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, m) })
}

func gifOf(t testing.TB, g *gif.GIF) []byte {
	return encoded(t, func(b *bytes.Buffer) error { return gif.EncodeAll(b, g) })
}

func bmpOf(t testing.TB, m image.Image) []byte {
	return encoded(t, func(b *bytes.Buffer) error { return bmp.Encode(b, m) })
}

func tiffOf(t testing.TB, m image.Image) []byte {
	return encoded(t, func(b *bytes.Buffer) error {
		return tiff.Encode(b, m, &tiff.Options{Compression: tiff.Deflate, Predictor: true})
	})
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	contents, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return contents
}

// exifTIFF is a TIFF block whose directory holds a tag that does not matter and the orientation.
func exifTIFF(order binary.AppendByteOrder, orientation uint16) []byte {
	block := []byte("II*\x00")
	if order.String() == "BigEndian" {
		block = []byte("MM\x00*")
	}
	block = order.AppendUint32(block, 8)
	block = order.AppendUint16(block, 2)
	for _, entry := range [][2]uint16{{271, 0}, {274, orientation}} {
		block = order.AppendUint16(block, entry[0])
		block = order.AppendUint16(block, 3)
		block = order.AppendUint32(block, 1)
		block = order.AppendUint16(block, entry[1])
		block = order.AppendUint16(block, 0)
	}
	return order.AppendUint32(block, 0)
}

// jpegWithEXIF inserts an APP1 segment, after one of another kind.
func jpegWithEXIF(contents, block []byte) []byte {
	segments := []byte("\xff\xd8\xff\xe1\x00\x07http:\xff\xff\xe1")
	segments = binary.BigEndian.AppendUint16(segments, uint16(2+len(exifHeader)+len(block)))
	segments = append(append(segments, exifHeader...), block...)
	return append(segments, contents[2:]...)
}

// pngWithEXIF inserts an eXIf chunk after the header.
func pngWithEXIF(contents, block []byte) []byte {
	const header = 8 + 25
	chunk := append([]byte("eXIf"), block...)
	out := append([]byte{}, contents[:header]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(block)))
	out = append(out, chunk...)
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(chunk))
	return append(out, contents[header:]...)
}

// webpWithEXIF wraps a simple WebP file into the extended form with an EXIF chunk at its end.
func webpWithEXIF(contents, block []byte) []byte {
	body := []byte("WEBPVP8X\x0a\x00\x00\x00\x08\x00\x00\x00")
	body = append(body, byte(blockBounds.Dx()-1), 0, 0, byte(blockBounds.Dy()-1), 0, 0)
	body = append(body, contents[12:]...)
	body = append(body, "EXIF"...)
	body = binary.LittleEndian.AppendUint32(body, uint32(len(block)))
	body = append(body, block...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

// tiffWithOrientation is a small TIFF without compression whose directory holds the orientation.
func tiffWithOrientation(orientation uint16) []byte {
	m := blockPicture()
	var pixels []byte
	for i := 0; i < len(m.Pix); i += 4 {
		pixels = append(pixels, m.Pix[i:i+3]...)
	}
	order := binary.LittleEndian
	const short, long = 3, 4
	const bitsAt, pixelsAt = 8, 14
	block := order.AppendUint32([]byte("II*\x00"), uint32(pixelsAt+len(pixels)))
	block = append(append(block, 8, 0, 8, 0, 8, 0), pixels...)
	entries := [][4]uint32{
		{256, short, 1, uint32(m.Rect.Dx())}, {257, short, 1, uint32(m.Rect.Dy())}, {258, short, 3, bitsAt}, {259, short, 1, 1},
		{262, short, 1, 2}, {273, long, 1, pixelsAt}, {274, short, 1, uint32(orientation)}, {277, short, 1, 3},
		{278, short, 1, uint32(m.Rect.Dy())}, {279, long, 1, uint32(len(pixels))},
	}
	block = order.AppendUint16(block, uint16(len(entries)))
	for _, e := range entries {
		block = order.AppendUint16(block, uint16(e[0]))
		block = order.AppendUint16(block, uint16(e[1]))
		block = order.AppendUint32(block, e[2])
		block = order.AppendUint32(block, e[3])
	}
	return order.AppendUint32(block, 0)
}

// fixPNGHeader corrects the checksum of a changed IHDR chunk.
func fixPNGHeader(contents []byte) {
	binary.BigEndian.PutUint32(contents[29:], crc32.ChecksumIEEE(contents[12:29]))
}

// noise is a picture of random bytes, the same in every run.
func noise(width, height int) Image {
	rng := rand.New(rand.NewPCG(1, 2))
	img := NewImage(width, height)
	for i := range img.Pix {
		img.Pix[i] = uint8(rng.Uint32())
	}
	return img
}

// toNRGBA makes a picture of the standard library's kind.
func toNRGBA(img Image) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, img.Width, img.Height))
	for i := range img.Width * img.Height {
		copy(m.Pix[4*i:], img.Pix[3*i:3*i+3])
		m.Pix[4*i+3] = 255
	}
	return m
}

func noisePicture(side int) image.Image { return toNRGBA(noise(side, side)) }
