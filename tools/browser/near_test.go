package browser

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"pretrain/data"
	"pretrain/view"
)

// nearPage is the page of a search of two queries with twelve neighbours each, every picture of another grey.
func nearPage(t *testing.T) string {
	t.Helper()
	near := view.Near{Title: "Near", About: "a line", Count: 26}
	var pictures []data.Image
	for query := range 2 {
		answer := view.Answer{Query: view.Picture{Sprite: len(pictures), Caption: "query.jpg"}}
		for i := range 13 {
			picture := data.NewImage(128, 128)
			for p := range picture.Pix {
				picture.Pix[p] = uint8(9 * len(pictures))
			}
			if i > 0 {
				similar := 1 - float32(i)/100
				caption := fmt.Sprintf("a-folder-with-a-name-that-is-long/and-no-place-to-break-it-%d-%d.jpg", query, i)
				answer.Near = append(answer.Near, view.Picture{Sprite: len(pictures), Caption: caption, Similar: &similar})
			}
			pictures = append(pictures, picture)
		}
		near.Answers = append(near.Answers, answer)
	}
	var err error
	if near.Sprites, err = view.NewSprites(pictures, 128); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "near.html")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := near.WriteHTML(file); err != nil {
		t.Fatal(err)
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// TestNearPage in windows of phones and desks, light and dark: nothing is cut off at the side or lies over something else, each
// neighbour tells its similarity, each picture is another part of the sprites, and the console stays silent.
func TestNearPage(t *testing.T) {
	needBrowser(t)
	b, err := Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	page := nearPage(t)
	for _, width := range []int{360, 560, 800, 1400} {
		for _, dark := range []bool{false, true} {
			if err := b.View(page, width, dark); err != nil {
				t.Fatal(err)
			}
			for want, expression := range map[string]string{
				"26 pictures":        `document.querySelectorAll("figure .picture").length === 26`,
				"no sideways scroll": `document.documentElement.scrollWidth <= innerWidth`,
				"inside the window": `[...document.querySelectorAll("figure")].every((f) => {
					const r = f.getBoundingClientRect(); return r.left >= 0 && r.right <= innerWidth && r.width >= 100; })`,
				"nothing over another": `[...document.querySelectorAll("figure")].every((f, i, all) => all.slice(i + 1).every((g) => {
					const a = f.getBoundingClientRect(), b = g.getBoundingClientRect();
					return a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top; }))`,
				"pictures of their own": `new Set([...document.querySelectorAll(".picture")].map((p) => p.style.backgroundPosition)).size === 26`,
				"similarities": `JSON.stringify([...document.querySelectorAll(".answer")].map((a) => [...a.querySelectorAll("b")]
					.map((b) => b.textContent).slice(0, 3))) === '[["query","0.990","0.980"],["query","0.990","0.980"]]'`,
			} {
				var holds bool
				if err := b.Evaluate(expression, &holds); err != nil || !holds {
					t.Errorf("%d pixels wide, dark %v: not so: %s (%v)", width, dark, want, err)
				}
			}
		}
	}
	if errors := b.Errors(); len(errors) > 0 {
		t.Errorf("the console says %q", errors)
	}
}
