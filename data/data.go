// Package data turns files into what a training step eats: it finds and decodes pictures, keeps small copies of
// them in memory, cuts and colours views of them, and hands out batches that many workers have filled.
//
// Every random number is a pure function of (seed, purpose, epoch, picture), so that a batch holds the same bits
// whatever the number of workers and whatever was computed before.
package data

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Image is a decoded picture: packed 8-bit sRGB, three bytes a pixel, rows from top to bottom without padding.
// It is read-only once it was handed out, as caches and workers share it.
type Image struct {
	Width, Height int
	Pix           []uint8 // Height·Width·3
}

// NewImage returns a black picture of width×height pixels.
func NewImage(width, height int) Image {
	return Image{Width: width, Height: height, Pix: make([]uint8, width*height*3)}
}

// Side is the length of the shorter side in pixels.
func (m Image) Side() int { return min(m.Width, m.Height) }

// Example is one picture of a dataset. Label is empty where none is known; training never sees it.
type Example struct {
	Image  Image
	Path   string
	Label  string
	SHA256 string // of the file, as hexadecimal digits; empty unless asked for by Files.Hashed
}

// Dataset is an ordered collection of pictures. At returns picture i of 0 … Len()-1 and is called concurrently;
// it fails with a *PictureError where the picture cannot be decoded, and with the context's error when ctx ends.
type Dataset interface {
	Len() int
	At(ctx context.Context, i int) (Example, error)
}

// PictureError says that one picture cannot be used: training goes on without it, up to data.max_bad_ratio.
type PictureError struct {
	Path string
	Err  error
}

func (e *PictureError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }

// Unwrap returns what is wrong with the picture, without its path.
func (e *PictureError) Unwrap() error { return e.Err }

// Kind sorts what can be wrong with a picture: "missing", "forbidden", "unknown_type", "too_large", or "damaged" for what
// its decoder cannot read.
func (e *PictureError) Kind() string {
	switch {
	case errors.Is(e.Err, fs.ErrNotExist):
		return "missing"
	case errors.Is(e.Err, fs.ErrPermission):
		return "forbidden"
	case errors.Is(e.Err, errNoPicture), errors.Is(e.Err, errHEIF):
		return "unknown_type"
	case errors.Is(e.Err, errTooLarge):
		return "too_large"
	}
	return "damaged"
}
