// Package view makes what people look at: pages that need no other file and no network, and sheets of pictures.
package view

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/jpeg"

	"golang.org/x/image/draw"

	"pretrain/data"
)

// Thumbnail is the middle square of a picture, which is what networks see of it, with so many pixels along a side.
func Thumbnail(picture data.Image, side int) data.Image {
	return data.Preprocess(picture, side).Image()
}

// Sprites are small square pictures in sheets, so that a page holds a few large images and not thousands of small ones.
type Sprites struct {
	Side    int      `json:"side"`    // of a picture, in pixels
	Columns int      `json:"columns"` // of a sheet
	Rows    int      `json:"rows"`    // of a sheet, at most
	Sheets  []string `json:"sheets"`  // JPEG as data URIs; picture i is at place i modulo columns·rows of sheet i / (columns·rows)
}

// sheetSide bounds a sheet, in pixels: phones decode images of 2048×2048 without reducing them.
const sheetSide = 2048

// quality of JPEG at which a thumbnail of 64×64 takes about 1.5 KB.
const quality = 80

// NewSprites packs square pictures of one side.
func NewSprites(thumbnails []data.Image, side int) (Sprites, error) {
	s := Sprites{Side: side, Columns: max(1, sheetSide/side), Rows: max(1, sheetSide/side)}
	for len(thumbnails) > 0 {
		count := min(len(thumbnails), s.Columns*s.Rows)
		sheet, err := s.sheet(thumbnails[:count])
		if err != nil {
			return s, err
		}
		s.Sheets, thumbnails = append(s.Sheets, sheet), thumbnails[count:]
	}
	return s, nil
}

func (s Sprites) sheet(thumbnails []data.Image) (string, error) {
	rows := (len(thumbnails) + s.Columns - 1) / s.Columns
	canvas := image.NewRGBA(image.Rect(0, 0, min(len(thumbnails), s.Columns)*s.Side, rows*s.Side))
	for i, thumbnail := range thumbnails {
		at := image.Pt(i%s.Columns*s.Side, i/s.Columns*s.Side)
		draw.Draw(canvas, image.Rectangle{at, at.Add(image.Pt(s.Side, s.Side))}, opaque(thumbnail), image.Point{}, draw.Src)
	}
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, canvas, &jpeg.Options{Quality: quality}); err != nil {
		return "", err
	}
	return "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(encoded.Bytes()), nil
}

// opaque is a picture as the standard library has it.
func opaque(picture data.Image) *image.RGBA {
	converted := image.NewRGBA(image.Rect(0, 0, picture.Width, picture.Height))
	for i := range picture.Width * picture.Height {
		copy(converted.Pix[4*i:], picture.Pix[3*i:3*i+3])
		converted.Pix[4*i+3] = 255
	}
	return converted
}

// Place is where a picture lies in the sprites.
func (s Sprites) Place(i int) (sheet, x, y int) {
	each := s.Columns * s.Rows
	return i / each, i % each % s.Columns * s.Side, i % each / s.Columns * s.Side
}
