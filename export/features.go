package export

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"pretrain/internal/atomicfile"
)

// FeatureWriter takes the features of pictures one after another; no more than a few of them are held in memory. The file
// appears under its name when Close succeeds and not before. A writer ends with Close or Abort, and Abort after Close does
// nothing, so `defer w.Abort()` is right. It belongs to one goroutine.
type FeatureWriter interface {
	// Write adds one picture. Nothing of the row is kept. Vectors that do not fit FeatureOptions.Columns, and more rows
	// than FeatureOptions.Rows, are errors. After an error only Abort makes sense.
	Write(row FeatureRow) error
	// Close makes the file durable under its name. Less rows than FeatureOptions.Rows are an error.
	Close() error
	// Abort drops what was written; a file of that name stays as it was.
	Abort()
}

// FeatureRow is one picture.
type FeatureRow struct {
	Path, Label   string // Label is empty if there is none
	Width, Height int    // pixels of the picture
	SHA256        string // of its file, as hexadecimal digits; written if FeatureOptions.SHA256 is set
	Vectors       [][]float32
}

// FeatureColumn is one array of features a picture.
type FeatureColumn struct {
	Name  string // one among several, such as "layer3"; empty for an only one, which is "vector" where a name is needed
	Shape []int  // [features], or [positions, features]
}

// size is the number of features.
func (c FeatureColumn) size() int {
	size := 1
	for _, n := range c.Shape {
		size *= n
	}
	return size
}

// name is what the column is called in a file that holds several things.
func (c FeatureColumn) name() string {
	if c.Name == "" {
		return "vector"
	}
	return c.Name
}

// FeatureOptions say what a features file holds.
type FeatureOptions struct {
	Columns   []FeatureColumn   // at least one
	Rows      int               // pictures, since some formats begin with their number
	SHA256    bool              // write the hashes of the files
	Metadata  map[string]string // of the whole file, for the formats that have a place for it: parquet and safetensors
	Overwrite bool              // replace files that exist; otherwise they are an error (ErrExists)
}

// featureFormat is one kind of features file.
type featureFormat struct {
	extension string
	// files are the names that it takes, the one with the rows' paths, if that is apart, at the end.
	files  func(path string, columns []FeatureColumn) []string
	create func(path string, options FeatureOptions) (FeatureWriter, error)
	maps   bool // has a place for features of more than one dimension
}

// featureFormats is the one place where a format is added.
func featureFormats() []featureFormat {
	return []featureFormat{
		{".npy", npyFiles, newNPY, true},
		{".parquet", oneFile, newParquet, true},
		{".csv", oneFile, newCSV, false},
		{".safetensors", fileAndPaths, newSafetensors, true},
	}
}

// FeatureExtensions lists the known extensions of features files.
func FeatureExtensions() []string {
	var extensions []string
	for _, f := range featureFormats() {
		extensions = append(extensions, f.extension)
	}
	return extensions
}

// FeaturePaths is the name of the file beside an .npy or .safetensors file that tells whose the rows are.
func FeaturePaths(path string) string { return withoutExtension(path) + ".paths.csv" }

func withoutExtension(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) }

func oneFile(path string, _ []FeatureColumn) []string { return []string{path} }

func fileAndPaths(path string, _ []FeatureColumn) []string { return []string{path, FeaturePaths(path)} }

// NewFeatureWriter starts the features file path, in the format that its extension names (case does not matter):
//
//   - .npy: a NumPy array [pictures, features…] of float32. Several columns are several arrays, NAME.COLUMN.npy each.
//   - .safetensors: a float32 tensor [pictures, features…] a column, under the column's name.
//   - .parquet: path, label (null if there is none), width, height, sha256 if asked for, and a list of floats a column,
//     flat if the features have more dimensions: the metadata entry shape.COLUMN tells them.
//   - .csv: path, label, width, height, sha256 if asked for, then the features f0, f1, …, or COLUMN_f0, COLUMN_f1, … of
//     several columns, each number in the fewest digits that give the same float32 back.
//
// Bytes of names that are not UTF-8 stay as they are in .csv; parquet has U+FFFD instead.
// Beside .npy and .safetensors, NAME.paths.csv has path, label, width, height, and sha256 if asked for, row by row.
func NewFeatureWriter(path string, options FeatureOptions) (FeatureWriter, error) {
	if err := CheckFeatures(path, options); err != nil {
		return nil, err
	}
	format, _ := findFormat(path)
	writer, err := format.create(path, options)
	if err != nil {
		return nil, err
	}
	return &checkedWriter{FeatureWriter: writer, path: path, options: options}, nil
}

// CheckFeatures fails as NewFeatureWriter would, before any feature is computed: for an unknown extension, for columns
// that the format has no place for, and for files that may not be replaced.
func CheckFeatures(path string, options FeatureOptions) error {
	format, err := findFormat(path)
	if err != nil {
		return err
	}
	for _, column := range options.Columns {
		if len(column.Shape) > 1 && !format.maps {
			return fmt.Errorf("features file %q would have %d columns a picture, of the shape %v: write maps as .npy, .parquet or .safetensors",
				path, column.size(), column.Shape)
		}
		if column.size() < 1 {
			return fmt.Errorf("features file %q would have no features, of the shape %v: needs at least 1", path, column.Shape)
		}
	}
	if len(options.Columns) == 0 {
		return fmt.Errorf("features file %q would have 0 columns: needs at least 1", path)
	}
	for _, file := range format.files(path, options.Columns) {
		if err := atomicfile.Check(file, options.Overwrite); err != nil {
			return err
		}
	}
	return nil
}

// FeatureFiles are the files that a NewFeatureWriter for path makes; none if it has an unknown extension.
func FeatureFiles(path string, columns []FeatureColumn) []string {
	format, err := findFormat(path)
	if err != nil {
		return nil
	}
	return format.files(path, columns)
}

func findFormat(path string) (featureFormat, error) {
	extension := strings.ToLower(filepath.Ext(path))
	i := slices.IndexFunc(featureFormats(), func(f featureFormat) bool { return f.extension == extension })
	if i < 0 {
		return featureFormat{}, fmt.Errorf("features file %q has the extension %q: use one of %s",
			path, filepath.Ext(path), strings.Join(FeatureExtensions(), ", "))
	}
	return featureFormats()[i], nil
}

// checkedWriter makes the tests that every format needs.
type checkedWriter struct {
	FeatureWriter
	path    string
	options FeatureOptions
	rows    int
}

func (w *checkedWriter) Write(row FeatureRow) error {
	if w.rows++; w.rows > w.options.Rows {
		return fmt.Errorf("features file %s was begun for %d pictures, %s is one more", w.path, w.options.Rows, row.Path)
	}
	if len(row.Vectors) != len(w.options.Columns) {
		return fmt.Errorf("picture %s has %d vectors: the file has %d", row.Path, len(row.Vectors), len(w.options.Columns))
	}
	for i, vector := range row.Vectors {
		if want := w.options.Columns[i].size(); len(vector) != want {
			return fmt.Errorf("picture %s has %d features: the file has %d columns", row.Path, len(vector), want)
		}
	}
	if err := w.FeatureWriter.Write(row); err != nil {
		return fmt.Errorf("write %s: %w", w.path, err)
	}
	return nil
}

func (w *checkedWriter) Close() error {
	if w.rows != w.options.Rows {
		w.Abort()
		return fmt.Errorf("features file %s was begun for %d pictures and has %d", w.path, w.options.Rows, w.rows)
	}
	return w.FeatureWriter.Close()
}

// appendFloats appends the little-endian bytes of a vector.
func appendFloats(bytes []byte, vector []float32) []byte {
	for _, value := range vector {
		bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(value))
	}
	return bytes
}
