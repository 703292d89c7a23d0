package run

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pretrain/eval"
	"pretrain/internal/atomicfile"
	"pretrain/metrics"
	"pretrain/page"
	"pretrain/train"
)

// ReportOptions say which runs a report is about and where it goes.
type ReportOptions struct {
	Runs    []string // directories; several are shown side by side
	Out     string   // HTML file, replaced if it is there; empty = report.html in the only run
	Plots   string   // folder for the curves as SVG and PNG, made if need be; empty = none
	Version string   // of the program
}

// Report writes what runs have recorded as one page, and their curves as pictures if they are wanted. It computes nothing
// with a network and needs no picture. It returns the files that it wrote, and what it could not read of the runs, which is
// missing in the report. A directory that holds no run is a train.UsageError.
func Report(options ReportOptions) (written []string, problems []error, err error) {
	if options.Out == "" && len(options.Runs) > 1 {
		return nil, nil, train.Usage(fmt.Errorf("--out is missing: a report on %d runs belongs to none of them; name a file, for instance --out report.html", len(options.Runs)))
	}
	var report page.Report
	for i, name := range reportNames(options.Runs) {
		run, unread, err := readAtRest(train.Directory(options.Runs[i]), name)
		if err != nil {
			return nil, nil, err
		}
		report.Runs = append(report.Runs, run)
		for _, problem := range unread {
			problems = append(problems, fmt.Errorf("%s: %w", options.Runs[i], problem))
		}
	}
	report.Differences = page.Differences(report.Runs)
	out := cmp.Or(options.Out, train.Directory(options.Runs[0]).Report())
	if err := atomicfile.Write(out, true, func(w io.Writer) error {
		return page.WriteReport(w, report, options.Version, time.Now())
	}); err != nil {
		return nil, problems, train.Usage(fmt.Errorf("report: %w", err))
	}
	written = []string{out}
	if options.Plots != "" {
		plots, err := plotRuns(options.Plots, report.Runs)
		return append(written, plots...), problems, err
	}
	return written, problems, nil
}

// reportNames are the last parts of the directories, as many as tell them apart.
func reportNames(directories []string) []string {
	names := make([]string, len(directories))
	for i, directory := range directories {
		absolute, err := filepath.Abs(directory)
		if err != nil {
			absolute = filepath.Clean(directory)
		}
		parts := strings.Split(filepath.ToSlash(absolute), "/")
		names[i] = parts[len(parts)-1]
		for n := 2; n <= len(parts) && slices.Contains(names[:i], names[i]); n++ {
			names[i] = strings.Join(parts[len(parts)-n:], "/")
		}
	}
	return names
}

// readAtRest reads what a page shows of a run. Whatever is damaged or missing is left out and returned as a problem.
func readAtRest(d train.Directory, name string) (run page.Run, problems []error, err error) {
	if !d.HoldsRun() {
		return run, nil, train.Usage(fmt.Errorf("%s holds no run (config.resolved.yaml is missing): name the directory that `pretrain train --out` was given", d))
	}
	note := func(err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a run need not have got that far
			problems = append(problems, err)
		}
	}
	config, err := os.ReadFile(d.Config())
	note(err)
	record, err := d.ReadRecord()
	note(err)
	run.Records, err = metrics.ReadLog(d.Metrics())
	note(err)
	run.About = train.About(name, record, taskNames(run.Records, record), string(config))
	run.Log, err = readLog(d.Log())
	note(err)
	run.Gallery, err = readGallery(d.Gallery())
	note(err)
	run.Layers, err = readLayers(filepath.Join(d.Evaluations(), "eval.json"))
	note(err)
	return run, problems, nil
}

// taskNames are those that the run has recorded.
func taskNames(records []metrics.Record, record train.Record) []string {
	names := slices.Collect(maps.Keys(record.Chance))
	if len(records) > 0 {
		names = slices.Collect(maps.Keys(records[len(records)-1].Tasks))
	}
	slices.Sort(names)
	return names
}

// logTail is how much of the end of a log is read, in bytes, and logLines how many lines of it are shown.
const logTail, logLines = 64 << 10, 100

// readLog reads the last lines of train.log as the console shows them.
func readLog(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	from := max(0, size-logTail)
	text, err := io.ReadAll(io.NewSectionReader(file, from, logTail))
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if from > 0 || lines[0] == "" {
		lines = lines[1:] // cut in the middle, or there are none
	}
	lines = lines[max(0, len(lines)-logLines):]
	for i, line := range lines {
		lines[i] = page.HidePaths(page.LogLine(line))
	}
	return lines, nil
}

// readGallery reads the last pictures of a run.
func readGallery(path string) (json.RawMessage, error) {
	text, err := os.ReadFile(path)
	if err == nil && !json.Valid(text) {
		text, err = nil, fmt.Errorf("%s is no JSON: the report has no pictures", filepath.Base(path))
	}
	return text, err
}

// readLayers reads the rows of an evaluation.
func readLayers(path string) ([]page.Layer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var report eval.Report
	if err := json.Unmarshal(text, &report); err != nil {
		return nil, fmt.Errorf("%s: %w; evaluate the run again", filepath.Base(path), err)
	}
	var layers []page.Layer
	for _, row := range report.Rows {
		layers = append(layers, page.Layer{
			Features: row.Features, Layer: row.Layer, Probe: row.Probe, Accuracy: metrics.Number(row.Accuracy), Chosen: row.Chosen,
		})
	}
	return layers, nil
}
