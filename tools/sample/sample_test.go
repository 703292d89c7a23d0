package main

import (
	"archive/zip"
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pretrain/sample"
)

// hue is the colour channel that a tile is painted in: red for training, blue for testing.
func hue(row, col int) int {
	if (row+col)%3 == 1 {
		return 2
	}
	return 0
}

// painted writes a photograph of rows×cols tiles of 80 px. Each is striped in the colour of its part, so that a crop
// shows which part it is from; flat tells which tiles have no stripes.
func painted(t *testing.T, path string, rows, cols int, flat func(row, col int) bool) {
	t.Helper()
	const tile = 80
	img := image.NewRGBA(image.Rect(0, 0, cols*tile, rows*tile))
	for y := range rows * tile {
		for x := range cols * tile {
			row, col := y/tile, x/tile
			light := uint8(250)
			if x/8%2 == 0 && !flat(row, col) {
				light = 60
			}
			pixel := [3]uint8{}
			pixel[hue(row, col)] = light
			img.SetRGBA(x, y, color.RGBA{pixel[0], pixel[1], pixel[2], 255})
		}
	}
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, encoded.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func striped(int, int) bool { return false }

// made makes an archive of photographs and reads it back: content by name.
func made(t *testing.T, dir string, photographs ...photograph) map[string][]byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "sample.zip")
	if err := run(dir, out, photographs); err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader(out)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	files := map[string][]byte{}
	for _, file := range archive.File {
		from, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[file.Name], err = io.ReadAll(from); err != nil {
			t.Fatal(err)
		}
		from.Close()
		if file.Modified.Year() > 1980 { // a date of zeros reads as one before ZIP was made
			t.Errorf("%s has the date %v: the archive would depend on the day it was made", file.Name, file.Modified)
		}
	}
	return files
}

// TestNoPixelIsInBothParts: every crop of the training part shows training tiles only, every one of the test part only
// tiles of that.
func TestNoPixelIsInBothParts(t *testing.T) {
	dir := t.TempDir()
	painted(t, filepath.Join(dir, "a.jpg"), 2, 4, striped)
	files := made(t, dir, photograph{file: "a.jpg", label: "stripes"})
	counts := map[string]int{}
	for name, content := range files {
		if path.Ext(name) != ".jpg" {
			continue
		}
		part, _, _ := strings.Cut(name, "/")
		counts[part]++
		crop, err := jpeg.Decode(bytes.NewReader(content))
		if err != nil || crop.Bounds().Size() != image.Pt(side, side) {
			t.Fatalf("%s is %v (%v)", name, crop.Bounds(), err)
		}
		foreign := map[string]int{"train": 2, "test": 0}[part]
		for y := range side {
			for x := range side {
				r, g, b, _ := crop.At(x, y).RGBA()
				if c := [3]uint32{r, g, b}; c[foreign] > c[2-foreign] {
					t.Fatalf("%s has a pixel of the other part at %d, %d", name, x, y)
				}
			}
		}
	}
	// Of 2×4 tiles those at (0, 1), (1, 0) and (1, 3) are for testing.
	if want := map[string]int{"train": 5 * trainCrops, "test": 3 * testCrops}; !maps.Equal(counts, want) {
		t.Errorf("%v crops, want %v", counts, want)
	}
}

// TestSameFilesGiveTheSameBytes, and another photograph before or behind does not move the crops of one: its number
// alone counts.
func TestSameFilesGiveTheSameBytes(t *testing.T) {
	dir := t.TempDir()
	first, second := photograph{file: "a.jpg", label: "a"}, photograph{file: "b.jpg", label: "b"}
	painted(t, filepath.Join(dir, first.file), 2, 2, striped)
	painted(t, filepath.Join(dir, second.file), 2, 3, striped)
	both := made(t, dir, first, second)
	if !maps.EqualFunc(both, made(t, dir, first, second), bytes.Equal) {
		t.Error("the same photographs give other bytes the second time")
	}
	for name, content := range made(t, dir, first) {
		if !bytes.Equal(content, both[name]) {
			t.Errorf("%s has changed, because a photograph came behind", name)
		}
	}
}

// TestFlatCropsAreLeftOut, and the others are numbered without a gap.
func TestFlatCropsAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	painted(t, filepath.Join(dir, "a.jpg"), 2, 2, func(row, col int) bool { return row == 0 })
	files := made(t, dir, photograph{file: "a.jpg", label: "half"})
	if len(files) != 1+testCrops+trainCrops {
		t.Errorf("%d files, want the credits and the crops of two tiles", len(files))
	}
	for _, name := range []string{"train/half/000.jpg", "train/half/035.jpg", "test/half/000.jpg", "test/half/017.jpg"} {
		if files[name] == nil {
			t.Errorf("%s is not there", name)
		}
	}
}

// TestCutStaysInItsTile, whatever the random numbers are.
func TestCutStaysInItsTile(t *testing.T) {
	tile := image.Rect(100, 50, 200, 150)
	img := image.NewRGBA(image.Rect(0, 0, 300, 200))
	for y := range 200 {
		for x := range 300 {
			img.SetRGBA(x, y, color.RGBA{R: 255, A: 255})
			if image.Pt(x, y).In(tile) {
				img.SetRGBA(x, y, color.RGBA{G: 255, A: 255})
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		crop := cut(img, r, tile)
		for i := 0; i < len(crop.Pix); i += 4 {
			if crop.Pix[i] > 0 || crop.Pix[i+1] < 255 {
				t.Fatalf("pixel %d is %v, from outside of the tile", i/4, crop.Pix[i:i+4])
			}
		}
	}
}

func TestDeviation(t *testing.T) {
	halves := func(a, b uint8) *image.RGBA {
		img := image.NewRGBA(image.Rect(0, 0, 2, 1))
		copy(img.Pix, []uint8{a, a, a, 255, b, b, b, 255})
		return img
	}
	for _, test := range []struct {
		img  *image.RGBA
		want float64
	}{{halves(7, 7), 0}, {halves(0, 255), 127.5}, {halves(100, 110), 5}} {
		if got := deviation(test.img); math.Abs(got-test.want) > 1e-3 {
			t.Errorf("%v: deviation %v, want %v", test.img.Pix, got, test.want)
		}
	}
}

// TestPhotographsThatCannotBeCut are named.
func TestPhotographsThatCannotBeCut(t *testing.T) {
	dir := t.TempDir()
	small := image.NewRGBA(image.Rect(0, 0, 200, 2*side-1))
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, small, nil); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"small.jpg": encoded.Bytes(), "text.jpg": []byte("text")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"nowhere.jpg": "no such file", "text.jpg": "invalid JPEG", "small.jpg": "half of its short side must be 64 at least",
	} {
		out := filepath.Join(dir, "sample.zip")
		err := run(dir, out, []photograph{{file: name, label: "a"}})
		if err == nil || !strings.HasPrefix(err.Error(), name+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s: %s", err, name, want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatal("an archive was written")
		}
	}
}

// TestEmbeddedSampleIsOfThesePhotographs: the archive in the program has the classes of the list and its credits, word
// for word, so that no photograph is used without its author and licence.
func TestEmbeddedSampleIsOfThesePhotographs(t *testing.T) {
	files, err := sample.Open()
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := fs.ReadFile(files, "CREDITS.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(credits(), string(embedded)); diff != "" {
		t.Error(diff)
	}
	var labels []string
	for _, p := range photographs {
		labels = append(labels, p.label)
	}
	slices.Sort(labels)
	for _, part := range []string{"train", "test"} {
		entries, err := fs.ReadDir(files, part)
		if err != nil {
			t.Fatal(err)
		}
		var classes []string
		for _, entry := range entries {
			classes = append(classes, entry.Name())
		}
		if diff := cmp.Diff(labels, classes); diff != "" {
			t.Errorf("%s: %s", part, diff)
		}
	}
}

// TestCreditsAreWhole: every photograph has an author and a free licence, with its address.
func TestCreditsAreWhole(t *testing.T) {
	for licence, want := range map[string]string{
		"CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/", "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
		"CC-BY-SA-3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
	} {
		if got := licenceURL(licence); got != want {
			t.Errorf("%s: %s, want %s", licence, got, want)
		}
	}
	seen := map[string]bool{}
	for _, p := range photographs {
		if p.author == "" || !strings.HasPrefix(p.licence, "CC") || strings.Contains(p.licence, "NC") || seen[p.label] {
			t.Errorf("%+v", p)
		}
		seen[p.label] = true
		if !strings.Contains(credits(), "| "+p.label+" | "+filepath.Base(p.file)+" | "+p.author+" | ["+p.licence+"](") {
			t.Errorf("%s is not credited", p.file)
		}
	}
}
