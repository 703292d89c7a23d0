package data

import (
	"image/jpeg"
	"sync"

	"pretrain/internal/fastjpeg"
)

// maxKeptPixels is up to which size of picture a decoder, which holds its planes, is kept for the next one.
const maxKeptPixels = 16_000_000

var jpegDecoders = sync.Pool{New: func() any { return new(fastjpeg.Decoder) }}

// decodeGoJPEG gives the pixels and the errors of image/jpeg, faster where the file is an ordinary one.
func decodeGoJPEG(contents []byte) (Image, error) {
	d := jpegDecoders.Get().(*fastjpeg.Decoder)
	picture, err := d.Decode(contents, MaxPixels)
	if err != nil {
		jpegDecoders.Put(d)
		return decodeWith(jpeg.Decode)(contents)
	}
	img := toRGB(picture)
	if img.Width*img.Height <= maxKeptPixels {
		jpegDecoders.Put(d)
	}
	return img, nil
}
