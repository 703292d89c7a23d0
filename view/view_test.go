package view

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/jpeg"
	"regexp"
	"strings"
	"testing"

	"pretrain/data"
	"pretrain/look"
)

// plain is a picture of one colour.
func plain(side int, r, g, b uint8) data.Image {
	picture := data.NewImage(side, side)
	for i := 0; i < len(picture.Pix); i += 3 {
		picture.Pix[i], picture.Pix[i+1], picture.Pix[i+2] = r, g, b
	}
	return picture
}

// decode reads a sheet as a browser does.
func decode(t *testing.T, source string) image.Image {
	t.Helper()
	encoded, ok := strings.CutPrefix(source, "data:image/jpeg;base64,")
	content, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !ok {
		t.Fatalf("%.40q, %v", source, err)
	}
	sheet, err := jpeg.Decode(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return sheet
}

// TestSpritesLieWhereTheyAreLookedFor, on several sheets, each of bounded size.
func TestSpritesLieWhereTheyAreLookedFor(t *testing.T) {
	const side = 512 // 16 on a sheet
	var pictures []data.Image
	for i := range 19 {
		pictures = append(pictures, plain(side, uint8(i*13), uint8(255-i*13), 128))
	}
	sprites, err := NewSprites(pictures, side)
	if err != nil {
		t.Fatal(err)
	}
	if len(sprites.Sheets) != 2 {
		t.Fatalf("%d sheets", len(sprites.Sheets))
	}
	for i := range pictures {
		number, x, y := sprites.Place(i)
		sheet := decode(t, sprites.Sheets[number])
		if size := sheet.Bounds().Size(); size.X > sheetSide || size.Y > sheetSide {
			t.Errorf("sheet %d has %v pixels", number, size)
		}
		r, g, _, _ := sheet.At(x+side/2, y+side/2).RGBA()
		if d := int(r>>8) - i*13; d < -6 || d > 6 || int(g>>8) < 249-i*13 {
			t.Errorf("picture %d has red %d at its place", i, r>>8)
		}
	}
}

// newMap is a map of three points with names that would break a page which does not escape them.
func newMap(t *testing.T) Map {
	t.Helper()
	sprites, err := NewSprites([]data.Image{plain(8, 1, 2, 3), plain(8, 4, 5, 6), plain(8, 7, 8, 9)}, 8)
	if err != nil {
		t.Fatal(err)
	}
	return Map{
		Title: "</title><script>alert(1)</script>", X: []float64{0, 0.5, 1}, Y: []float64{0, 1, 0.25},
		Paths:  []string{"a</script><b>.jpg", "ü\u2028\".jpg", "c.jpg"},
		Groups: []Groups{{Name: "Label", Names: []string{"x", "y"}, Of: []int{0, 1, 0}}}, Sprites: sprites,
		Neighbours: [][]int{{1}, {0}, {1}}, Similar: [][]Cos{{0.987}, {0.987}, {-0.001}},
	}
}

// dataOf is the data of a page, as its script reads them.
var dataOf = regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`)

// TestPagesNeedNothingElse: no page refers to another file or server, and the names of files cannot break it.
func TestPagesNeedNothingElse(t *testing.T) {
	m := newMap(t)
	similar := float32(0.5)
	near := Near{Title: m.Title, Answers: []Answer{{Query: Picture{Caption: m.Paths[0]}, Near: []Picture{{1, m.Paths[1], &similar}}}}, Sprites: m.Sprites, Count: 3}
	var mapPage, nearPage bytes.Buffer
	if err := m.WriteHTML(&mapPage); err != nil {
		t.Fatal(err)
	}
	if err := near.WriteHTML(&nearPage); err != nil {
		t.Fatal(err)
	}
	for name, page := range map[string]string{"map": mapPage.String(), "near": nearPage.String()} {
		if strings.Contains(page, "http:") || strings.Contains(page, "https:") || regexp.MustCompile(`(src|href)="`).MatchString(page) {
			t.Errorf("%s refers to something outside", name)
		}
		if strings.Count(page, "<script") != 2 || strings.Contains(page, "ZgotmplZ") || !strings.Contains(page, "default-src 'none'") {
			t.Errorf("%s has other scripts than its own:\n%.3000s", name, page)
		}
		found := dataOf.FindStringSubmatch(page)
		if found == nil || !json.Valid([]byte(found[1])) || !strings.Contains(found[1], "0.5") {
			t.Errorf("%s: data %.300q", name, found)
		}
	}
	var read struct{ Paths []string }
	if err := json.Unmarshal([]byte(dataOf.FindStringSubmatch(mapPage.String())[1]), &read); err != nil || read.Paths[0] != m.Paths[0] || read.Paths[1] != m.Paths[1] {
		t.Errorf("paths %q, %v", read.Paths, err)
	}
}

// TestScaleCutsExtremes, and a constant channel does not divide by zero.
func TestScaleCutsExtremes(t *testing.T) {
	var values []float32
	for i := range 100 {
		values = append(values, float32(i), 5)
	}
	values[0], values[198] = -1e6, 1e6
	s := NewScale(values, 2)
	if s.Low[0] < 1 || s.Low[0] > 3 || s.High[0] < 96 || s.High[0] > 98 || s.Low[1] != 5 || s.High[1] != 5 {
		t.Errorf("scale %+v", s)
	}
}

// TestColourTile shows a map the right way round: red grows to the right, green downwards.
func TestColourTile(t *testing.T) {
	values := []float32{0, 0, 1, 0, 0, 1, 1, 1} // [2, 2, red and green]
	tile := ColourTile("map", values, 2, Scale{Low: []float32{0, 0}, High: []float32{1, 1}})
	at := func(x, y int) []float32 { return tile.Pixels.Data[(y*look.TileSide+x)*3:][:3] }
	left, right, below := at(10, 10), at(look.TileSide-10, 10), at(10, look.TileSide-10)
	if left[0] > 0.1 || right[0] < 0.9 || right[1] > 0.1 || below[1] < 0.9 || below[0] > 0.1 || left[2] != 0 {
		t.Errorf("left %v, right %v, below %v", left, right, below)
	}
}
