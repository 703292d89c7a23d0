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
	"pretrain/history"
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
	var read []*history.Run
	for i, name := range reportNames(options.Runs) {
		r, err := history.Read(options.Runs[i])
		if err != nil {
			return nil, nil, err
		}
		shown, unread := atRest(r, name)
		report.Runs, read = append(report.Runs, shown), append(read, r)
		for _, problem := range append(r.Problems, unread...) {
			problems = append(problems, fmt.Errorf("%s: %w", options.Runs[i], problem))
		}
	}
	report.Differences = differences(read)
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

// differences are those of the configurations, without paths.
func differences(runs []*history.Run) []page.Difference {
	differences := []page.Difference{}
	for _, setting := range history.Settings(runs) {
		d := page.Difference{Key: setting.Name}
		for i, value := range setting.Values {
			shown := page.LastElement(value)
			if i > 0 && value != setting.Values[0] && shown == d.Values[0] {
				shown += " (elsewhere)" // folders of one name
			}
			d.Values = append(d.Values, shown)
		}
		differences = append(differences, d)
	}
	return differences
}

// atRest is what a page shows of a run. Whatever is damaged or missing is left out and returned as a problem.
func atRest(r *history.Run, name string) (shown page.Run, problems []error) {
	note := func(err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a run need not have got that far
			problems = append(problems, err)
		}
	}
	config, err := os.ReadFile(r.Directory.Config())
	note(err)
	record, why := r.Record, ""
	record.State, why = r.State(time.Now())
	record.Error = cmp.Or(record.Error, why)
	shown.Records = r.Metrics
	shown.About = train.About(name, record, taskNames(r.Metrics, record), string(config))
	shown.Log, err = readLog(r.Directory.Log())
	note(err)
	shown.Gallery, err = readGallery(r.Directory.Gallery())
	note(err)
	if report := r.Evaluation("eval"); report != nil {
		shown.Layers = layersOf(*report)
	}
	return shown, problems
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

// layersOf are the rows of an evaluation.
func layersOf(report eval.Report) []page.Layer {
	var layers []page.Layer
	for _, row := range report.Rows {
		layers = append(layers, page.Layer{
			Features: row.Features, Layer: row.Layer, Probe: row.Probe, Accuracy: metrics.Number(row.Accuracy), Chosen: row.Chosen,
		})
	}
	return layers
}
