package main

import (
	"os"
	"path/filepath"
	"testing"

	"pretrain/data"
	"pretrain/view"
)

// TestPageInABrowser uses a page of a hundred points on a grid. Without Chromium (Debian package chromium) it is skipped,
// or fails if REQUIRE_TOOLS is set.
func TestPageInABrowser(t *testing.T) {
	if _, err := browser(); err != nil {
		if os.Getenv("REQUIRE_TOOLS") != "" {
			t.Fatalf("REQUIRE_TOOLS is set, but %v", err)
		}
		t.Skipf("SKIPPED: %v", err)
	}
	page := filepath.Join(t.TempDir(), "map.html")
	file, err := os.Create(page)
	if err != nil {
		t.Fatal(err)
	}
	if err := newPage(t).WriteHTML(file); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := check(t.Context(), page, true)
	if err != nil {
		t.Fatal(err)
	}
	if found.points != 100 || found.frames != 119 || len(found.picture) < 1000 {
		t.Errorf("%d points, %d frames, a picture of %d bytes", found.points, found.frames, len(found.picture))
	}
}

func newPage(t *testing.T) view.Map {
	m := view.Map{Title: "grid", Groups: []view.Groups{{Name: "Label", Names: []string{"even", "odd"}}}}
	var pictures []data.Image
	for i := range 100 {
		m.X, m.Y = append(m.X, float64(i%10)/9), append(m.Y, float64(i/10)/9)
		m.Paths = append(m.Paths, filepath.Join("folder", string(rune('a'+i/10))+string(rune('0'+i%10))+".jpg"))
		m.Groups[0].Of = append(m.Groups[0].Of, i%2)
		m.Neighbours = append(m.Neighbours, []int{(i + 1) % 100, (i + 99) % 100})
		m.Similar = append(m.Similar, []view.Cos{0.9, 0.8})
		picture := data.NewImage(16, 16)
		for p := range picture.Pix {
			picture.Pix[p] = uint8(i * 2)
		}
		pictures = append(pictures, picture)
	}
	var err error
	if m.Sprites, err = view.NewSprites(pictures, 16); err != nil {
		t.Fatal(err)
	}
	return m
}
