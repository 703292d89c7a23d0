package export

import (
	"encoding/csv"
	"fmt"
	"strconv"

	"pretrain/internal/atomicfile"
)

// csvWriter writes path,label,f0,f1,….
type csvWriter struct {
	file   *atomicfile.File
	csv    *csv.Writer
	record []string
}

func newCSV(path string, options FeatureOptions) (FeatureWriter, error) {
	header := []string{"path", "label"}
	for i := range options.Columns {
		header = append(header, "f"+strconv.Itoa(i))
	}
	return newTable(path, header, options.Overwrite)
}

// newTable starts a CSV file with this header.
func newTable(path string, header []string, overwrite bool) (*csvWriter, error) {
	file, err := atomicfile.Create(path, overwrite)
	if err != nil {
		return nil, err
	}
	w := &csvWriter{file: file, csv: csv.NewWriter(file), record: header}
	if err := w.csv.Write(header); err != nil {
		file.Abort()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return w, nil
}

func (w *csvWriter) Write(path, label string, vector []float32) error {
	if err := checkColumns(path, vector, len(w.record)-2); err != nil {
		return err
	}
	w.record[0], w.record[1] = path, label
	for i, value := range vector {
		w.record[2+i] = strconv.FormatFloat(float64(value), 'g', -1, 32)
	}
	return w.csv.Write(w.record)
}

func (w *csvWriter) Close() error {
	w.csv.Flush()
	if err := w.csv.Error(); err != nil {
		w.Abort()
		return err
	}
	return w.file.Commit()
}

func (w *csvWriter) Abort() { w.file.Abort() }
