package view

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pretrain/data"
	"pretrain/look"
)

// TestThumbnailIsTheMiddle of a picture: what lies beside the central square is not seen.
func TestThumbnailIsTheMiddle(t *testing.T) {
	for name, size := range map[string][2]int{"wide": {90, 30}, "tall": {30, 90}, "square": {30, 30}, "small": {6, 6}} {
		picture := data.NewImage(size[0], size[1])
		short := min(size[0], size[1])
		left, top := (size[0]-short)/2, (size[1]-short)/2
		for y := range size[1] {
			for x := range size[0] {
				if x >= left && x < left+short && y >= top && y < top+short {
					copy(picture.Pix[3*(y*size[0]+x):], []uint8{10, 200, 30})
				}
			}
		}
		small := Thumbnail(picture, 12)
		if small.Width != 12 || small.Height != 12 {
			t.Fatalf("%s: %d×%d", name, small.Width, small.Height)
		}
		for i := 0; i < len(small.Pix); i += 3 {
			x, y := i/3%12, i/3/12
			edge := min(x, y, 11-x, 11-y) == 0 // where the filter reaches beyond
			if d := int(small.Pix[i+1]) - 200; !edge && (d < -3 || d > 3) {
				t.Errorf("%s: (%d, %d) is %v", name, x, y, small.Pix[i:i+3])
			}
		}
	}
}

// TestSpritesOfAwkwardCounts: none, one, a sheet that is just full, and pictures wider than a sheet; sheets are no larger than what
// they hold.
func TestSpritesOfAwkwardCounts(t *testing.T) {
	for _, test := range []struct{ count, side, sheets, width, height int }{
		{0, 64, 0, 0, 0}, {1, 64, 1, 64, 64}, {3, 64, 1, 192, 64}, {33, 64, 1, 2048, 128}, {16, 512, 1, 2048, 2048}, {17, 512, 2, 2048, 2048},
		{2, 2100, 2, 2100, 2100},
	} {
		pictures := make([]data.Image, test.count)
		for i := range pictures {
			pictures[i] = plain(test.side, 100, 100, 100)
		}
		sprites, err := NewSprites(pictures, test.side)
		if err != nil || len(sprites.Sheets) != test.sheets || sprites.Side != test.side {
			t.Fatalf("%+v: %d sheets, %v", test, len(sprites.Sheets), err)
		}
		if test.sheets == 0 {
			continue
		}
		if size := decode(t, sprites.Sheets[0]).Bounds().Size(); size.X != test.width || size.Y != test.height {
			t.Errorf("%+v: the first sheet is %v", test, size)
		}
	}
}

// TestPlacesAreApart: no two sprites share a pixel, and each lies inside its sheet.
func TestPlacesAreApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.IntRange(1, 3000).Draw(t, "side")
		sprites, err := NewSprites(nil, side)
		if err != nil {
			t.Fatal(err)
		}
		i, j := rapid.IntRange(0, 5000).Draw(t, "i"), rapid.IntRange(0, 5000).Draw(t, "j")
		sheet, x, y := sprites.Place(i)
		other, x2, y2 := sprites.Place(j)
		apart := sheet != other || x+side <= x2 || x2+side <= x || y+side <= y2 || y2+side <= y
		if apart == (i == j) {
			t.Fatalf("%d at %d (%d, %d), %d at %d (%d, %d)", i, sheet, x, y, j, other, x2, y2)
		}
		if x < 0 || y < 0 || x+side > max(side, sheetSide) || y+side > max(side, sheetSide) {
			t.Fatalf("%d lies at (%d, %d) of a sheet", i, x, y)
		}
	})
}

// TestScaleOfAnything: most values lie inside, whatever they are, and colours of all of them are numbers from 0 to 1.
func TestScaleOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		channels, side := rapid.IntRange(1, 5).Draw(t, "channels"), rapid.IntRange(1, 6).Draw(t, "side")
		n := side * side * channels
		values := rapid.SliceOfN(rapid.Float32Range(-1e5, 1e5), n, n).Draw(t, "values")
		s := NewScale(values, channels)
		for c := range channels {
			inside := 0
			for i := c; i < n; i += channels {
				if values[i] >= s.Low[c] && values[i] <= s.High[c] {
					inside++
				}
			}
			if s.Low[c] > s.High[c] || float64(inside) < 0.95*float64(side*side) {
				t.Fatalf("channel %d: %d of %d values lie between %g and %g", c, inside, side*side, s.Low[c], s.High[c])
			}
		}
		tile := ColourTile("layer", values, channels, s)
		if tile.Caption != "layer" || tile.Pixels.Side != look.TileSide {
			t.Fatalf("tile %q of side %d", tile.Caption, tile.Pixels.Side)
		}
		for i, v := range tile.Pixels.Data {
			if math.IsNaN(float64(v)) || v < -0.2 || v > 1.2 { // cubic resampling goes beyond at steep edges
				t.Fatalf("number %d is %g", i, v)
			}
			if channels < 3 && i%3 >= channels && v != 0 {
				t.Fatalf("a channel that is not there has the value %g", v)
			}
		}
	})
}

// TestNearTellsOfEachPicture what the page needs: similarities with all their digits, none for the query, and names as they are.
func TestNearTellsOfEachPicture(t *testing.T) {
	similar := []float32{0.98765, 0, -0.25}
	near := Near{
		Title: "near", About: "a line", Count: 4,
		Answers: []Answer{{Query: Picture{Sprite: 0, Caption: "q.jpg"}, Near: []Picture{
			{1, "a/<b>&.jpg", &similar[0]}, {2, "ü 1.jpg", &similar[1]}, {3, "</script>", &similar[2]},
		}}, {Query: Picture{Sprite: 3, Caption: "lonely"}}},
	}
	var page bytes.Buffer
	if err := near.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Title, About string
		Count        int
		Answers      []struct{ Query, Near json.RawMessage }
	}
	if err := json.Unmarshal([]byte(dataOf.FindStringSubmatch(page.String())[1]), &read); err != nil {
		t.Fatal(err)
	}
	if read.Title != "near" || read.About != "a line" || read.Count != 4 || len(read.Answers) != 2 {
		t.Errorf("read back %+v", read)
	}
	if strings.Contains(string(read.Answers[0].Query), "similar") {
		t.Errorf("the query is similar to something: %s", read.Answers[0].Query)
	}
	var pictures []Picture
	if err := json.Unmarshal(read.Answers[0].Near, &pictures); err != nil || len(pictures) != 3 {
		t.Fatalf("%s: %v", read.Answers[0].Near, err)
	}
	for i, p := range pictures {
		if want := near.Answers[0].Near[i]; p.Similar == nil || *p.Similar != *want.Similar || p.Caption != want.Caption || p.Sprite != want.Sprite {
			t.Errorf("picture %d is %+v", i, p)
		}
	}
}

// TestPageIsAFunctionOfItsContent: the same bytes twice.
func TestPageIsAFunctionOfItsContent(t *testing.T) {
	var first, second bytes.Buffer
	if err := newMap(t).WriteHTML(&first); err != nil {
		t.Fatal(err)
	}
	if err := newMap(t).WriteHTML(&second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two pages of one map differ")
	}
}

// TestPageOfNumbersThatAreNone is refused, not written with a hole.
func TestPageOfNumbersThatAreNone(t *testing.T) {
	m := newMap(t)
	m.X[1] = math.NaN()
	var page bytes.Buffer
	if err := m.WriteHTML(&page); err == nil || page.Len() > 0 {
		t.Errorf("%d bytes, %v", page.Len(), err)
	}
}

func TestCosHasTwoDigits(t *testing.T) {
	for cos, want := range map[Cos]string{1: "1.00", 0.987: "0.99", -0.5: "-0.50", 0: "0.00"} {
		if got, err := json.Marshal(cos); err != nil || string(got) != want {
			t.Errorf("%g: %s, %v", float32(cos), got, err)
		}
	}
}
