// Package metrics makes a run visible: as Prometheus series served over HTTP, and as metrics.jsonl, one JSON object
// per logging interval, which outlives the process.
package metrics

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"time"

	"pretrain/internal/atomicfile"
)

// Number is a float64 that JSON can hold: NaN and infinities, which a diverging run does produce, become null, and
// null becomes NaN.
type Number float64

// MarshalJSON writes null for what is not finite.
func (n Number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads a number or null.
func (n *Number) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	return json.Unmarshal(text, (*float64)(n))
}

// Record is one line of metrics.jsonl: means over the steps since the line before, unless said otherwise.
type Record struct {
	Step              int64           `json:"step"`                // steps done since the start of the run
	Epoch             int64           `json:"epoch"`               // epochs completed
	Time              time.Time       `json:"time"`                // when the interval ended, RFC 3339
	Pictures          int64           `json:"pictures"`            // pictures seen since the start of the run
	Views             int64           `json:"views"`               // views that passed the backbone since the start of the run
	PicturesPerSecond Number          `json:"pictures_per_second"` // of wall-clock time
	LearningRate      Number          `json:"learning_rate"`       // of the last step
	GradientNorm      Number          `json:"gradient_norm"`       // before clipping
	DataWaitRatio     Number          `json:"data_wait_ratio"`     // part of the wall-clock time that waited for data
	Phases            Phases          `json:"phase_seconds"`       // of a step
	Operations        Number          `json:"operations_per_second"`
	PeakShare         Number          `json:"peak_share"`        // of the passes: operations over those reached on registers alone
	Remaining         Number          `json:"remaining_seconds"` // estimate of the time to the end of the run
	Loss              Number          `json:"loss"`              // weighted sum of the task losses
	Tasks             map[string]Task `json:"tasks"`
	Probes            []Probe         `json:"probes,omitempty"`     // measured in this interval
	Inspection        *Inspection     `json:"inspection,omitempty"` // the last closer look in this interval
}

// Task is what is known of one pretext task.
type Task struct {
	Loss     Number            `json:"loss"`               // before weighting
	Weight   Number            `json:"weight"`             // factor of the loss
	Accuracy *Number           `json:"accuracy,omitempty"` // 0 to 1; nil for a task that has none
	Metrics  map[string]Number `json:"metrics,omitempty"`  // the task's own, such as psnr
}

// Probe is the accuracy of an online probe.
type Probe struct {
	Probe    string `json:"probe"`    // "knn" or "linear"
	Layer    string `json:"layer"`    // of the backbone
	Accuracy Number `json:"accuracy"` // 0 to 1
}

// BestProbe is the accuracy of a probe at its best layer; false if it was not measured, or was no number.
func (r Record) BestProbe(name string) (best float64, measured bool) {
	for _, probe := range r.Probes {
		if probe.Probe == name && !math.IsNaN(float64(probe.Accuracy)) && (!measured || float64(probe.Accuracy) > best) {
			best, measured = float64(probe.Accuracy), true
		}
	}
	return best, measured
}

// Inspection is a closer look at one step.
type Inspection struct {
	Step              int64             `json:"step"`                // that was looked at
	TaskGradientNorms map[string]Number `json:"task_gradient_norms"` // of the unweighted losses, on what all tasks share
	Cosines           []Cosine          `json:"cosines,omitempty"`   // between the tasks' gradients, each pair once
	ParameterNorm     Number            `json:"parameter_norm"`
	Updates           map[string]Number `json:"updates"`            // block → L2 norm of its change over that of its parameters
	Features          []FeatureHealth   `json:"features,omitempty"` // of training pictures, the layers in order
}

// Cosine is that between the gradients of two tasks, whose names are in order.
type Cosine struct {
	Task   string `json:"task"`
	Other  string `json:"other"`
	Cosine Number `json:"cosine"`
}

// FeatureHealth tells whether the features of a layer have collapsed.
type FeatureHealth struct {
	Layer  string `json:"layer"`
	Rank   Number `json:"rank"`   // effective rank (RankMe, Garrido et al. 2023)
	Spread Number `json:"spread"` // standard deviation of the normalised features over that of random directions
}

// Log appends records to metrics.jsonl. Each record is handed to the operating system at once, so a process that is
// killed loses none; a power cut may take those since the last Sync. It belongs to one goroutine.
type Log struct{ file *os.File }

// OpenLog opens the file path for appending, making it if it is missing. A last line that a kill left torn is cut off.
func OpenLog(path string) (*Log, error) {
	if err := CutBack(path, math.MaxInt64); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("metrics log: %w", err)
	}
	return &Log{file}, nil
}

// Append writes record as one line.
func (l *Log) Append(record Record) error {
	line, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("metrics log: %w", err)
	}
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("metrics log: %w", err)
	}
	return nil
}

// Sync makes the records durable. Call it before each checkpoint, so that no checkpoint is ahead of its records.
func (l *Log) Sync() error {
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("metrics log: %w", err)
	}
	return nil
}

// Close makes the records durable and ends the log.
func (l *Log) Close() error { return errors.Join(l.Sync(), l.file.Close()) }

// ReadLog reads the records of the file path. A torn last line is left out; any other line that is no record is an
// error that names it, beside the records before it.
func ReadLog(path string) ([]Record, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("metrics log: %w", err)
	}
	var records []Record
	err = scan(text, func(_ []byte, record Record) { records = append(records, record) })
	if err != nil {
		return records, fmt.Errorf("metrics log %s: %w", path, err)
	}
	return records, nil
}

// CutBack removes the records after step, and a torn last line, from the file path: a run that goes on from a
// checkpoint of step writes them again. The file is replaced whole or not at all, and not touched when
// there is nothing to cut. A file that does not exist stays so. No Log may be open on it.
func CutBack(path string, step int64) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("metrics log: %w", err)
	}
	var kept []byte
	err = scan(text, func(line []byte, record Record) {
		if record.Step <= step {
			kept = append(kept, line...)
		}
	})
	if err != nil {
		return fmt.Errorf("metrics log %s: %w; mend or remove the line", path, err)
	}
	if len(kept) == len(text) {
		return nil
	}
	return atomicfile.Write(path, true, func(w io.Writer) error {
		_, err := w.Write(kept)
		return err
	})
}

// ReplaceLast puts record in the place of the last one of the file path, which must have its step. The file is replaced whole
// or not at all. No Log may be open on it.
func ReplaceLast(path string, record Record) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("metrics log: %w", err)
	}
	var kept, last []byte
	err = scan(text, func(line []byte, found Record) {
		kept = append(kept, last...)
		if last = line; found.Step == record.Step {
			last = nil
		}
	})
	if err != nil {
		return fmt.Errorf("metrics log %s: %w; mend or remove the line", path, err)
	}
	if last != nil {
		return fmt.Errorf("metrics log %s: its last line is not of step %d", path, record.Step)
	}
	line, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("metrics log: %w", err)
	}
	return atomicfile.Write(path, true, func(w io.Writer) error {
		_, err := w.Write(append(append(kept, line...), '\n'))
		return err
	})
}

// scan gives visit each line of text, its newline included, and the record in it. What follows the last newline was
// torn by a kill: a record and its newline are written together.
func scan(text []byte, visit func(line []byte, record Record)) error {
	for number := 1; ; number++ {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			return nil
		}
		record, err := parse(text[:end])
		if err != nil {
			return fmt.Errorf("line %d is no record: %w", number, err)
		}
		visit(text[:end+1], record)
		text = text[end+1:]
	}
}

func parse(line []byte) (record Record, err error) {
	if !bytes.HasPrefix(line, []byte("{")) { // "null" would pass for an empty record
		return Record{}, fmt.Errorf("expected an object, found %.20q", line)
	}
	err = json.Unmarshal(line, &record)
	return record, err
}
