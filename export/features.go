package export

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// FeatureWriter takes the features of pictures one after another; nothing is held in memory. The file appears under
// its name when Close succeeds and not before. A writer ends with Close or Abort, and Abort after Close does nothing,
// so `defer w.Abort()` is right. It belongs to one goroutine.
type FeatureWriter interface {
	// Write adds one picture: its path, its label ("" if there is none) and its features, which are not kept.
	// A vector of another length than FeatureOptions.Columns is an error. After an error only Abort makes sense.
	Write(path, label string, vector []float32) error
	// Close makes the file durable under its name.
	Close() error
	// Abort drops what was written; a file of that name stays as it was.
	Abort()
}

// FeatureOptions say what a features file holds.
type FeatureOptions struct {
	Columns   int  // features a picture, at least 1
	Overwrite bool // replace a file that exists; otherwise it is an error (ErrExists)
}

// featureFormat is one kind of features file.
type featureFormat struct {
	extension string
	create    func(path string, options FeatureOptions) (FeatureWriter, error)
}

// featureFormats is the one place where a format is added.
func featureFormats() []featureFormat {
	return []featureFormat{{".npy", newNPY}, {".csv", newCSV}}
}

// FeatureExtensions lists the known extensions of features files.
func FeatureExtensions() []string {
	var extensions []string
	for _, f := range featureFormats() {
		extensions = append(extensions, f.extension)
	}
	return extensions
}

// NewFeatureWriter starts the features file path, in the format that its extension names (case does not matter):
//
//   - .npy: a NumPy array [pictures, features] of float32, and beside it NAME.paths.csv with the columns path,label,
//     row by row the pictures of the array;
//   - .csv: the columns path,label,f0,f1,…, each number in the fewest digits that give the same float32 back.
//
// It fails at once, before any feature is computed, for an unknown extension and for files that may not be replaced.
func NewFeatureWriter(path string, options FeatureOptions) (FeatureWriter, error) {
	extension := strings.ToLower(filepath.Ext(path))
	i := slices.IndexFunc(featureFormats(), func(f featureFormat) bool { return f.extension == extension })
	if i < 0 {
		return nil, fmt.Errorf("features file %q has the extension %q: use one of %s",
			path, filepath.Ext(path), strings.Join(FeatureExtensions(), ", "))
	}
	if options.Columns < 1 {
		return nil, fmt.Errorf("features file %q would have %d columns: needs at least 1", path, options.Columns)
	}
	return featureFormats()[i].create(path, options)
}

// checkColumns is the test that every format makes of a vector.
func checkColumns(path string, vector []float32, columns int) error {
	if len(vector) != columns {
		return fmt.Errorf("picture %s has %d features: the file has %d columns", path, len(vector), columns)
	}
	return nil
}
