package export

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"pretrain/internal/atomicfile"
)

// arrays are binary files of features with the table of their rows beside them. All appear together.
type arrays struct {
	names     []string
	files     []*atomicfile.File
	table     *csvWriter // path, label, … of each row
	overwrite bool
}

// createArrays starts the files that are named, and as the last one the table.
func createArrays(names []string, options FeatureOptions) (*arrays, error) {
	last := len(names) - 1
	a := &arrays{names: names[:last], overwrite: options.Overwrite}
	for _, name := range a.names {
		file, err := atomicfile.Create(name, options.Overwrite)
		if err != nil {
			a.abort()
			return nil, err
		}
		a.files = append(a.files, file)
	}
	var err error
	if a.table, err = newTable(names[last], options, nil); err != nil {
		a.abort()
		return nil, err
	}
	return a, nil
}

// writeRow adds a picture to the table.
func (a *arrays) writeRow(row FeatureRow) error {
	row.Vectors = nil
	return a.table.Write(row)
}

// commit gives the files their names. The disk has everything before the first name changes. Old arrays are removed
// before the table is replaced: whenever there is an array, the table beside it is its own.
func (a *arrays) commit() error {
	defer a.abort()
	if err := a.sync(); err != nil {
		return err
	}
	for _, name := range a.names {
		if err := a.removeOld(name); err != nil {
			return err
		}
	}
	for _, file := range append([]*atomicfile.File{a.table.file}, a.files...) {
		if err := file.Commit(); err != nil {
			return err
		}
	}
	return nil
}

func (a *arrays) sync() error {
	if err := a.table.flush(); err != nil {
		return err
	}
	for _, file := range append(a.files, a.table.file) {
		if err := file.Sync(); err != nil {
			return err
		}
	}
	return nil
}

func (a *arrays) removeOld(name string) error {
	if !a.overwrite {
		return nil // Commit refuses a file that has appeared meanwhile
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace: %w", err)
	}
	return nil
}

func (a *arrays) abort() {
	for _, file := range a.files {
		file.Abort()
	}
	if a.table != nil {
		a.table.Abort()
	}
}
