package export

import (
	"fmt"
	"slices"

	"pretrain/internal/tensorfile"
)

// sectionBytes is what is held of a tensor before it is written: tensors lie one after another in the file, while rows
// bring a part of each.
const sectionBytes = 256 << 10

// safetensorsWriter writes a tensor [pictures, features…] a column.
type safetensorsWriter struct {
	*arrays
	sections []section
}

// section is the place of a tensor in the file.
type section struct {
	offset int64 // where the buffer belongs
	buffer []byte
}

func newSafetensors(path string, options FeatureOptions) (FeatureWriter, error) {
	var shapes []tensorfile.Shape
	for _, column := range options.Columns {
		shapes = append(shapes, tensorfile.Shape{Name: column.name(), Sizes: append([]int{options.Rows}, column.Shape...)})
	}
	header, offsets, err := tensorfile.ShapesHeader(shapes, options.Metadata)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	arrays, err := createArrays(fileAndPaths(path, options.Columns), options)
	if err != nil {
		return nil, err
	}
	w := &safetensorsWriter{arrays: arrays}
	for _, offset := range offsets {
		w.sections = append(w.sections, section{offset: offset})
	}
	if _, err := arrays.files[0].Write(header); err != nil {
		arrays.abort()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return w, nil
}

func (w *safetensorsWriter) Write(row FeatureRow) error {
	for i, vector := range row.Vectors {
		s := &w.sections[i]
		s.buffer = appendFloats(s.buffer, vector)
		if len(s.buffer) < sectionBytes {
			continue
		}
		if err := w.flush(s); err != nil {
			return err
		}
	}
	return w.writeRow(row)
}

// flush puts the buffer in its place.
func (w *safetensorsWriter) flush(s *section) error {
	_, err := w.files[0].WriteAt(s.buffer, s.offset)
	s.offset += int64(len(s.buffer))
	s.buffer = s.buffer[:0]
	return err
}

func (w *safetensorsWriter) Close() error {
	for i := range slices.Backward(w.sections) { // the end of the file first: a full disk shows at once
		if err := w.flush(&w.sections[i]); err != nil {
			w.abort()
			return fmt.Errorf("write %s: %w", w.names[0], err)
		}
	}
	return w.commit()
}

func (w *safetensorsWriter) Abort() { w.abort() }
