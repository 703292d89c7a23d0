// Package look draws pictures for people to look at: sheets of captioned tiles, heat maps over pictures, tokens and frames.
// It knows pictures alone, not the tasks and models that they tell about.
package look

import (
	"image"
	"image/color"
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

// TileSide is the side of a tile of a drawn sheet, in pixels.
const TileSide = 128

// Other measures of a sheet, in pixels.
const (
	gap    = 6
	line   = 14  // of text
	margin = 140 // for the labels of rows, if there are any
)

// Sheet is rows of captioned pictures with a title.
type Sheet struct {
	Title string `json:"title"`
	About string `json:"about"` // what there is to see, in a sentence
	Rows  []Row  `json:"rows"`
}

// Row is one line of a sheet.
type Row struct {
	Label string `json:"label,omitempty"`
	Tiles []Tile `json:"tiles"`
}

// Outcome says whether what a tile shows is a right answer.
type Outcome string

// Outcomes of a tile; most show no answer.
const (
	NoAnswer Outcome = ""
	Right    Outcome = "right"
	Wrong    Outcome = "wrong"
)

// OutcomeOf is Right or Wrong.
func OutcomeOf(right bool) Outcome {
	if right {
		return Right
	}
	return Wrong
}

// Tile is a captioned picture; one without pixels leaves its place empty.
type Tile struct {
	Caption string // may have several lines
	Pixels  *data.Pixels
	Outcome Outcome
}

// Encode draws the sheet, as JPEG if the name that it is for ends in .jpg, else as PNG.
func (s Sheet) Encode(w io.Writer, name string) error {
	if strings.HasSuffix(name, ".jpg") {
		return encodeJPEG(w, s.Draw())
	}
	return png.Encode(w, s.Draw())
}

func encodeJPEG(w io.Writer, m image.Image) error {
	return jpeg.Encode(w, m, &jpeg.Options{Quality: 85})
}

// Draw is the sheet as one picture, without its title.
func (s Sheet) Draw() *image.RGBA {
	left, columns, caption := s.layout()
	height := caption + TileSide + gap
	canvas := image.NewRGBA(image.Rect(0, 0, left+columns*(TileSide+gap), len(s.Rows)*height+gap))
	draw.Draw(canvas, canvas.Bounds(), image.White, image.Point{}, draw.Src)
	for r, row := range s.Rows {
		write(canvas, gap, r*height+caption+TileSide/2, row.Label)
		for i, tile := range row.Tiles {
			if tile.Pixels != nil {
				tile.draw(canvas, left+i*(TileSide+gap), r*height, caption)
			}
		}
	}
	return canvas
}

// layout measures the sheet: where tiles begin, tiles in the longest row, and the height of captions.
func (s Sheet) layout() (left, columns, caption int) {
	left = gap
	for _, row := range s.Rows {
		if row.Label != "" {
			left = margin
		}
		columns = max(columns, len(row.Tiles))
		for _, tile := range row.Tiles {
			caption = max(caption, line*(1+strings.Count(tile.Caption, "\n")))
		}
	}
	return left, columns, caption + gap/2
}

// draw puts the tile's caption, of the given height, at (x, y), and its picture below.
func (t Tile) draw(canvas *image.RGBA, x, y, caption int) {
	for i, text := range strings.Split(t.Caption, "\n") {
		write(canvas, x, y+line*(i+1), text)
	}
	at := image.Rect(x, y+caption, x+TileSide, y+caption+TileSide)
	picture := rgba(t.Pixels)
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
