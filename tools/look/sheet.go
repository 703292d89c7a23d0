package main

import (
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"strings"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"pretrain/data"
)

// Measures of a sheet, in pixels.
const (
	tileSide = 128
	gap      = 6
	line     = 14  // of text
	margin   = 140 // for the labels of rows, if there are any
)

// sheet is rows of captioned pictures.
type sheet []row

type row struct {
	label string
	tiles []tile
}

// tile is a captioned picture; one without pixels leaves its place empty.
type tile struct {
	caption string // may have several lines
	pixels  *data.Pixels
}

// write draws the sheet into a file, PNG or JPEG by its extension.
func (s sheet) write(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if strings.HasSuffix(path, ".jpg") {
		err = jpeg.Encode(file, s.draw(), &jpeg.Options{Quality: 85})
	} else {
		err = png.Encode(file, s.draw())
	}
	return errors.Join(err, file.Close())
}

func (s sheet) draw() *image.RGBA {
	left, columns, caption := s.layout()
	height := caption + tileSide + gap
	canvas := image.NewRGBA(image.Rect(0, 0, left+columns*(tileSide+gap), len(s)*height+gap))
	draw.Draw(canvas, canvas.Bounds(), image.White, image.Point{}, draw.Src)
	for r, row := range s {
		write(canvas, gap, r*height+caption+tileSide/2, row.label)
		for i, tile := range row.tiles {
			if tile.pixels != nil {
				tile.draw(canvas, left+i*(tileSide+gap), r*height, caption)
			}
		}
	}
	return canvas
}

// layout measures the sheet: where tiles begin, tiles in the longest row, and the height of captions.
func (s sheet) layout() (left, columns, caption int) {
	left = gap
	for _, row := range s {
		if row.label != "" {
			left = margin
		}
		columns = max(columns, len(row.tiles))
		for _, tile := range row.tiles {
			caption = max(caption, line*(1+strings.Count(tile.caption, "\n")))
		}
	}
	return left, columns, caption + gap/2
}

// draw puts the tile's caption, of the given height, at (x, y), and its picture below.
func (t tile) draw(canvas *image.RGBA, x, y, caption int) {
	for i, text := range strings.Split(t.caption, "\n") {
		write(canvas, x, y+line*(i+1), text)
	}
	at := image.Rect(x, y+caption, x+tileSide, y+caption+tileSide)
	picture := rgba(t.pixels)
	draw.NearestNeighbor.Scale(canvas, at, picture, picture.Bounds(), draw.Src, nil)
}

// write puts text with its base line at (x, y).
func write(canvas *image.RGBA, x, y int, text string) {
	drawer := font.Drawer{Dst: canvas, Src: image.Black, Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
	drawer.DrawString(text)
}

// rgba rounds pixels to 8 bits.
func rgba(p *data.Pixels) *image.RGBA {
	packed := p.Image().Pix
	picture := image.NewRGBA(image.Rect(0, 0, p.Side, p.Side))
	for i := 0; i < len(packed); i += 3 {
		picture.SetRGBA(i/3%p.Side, i/3/p.Side, color.RGBA{packed[i], packed[i+1], packed[i+2], 255})
	}
	return picture
}
