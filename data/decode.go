package data

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"strings"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// MaxPixels is the greatest picture that is decoded, in pixels: a file of a few kilobytes may claim to be a picture
// that fills the memory.
const MaxPixels = 200_000_000

// codec is a type of picture, recognised by the first bytes of a file.
type codec struct {
	name    string
	matches func(head []byte) bool
	config  func(io.Reader) (image.Config, error) // reads the header only
	decode  func(contents []byte) (Image, error)  // upright as stored, without EXIF orientation
	exif    func(contents []byte) []byte          // the TIFF block that holds EXIF tags; nil where there is none
}

// headBytes is how many bytes codec.matches looks at.
const headBytes = 18

func codecs() []codec {
	return []codec{
		{"JPEG", prefix("\xff\xd8\xff"), jpeg.DecodeConfig, decodeJPEG, exifOfJPEG},
		{"PNG", prefix("\x89PNG\r\n\x1a\n"), png.DecodeConfig, decodeWith(png.Decode), exifOfPNG},
		{"GIF", prefix("GIF87a", "GIF89a"), gif.DecodeConfig, decodeWith(decodeGIF), noEXIF},
		{"WebP", isWebP, webp.DecodeConfig, decodeWith(decodeWebP), exifOfWebP},
		{"BMP", isBMP, bmp.DecodeConfig, decodeWith(bmp.Decode), noEXIF},
		{"TIFF", prefix("II*\x00", "MM\x00*"), tiff.DecodeConfig, decodeWith(tiff.Decode), exifOfTIFF},
	}
}

// Formats names the types of pictures that are read.
func Formats() []string {
	var names []string
	for _, c := range codecs() {
		names = append(names, c.name)
	}
	return names
}

// errNoPicture says that a file's first bytes are those of no type that is read.
var errNoPicture = fmt.Errorf("holds no picture of a type that is read (%s)", strings.Join(Formats(), ", "))

// errTooLarge ends the message about a picture that would fill the memory.
var errTooLarge = fmt.Errorf("more than data.MaxPixels (%d) are refused", MaxPixels)

// errHEIF covers the pictures of phones, which users expect to work.
var errHEIF = errors.New("is a HEIC or AVIF picture, which is not read; convert it to JPEG or PNG")

// findCodec recognises a picture by its first bytes.
func findCodec(head []byte) (codec, error) {
	for _, c := range codecs() {
		if c.matches(head) {
			return c, nil
		}
	}
	if isHEIF(head) {
		return codec{}, errHEIF
	}
	return codec{}, errNoPicture
}

func prefix(prefixes ...string) func([]byte) bool {
	return func(head []byte) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return bytes.HasPrefix(head, []byte(p)) })
	}
}

func isWebP(head []byte) bool {
	return len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP"
}

// isBMP asks for the length of the second header too, as two letters alone would match many a text.
func isBMP(head []byte) bool {
	return len(head) >= 18 && string(head[:2]) == "BM" && head[14] >= 12 && head[14] <= 124 && head[15]|head[16]|head[17] == 0
}

func isHEIF(head []byte) bool {
	brands := []string{"heic", "heix", "hevc", "heim", "heis", "mif1", "msf1", "avif", "avis"}
	return len(head) >= 12 && string(head[4:8]) == "ftyp" && slices.Contains(brands, string(head[8:12]))
}

// Decode turns the bytes of a file into an upright 8-bit RGB picture: EXIF orientation is applied, grey, palette,
// 16-bit and CMYK pictures are converted, transparency is laid over white, of an animation the first frame is
// taken. Embedded colour profiles are ignored.
func Decode(contents []byte) (Image, error) {
	c, err := findCodec(contents[:min(headBytes, len(contents))])
	if err != nil {
		return Image{}, err
	}
	if _, err := c.dimensions(bytes.NewReader(contents)); err != nil {
		return Image{}, err
	}
	img, err := c.pixels(contents)
	if err != nil {
		return Image{}, err
	}
	return orient(img, orientation(c.exif(contents))), nil
}

// dimensions reads the header and refuses absurd sizes.
func (c codec) dimensions(r io.Reader) (config image.Config, err error) {
	defer c.explain(&err)
	if config, err = c.config(r); err == nil {
		err = checkDimensions(config)
	}
	return config, err
}

// pixels decodes the whole picture.
func (c codec) pixels(contents []byte) (img Image, err error) {
	defer c.explain(&err)
	return c.decode(contents)
}

// explain names the type in an error and makes an error of a panic, since decoders written by others meet whatever
// the disk holds.
func (c codec) explain(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the decoder failed: %v", r)
	}
	if *err != nil {
		*err = fmt.Errorf("bad %s: %w", c.name, *err)
	}
}

func checkDimensions(c image.Config) error {
	if c.Width < 1 || c.Height < 1 {
		return fmt.Errorf("it has no pixels (%d×%d)", c.Width, c.Height)
	}
	if c.Height > MaxPixels/c.Width {
		return fmt.Errorf("it has %d×%d pixels: %w; shrink it", c.Width, c.Height, errTooLarge)
	}
	return nil
}

// decodeWith adapts a decoder of the standard library's kind.
func decodeWith(decode func(io.Reader) (image.Image, error)) func([]byte) (Image, error) {
	return func(contents []byte) (Image, error) {
		picture, err := decode(bytes.NewReader(contents))
		if err != nil {
			return Image{}, err
		}
		return toRGB(picture), nil
	}
}

// decodeGIF reads the first frame, placed on the animation's canvas.
func decodeGIF(r io.Reader) (image.Image, error) {
	var contents bytes.Buffer
	config, err := gif.DecodeConfig(io.TeeReader(r, &contents))
	if err != nil {
		return nil, err
	}
	frame, err := gif.Decode(io.MultiReader(&contents, r))
	canvas := image.Rect(0, 0, config.Width, config.Height)
	if err != nil || frame.Bounds() == canvas {
		return frame, err
	}
	full := image.NewNRGBA(canvas)
	draw.Draw(full, frame.Bounds(), frame, frame.Bounds().Min, draw.Src)
	return full, nil
}
