// Package atomicfile writes files that are either whole or absent.
//
// A file grows under a temporary name in the folder of its final one (a rename is atomic inside one file
// system only), is synced, renamed, and the folder is synced too, so that the name survives a power cut. A
// process killed at any moment leaves at most a leftover NAME.<16 hex digits>.tmp, which RemoveLeftovers takes away.
package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

// bufferSize is large enough that the system calls do not show beside the disk.
const bufferSize = 256 << 10

// leftover matches the temporary names of this package and no user's file by accident.
var leftover = regexp.MustCompile(`\.[0-9a-f]{16}\.tmp$`)

// ErrExists is wrapped by the error of Create and Commit when the final name is taken and may not be replaced.
var ErrExists = fs.ErrExist

// File is a file under construction. It ends with Commit or Abort; Abort after either does nothing, so that
// `defer f.Abort()` is right. A File belongs to one goroutine.
type File struct {
	path      string
	overwrite bool
	file      *os.File // nil once committed or aborted
	buffer    *bufio.Writer
}

// Create starts a file that Commit will give the name path, making its folder if it is missing. Unless overwrite
// is set, a path that exists is an error that wraps ErrExists, now (before any work is spent) and in Commit.
func Create(path string, overwrite bool) (*File, error) {
	f := &File{path: path, overwrite: overwrite}
	if err := Check(path, overwrite); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("folder of %s: %w", path, err)
	}
	file, err := os.OpenFile(temporaryName(path), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	f.file, f.buffer = file, bufio.NewWriterSize(file, bufferSize)
	return f, nil
}

// Write appends to the file under construction.
func (f *File) Write(p []byte) (int, error) { return f.buffer.Write(p) }

// WriteAt replaces bytes that were written before, such as a header that was not known at the start.
func (f *File) WriteAt(p []byte, offset int64) (int, error) {
	if err := f.buffer.Flush(); err != nil {
		return 0, err
	}
	return f.file.WriteAt(p, offset)
}

// Sync makes what was written durable under the temporary name. Files that must appear together are synced one by one
// before the first is committed: then a full disk is met while all the final names are as they were.
func (f *File) Sync() error {
	if f.file == nil {
		return fs.ErrClosed
	}
	if err := f.buffer.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	if err := f.file.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	return nil
}

// Commit makes the file durable under its final name. When it fails the final name is as it was before Create.
func (f *File) Commit() error {
	if err := f.commit(); err != nil {
		f.Abort()
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	f.file = nil
	return syncFolder(filepath.Dir(f.path))
}

func (f *File) commit() error {
	if f.file == nil {
		return fs.ErrClosed
	}
	if err := f.buffer.Flush(); err != nil {
		return err
	}
	// Without this sync some file systems make the rename durable before the bytes.
	if err := f.file.Sync(); err != nil {
		return err
	}
	if err := f.file.Close(); err != nil {
		return err
	}
	if err := Check(f.path, f.overwrite); err != nil {
		return err
	}
	return os.Rename(f.file.Name(), f.path)
}

// Abort drops the file under construction; the final name stays as it was.
func (f *File) Abort() {
	if f.file == nil {
		return
	}
	// Nothing can be done about an error here: the name ends in .tmp, so the leftover is harmless.
	_ = f.file.Close()
	_ = os.Remove(f.file.Name())
	f.file = nil
}

// Check fails as Create would if path cannot be taken: by a folder, by a file that may not be replaced, or because a file
// stands where its folder would have to be.
func Check(path string, overwrite bool) error {
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s: %s is a file, not a folder: name another place", path, fileAbove(path))
	case err != nil:
		return err // it names the path
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() { // rename would say so after the work
		return fmt.Errorf("%s: %w, as a folder: name a file", path, ErrExists)
	}
	if overwrite {
		return nil
	}
	return fmt.Errorf("%s: %w: add --overwrite to replace it, or name another file", path, ErrExists)
}

// fileAbove is what stands in the way of path: the nearest of the names above it that exists.
func fileAbove(path string) string {
	above := filepath.Dir(path)
	for above != filepath.Dir(above) {
		if _, err := os.Lstat(above); err == nil {
			break
		}
		above = filepath.Dir(above)
	}
	return above
}

// Write writes the file path through write, replacing any file of that name only when everything succeeded.
func Write(path string, overwrite bool, write func(io.Writer) error) error {
	f, err := Create(path, overwrite)
	if err != nil {
		return err
	}
	defer f.Abort()
	if err := write(f); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Commit()
}

// Link makes path name the file existing, replacing what path named before: a hard link, or a copy where the
// file system has none. The two names then live apart: removing or replacing one leaves the other whole.
func Link(existing, path string) error {
	temporary := temporaryName(path)
	if err := os.Link(existing, temporary); err != nil {
		return copyFile(existing, path)
	}
	// rename(2) leaves both names in place when they already are the same file.
	defer os.Remove(temporary)
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("link %s to %s: %w", path, existing, err)
	}
	return syncFolder(filepath.Dir(path))
}

func copyFile(existing, path string) error {
	source, err := os.Open(existing)
	if err != nil {
		return fmt.Errorf("copy to %s: %w", path, err)
	}
	defer source.Close()
	return Write(path, true, func(w io.Writer) error {
		_, err := io.Copy(w, source)
		return err
	})
}

// RemoveLeftovers deletes the temporary files that killed processes left in folder and returns their names.
// Call it only while nothing writes there. A folder that does not exist has none.
func RemoveLeftovers(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for leftovers: %w", err)
	}
	var removed []string
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !leftover.MatchString(entry.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(folder, entry.Name())); err != nil {
			return removed, fmt.Errorf("remove leftover: %w", err)
		}
		removed = append(removed, entry.Name())
	}
	return removed, nil
}

func temporaryName(path string) string { return fmt.Sprintf("%s.%016x.tmp", path, rand.Uint64()) }

// syncFolder makes the names in folder durable. Some network file systems cannot and say so; there is no remedy.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
