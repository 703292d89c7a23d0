package fastjpeg

import (
	"encoding/binary"
	"errors"
	"image"

	"pretrain/internal/pixel"
)

// ErrDeclined says that a file is for image/jpeg: unusual, damaged or no JPEG file at all.
var ErrDeclined = errors.New("no ordinary JPEG file")

// component is one of the colour planes.
type component struct {
	id         uint8
	h, v       int // sampling factors
	quantizer  int
	dc, ac     int // numbers of the Huffman tables
	plane      []uint8
	stride     int
	prediction int32 // of the next DC coefficient
}

// Decoder decodes one file after another, with memory that it keeps. It must not be used concurrently.
type Decoder struct {
	stream
	width, height   int
	components      []component
	all             [3]component
	planes          [3][]uint8
	quantizers      [4][64]int32 // by position in a transposed block
	known           [4]bool      // quantizers that the file has given
	codes           [2][4]huffman
	restartInterval int
	jfif, adobeRGB  bool
	block           pixel.Block
}

// Markers that are understood; see table B.1.
const (
	startOfFrame  = 0xc0 // baseline
	defineHuffman = 0xc4
	restart0      = 0xd0
	endOfImage    = 0xd9
	startOfScan   = 0xda
	quantization  = 0xdb
	restartEvery  = 0xdd
	app0          = 0xe0
	app14         = 0xee
	app15         = 0xef
	comment       = 0xfe
)

// Decode returns an *image.Gray or *image.YCbCr with the pixels that jpeg.Decode gives, or ErrDeclined. The picture is
// the Decoder's and lasts until its next call. A file with more than maxPixels is declined.
func (d *Decoder) Decode(contents []byte, maxPixels int) (image.Image, error) {
	d.begin()
	rest, ok := contents, len(contents) > 2 && contents[0] == 0xff && contents[1] == 0xd8
	if !ok {
		return nil, ErrDeclined
	}
	rest = rest[2:]
	for {
		marker, body, after, ok := segment(rest)
		if !ok || !d.header(marker, body, maxPixels) {
			return nil, ErrDeclined
		}
		if rest = after; marker == startOfScan {
			break
		}
	}
	if !d.scan(rest) {
		return nil, ErrDeclined
	}
	return d.picture(), nil
}

// begin forgets the last file, but for its Huffman tables, which most files share and every file defines anew.
func (d *Decoder) begin() {
	clear(d.block[:]) // which a damaged file left as it was
	d.components, d.known, d.restartInterval, d.jfif, d.adobeRGB = nil, [4]bool{}, 0, false, false
	for class := range d.codes {
		for i := range d.codes[class] {
			d.codes[class][i].defined = false
		}
	}
}

// segment cuts off one marker with its parameters (section B.1.1).
func segment(data []byte) (marker uint8, body, rest []byte, ok bool) {
	if len(data) < 4 || data[0] != 0xff {
		return 0, nil, nil, false
	}
	length := int(binary.BigEndian.Uint16(data[2:]))
	if length < 2 || length+2 > len(data) {
		return 0, nil, nil, false
	}
	return data[1], data[4 : 2+length], data[2+length:], true
}

// header reads the parameters of one marker and reports whether they are ordinary.
func (d *Decoder) header(marker uint8, body []byte, maxPixels int) bool {
	switch marker {
	case startOfFrame:
		return d.frame(body, maxPixels)
	case defineHuffman:
		return d.huffmanTables(body)
	case quantization:
		return d.quantizerTables(body)
	case restartEvery:
		if len(body) != 2 {
			return false
		}
		d.restartInterval = int(binary.BigEndian.Uint16(body))
		return true
	case startOfScan:
		return d.scanHeader(body)
	}
	if marker == app0 && len(body) >= 5 {
		d.jfif = string(body[:5]) == "JFIF\x00"
	}
	if marker == app14 && len(body) >= 12 && string(body[:5]) == "Adobe" {
		d.adobeRGB = body[11] == 0
	}
	return marker >= app0 && marker <= app15 || marker == comment
}

// frame reads sizes and sampling factors (section B.2.2).
func (d *Decoder) frame(body []byte, maxPixels int) bool {
	if d.components != nil || len(body) != 9 && len(body) != 15 || body[0] != 8 || len(body) != 6+3*int(body[5]) {
		return false
	}
	d.height, d.width = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
	if d.width < 1 || d.height < 1 || d.height > maxPixels/d.width {
		return false
	}
	d.components = d.all[:body[5]]
	for i := range d.components {
		p := body[6+3*i:]
		d.components[i] = component{id: p[0], h: int(p[1] >> 4), v: int(p[1] & 15), quantizer: int(p[2])}
		if p[2] > 3 {
			return false
		}
	}
	return d.sampling()
}

// sampling accepts grey pictures, and those whose chroma is as fine as luma or halved either way.
func (d *Decoder) sampling() bool {
	luma := &d.components[0]
	if len(d.components) == 1 { // the factors mean nothing, as there is one block in a unit (section A.2.2)
		ok := luma.h >= 1 && luma.h <= 4 && luma.v >= 1 && luma.v <= 4 && luma.h != 3 && luma.v != 3
		luma.h, luma.v = 1, 1
		return ok
	}
	cb, cr := d.components[1], d.components[2]
	different := luma.id != cb.id && luma.id != cr.id && cb.id != cr.id
	halved := (luma.h == 1 || luma.h == 2) && (luma.v == 1 || luma.v == 2)
	return different && halved && cb.h == 1 && cb.v == 1 && cr.h == 1 && cr.v == 1
}

// quantizerTables reads 8-bit tables (section B.2.4.1).
func (d *Decoder) quantizerTables(body []byte) bool {
	for ; len(body) >= 65; body = body[65:] {
		if body[0] > 3 {
			return false
		}
		d.known[body[0]] = true
		for k, q := range body[1:65] {
			d.quantizers[body[0]][k] = int32(q)
		}
	}
	return len(body) == 0
}

// scanHeader wants all components in one scan of everything (section B.2.3).
func (d *Decoder) scanHeader(body []byte) bool {
	n := len(d.components)
	if n == 0 || len(body) != 4+2*n || int(body[0]) != n || d.isRGB() {
		return false
	}
	for i := range d.components {
		c := &d.components[i]
		c.dc, c.ac = int(body[2+2*i]>>4), int(body[2+2*i]&15)
		if body[1+2*i] != c.id || c.dc > 1 || c.ac > 1 || !d.known[c.quantizer] || !d.codes[0][c.dc].defined || !d.codes[1][c.ac].defined {
			return false
		}
	}
	return body[1+2*n] == 0 && body[2+2*n] == 63 && body[3+2*n] == 0
}

// isRGB tells pictures without a luma, as image/jpeg does.
func (d *Decoder) isRGB() bool {
	if d.jfif || len(d.components) == 1 {
		return false
	}
	c := d.components
	return d.adobeRGB || c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B'
}

// picture wraps the planes; their rows and columns beyond the picture's are hidden.
func (d *Decoder) picture() image.Image {
	luma, bounds := d.components[0], image.Rect(0, 0, d.width, d.height)
	if len(d.components) == 1 {
		return &image.Gray{Pix: luma.plane, Stride: luma.stride, Rect: bounds}
	}
	ratio := map[[2]int]image.YCbCrSubsampleRatio{{1, 1}: image.YCbCrSubsampleRatio444, {2, 1}: image.YCbCrSubsampleRatio422,
		{1, 2}: image.YCbCrSubsampleRatio440, {2, 2}: image.YCbCrSubsampleRatio420}[[2]int{luma.h, luma.v}]
	cb, cr := d.components[1], d.components[2]
	return &image.YCbCr{Y: luma.plane, Cb: cb.plane, Cr: cr.plane, YStride: luma.stride, CStride: cb.stride, SubsampleRatio: ratio, Rect: bounds}
}
