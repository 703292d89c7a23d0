package export

import (
	"encoding/csv"
	"fmt"
	"strconv"

	"pretrain/internal/atomicfile"
)

// csvWriter writes a table of the pictures, with or without their features.
type csvWriter struct {
	file   *atomicfile.File
	csv    *csv.Writer
	record []string
	sha256 bool
}

// newCSV writes the pictures with their features.
func newCSV(path string, options FeatureOptions) (FeatureWriter, error) {
	var header []string
	for _, column := range options.Columns {
		prefix := "f"
		if column.Name != "" {
			prefix = column.Name + "_f"
		}
		for i := range column.size() {
			header = append(header, prefix+strconv.Itoa(i))
		}
	}
	return newTable(path, options, header)
}

// newTable starts a CSV file of what is known of the pictures and these columns behind it.
func newTable(path string, options FeatureOptions, columns []string) (*csvWriter, error) {
	file, err := atomicfile.Create(path, options.Overwrite)
	if err != nil {
		return nil, err
	}
	w := &csvWriter{file: file, csv: csv.NewWriter(file), record: []string{"path", "label", "width", "height"}, sha256: options.SHA256}
	if w.sha256 {
		w.record = append(w.record, "sha256")
	}
	w.record = append(w.record, columns...)
	if err := w.csv.Write(w.record); err != nil {
		file.Abort()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return w, nil
}

func (w *csvWriter) Write(row FeatureRow) error {
	w.record = append(w.record[:0], row.Path, row.Label, strconv.Itoa(row.Width), strconv.Itoa(row.Height))
	if w.sha256 {
		w.record = append(w.record, row.SHA256)
	}
	for _, vector := range row.Vectors {
		for _, value := range vector {
			w.record = append(w.record, strconv.FormatFloat(float64(value), 'g', -1, 32))
		}
	}
	return w.csv.Write(w.record)
}

// flush hands everything to the file.
func (w *csvWriter) flush() error {
	w.csv.Flush()
	return w.csv.Error()
}

func (w *csvWriter) Close() error {
	if err := w.flush(); err != nil {
		w.Abort()
		return err
	}
	return w.file.Commit()
}

func (w *csvWriter) Abort() { w.file.Abort() }
