package export

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"pretrain/internal/atomicfile"
)

// npyHeaderSize is the length of everything before the numbers. It has room for any row count, so that the count
// may be filled in at the end, and keeps the numbers 64-byte aligned, as NumPy does.
const npyHeaderSize = 128

// npyWriter writes format version 1.0 of numpy.lib.format. (npyio needs the whole array at the start, as float64.)
type npyWriter struct {
	path      string
	overwrite bool
	file      *atomicfile.File
	side      *csvWriter // path,label of each row
	columns   int
	rows      int
	buffer    []byte // one row
}

// NPYPaths is the name of the file beside the .npy file path that names the picture and label of each row.
func NPYPaths(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) + ".paths.csv" }

func newNPY(path string, options FeatureOptions) (FeatureWriter, error) {
	file, err := atomicfile.Create(path, options.Overwrite)
	if err != nil {
		return nil, err
	}
	w := &npyWriter{path: path, overwrite: options.Overwrite, file: file,
		columns: options.Columns, buffer: make([]byte, 4*options.Columns)}
	if _, err = file.Write(npyHeader(0, options.Columns)); err == nil {
		w.side, err = newTable(NPYPaths(path), []string{"path", "label"}, options.Overwrite)
	}
	if err != nil {
		file.Abort()
		return nil, err
	}
	return w, nil
}

func npyHeader(rows, columns int) []byte {
	header := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
	binary.LittleEndian.PutUint16(header[8:], npyHeaderSize-10)
	header = fmt.Appendf(header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, columns)
	return fmt.Appendf(header, "%*s", npyHeaderSize-len(header), "\n")
}

func (w *npyWriter) Write(path, label string, vector []float32) error {
	if err := checkColumns(path, vector, w.columns); err != nil {
		return err
	}
	for i, value := range vector {
		binary.LittleEndian.PutUint32(w.buffer[4*i:], math.Float32bits(value))
	}
	if _, err := w.file.Write(w.buffer); err != nil {
		return fmt.Errorf("write %s: %w", w.path, err)
	}
	w.rows++
	return w.side.Write(path, label, nil)
}

// Close commits the side file first and removes an older array before that: whenever there is an array, the side
// file beside it is its own.
func (w *npyWriter) Close() error {
	defer w.Abort()
	if _, err := w.file.WriteAt(npyHeader(w.rows, w.columns), 0); err != nil {
		return fmt.Errorf("write %s: %w", w.path, err)
	}
	if err := w.removeOld(); err != nil {
		return err
	}
	if err := w.side.Close(); err != nil {
		return err
	}
	return w.file.Commit()
}

func (w *npyWriter) removeOld() error {
	if !w.overwrite {
		return nil // Commit refuses a file that has appeared meanwhile
	}
	if err := os.Remove(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace: %w", err)
	}
	return nil
}

func (w *npyWriter) Abort() {
	w.file.Abort()
	w.side.Abort()
}
