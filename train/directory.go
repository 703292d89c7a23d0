package train

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pretrain/internal/atomicfile"
	"pretrain/metrics/tensorboard"
)

// Start says how a run treats a directory that already holds one.
type Start int

const (
	StartFresh     Start = iota // refuse it
	StartResume                 // go on with it
	StartOverwrite              // delete what the old run wrote and begin again
)

// UsageError is a mistake in how a run was asked for, found before any work was done.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap gives the mistake itself.
func (e *UsageError) Unwrap() error { return e.Err }

// Usage wraps err as a UsageError; nil stays nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &UsageError{err}
}

// UsageUnlessCancelled marks what is wrong with the user's pictures as a mistake in what was asked for, but not the end
// of the context that cut the look at them short.
func UsageUnlessCancelled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return Usage(err)
}

// Directory is the folder of one run. It holds a run from the moment that its config.resolved.yaml is there.
type Directory string

func (d Directory) file(name ...string) string {
	return filepath.Join(append([]string{string(d)}, name...)...)
}

// Config is the resolved configuration, which alone suffices to repeat the run.
func (d Directory) Config() string { return d.file("config.resolved.yaml") }

// Record is run.json: what ran, where, and how it ended.
func (d Directory) Record() string { return d.file("run.json") }

// Log is the machine-readable log, one JSON object a line.
func (d Directory) Log() string { return d.file("train.log") }

// Metrics is metrics.jsonl, one object a logging interval.
func (d Directory) Metrics() string { return d.file("metrics.jsonl") }

// TensorBoard is the folder of event files.
func (d Directory) TensorBoard() string { return d.file("tensorboard") }

// Checkpoints is the folder of checkpoints.
func (d Directory) Checkpoints() string { return d.file("checkpoints") }

// Exported is the folder of exported weights.
func (d Directory) Exported() string { return d.file("exported") }

// weights is the backbone among the exported files.
func (d Directory) weights() string { return d.file("exported", "backbone.safetensors") }

// Features is the folder where extracted features go unless told otherwise.
func (d Directory) Features() string { return d.file("features") }

// Evaluations is the folder of evaluation results.
func (d Directory) Evaluations() string { return d.file("eval") }

// Searches is the folder of the indexes that searches keep.
func (d Directory) Searches() string { return d.file("search") }

// Gallery is the last pictures of what the run saw and answered, as JSON.
func (d Directory) Gallery() string { return d.file("pictures.json") }

// Report is the page that tells the run at rest.
func (d Directory) Report() string { return d.file("report.html") }

// HoldsRun reports whether a run was begun here.
func (d Directory) HoldsRun() bool {
	_, err := os.Stat(d.Config())
	return err == nil
}

// Check finds out, without touching anything, whether a run may start here. A directory that holds something else, or
// a run that nobody asked to resume or overwrite, is a UsageError.
func (d Directory) Check(start Start) error {
	entries, err := os.ReadDir(string(d))
	switch {
	case errors.Is(err, fs.ErrNotExist) && start == StartResume:
		return Usage(fmt.Errorf("%s does not exist: there is no run to resume; leave out --resume to begin one", d))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return Usage(fmt.Errorf("run directory %s: %w", d, err))
	case start == StartFresh && d.HoldsRun():
		return Usage(fmt.Errorf("%s already holds a run: add --resume to go on with it, --overwrite to begin again, or name another --out", d))
	case start == StartResume && !d.HoldsRun():
		return Usage(fmt.Errorf("%s holds no run to resume (config.resolved.yaml is missing); leave out --resume to begin one", d))
	case start == StartResume && d.imported():
		return Usage(fmt.Errorf("%s holds imported weights, which were not trained here: there is nothing to resume; begin a new run from them by --set backbone.weights=%s", d, d.weights()))
	case start != StartResume && !d.HoldsRun() && slices.ContainsFunc(entries, d.foreign):
		return Usage(fmt.Errorf("%s is not empty and holds no run: name a new or empty directory as --out", d))
	}
	return nil
}

// imported reports whether the run was made by WriteImport.
func (d Directory) imported() bool {
	record, err := d.ReadRecord()
	return err == nil && record.State == StateImported
}

// foreign reports whether an entry of a directory without a run is anything but what is left when a process is killed
// while it writes the very first file.
func (d Directory) foreign(entry os.DirEntry) bool {
	name := entry.Name()
	return !strings.HasPrefix(name, filepath.Base(d.Config())+".") || filepath.Ext(name) != ".tmp"
}

// begin makes the directory ready after Check: it deletes what an old run wrote, if that is to be overwritten, and what
// killed processes left. The configuration is written first and never deleted, so that a run that is killed at any
// moment is still recognised as one.
func (d Directory) begin(start Start, resolved string) error {
	if start == StartOverwrite {
		if err := d.clear(); err != nil {
			return fmt.Errorf("clear the old run: %w", err)
		}
	}
	if _, err := atomicfile.RemoveLeftovers(string(d)); err != nil {
		return err
	}
	if err := d.writeConfig(resolved); err != nil {
		return err
	}
	return os.MkdirAll(d.Checkpoints(), 0o755)
}

// clear deletes what a run, and the commands that read it, write. Whatever else a person keeps there stays, in the
// folders of the run too.
func (d Directory) clear() error {
	for _, name := range []string{d.Record(), d.Log(), d.Metrics(), d.Gallery(), d.Report()} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for folder, extensions := range map[string][]string{
		d.Checkpoints(): {".ckpt"},
		d.Exported():    {".safetensors", ".onnx", ".json"},
		d.Features():    {".npy", ".csv", ".parquet", ".safetensors", ".txt"},
		d.Evaluations(): {".json"},
		d.TensorBoard(): {tensorboard.Extension},
		d.Searches():    {".safetensors"},
	} {
		if err := clearFolder(folder, extensions); err != nil {
			return err
		}
	}
	return nil
}

// clearFolder deletes the files of these extensions, and the folder if nothing else is in it.
func clearFolder(folder string, extensions []string) error {
	if _, err := atomicfile.RemoveLeftovers(folder); err != nil {
		return err
	}
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	kept := 0
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !slices.Contains(extensions, filepath.Ext(entry.Name())) {
			kept++
			continue
		}
		if err := os.Remove(filepath.Join(folder, entry.Name())); err != nil {
			return err
		}
	}
	if kept > 0 {
		return nil
	}
	return os.Remove(folder)
}

// hasCheckpoints reports whether there is any checkpoint, be it a damaged one.
func (d Directory) hasCheckpoints() bool {
	entries, _ := os.ReadDir(d.Checkpoints()) // a folder that cannot be read has none that can be used
	return slices.ContainsFunc(entries, func(entry os.DirEntry) bool { return filepath.Ext(entry.Name()) == ".ckpt" })
}

// States of a run in run.json. One that was killed stays running.
const (
	StateRunning     = "running"
	StateInterrupted = "interrupted"
	StateFailed      = "failed"
	StateFinished    = "finished"
	StateImported    = "imported" // never trained here
)

// Record is the content of run.json.
type Record struct {
	Run        string  `json:"run"`   // id, the same for all processes that worked on the run
	State      string  `json:"state"` // running, interrupted, failed, finished or imported
	Version    string  `json:"version"`
	Go         string  `json:"go"`
	CPU        string  `json:"cpu"`
	Kernels    string  `json:"kernels"`
	Precision  string  `json:"precision"` // fp32 or bf16
	Threads    int     `json:"threads"`
	Backbone   string  `json:"backbone"`
	Parameters int     `json:"parameters"` // of the backbone and all heads
	Pictures   int     `json:"pictures"`
	Step       int     `json:"step"`
	Steps      int     `json:"steps"`
	Started    string  `json:"started"`
	Seconds    float64 `json:"seconds"`          // of all processes that worked on the run, up to their last checkpoints
	Host       string  `json:"host,omitempty"`   // of the last process that worked on the run
	Locked     bool    `json:"locked,omitempty"` // that process held the lock on the directory; see Worker
	Error      string  `json:"error,omitempty"`

	Chance map[string]float64 `json:"chance_accuracy,omitempty"` // of always giving a task's commonest answer
}

// runID is the id of a run that is resumed, or a new one. It tells the logs of runs apart and decides nothing.
func (d Directory) runID(start Start) string {
	if start == StartResume {
		if record, err := d.ReadRecord(); err == nil && record.Run != "" {
			return record.Run
		}
	}
	return strings.ToLower(rand.Text()[:idLength])
}

// idLength is enough for a chance of one in 10⁹ that any two of 40000 runs share an id.
const idLength = 12

// secondsSoFar is the time that a run has taken before it is resumed; 0 for others.
func (d Directory) secondsSoFar(start Start) float64 {
	if start != StartResume {
		return 0
	}
	record, err := d.ReadRecord()
	if err != nil {
		return 0 // killed before run.json was written, or an old one: the time is for information only
	}
	return record.Seconds
}

// writeRecord replaces run.json.
func (d Directory) writeRecord(record Record) error {
	content, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return err
	}
	content = append(content, '\n')
	err = atomicfile.Write(d.Record(), true, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	if err != nil && record.State == StateFailed && d.overwriteRecord(content) == nil {
		return nil
	}
	return err
}

// blockSize is what file systems give a small file at least, in bytes.
const blockSize = 4096

// overwriteRecord writes into the run.json that is there: a full disk has no room for a second file, but the block of the
// first holds the last word of a run. What needs more than that block is refused, since it could be torn.
func (d Directory) overwriteRecord(content []byte) error {
	if len(content) > blockSize {
		return fmt.Errorf("%s: %d bytes are more than a block of %d", d.Record(), len(content), blockSize)
	}
	file, err := os.OpenFile(d.Record(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(content, 0)
	if err == nil {
		err = file.Truncate(int64(len(content)))
	}
	return errors.Join(err, file.Sync(), file.Close())
}

// writeConfig replaces config.resolved.yaml.
func (d Directory) writeConfig(resolved string) error {
	return atomicfile.Write(d.Config(), true, func(w io.Writer) error {
		_, err := io.WriteString(w, resolved)
		return err
	})
}

// ReadRecord reads run.json.
func (d Directory) ReadRecord() (Record, error) {
	var record Record
	content, err := os.ReadFile(d.Record())
	if err != nil {
		return record, err
	}
	if err := json.Unmarshal(content, &record); err != nil {
		return record, fmt.Errorf("%s: %w", d.Record(), err)
	}
	return record, nil
}
