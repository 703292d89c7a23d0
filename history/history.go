// Package history reads what trainings have left in their directories, without computing anything: what a run is doing, how
// far it came, what it measured, and in what it differs from others. It never writes.
package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pretrain/checkpoints"
	"pretrain/eval"
	"pretrain/metrics"
	"pretrain/train"
)

// Run is what there is in the directory of a run. A run may be under way, half copied or damaged: what could not be read
// is missing here and named in Problems. It may be shared by goroutines that only read it.
type Run struct {
	Directory   train.Directory
	Record      train.Record        // run.json
	Settings    []Setting           // config.resolved.yaml, in its order
	Metrics     []metrics.Record    // metrics.jsonl, up to its first damaged line
	Checkpoints []checkpoints.Entry // newest first, without damaged ones
	Evaluations []Evaluation        // the reports in eval/, by name
	Problems    []error             // each names a file and what is wrong with it
}

// Setting is one key of a configuration.
type Setting struct {
	Path  string `json:"path"`  // such as train.epochs
	Value string `json:"value"` // as YAML, on one line
}

// Evaluation is a report that `pretrain eval` left in the run.
type Evaluation struct {
	Name   string // of the file in eval/, without .json
	Report eval.Report
}

// Read reads the directory of a run. Only a directory that holds none is an error, a train.UsageError.
func Read(directory string) (*Run, error) {
	r := &Run{Directory: train.Directory(directory)}
	if stat, err := os.Stat(directory); err != nil {
		return nil, train.Usage(fmt.Errorf("run directory %s: %w", directory, reason(err)))
	} else if !stat.IsDir() {
		return nil, train.Usage(fmt.Errorf("%s is a file: name the directory of a run, which `pretrain train --out` was given",
			directory))
	}
	if !looksLikeRun(directory) {
		return nil, train.Usage(fmt.Errorf("%s is not the directory of a run: it has no config.resolved.yaml; "+
			"name what `pretrain train --out` was given", directory))
	}
	for _, read := range []func() error{r.readRecord, r.readSettings, r.readMetrics, r.readCheckpoints, r.readEvaluations} {
		if err := read(); err != nil {
			r.Problems = append(r.Problems, err)
		}
	}
	return r, nil
}

// looksLikeRun reports whether a directory holds a run, be it without its first file.
func looksLikeRun(directory string) bool {
	d := train.Directory(directory)
	return slices.ContainsFunc([]string{d.Config(), d.Record(), d.Metrics()}, func(path string) bool {
		stat, err := os.Stat(path)
		return err == nil && stat.Mode().IsRegular()
	})
}

func (r *Run) readRecord() (err error) {
	r.Record, err = r.Directory.ReadRecord()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("run.json is missing: the run ended before its first step, or was copied without it")
	case err != nil:
		return fmt.Errorf("run.json cannot be read: %w", reason(err))
	}
	known := []string{train.StateRunning, train.StateInterrupted, train.StateFailed, train.StateFinished, train.StateImported}
	if !slices.Contains(known, r.Record.State) {
		return fmt.Errorf("run.json has the state %q: expected %s", r.Record.State, strings.Join(known, ", "))
	}
	return nil
}

func (r *Run) readSettings() error {
	content, err := os.ReadFile(r.Directory.Config())
	if err != nil {
		return fmt.Errorf("config.resolved.yaml cannot be read: %w", reason(err))
	}
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return fmt.Errorf("config.resolved.yaml is no YAML: %w", err)
	}
	for _, node := range document.Content {
		if r.Settings, err = flatten("", node, r.Settings); err != nil {
			return fmt.Errorf("config.resolved.yaml: %w", err)
		}
	}
	return nil
}

// flatten appends the leaves of a tree of mappings. The configuration may be of another version of the program, whose
// keys are not known here.
func flatten(path string, node *yaml.Node, settings []Setting) ([]Setting, error) {
	if node.Kind != yaml.MappingNode || len(node.Content) == 0 {
		value, err := onOneLine(node)
		return append(settings, Setting{path, value}), err
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i].Value
		if path != "" {
			name = path + "." + name
		}
		var err error
		if settings, err = flatten(name, node.Content[i+1], settings); err != nil {
			return settings, err
		}
	}
	return settings, nil
}

// onOneLine writes a value without its comments.
func onOneLine(node *yaml.Node) (string, error) {
	bare := *node
	bare.HeadComment, bare.LineComment, bare.FootComment = "", "", ""
	if bare.Kind == yaml.SequenceNode || bare.Kind == yaml.MappingNode {
		bare.Style = yaml.FlowStyle
	}
	text, err := yaml.Marshal(&bare)
	return strings.Join(strings.Fields(string(text)), " "), err
}

func (r *Run) readMetrics() (err error) {
	r.Metrics, err = metrics.ReadLog(r.Directory.Metrics())
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was measured yet
	}
	if err != nil {
		return fmt.Errorf("metrics.jsonl: %w", errors.Unwrap(err))
	}
	return nil
}

func (r *Run) readCheckpoints() error {
	entries, err := checkpoints.List(r.Directory.Checkpoints())
	problems := []error{err}
	for _, entry := range entries {
		if entry.Err != nil {
			problems = append(problems, entry.Err)
			continue
		}
		r.Checkpoints = append(r.Checkpoints, entry)
	}
	return errors.Join(problems...)
}

// readEvaluations takes the files of eval/ that are reports of `pretrain eval`; others lie there too.
func (r *Run) readEvaluations() error {
	entries, err := os.ReadDir(r.Directory.Evaluations())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	problems := []error{err}
	for _, entry := range entries {
		name, isJSON := strings.CutSuffix(entry.Name(), ".json")
		if !isJSON {
			continue
		}
		report := eval.Report{}
		content, err := os.ReadFile(filepath.Join(r.Directory.Evaluations(), entry.Name()))
		if err == nil {
			err = json.Unmarshal(content, &report)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("eval/%s cannot be read: %w", entry.Name(), reason(err)))
		} else if len(report.Rows) > 0 {
			r.Evaluations = append(r.Evaluations, Evaluation{name, report})
		}
	}
	return errors.Join(problems...)
}

// Setting is the value of a key of the configuration; found is false where the run has no such key.
func (r *Run) Setting(path string) (value string, found bool) {
	for _, setting := range r.Settings {
		if setting.Path == path {
			return setting.Value, true
		}
	}
	return "", false
}

// Evaluation is the report with this name; nil if there is none.
func (r *Run) Evaluation(name string) *eval.Report {
	for i := range r.Evaluations {
		if r.Evaluations[i].Name == name {
			return &r.Evaluations[i].Report
		}
	}
	return nil
}

// Last is the newest record of metrics.jsonl; nil if there is none.
func (r *Run) Last() *metrics.Record {
	if len(r.Metrics) == 0 {
		return nil
	}
	return &r.Metrics[len(r.Metrics)-1]
}

// Step is the last one that is known of: run.json is written with each checkpoint, metrics.jsonl between them.
func (r *Run) Step() int64 {
	step := int64(r.Record.Step)
	if last := r.Last(); last != nil {
		step = max(step, last.Step)
	}
	return step
}

// reason is an error of the file system without the path, which stands beside it already.
func reason(err error) error {
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// Depth is how many folders below the one that is named runs are looked for.
const Depth = 3

// Found is a place where a run was found, or a folder that could not be read.
type Found struct {
	Name string // relative to the folder that was searched; "." for the folder itself
	Run  *Run   // nil with Err
	Err  error
}

// Find reads the runs in a folder and in those below it, down to Depth, in the order of their names. It does not look
// inside runs, nor follow links to folders. A folder that cannot be read is one of the results; only if the first one
// cannot, or if there is no run at all, Find fails, with a train.UsageError.
func Find(root string) ([]Found, error) {
	if _, err := os.ReadDir(root); err != nil {
		return nil, train.Usage(fmt.Errorf("folder of runs %s: %w", root, reason(err)))
	}
	found := find(root, ".", Depth)
	if len(found) == 0 {
		return nil, train.Usage(fmt.Errorf("%s holds no run, nor do the folders down to %d below it: "+
			"name the folder that `pretrain train --out` made its directories in", root, Depth))
	}
	return found, nil
}

func find(root, name string, depth int) []Found {
	path := filepath.Join(root, name)
	if looksLikeRun(path) {
		run, err := Read(path)
		return []Found{{name, run, err}}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return []Found{{name, nil, fmt.Errorf("the folder cannot be read: %w", reason(err))}}
	}
	var found []Found
	for _, entry := range entries {
		if entry.IsDir() && depth > 0 {
			found = append(found, find(root, filepath.Join(name, entry.Name()), depth-1)...)
		}
	}
	return found
}
