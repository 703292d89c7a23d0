package export

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"codeberg.org/sbinet/npyio/npy"
	"github.com/google/go-cmp/cmp"
)

type picture struct {
	path, label string
	vector      []float32
}

// examplePictures have names and numbers that are hard to write, three features each.
func examplePictures(n int) []picture {
	paths := []string{"a.jpg", `comma, and "quotes".png`, "Ünïcode/写真.jpg", " blanks ", "line\nbreak.jpg"}
	var pictures []picture
	for i := range n {
		third := float32(i+1) / 3
		pictures = append(pictures, picture{paths[i%len(paths)], []string{"shoe", "", "T, shirt"}[i%3],
			[]float32{third, -1e-40, math.MaxFloat32}})
	}
	return pictures
}

func writeFeatures(t *testing.T, path string, pictures []picture) {
	t.Helper()
	w, err := NewFeatureWriter(path, FeatureOptions{Columns: 3, Overwrite: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	vector := make([]float32, 3) // used again and again: writers must not keep it
	for _, p := range pictures {
		copy(vector, p.vector)
		if err := w.Write(p.path, p.label, vector); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

func TestNPY(t *testing.T) {
	for _, rows := range []int{0, 1, 700} { // the last one is more than a buffer holds
		folder := t.TempDir()
		path := filepath.Join(folder, "features.npy")
		pictures := examplePictures(rows)
		writeFeatures(t, path, pictures)
		if diff := cmp.Diff([]string{"features.npy", "features.paths.csv"}, names(t, folder)); diff != "" {
			t.Error(diff)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		r, err := npy.NewReader(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{rows, 3}, r.Header.Descr.Shape); diff != "" || r.Header.Descr.Type != "'<f4'" {
			t.Error(r.Header.Descr.Type, diff)
		}
		var want, found []float32
		for _, p := range pictures {
			want = append(want, p.vector...)
		}
		if rows == 0 {
			continue
		}
		if err := r.Read(&found); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Error(diff)
		}
	}
}

func TestNPYHeaderHasRoomForAnyCount(t *testing.T) {
	for _, header := range [][]byte{npyHeader(0, 1), npyHeader(math.MaxInt, math.MaxInt)} {
		if len(header) != npyHeaderSize || header[len(header)-1] != '\n' {
			t.Errorf("header %q", header)
		}
	}
}

func TestCSV(t *testing.T) {
	path := filepath.Join(t.TempDir(), "features.CSV")
	pictures := examplePictures(5)
	writeFeatures(t, path, pictures)
	golden(t, "features.csv", read(t, path))
	rows, err := csv.NewReader(strings.NewReader(string(read(t, path)))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range pictures {
		row := rows[i+1]
		if row[0] != p.path || row[1] != p.label {
			t.Errorf("row %d is of %q, %q", i, row[0], row[1])
		}
		for j, want := range p.vector {
			if value, err := strconv.ParseFloat(row[2+j], 32); err != nil || float32(value) != want {
				t.Errorf("row %d: f%d is %q, want %v", i, j, row[2+j], want)
			}
		}
	}
}

// TestEveryFormat walks the table of formats: what the interface promises holds for each.
func TestEveryFormat(t *testing.T) {
	for _, extension := range FeatureExtensions() {
		t.Run(extension, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "f"+extension)
			start := func(overwrite bool) FeatureWriter {
				w, err := NewFeatureWriter(path, FeatureOptions{Columns: 3, Overwrite: overwrite})
				if err != nil {
					t.Fatal(err)
				}
				return w
			}
			testAbort(t, folder, start(false))
			testWrongLength(t, start(false))
			writeFeatures(t, path, examplePictures(2))
			testRefusal(t, path, FeatureOptions{Columns: 3})
			before := read(t, path)
			start(true).Abort()
			if diff := cmp.Diff(before, read(t, path)); diff != "" {
				t.Error("Abort changed the file that was there: ", diff)
			}
			writeFeatures(t, path, examplePictures(1))
			if cmp.Equal(before, read(t, path)) {
				t.Error("the file was not overwritten")
			}
		})
	}
}

func testAbort(t *testing.T, folder string, w FeatureWriter) {
	t.Helper()
	if err := w.Write("a.jpg", "", []float32{1, 2, 3}); err != nil {
		t.Error(err)
	}
	w.Abort()
	w.Abort()
	if err := w.Close(); err == nil {
		t.Error("Close after Abort gave no error")
	}
	if found := names(t, folder); len(found) != 0 {
		t.Errorf("Abort left %v", found)
	}
}

func testWrongLength(t *testing.T, w FeatureWriter) {
	t.Helper()
	defer w.Abort()
	err := w.Write("odd.jpg", "", []float32{1, 2})
	if err == nil || !strings.Contains(err.Error(), "odd.jpg has 2 features: the file has 3 columns") {
		t.Errorf("error %v", err)
	}
}

func testRefusal(t *testing.T, path string, options FeatureOptions) {
	t.Helper()
	before := names(t, filepath.Dir(path))
	if _, err := NewFeatureWriter(path, options); !errors.Is(err, ErrExists) {
		t.Errorf("an existing file gave %v", err)
	}
	if diff := cmp.Diff(before, names(t, filepath.Dir(path))); diff != "" {
		t.Error(diff)
	}
}

func TestNewFeatureWriterRefuses(t *testing.T) {
	folder := t.TempDir()
	for path, want := range map[string]string{
		"f.xls": `has the extension ".xls": use one of .npy, .csv`,
		"f":     `has the extension "": use one of .npy, .csv`,
	} {
		if _, err := NewFeatureWriter(filepath.Join(folder, path), FeatureOptions{Columns: 1}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v: want %q in it", err, want)
		}
	}
	if _, err := NewFeatureWriter(filepath.Join(folder, "f.npy"), FeatureOptions{}); err == nil || !strings.Contains(err.Error(), "0 columns") {
		t.Errorf("error %v", err)
	}
	if found := names(t, folder); len(found) != 0 {
		t.Errorf("left %v", found)
	}
}

func TestNPYSideFileInTheWay(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "f.npy")
	if err := os.WriteFile(NPYPaths(path), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	testRefusal(t, path, FeatureOptions{Columns: 1})
}

// TestNPYThatAppearsMeanwhile: without leave to overwrite, not even a file that came later is touched.
func TestNPYThatAppearsMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.npy")
	w, err := NewFeatureWriter(path, FeatureOptions{Columns: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Close gave %v", err)
	}
	if string(read(t, path)) != "mine" {
		t.Error("the file was overwritten")
	}
}
