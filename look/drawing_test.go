package look

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pretrain/data"
)

// noise draws a picture.
func noise(t *rapid.T, most int) *data.Pixels {
	p := data.NewPixels(rapid.IntRange(1, most).Draw(t, "side"))
	for i := range p.Data {
		p.Data[i] = float32(rapid.IntRange(0, 255).Draw(t, "value")) / 255
	}
	return p
}

func at(p *data.Pixels, x, y int) [3]float32 { return [3]float32(p.Data[(y*p.Side+x)*3:]) }

// TestPasteMovesEveryPixel: what lies inside is the source, and everything else is as it was.
func TestPasteMovesEveryPixel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src, dst := noise(t, 6), noise(t, 6)
		left, top := rapid.IntRange(-8, 8).Draw(t, "left"), rapid.IntRange(-8, 8).Draw(t, "top")
		before := Copy(dst)
		Paste(dst, src, left, top)
		for y := range dst.Side {
			for x := range dst.Side {
				want := at(before, x, y)
				if i, j := x-left, y-top; i >= 0 && i < src.Side && j >= 0 && j < src.Side {
					want = at(src, i, j)
				}
				if at(dst, x, y) != want {
					t.Fatalf("(%d, %d) is %v, want %v", x, y, at(dst, x, y), want)
				}
			}
		}
	})
}

// TestCopyIsItsOwn: painting on a copy leaves the picture alone.
func TestCopyIsItsOwn(t *testing.T) {
	p := Blank(3)
	Frame(Copy(p), 0, 0, 3, 1, Red)
	if at(p, 0, 0) != at(Blank(1), 0, 0) {
		t.Errorf("the picture is painted too: %v", at(p, 0, 0))
	}
}

// TestEnlargeRepeatsPixels.
func TestEnlargeRepeatsPixels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, factor := noise(t, 5), rapid.IntRange(1, 4).Draw(t, "factor")
		large := Enlarge(p, factor)
		if large.Side != p.Side*factor {
			t.Fatalf("side %d", large.Side)
		}
		for y := range large.Side {
			for x := range large.Side {
				if at(large, x, y) != at(p, x/factor, y/factor) {
					t.Fatalf("(%d, %d) is %v", x, y, at(large, x, y))
				}
			}
		}
	})
}

// TestFrameIsARing: pixels nearer to the edge of the square than the width have the colour, no others, and what lies outside of the
// picture is left out.
func TestFrameIsARing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := noise(t, 10)
		before := Copy(p)
		left, top := rapid.IntRange(-4, 10).Draw(t, "left"), rapid.IntRange(-4, 10).Draw(t, "top")
		side, width := rapid.IntRange(0, 12).Draw(t, "square"), rapid.IntRange(0, 4).Draw(t, "width")
		Frame(p, left, top, side, width, Blue)
		for y := range p.Side {
			for x := range p.Side {
				edge := min(x-left, y-top, left+side-1-x, top+side-1-y)
				want := at(before, x, y)
				if edge >= 0 && edge < width {
					want = Blue
				}
				if at(p, x, y) != want {
					t.Fatalf("(%d, %d), %d from the edge, is %v", x, y, edge, at(p, x, y))
				}
			}
		}
	})
}

// TestTintMixes: a share of the colour and the rest of the picture, inside the square alone.
func TestTintMixes(t *testing.T) {
	p := Blank(4)
	Tint(p, 1, 2, 2, Red, 0.25)
	for y := range 4 {
		for x := range 4 {
			inside := x >= 1 && x < 3 && y >= 2
			for channel, value := range at(p, x, y) {
				want := 0.85
				if inside {
					want += 0.25 * (float64(Red[channel]) - 0.85)
				}
				if math.Abs(float64(value)-want) > 1e-6 {
					t.Errorf("(%d, %d) channel %d is %g, want %g", x, y, channel, value, want)
				}
			}
		}
	}
	Tint(p, 0, 0, 4, Green, 1)
	if d := at(p, 3, 3)[1] - Green[1]; math.Abs(float64(d)) > 1e-6 {
		t.Errorf("all of a colour leaves %v", at(p, 3, 3))
	}
}

// TestHeatGrows from black to white, no channel ever falling or leaving 0 to 1.
func TestHeatGrows(t *testing.T) {
	before := heat(0)
	if before != [3]float32{} || heat(1) != [3]float32{1, 1, 1} {
		t.Errorf("from %v to %v", before, heat(1))
	}
	for i := range 101 {
		now := heat(float32(i) / 100)
		for channel, v := range now {
			if v < before[channel] || v < 0 || v > 1 {
				t.Fatalf("at %d %%: %v after %v", i, now, before)
			}
		}
		before = now
	}
}

// TestOverlayOfAnything: whatever the values, the same ones everywhere too, every colour is a number from 0 to 1, and the picture
// that it lies over is as it was.
func TestOverlayOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, grid := noise(t, 8), rapid.IntRange(1, 4).Draw(t, "grid")
		values := rapid.SliceOfN(rapid.Float32Range(-1e6, 1e6), grid*grid, grid*grid).Draw(t, "values")
		if rapid.Bool().Draw(t, "flat") {
			values = slices.Repeat(values[:1], grid*grid)
		}
		before := Copy(p)
		painted := Overlay(p, values)
		if painted.Side != p.Side || !slices.Equal(p.Data, before.Data) {
			t.Fatalf("side %d of %d, or the picture has changed", painted.Side, p.Side)
		}
		for i, v := range painted.Data {
			if !(v >= -0.2 && v <= 1.2) { // cubic resampling goes beyond at steep edges
				t.Fatalf("number %d is %g", i, v)
			}
		}
	})
}

// plain is a picture of one colour.
func plain(side int, colour [3]float32) *data.Pixels {
	p := data.NewPixels(side)
	for i := range p.Data {
		p.Data[i] = colour[i%3]
	}
	return p
}

// isDark counts dark pixels in a part of a drawn sheet.
func isDark(drawn image.Image, part image.Rectangle) (dark int) {
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if g := color.GrayModel.Convert(drawn.At(x, y)).(color.Gray); g.Y < 100 {
				dark++
			}
		}
	}
	return dark
}

// TestSheetPutsEverythingInItsPlace: each tile in its row and column, captions above, labels at the left, an empty place white.
func TestSheetPutsEverythingInItsPlace(t *testing.T) {
	black, red := plain(2, [3]float32{}), plain(2, [3]float32{1, 0, 0})
	s := Sheet{Rows: []Row{
		{Label: "first row", Tiles: []Tile{{Caption: "one", Pixels: red}, {}, {Caption: "three\nlines\nhere", Pixels: black}}},
		{Tiles: []Tile{{Pixels: black}, {Caption: "x", Pixels: red}}},
	}}
	drawn := s.Draw()
	left, columns, caption := s.layout()
	if left != margin || columns != 3 || caption != 3*line+gap/2 {
		t.Fatalf("layout %d, %d, %d", left, columns, caption)
	}
	tile := func(row, column int) image.Rectangle {
		corner := image.Pt(left+column*(TileSide+gap), row*(caption+TileSide+gap)+caption)
		return image.Rectangle{corner, corner.Add(image.Pt(TileSide, TileSide))}
	}
	const all = TileSide * TileSide
	for _, place := range []struct{ row, column, dark int }{{0, 0, all}, {0, 1, 0}, {0, 2, all}, {1, 0, all}, {1, 1, all}, {1, 2, 0}} {
		if dark := isDark(drawn, tile(place.row, place.column)); dark != place.dark {
			t.Errorf("row %d, column %d: %d dark pixels, want %d", place.row, place.column, dark, place.dark)
		}
	}
	if r, g, _, _ := drawn.At(left+5, caption+5).RGBA(); r>>8 != 255 || g != 0 {
		t.Errorf("the first tile begins with red %d, green %d", r>>8, g>>8)
	}
	above := func(row, column int) image.Rectangle {
		r := tile(row, column)
		return image.Rect(r.Min.X, r.Min.Y-caption, r.Max.X, r.Min.Y)
	}
	for _, place := range []struct {
		row, column int
		text        bool
	}{{0, 0, true}, {0, 1, false}, {0, 2, true}, {1, 0, false}, {1, 1, true}} {
		if got := isDark(drawn, above(place.row, place.column)) > 0; got != place.text {
			t.Errorf("row %d, column %d: a caption is %v", place.row, place.column, got)
		}
	}
	for row, label := range []bool{true, false} {
		if got := isDark(drawn, image.Rect(0, tile(row, 0).Min.Y, margin, tile(row, 0).Max.Y)) > 0; got != label {
			t.Errorf("row %d: a label is %v", row, got)
		}
	}
}

// TestSheetsOfNothing are drawn too: no rows, rows without tiles; without labels tiles begin at the edge.
func TestSheetsOfNothing(t *testing.T) {
	for name, test := range map[string]struct {
		sheet Sheet
		width int
	}{
		"no rows": {Sheet{}, gap}, "no tiles": {Sheet{Rows: []Row{{}, {}}}, gap}, "a label alone": {Sheet{Rows: []Row{{Label: "a"}}}, margin},
		"one tile": {Sheet{Rows: []Row{{Tiles: []Tile{{}}}}}, gap + TileSide + gap},
	} {
		var b bytes.Buffer
		if err := test.sheet.Encode(&b, "x.png"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if drawn := test.sheet.Draw(); drawn.Bounds().Dx() != test.width {
			t.Errorf("%s: %v, want a width of %d", name, drawn.Bounds(), test.width)
		}
	}
}

// full is a disk without room.
type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestSheetOnAFullDisk(t *testing.T) {
	for _, name := range []string{"x.png", "x.jpg"} {
		if err := (Sheet{}).Encode(full{}, name); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTilesAreSafeInAPage: no caption ends the script that its JSON stands in; an outcome that there is not is left out.
func TestTilesAreSafeInAPage(t *testing.T) {
	text, err := json.Marshal([]Tile{{Caption: "</script><b>\u2028", Pixels: Blank(1)}, {Caption: "b", Pixels: Blank(1), Outcome: OutcomeOf(false)}})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "</") || strings.Contains(string(text), "\u2028") {
		t.Errorf("%.80s", text)
	}
	var read []map[string]any
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if _, ok := read[0]["outcome"]; ok || read[0]["caption"] != "</script><b>\u2028" || read[1]["outcome"] != "wrong" {
		t.Errorf("read back %v", read)
	}
}
