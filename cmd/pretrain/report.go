package main

import (
	"encoding/json"
	"fmt"
	"io"

	"pretrain/internal/atomicfile"
	"pretrain/train"
)

// report is where a command leaves its measurements: as JSON if that is asked for, and as a table for people.
type report struct {
	table io.Writer
	json  io.Writer        // nil = nobody wants it
	file  *atomicfile.File // that json is; nil = json is no file
	path  string
}

// openReport takes the value of --json: a file, - for standard output, or empty. The file is begun at once, because a
// name that cannot be written should cost nobody minutes of measuring. The caller closes the report.
func (p program) openReport(path string) (*report, error) {
	switch path {
	case "":
		return &report{table: p.stdout}, nil
	case "-":
		return &report{table: p.stderr, json: p.stdout}, nil
	}
	file, err := atomicfile.Create(path, true)
	if err != nil {
		return nil, train.Usage(fmt.Errorf("--json: %w", err))
	}
	return &report{table: p.stdout, json: file, file: file, path: path}, nil
}

// finish writes the measurements, and tells where if that is a file.
func (r *report) finish(measured any) error {
	if r.json == nil {
		return nil
	}
	if err := writeJSON(r.json, measured); err != nil || r.file == nil {
		return err
	}
	if err := r.file.Commit(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(r.table, "\nwritten to %s\n", r.path)
	return err
}

// close drops a file that was not finished.
func (r *report) close() {
	if r.file != nil {
		r.file.Abort()
	}
}

// writeJSON writes a value so that people can read it too.
func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
