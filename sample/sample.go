// Package sample holds a small set of pictures that travels inside the program, so that it can be tried without any
// data: crops of a few free photographs, made by tools/sample. It is a demonstration, not a benchmark: the label of
// a crop is the photograph that it was cut from.
package sample

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed sample.zip
var archive []byte

// Open returns the pictures as a file system: train/CLASS/NNN.jpg, test/CLASS/NNN.jpg, and CREDITS.md, which names
// every photograph's author and licence. No pixel of a test picture is in a training picture.
func Open() (fs.FS, error) {
	files, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, fmt.Errorf("embedded sample: %w", err)
	}
	return files, nil
}

// Extract writes the pictures below dir, replacing files of the same names.
func Extract(dir string) error {
	files, err := Open()
	if err != nil {
		return err
	}
	return fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return extractFile(files, name, filepath.Join(dir, filepath.FromSlash(name)))
	})
}

func extractFile(files fs.FS, name, path string) error {
	from, err := files.Open(name)
	if err != nil {
		return fmt.Errorf("embedded sample: %w", err)
	}
	defer from.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("extract the sample: %w", err)
	}
	content, err := io.ReadAll(from)
	if err != nil {
		return fmt.Errorf("embedded sample: %s: %w", name, err)
	}
	return os.WriteFile(path, content, 0o644)
}
