// Package tensorboard writes the numbers, pictures and distributions of a run as TensorBoard event files.
//
// The few messages that such files are made of are encoded by hand: the code that protoc would generate from the
// official definitions (event.proto, summary.proto and what they import) is thirty times as long. A test reads them back
// with a general protobuf parser.
package tensorboard

import (
	"fmt"
	"image"
	"os"
	"path/filepath"
	"sync"
	"time"

	"pretrain/metrics"
)

// filePrefix begins the name of every event file; TensorBoard reads files with "tfevents" in their names, in the order of
// their names.
const filePrefix = "events.out.tfevents."

// Extension ends the name of every event file.
const Extension = ".pretrain"

// Writer appends events to one file, each handed to the operating system at once. Many goroutines may use it.
type Writer struct {
	mutex sync.Mutex
	file  *os.File
}

// Open begins a new event file in a folder, which it makes if it is missing, for a run that stands at the given step. Of
// earlier files the events after that step are cut off, and a TensorBoard that has read them already is told to drop
// them, so that no step is there twice.
func Open(folder string, step int64) (*Writer, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("tensorboard: %w", err)
	}
	earlier, err := CutBack(folder, step)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, nextName(earlier, time.Now()))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("tensorboard: %w", err)
	}
	w := &Writer{file: file}
	if err = w.write(event{fileVersion: version}); err == nil && len(earlier) > 0 {
		err = w.write(event{step: step + 1, restart: true})
	}
	if err != nil {
		file.Close()
	}
	return w, err
}

// nextName is a name that sorts after the earlier files', whatever the clock says: TensorBoard never goes back to a file
// that sorts before the one that it reads.
func nextName(earlier []string, now time.Time) string {
	seconds := now.Unix()
	if len(earlier) > 0 {
		var last int64
		name := filepath.Base(earlier[len(earlier)-1])
		if _, err := fmt.Sscanf(name, filePrefix+"%d", &last); err == nil {
			seconds = max(seconds, last+1)
		}
	}
	return fmt.Sprintf("%s%010d%s", filePrefix, seconds, Extension)
}

// Append writes every number of a record of metrics.jsonl.
func (w *Writer) Append(record metrics.Record) error {
	scalars, err := record.Scalars()
	if err != nil {
		return err
	}
	values := make([][]byte, len(scalars))
	for i, scalar := range scalars {
		values[i] = scalarValue(scalar.Name, scalar.Value)
	}
	return w.write(event{step: record.Step, at: record.Time, values: values})
}

// Image writes a picture, as PNG.
func (w *Writer) Image(step int64, tag string, picture image.Image) error {
	value, err := imageValue(tag, picture)
	if err != nil {
		return fmt.Errorf("tensorboard: %s: %w", tag, err)
	}
	return w.write(event{step: step, values: [][]byte{value}})
}

// Histogram writes the distribution of what was added to h; nothing for an empty one.
func (w *Writer) Histogram(step int64, tag string, h *Histogram) error {
	if h.count == 0 {
		return nil
	}
	return w.write(event{step: step, values: [][]byte{histogramValue(tag, h)}})
}

func (w *Writer) write(e event) error {
	if e.at.IsZero() {
		e.at = time.Now()
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if _, err := w.file.Write(frame(e.encode())); err != nil {
		return fmt.Errorf("tensorboard: %w", err)
	}
	return nil
}

// Close ends the file.
func (w *Writer) Close() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.file.Close()
}
