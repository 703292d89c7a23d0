package export

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// npyHeaderSize is the length of everything before the numbers, which keeps them 64-byte aligned, as NumPy does.
const npyHeaderSize = 128

// npyWriter writes format version 1.0 of numpy.lib.format, a file a column. (npyio needs the whole array at the start, as
// float64.)
type npyWriter struct {
	*arrays
	buffer []byte
}

// npyFiles are NAME.npy for an only column, else NAME.COLUMN.npy each, and the table of the rows.
func npyFiles(path string, columns []FeatureColumn) []string {
	var files []string
	for _, column := range columns {
		if column.Name == "" {
			files = append(files, path)
		} else {
			files = append(files, withoutExtension(path)+"."+column.Name+path[len(withoutExtension(path)):])
		}
	}
	return append(files, FeaturePaths(path))
}

func newNPY(path string, options FeatureOptions) (FeatureWriter, error) {
	arrays, err := createArrays(npyFiles(path, options.Columns), options)
	if err != nil {
		return nil, err
	}
	for i, column := range options.Columns {
		if _, err := arrays.files[i].Write(npyHeader(options.Rows, column.Shape)); err != nil {
			arrays.abort()
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
	}
	return &npyWriter{arrays: arrays}, nil
}

func npyHeader(rows int, shape []int) []byte {
	header := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
	binary.LittleEndian.PutUint16(header[8:], npyHeaderSize-10)
	sizes := []string{strconv.Itoa(rows)}
	for _, n := range shape {
		sizes = append(sizes, strconv.Itoa(n))
	}
	header = fmt.Appendf(header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", strings.Join(sizes, ", "))
	return fmt.Appendf(header, "%*s", npyHeaderSize-len(header), "\n")
}

func (w *npyWriter) Write(row FeatureRow) error {
	for i, vector := range row.Vectors {
		w.buffer = appendFloats(w.buffer[:0], vector)
		if _, err := w.files[i].Write(w.buffer); err != nil {
			return err
		}
	}
	return w.writeRow(row)
}

func (w *npyWriter) Close() error { return w.commit() }

func (w *npyWriter) Abort() { w.abort() }
