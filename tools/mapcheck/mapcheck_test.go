package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"pretrain/data"
	"pretrain/view"
)

// TestPageInABrowser uses a page of a hundred points on a grid. Without Chromium (Debian package chromium) it is skipped,
// or fails if REQUIRE_TOOLS is set.
func TestPageInABrowser(t *testing.T) {
	needBrowser(t)
	found, err := check(t.Context(), written(t, newPage(t), "", ""), true)
	if err != nil {
		t.Fatal(err)
	}
	if found.points != 100 || found.frames != 119 || len(found.picture) < 1000 {
		t.Errorf("%d points, %d frames, a picture of %d bytes", found.points, found.frames, len(found.picture))
	}
}

// needBrowser skips the test aloud without Chromium, or fails if REQUIRE_TOOLS is set.
func needBrowser(t *testing.T) {
	t.Helper()
	if _, err := browser(); err != nil {
		if os.Getenv("REQUIRE_TOOLS") != "" {
			t.Fatalf("REQUIRE_TOOLS is set, but %v", err)
		}
		t.Skipf("SKIPPED: %v", err)
	}
}

// written writes a page with a part of its text replaced; "" leaves it.
func written(t *testing.T, m view.Map, old, replacement string) string {
	t.Helper()
	var text bytes.Buffer
	if err := m.WriteHTML(&text); err != nil {
		t.Fatal(err)
	}
	html := text.String()
	if old != "" && strings.Count(html, old) != 1 {
		t.Fatalf("%q is %d times in the page: the test has to follow it", old, strings.Count(html, old))
	}
	page := filepath.Join(t.TempDir(), "map.html")
	if err := os.WriteFile(page, []byte(strings.Replace(html, old, replacement, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return page
}

// TestBrokenPages: each page has one thing that does not work, or complains, and the error says what was tried.
func TestBrokenPages(t *testing.T) {
	needBrowser(t)
	const drawn = `canvas.dataset.frames = Number(canvas.dataset.frames || 0) + 1;`
	const late = `if (canvas.dataset.frames == 1) { console.warn("slow"); setTimeout(() => { throw new Error("late"); }); }`
	for name, test := range map[string]struct {
		old, new string
		wants    []string
	}{
		"a click selects another": {
			`canvas.dataset.selected = i;`, `canvas.dataset.selected = "other";`,
			[]string{"pointer: a click on picture ", `selects "other"`},
		},
		"enter goes nowhere": {
			`selected >= 0) toNeighbours();`, `selected >= 0) canvas.focus();`,
			[]string{`keys: the enter key goes to "", not to the neighbours`},
		},
		"the search finds another": {
			`select(Math.min(...matches), true);`, `select(3, true);`,
			[]string{`search: the search for folder/a0.jpg selects "3"`},
		},
		"it complains": {drawn, drawn + late, []string{"the page said on its console: ", "warning", "late"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := check(t.Context(), written(t, newPage(t), test.old, test.new), false)
			for _, want := range test.wants {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %v, want %q in it", err, want)
				}
			}
		})
	}
	t.Run("it is not there", func(t *testing.T) {
		t.Parallel()
		missing := filepath.Join(t.TempDir(), "map.html")
		if _, err := check(t.Context(), missing, false); err == nil || !strings.Contains(err.Error(), "ERR_FILE_NOT_FOUND") {
			t.Errorf("the error is %v", err)
		}
	})
}

// TestBrowserIsFound by any of its names, and missed by all of them.
func TestBrowserIsFound(t *testing.T) {
	for _, name := range browsers {
		folder := t.TempDir()
		t.Setenv("PATH", folder)
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if path, err := browser(); err != nil || path != filepath.Join(folder, name) {
			t.Errorf("%s: found %q, %v", name, path, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	_, err := check(t.Context(), "map.html", false)
	if err == nil || !strings.Contains(err.Error(), "none of chromium, chromium-browser, google-chrome is installed") {
		t.Errorf("without a browser: %v", err)
	}
}

// TestMedian is a value that was measured, and leaves the values in their order.
func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{[]float64{7}, 7}, {[]float64{1, 2}, 2}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 3}} {
		before := slices.Clone(test.values)
		if got := median(test.values); got != test.want || !slices.Equal(test.values, before) {
			t.Errorf("of %v: %g, want %g", before, got, test.want)
		}
	}
}

// TestNamedActions say what was tried, and pass on what went well.
func TestNamedActions(t *testing.T) {
	broken := errors.New("no such key")
	act := func(err error) error {
		return named("keys", chromedp.ActionFunc(func(ctx context.Context) error {
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("an action may take for ever")
			}
			return err
		})).Do(t.Context())
	}
	if err := act(broken); !errors.Is(err, broken) || err.Error() != "keys: no such key" {
		t.Errorf("got %v", err)
	}
	if err := act(nil); err != nil {
		t.Errorf("an action that went well gives %v", err)
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
