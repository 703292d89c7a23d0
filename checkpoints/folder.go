package checkpoints

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pretrain/internal/atomicfile"
)

// Names in a folder of checkpoints besides those of FileName.
const (
	LastName = "last.ckpt" // the newest
	BestName = "best.ckpt" // the one with the highest score, where scores are measured
)

// FileName is the name of the checkpoint written after step.
func FileName(step int64) string { return fmt.Sprintf("step=%08d.ckpt", step) }

// Folder keeps the checkpoints of one run. It belongs to one goroutine, and one process writes to it at a time.
type Folder struct {
	path   string
	config Config
}

// OpenFolder makes the folder if it is missing, and removes the temporary files of processes that were killed.
func OpenFolder(path string, config Config) (*Folder, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("checkpoints: %w", err)
	}
	if _, err := atomicfile.RemoveLeftovers(path); err != nil {
		return nil, fmt.Errorf("checkpoints: %w", err)
	}
	return &Folder{path: path, config: config}, nil
}

// Save writes state under FileName(state.Step), points last.ckpt and, if it scores highest, best.ckpt to it, and
// removes what need not be kept. It returns the new file's path and size in bytes. Each of these steps leaves a folder
// from which Latest finds the newest checkpoint, so the process may be killed between any two.
//
// The two names are hard links, not symbolic ones: they stay whole when retention removes the numbered file,
// and when a person copies them away.
func (f *Folder) Save(state State) (path string, size int64, err error) {
	path = filepath.Join(f.path, FileName(state.Step))
	if size, err = Save(path, state); err != nil {
		return "", 0, err
	}
	if err := atomicfile.Link(path, filepath.Join(f.path, LastName)); err != nil {
		return path, size, fmt.Errorf("checkpoint %s is saved, but: %w", path, err)
	}
	if err := f.retain(state.Step); err != nil {
		return path, size, fmt.Errorf("checkpoint %s is saved, but: %w", path, err)
	}
	return path, size, nil
}

// retain keeps the last config.Keep checkpoints up to step and the best. Damaged files and those of later
// steps (from before a resumption at an earlier one) are not counted and not touched.
func (f *Folder) retain(step int64) error {
	found, err := list(f.path)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(c candidate) bool { return c.err != nil || c.info.Step > step })
	best := ""
	if f.config.KeepBest {
		best = highest(found)
	}
	if best != "" {
		if err := f.linkBest(best); err != nil {
			return err
		}
	}
	return f.removeOld(found, best)
}

// removeOld removes the numbered files of found, sorted newest first, but for the first config.Keep and best.
func (f *Folder) removeOld(found []candidate, best string) error {
	kept := 0
	for _, c := range found {
		if !strings.HasPrefix(filepath.Base(c.path), "step=") {
			continue
		}
		if kept++; f.config.Keep == 0 || kept <= f.config.Keep || c.path == best {
			continue
		}
		if err := os.Remove(c.path); err != nil {
			return fmt.Errorf("remove old checkpoint: %w", err)
		}
	}
	return nil
}

// linkBest points best.ckpt to path unless it is there already.
func (f *Folder) linkBest(path string) error {
	best := filepath.Join(f.path, BestName)
	if sameFile(path, best) {
		return nil
	}
	return atomicfile.Link(path, best)
}

// highest finds the path with the highest score, of equal ones the earliest, in found, which is sorted newest first.
// It is empty where nothing was scored.
func highest(found []candidate) string {
	path, score := "", math.Inf(-1)
	for _, c := range found {
		if c.info.Score != nil && *c.info.Score >= score {
			path, score = c.path, *c.info.Score
		}
	}
	return path
}

// Found is a checkpoint that Latest chose.
type Found struct {
	Path  string
	State State
	// Skipped holds an error, with the file's name, for each newer file that is damaged.
	Skipped []error
}

// ErrNone is wrapped by the error of Latest for a folder without any usable checkpoint.
var ErrNone = errors.New("no usable checkpoint")

// Latest loads the newest whole checkpoint in folder. Damaged files are skipped and reported in Found.Skipped; if
// nothing else is there, the error wraps ErrNone and tells what is wrong with each. A file of a newer format is an
// error, not skipped: going on from an older file would silently repeat the work it holds.
func Latest(folder string) (Found, error) {
	candidates, err := list(folder)
	if err != nil {
		return Found{}, err
	}
	found := Found{}
	for _, c := range candidates {
		err := c.err
		if err == nil {
			found.State, err = Load(c.path)
		}
		if newer := (*VersionError)(nil); errors.As(err, &newer) {
			return Found{}, err
		}
		if err == nil {
			found.Path = c.path
			return found, nil
		}
		found.Skipped = append(found.Skipped, err)
	}
	if len(found.Skipped) > 0 {
		return Found{}, fmt.Errorf("%w in %s:\n%w", ErrNone, folder, errors.Join(found.Skipped...))
	}
	return Found{}, fmt.Errorf("%w in %s", ErrNone, folder)
}

// Entry is a checkpoint in a folder, known by its header.
type Entry struct {
	Path    string
	Info    Info
	Bytes   int64
	Written time.Time
	Err     error // why the header cannot be used; Info is empty then
}

// List describes the checkpoints of a folder, newest first, each once however many names it has. Damaged files come
// before the others, with Err set; files that a running training removes meanwhile are left out. A folder that does not
// exist is empty.
func List(folder string) ([]Entry, error) {
	found, err := list(folder)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, c := range found {
		stat, err := os.Stat(c.path)
		if err != nil {
			continue
		}
		entry := Entry{Path: c.path, Info: c.info, Bytes: stat.Size(), Written: stat.ModTime(), Err: c.err}
		if c.err != nil {
			entry.Info = Info{}
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// candidate is a file that claims to be a checkpoint; err says why its header cannot be used.
type candidate struct {
	path string
	info Info
	err  error
}

// list reads the headers of all checkpoints in folder, each file once however many names it has, and sorts them newest
// first. Files with unusable headers count as newest. A folder that does not exist is empty.
func list(folder string) ([]candidate, error) {
	// ReadDir, not Glob: the folder's own name may hold pattern characters.
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list checkpoints: %w", err)
	}
	var found []candidate
	// Backwards, so that the numbered names come before last.ckpt and best.ckpt.
	for _, entry := range slices.Backward(entries) {
		path := filepath.Join(folder, entry.Name())
		seen := func(c candidate) bool { return sameFile(c.path, path) }
		if filepath.Ext(path) != ".ckpt" || slices.ContainsFunc(found, seen) {
			continue
		}
		info, err := ReadInfo(path)
		if err != nil {
			info.Step = math.MaxInt64
		}
		found = append(found, candidate{path, info, err})
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(b.info.Step, a.info.Step) })
	return found, nil
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}
