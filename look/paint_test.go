package look

import (
	"encoding/base64"
	"encoding/json"
	"image/jpeg"
	"strings"
	"testing"

	"pretrain/data"
)

// TestOverlayLiesOverItsPatch: the greatest of four values is bright in its quarter and the others are dark.
func TestOverlayLiesOverItsPatch(t *testing.T) {
	const side = 32
	painted := Overlay(data.NewPixels(side), []float32{0, 0, 1, 0})
	for quarter := range 4 {
		x, y := side/4+quarter%2*side/2, side/4+quarter/2*side/2
		if bright := painted.Data[(y*side+x)*3] > 0.5; bright != (quarter == 2) {
			t.Errorf("quarter %d: bright is %v", quarter, bright)
		}
	}
}

// TestTokens copies the third of four tokens to the place of the second, and frames it.
func TestTokens(t *testing.T) {
	dst := Blank(8)
	CopyToken(dst, data.NewPixels(8), 1, 2, 4) // black
	FrameToken(dst, 1, 4, Red)
	at := func(x, y int) [3]float32 { return [3]float32(dst.Data[(y*8+x)*3:]) }
	grey := [3]float32{0.85, 0.85, 0.85}
	if at(5, 1) != [3]float32{} || at(4, 0) != Red || at(7, 3) != Red || at(3, 0) != grey || at(1, 5) != grey || at(4, 4) != grey {
		t.Errorf("inside %v, frame %v, left %v, source %v", at(5, 1), at(4, 0), at(3, 0), at(1, 5))
	}
}

// TestPasteCutsAtTheEdges pastes a black square over each corner of a grey one.
func TestPasteCutsAtTheEdges(t *testing.T) {
	for _, test := range []struct{ left, top, black int }{{0, 0, 9}, {-2, -1, 2}, {3, 3, 1}, {2, -2, 2}, {4, 0, 0}, {0, -3, 0}} {
		dst, black := Blank(4), 0
		Paste(dst, data.NewPixels(3), test.left, test.top)
		for i := 0; i < len(dst.Data); i += 3 {
			if dst.Data[i] == 0 {
				black++
			}
		}
		if black != test.black {
			t.Errorf("at (%d, %d): %d pixels, want %d", test.left, test.top, black, test.black)
		}
	}
}

func TestEnlarge(t *testing.T) {
	small := &data.Pixels{Side: 2, Data: []float32{0, 0, 0, 1, 1, 1, .5, .5, .5, 0, 1, 0}}
	large := Enlarge(small, 3)
	if large.Side != 6 || large.Data[(2*6+3)*3] != 1 || large.Data[(3*6+2)*3] != .5 || [3]float32(large.Data[35*3:]) != [3]float32{0, 1, 0} {
		t.Errorf("got %v", large)
	}
}

// TestTilesTravelAsPictures reads the JSON of a gallery back.
func TestTilesTravelAsPictures(t *testing.T) {
	g := Gallery{Step: 3, Sheets: []Sheet{{Title: "a", Rows: []Row{{Tiles: []Tile{{Caption: "x", Pixels: Blank(12), Outcome: OutcomeOf(true)}, {}}}}}}}
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Sheets []struct{ Rows []struct{ Tiles []*tile } }
	}
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	tiles := read.Sheets[0].Rows[0].Tiles
	if tiles[1] != nil || tiles[0].Outcome != Right || tiles[0].Side != 12 {
		t.Fatalf("got %+v", tiles)
	}
	_, coded, _ := strings.Cut(tiles[0].Image, "base64,")
	picture, err := jpeg.Decode(base64.NewDecoder(base64.StdEncoding, strings.NewReader(coded)))
	if err != nil || picture.Bounds().Dx() != 12 {
		t.Errorf("the picture is %v, %v", picture, err)
	}
}

func TestHeatTileTellsItsPeak(t *testing.T) {
	tile := HeatTile("block 1", data.NewPixels(8), []float32{1, 1, 1, 5})
	if tile.Caption != "block 1\npeak 2.5 x mean" || tile.Pixels.Side != 8 {
		t.Errorf("got %q", tile.Caption)
	}
}
