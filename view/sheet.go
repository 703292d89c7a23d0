package view

import (
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"strings"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"pretrain/data"
)

// Measures of a sheet, in pixels.
const (
	TileSide = 128 // of a picture
	Gap      = 6   // between pictures
	Line     = 14  // of text
	Margin   = 140 // for the labels of rows, if there are any
)

// Sheet is rows of captioned pictures.
type Sheet []Row

// Row is pictures beside each other, with a label in front if it has one.
type Row struct {
	Label string
	Tiles []Tile
}

// Tile is a captioned picture; one without pixels leaves its place empty.
type Tile struct {
	Caption string // may have several lines
	Pixels  *data.Pixels
}

// Encode draws the sheet, as JPEG if the name that it is for ends in .jpg, else as PNG.
func (s Sheet) Encode(w io.Writer, name string) error {
	if strings.HasSuffix(name, ".jpg") {
		return jpeg.Encode(w, s.draw(), &jpeg.Options{Quality: 85})
	}
	return png.Encode(w, s.draw())
}

func (s Sheet) draw() *image.RGBA {
	left, columns, caption := s.layout()
	height := caption + TileSide + Gap
	canvas := image.NewRGBA(image.Rect(0, 0, left+columns*(TileSide+Gap), len(s)*height+Gap))
	draw.Draw(canvas, canvas.Bounds(), image.White, image.Point{}, draw.Src)
	for r, row := range s {
		write(canvas, Gap, r*height+caption+TileSide/2, row.Label)
		for i, tile := range row.Tiles {
			if tile.Pixels != nil {
				tile.draw(canvas, left+i*(TileSide+Gap), r*height, caption)
			}
		}
	}
	return canvas
}

// layout measures the sheet: where tiles begin, tiles in the longest row, and the height of captions.
func (s Sheet) layout() (left, columns, caption int) {
	left = Gap
	for _, row := range s {
		if row.Label != "" {
			left = Margin
		}
		columns = max(columns, len(row.Tiles))
		for _, tile := range row.Tiles {
			caption = max(caption, Line*(1+strings.Count(tile.Caption, "\n")))
		}
	}
	return left, columns, caption + Gap/2
}

// draw puts the tile's caption, of the given height, at (x, y), and its picture below.
func (t Tile) draw(canvas *image.RGBA, x, y, caption int) {
	for i, text := range strings.Split(t.Caption, "\n") {
		write(canvas, x, y+Line*(i+1), text)
	}
	at := image.Rect(x, y+caption, x+TileSide, y+caption+TileSide)
	picture := opaque(t.Pixels.Image())
	draw.NearestNeighbor.Scale(canvas, at, picture, picture.Bounds(), draw.Src, nil)
}

// write puts text with its base line at (x, y).
func write(canvas *image.RGBA, x, y int, text string) {
	drawer := font.Drawer{Dst: canvas, Src: image.Black, Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
	drawer.DrawString(text)
}
