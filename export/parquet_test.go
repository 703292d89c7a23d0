package export

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// parquetPicture is a row as a program in Go would read it.
type parquetPicture struct {
	Path   string    `parquet:"path"`
	Label  *string   `parquet:"label,optional"`
	Width  int32     `parquet:"width"`
	Height int32     `parquet:"height"`
	SHA256 string    `parquet:"sha256"`
	Vector []float32 `parquet:"vector,list"`
}

func openParquet(t *testing.T, path string) *parquet.File {
	t.Helper()
	content := read(t, path)
	file, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestParquetRoundTrip(t *testing.T) {
	for _, rows := range []int{0, 1, 700} {
		path := filepath.Join(t.TempDir(), "f.parquet")
		pictures := examplePictures(rows)
		options := three(rows)
		options.Metadata = map[string]string{"run": "first", "layer": "2"}
		writeColumns(t, path, options, pictures)
		file := openParquet(t, path)
		for key, want := range map[string]string{"run": "first", "layer": "2", "shape.vector": "3"} {
			if value, ok := file.Lookup(key); !ok || value != want {
				t.Errorf("metadata %s is %q, want %q", key, value, want)
			}
		}
		found, err := parquet.ReadFile[parquetPicture](path)
		if err != nil || len(found) != rows {
			t.Fatalf("%d rows, %v", len(found), err)
		}
		for i, p := range pictures {
			f := found[i]
			label := ""
			if f.Label != nil {
				label = *f.Label
			}
			if f.Path != p.Path || label != p.Label || (f.Label == nil) != (p.Label == "") || int(f.Width) != p.Width || f.Height != 480 || f.SHA256 != hash {
				t.Errorf("row %d is %+v, want %+v", i, f, p)
			}
			if !slices.Equal(f.Vector, p.Vectors[0]) {
				t.Errorf("row %d has features %v, want %v", i, f.Vector, p.Vectors[0])
			}
		}
	}
}

// TestParquetColumns: in the order in which people read them, features as a LIST of required floats, all by zstd.
func TestParquetColumns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.parquet")
	options, pictures := layered(3)
	writeColumns(t, path, options, pictures)
	file := openParquet(t, path)
	want := `message features {
	required binary path (STRING);
	optional binary label (STRING);
	required int32 width (INT(32,true));
	required int32 height (INT(32,true));
	required group layer1 (LIST) {
		repeated group list {
			required float element;
		}
	}
	required group layer2 (LIST) {
		repeated group list {
			required float element;
		}
	}
}`
	if got := file.Schema().String(); got != want {
		t.Errorf("schema %s", got)
	}
	if shape, _ := file.Lookup("shape.layer1"); shape != "2 3" {
		t.Errorf("layer1 has shape %q", shape)
	}
	for _, column := range file.Metadata().RowGroups[0].Columns {
		if codec := column.MetaData.Codec.String(); codec != "ZSTD" {
			t.Errorf("column %v is compressed by %s", column.MetaData.PathInSchema, codec)
		}
	}
}

// TestParquetRowGroups: a file has as many groups as it takes for each to stay within the bound, which is in bytes.
func TestParquetRowGroups(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.parquet")
	writer, err := newParquet(path, FeatureOptions{Columns: []FeatureColumn{{Shape: []int{4, 1024}}}})
	if err != nil {
		t.Fatal(err)
	}
	w := writer.(*parquetWriter)
	defer w.Abort()
	if bytes := w.group * 4 * 4096; bytes > groupBytes || bytes < groupBytes/2 {
		t.Errorf("a group has %d rows", w.group)
	}
	w.group = 10
	for i := range 25 {
		if err := w.Write(FeatureRow{Path: "a", Vectors: [][]float32{noise(4096, i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var sizes []int64
	for _, group := range openParquet(t, path).RowGroups() {
		sizes = append(sizes, group.NumRows())
	}
	if !slices.Equal(sizes, []int64{10, 10, 5}) {
		t.Errorf("groups have %v rows", sizes)
	}
	found, err := parquet.ReadFile[parquetPicture](path)
	if err != nil || len(found) != 25 || !slices.Equal(found[24].Vector, noise(4096, 24)) {
		t.Errorf("%d rows, the last one is not as it was written, %v", len(found), err)
	}
}
