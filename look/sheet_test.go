package look

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"testing"

	"pretrain/data"
)

// TestSheet: both formats decode to the same size, which follows from rows, tiles and captions.
func TestSheet(t *testing.T) {
	s := Sheet{Rows: []Row{
		{Label: "row", Tiles: []Tile{{Caption: "a\nb", Pixels: data.NewPixels(4)}, {}}}, {Tiles: []Tile{{Caption: "c", Pixels: data.NewPixels(4)}}},
	}}
	want := image.Pt(margin+2*(TileSide+gap), 2*(2*line+gap/2+TileSide+gap)+gap)
	for name, read := range map[string]func(b *bytes.Buffer) (image.Image, error){
		"x.jpg": func(b *bytes.Buffer) (image.Image, error) { return jpeg.Decode(b) },
		"x.png": func(b *bytes.Buffer) (image.Image, error) { return png.Decode(b) },
	} {
		var b bytes.Buffer
		if err := s.Encode(&b, name); err != nil {
			t.Fatal(err)
		}
		if drawn, err := read(&b); err != nil || drawn.Bounds().Size() != want {
			t.Errorf("%s: %v, %v; want %v", name, drawn.Bounds().Size(), err, want)
		}
	}
}
