package data

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"
)

// maxListBytes bounds a list file: about ten million paths.
const maxListBytes = 1 << 30

// readList reads a list file; relative paths are relative to its folder.
func readList(path string) ([]file, error) {
	contents, err := readFile(path, maxListBytes)
	if err != nil {
		return nil, fmt.Errorf("cannot read list file: %w", err)
	}
	if _, err := findCodec(contents[:min(headBytes, len(contents))]); err == nil {
		return nil, fmt.Errorf("%q is a picture: name its folder, or a list file with one path a line", path)
	}
	// The names are parts of the contents, which are not copied for it: a list may have millions of lines.
	files, err := parseList(unsafe.String(unsafe.SliceData(contents), len(contents)))
	if err != nil {
		return nil, fmt.Errorf("list file %s, %w", path, err)
	}
	return files, nil
}

// parseList reads one picture a line: its path and, after a tab or else after the last comma, an optional label.
// (A path that holds a comma and has no label needs a tab at its end.) Blank lines and those that start with # are
// skipped.
func parseList(text string) ([]file, error) {
	files := make([]file, 0, strings.Count(text, "\n")+1)
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		line = strings.Trim(line, "\r\n ")
		if line == "" || line[0] == '#' {
			continue
		}
		path, label := cutLabel(line)
		if path == "" || strings.ContainsRune(line, 0) {
			return nil, fmt.Errorf("line %d: %.80q names no picture: expected a path, optionally followed by a tab or a comma and a label", number, line)
		}
		files = append(files, file{name: filepath.ToSlash(path), label: label, listed: true})
	}
	return files, nil
}

func cutLabel(line string) (path, label string) {
	at := strings.IndexByte(line, '\t')
	if at < 0 {
		at = strings.LastIndexByte(line, ',')
	}
	if at < 0 {
		return line, ""
	}
	return strings.TrimSpace(line[:at]), strings.TrimSpace(line[at+1:])
}

// readFile reads a whole file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes: more than %d are refused", path, info.Size(), limit)
	}
	return os.ReadFile(path)
}
