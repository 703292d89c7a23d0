package export

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"codeberg.org/sbinet/npyio/npy"
	"github.com/google/go-cmp/cmp"
)

// hash stands for that of a file.
const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// examplePictures have names and numbers that are hard to write, three features each.
func examplePictures(n int) []FeatureRow {
	paths := []string{"a.jpg", `comma, and "quotes".png`, "Ünïcode/写真.jpg", " blanks ", "line\nbreak.jpg"}
	var pictures []FeatureRow
	for i := range n {
		third := float32(i+1) / 3
		pictures = append(pictures, FeatureRow{Path: paths[i%len(paths)], Label: []string{"shoe", "", "T, shirt"}[i%3],
			Width: 640 + i, Height: 480, SHA256: hash, Vectors: [][]float32{{third, -1e-40, math.MaxFloat32}}})
	}
	return pictures
}

// three is one column of three features.
func three(rows int) FeatureOptions {
	return FeatureOptions{Columns: []FeatureColumn{{Shape: []int{3}}}, Rows: rows, SHA256: true, Overwrite: true}
}

// writeFeatures writes the pictures as one column of three features.
func writeFeatures(t *testing.T, path string, pictures []FeatureRow) {
	t.Helper()
	writeColumns(t, path, three(len(pictures)), pictures)
}

func writeColumns(t *testing.T, path string, options FeatureOptions, pictures []FeatureRow) {
	t.Helper()
	w, err := NewFeatureWriter(path, options)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, p := range pictures {
		row := p
		row.Vectors = nil
		for _, vector := range p.Vectors {
			row.Vectors = append(row.Vectors, slices.Clone(vector))
		}
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
		for _, vector := range row.Vectors {
			clear(vector) // writers must not keep it
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
			want = append(want, p.Vectors[0]...)
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
	for _, header := range [][]byte{npyHeader(0, []int{1}), npyHeader(math.MaxInt32, []int{math.MaxInt32, math.MaxInt32})} {
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
		if !slices.Equal(row[:5], []string{p.Path, p.Label, strconv.Itoa(p.Width), "480", hash}) {
			t.Errorf("row %d is of %q", i, row[:5])
		}
		for j, want := range p.Vectors[0] {
			if value, err := strconv.ParseFloat(row[5+j], 32); err != nil || float32(value) != want {
				t.Errorf("row %d: f%d is %q, want %v", i, j, row[5+j], want)
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
			start := func(rows int) FeatureWriter {
				w, err := NewFeatureWriter(path, three(rows))
				if err != nil {
					t.Fatal(err)
				}
				return w
			}
			testAbort(t, folder, start(1))
			testWrongRows(t, start)
			if found := names(t, folder); len(found) != 0 {
				t.Errorf("failures left %v", found)
			}
			writeFeatures(t, path, examplePictures(2))
			testRefusal(t, path)
			before := read(t, path)
			start(2).Abort()
			if diff := cmp.Diff(before, read(t, path)); diff != "" {
				t.Error("Abort changed the file that was there: ", diff)
			}
			writeFeatures(t, path, examplePictures(1))
			if cmp.Equal(before, read(t, path)) {
				t.Error("the file was not overwritten")
			}
			writeFeatures(t, path, examplePictures(2))
			if !cmp.Equal(before, read(t, path)) {
				t.Error("the same features gave other bytes")
			}
		})
	}
}

func testAbort(t *testing.T, folder string, w FeatureWriter) {
	t.Helper()
	if err := w.Write(examplePictures(1)[0]); err != nil {
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

// testWrongRows: what does not fit the options is refused, with the picture's name, by every format.
func testWrongRows(t *testing.T, start func(rows int) FeatureWriter) {
	t.Helper()
	row := func(vectors ...[]float32) FeatureRow { return FeatureRow{Path: "odd.jpg", Vectors: vectors} }
	good := row([]float32{1, 2, 3})
	for want, rows := range map[string][]FeatureRow{
		"odd.jpg has 2 features: the file has 3 columns": {row([]float32{1, 2})},
		"odd.jpg has 2 vectors: the file has 1":          {row([]float32{1, 2, 3}, nil)},
		"begun for 2 pictures, odd.jpg is one more":      {good, good, good},
		"begun for 2 pictures and has 1":                 {good},
	} {
		w := start(2)
		var err error
		for _, row := range rows {
			err = w.Write(row)
		}
		if err == nil {
			err = w.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v: want %q in it", err, want)
		}
		w.Abort()
	}
}

// testRefusal: files that are there are refused by the check and by the writer, and left alone.
func testRefusal(t *testing.T, path string) {
	t.Helper()
	before := names(t, filepath.Dir(path))
	options := three(1)
	options.Overwrite = false
	if err := CheckFeatures(path, options); !errors.Is(err, ErrExists) {
		t.Errorf("the check of an existing file gave %v", err)
	}
	if _, err := NewFeatureWriter(path, options); !errors.Is(err, ErrExists) {
		t.Errorf("an existing file gave %v", err)
	}
	if diff := cmp.Diff(before, names(t, filepath.Dir(path))); diff != "" {
		t.Error(diff)
	}
}

func TestNewFeatureWriterRefuses(t *testing.T) {
	folder := t.TempDir()
	column := func(shape ...int) []FeatureColumn { return []FeatureColumn{{Shape: shape}} }
	for _, test := range []struct {
		name    string
		columns []FeatureColumn
		want    string
	}{
		{"f.xls", column(1), `has the extension ".xls": use one of .npy, .parquet, .csv, .safetensors`},
		{"f", column(1), `has the extension "": use one of .npy`},
		{"f.npy", nil, "0 columns"},
		{"f.parquet", column(3, 0), "no features, of the shape [3 0]"},
		{"f.csv", column(36, 192), "6912 columns a picture, of the shape [36 192]: write maps as .npy"},
		{"f.safetensors", []FeatureColumn{{"a", []int{1}}, {"a", []int{1}}}, `tensor "a"`},
	} {
		_, err := NewFeatureWriter(filepath.Join(folder, test.name), FeatureOptions{Columns: test.columns})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v: want %q in it", err, test.want)
		}
	}
	if found := names(t, folder); len(found) != 0 {
		t.Errorf("left %v", found)
	}
}

func TestTableInTheWay(t *testing.T) {
	for _, extension := range []string{".npy", ".safetensors"} {
		path := filepath.Join(t.TempDir(), "f"+extension)
		if err := os.WriteFile(FeaturePaths(path), []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		testRefusal(t, path)
	}
}

// TestFeaturesThatAppearMeanwhile: without leave to overwrite, not even a file that came later is touched.
func TestFeaturesThatAppearMeanwhile(t *testing.T) {
	for _, extension := range FeatureExtensions() {
		path := filepath.Join(t.TempDir(), "f"+extension)
		options := three(0)
		options.Overwrite = false
		w, err := NewFeatureWriter(path, options)
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
}

// layered are two columns, one of them a map of two positions.
func layered(rows int) (FeatureOptions, []FeatureRow) {
	options := FeatureOptions{Columns: []FeatureColumn{{"layer1", []int{2, 3}}, {"layer2", []int{2}}}, Rows: rows,
		Metadata: map[string]string{"run": "first"}}
	pictures := examplePictures(rows)
	for i := range pictures {
		pictures[i].Vectors = [][]float32{make([]float32, 6), {float32(i), -1}}
		for j := range 6 {
			pictures[i].Vectors[0][j] = float32(10*i + j)
		}
	}
	return options, pictures
}

// flat are the numbers of one column, picture by picture.
func flat(pictures []FeatureRow, column int) []float32 {
	var values []float32
	for _, p := range pictures {
		values = append(values, p.Vectors[column]...)
	}
	return values
}

// TestSafetensorsOfSeveralColumns reads with this module's reader, which refuses gaps and overlaps; more rows than are
// held at once.
func TestSafetensorsOfSeveralColumns(t *testing.T) {
	for _, rows := range []int{0, 1, 3 * sectionBytes / 24} {
		path := filepath.Join(t.TempDir(), "f.safetensors")
		options, pictures := layered(rows)
		writeColumns(t, path, options, pictures)
		tensors, metadata, err := ReadTensors(path)
		if err != nil || len(tensors) != 2 || metadata["run"] != "first" {
			t.Fatalf("%d tensors, %v, %v", len(tensors), metadata, err)
		}
		for _, tensor := range tensors {
			column := slices.IndexFunc(options.Columns, func(c FeatureColumn) bool { return c.Name == tensor.Name })
			if want := append([]int{rows}, options.Columns[column].Shape...); !slices.Equal(tensor.Shape, want) {
				t.Errorf("%s has shape %v, want %v", tensor.Name, tensor.Shape, want)
			}
			if !slices.Equal(tensor.Data, flat(pictures, column)) {
				t.Errorf("%s: other numbers than were written", tensor.Name)
			}
		}
	}
}

// TestNPYOfSeveralColumns is a file each, and one table for all.
func TestNPYOfSeveralColumns(t *testing.T) {
	folder := t.TempDir()
	options, pictures := layered(4)
	writeColumns(t, filepath.Join(folder, "f.npy"), options, pictures)
	if diff := cmp.Diff([]string{"f.layer1.npy", "f.layer2.npy", "f.paths.csv"}, names(t, folder)); diff != "" {
		t.Error(diff)
	}
	for column, shape := range []string{"(4, 2, 3)", "(4, 2)"} {
		content := read(t, filepath.Join(folder, "f."+options.Columns[column].Name+".npy"))
		if !strings.Contains(string(content[:npyHeaderSize]), shape) ||
			!bytes.Equal(content[npyHeaderSize:], appendFloats(nil, flat(pictures, column))) {
			t.Errorf("column %d: header %q, or other numbers", column, content[:npyHeaderSize])
		}
	}
}

func TestCSVOfSeveralColumns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.csv")
	options := FeatureOptions{Columns: []FeatureColumn{{"layer1", []int{1}}, {"layer2", []int{2}}}, Rows: 1}
	writeColumns(t, path, options, []FeatureRow{{Path: "a.jpg", Width: 3, Height: 2, Vectors: [][]float32{{1}, {2, 0.5}}}})
	if got := string(read(t, path)); got != "path,label,width,height,layer1_f0,layer2_f0,layer2_f1\na.jpg,,3,2,1,2,0.5\n" {
		t.Errorf("%q", got)
	}
}

// TestFullDisk: each format fails with the name of the file, and leaves what was there.
func TestFullDisk(t *testing.T) {
	folder := smallDisk(t, "256k")
	for _, extension := range FeatureExtensions() {
		path := filepath.Join(folder, "f"+extension)
		writeFeatures(t, path, examplePictures(1))
		before := read(t, path)
		options := FeatureOptions{Columns: []FeatureColumn{{Shape: []int{1000}}}, Rows: 500, Overwrite: true}
		w, err := NewFeatureWriter(path, options)
		for i := 0; err == nil && i < options.Rows; i++ {
			err = w.Write(FeatureRow{Path: "a.jpg", Vectors: [][]float32{noise(1000, i)}})
		}
		if err == nil {
			err = w.Close()
		}
		w.Abort()
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v", extension, err)
		}
		if !bytes.Equal(before, read(t, path)) {
			t.Errorf("%s: the file that was there has changed", extension)
		}
		for _, name := range names(t, folder) {
			if strings.HasSuffix(name, ".tmp") {
				t.Errorf("%s: %s is left", extension, name)
			}
		}
	}
}

// noise are features that no format makes small.
func noise(n, seed int) []float32 {
	r := rand.New(rand.NewPCG(1, uint64(seed)))
	vector := make([]float32, n)
	for i := range vector {
		vector[i] = r.Float32()
	}
	return vector
}

// smallDisk is a folder with room for no more than size, which takes the rights to mount one.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	folder := t.TempDir()
	if output, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", folder).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: needs the right to mount a small disk: %v %s", err, output)
	}
	t.Cleanup(func() {
		if output, err := exec.Command("umount", folder).CombinedOutput(); err != nil {
			t.Errorf("%v %s", err, output)
		}
	})
	return folder
}
