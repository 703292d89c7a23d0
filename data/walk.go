package data

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// walker collects the files below a folder.
type walker struct {
	ctx     context.Context
	files   []file
	ignored int
}

// walk enters folder dir, whose name below the root is `below` (with forward slashes, empty for the root itself).
// ancestors are the folders from the root to dir: a link to one of them would lead in a circle.
func (w *walker) walk(dir, below string, ancestors []fs.FileInfo) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cannot list folder: %w", err)
	}
	for _, entry := range entries {
		if err := w.visit(filepath.Join(dir, entry.Name()), below, entry.Name(), ancestors); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) visit(path, below, name string, ancestors []fs.FileInfo) error {
	if strings.HasPrefix(name, ".") {
		w.ignored++
		return nil
	}
	if below != "" {
		name = below + "/" + name
	}
	info, err := os.Stat(path) // follows links
	switch {
	case err != nil || info.Mode().IsRegular(): // what cannot be opened is for the scan to report
		label, _, inFolder := strings.Cut(name, "/")
		if !inFolder {
			label = ""
		}
		w.files = append(w.files, file{name: name, label: label})
	case info.IsDir() && !containsFile(ancestors, info):
		return w.walk(path, name, append(slices.Clip(ancestors), info))
	default:
		w.ignored++
	}
	return nil
}

func containsFile(infos []fs.FileInfo, info fs.FileInfo) bool {
	return slices.ContainsFunc(infos, func(other fs.FileInfo) bool { return os.SameFile(other, info) })
}
