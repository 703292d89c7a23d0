package history

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"pretrain/configs"
	"pretrain/metrics"
)

// Comparison tells in what runs differ. Its columns are the runs in the order in which they were given.
type Comparison struct {
	Names        []string     `json:"names"`
	Settings     []Difference `json:"settings"`     // keys of the configuration whose values differ
	Surroundings []Difference `json:"surroundings"` // what the runs were computed with, where that differs
	Results      []Result     `json:"results"`
	Weights      []SameWeight `json:"weights"` // of every run but the first, against the first
	Problems     []string     `json:"problems,omitempty"`
}

// Difference is something that is not the same in all runs.
type Difference struct {
	Name   string   `json:"name"`
	Values []string `json:"values"` // one a run; empty where a run has none
	// Explains says that the weights of runs which differ in this are expected to differ.
	Explains bool `json:"explains"`
}

// Result is one measure of all runs, null where a run has none.
type Result struct {
	Name   string           `json:"name"`
	Values []metrics.Number `json:"values"`
}

// Compare compares two runs or more. names are what a person calls them.
func Compare(names []string, compared []*Run) Comparison {
	c := Comparison{
		Names: names, Settings: settingsOf(compared), Surroundings: surroundingsOf(compared), Results: resultsOf(compared),
	}
	for i, r := range compared {
		for _, problem := range r.Problems {
			c.Problems = append(c.Problems, names[i]+": "+problem.Error())
		}
	}
	for i := 1; i < len(compared); i++ {
		same := compareWeights(compared[0], compared[i])
		same.Name = names[i]
		if same.Compared && !same.Equal {
			same.explain(c, i)
		}
		c.Weights = append(c.Weights, same)
	}
	return c
}

// Settings are the keys of the configuration whose values are not the same in all runs. No weights are read for it.
func Settings(compared []*Run) []Difference { return settingsOf(compared) }

// explain lists what accounts for different weights of run i and the first.
func (s *SameWeight) explain(c Comparison, i int) {
	for _, difference := range slices.Concat(c.Settings, c.Surroundings) {
		if difference.Explains && difference.Values[i] != difference.Values[0] {
			s.Because = append(s.Because, difference.Name)
		}
	}
}

// collector puts values of several runs side by side, in the order in which their names first come up.
type collector[T comparable] struct {
	none  T // stands where a run has no value
	runs  int
	names []string
	rows  map[string][]T
}

func collect[T comparable](runs int, none T) *collector[T] {
	return &collector[T]{none: none, runs: runs, rows: map[string][]T{}}
}

func (c *collector[T]) add(run int, name string, value T) {
	if c.rows[name] == nil {
		c.names = append(c.names, name)
		c.rows[name] = slices.Repeat([]T{c.none}, c.runs)
	}
	c.rows[name][run] = value
}

// differences are the rows in which not all values of known runs are the same.
func differences(
	c *collector[string], known func(run int, value string) bool, explains func(name string) bool,
) []Difference {
	differing := []Difference{}
	for _, name := range c.names {
		distinct := map[string]bool{}
		for i, value := range c.rows[name] {
			if known(i, value) {
				distinct[value] = true
			}
		}
		if len(distinct) > 1 {
			differing = append(differing, Difference{name, c.rows[name], explains(name)})
		}
	}
	return differing
}

func settingsOf(compared []*Run) []Difference {
	c := collect(len(compared), "")
	for i, r := range compared {
		for _, setting := range r.Settings {
			c.add(i, setting.Path, setting.Value)
		}
	}
	hasAny := func(run int, _ string) bool { return len(compared[run].Settings) > 0 }
	return differences(c, hasAny, explainsWeights)
}

// idle are sections and keys that tell what is done with weights, not how they come about. The place of the pictures is
// one: which pictures they are stands in the checkpoints.
var idle = []string{"checkpoints", "eval", "export", "data.path"}

func explainsWeights(path string) bool {
	section, _, _ := strings.Cut(path, ".")
	return !configs.Changeable(path) && !slices.Contains(idle, section) && !slices.Contains(idle, path)
}

// Names in Comparison.Surroundings that no bit depends on.
var harmless = []string{"cpu", "threads", "host", "state"}

func surroundingsOf(compared []*Run) []Difference {
	c := collect(len(compared), "")
	for i, r := range compared {
		record := r.Record
		for _, part := range [][2]string{
			{"state", record.State}, {"step", numberText(r.Step())},
			{"version", record.Version}, {"go", record.Go}, {"kernels", record.Kernels}, {"precision", record.Precision},
			{"cpu", record.CPU}, {"host", record.Host}, {"threads", numberText(int64(record.Threads))},
			{"picture set", r.pictureSet()},
		} {
			c.add(i, part[0], part[1])
		}
	}
	isThere := func(_ int, value string) bool { return value != "" } // older versions recorded less
	return differences(c, isThere, func(name string) bool { return !slices.Contains(harmless, name) })
}

// numberText leaves out 0, which stands for what was not recorded.
func numberText(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func resultsOf(compared []*Run) []Result {
	c := collect(len(compared), unknown)
	for i, r := range compared {
		r.results(func(name string, value metrics.Number) { c.add(i, name, value) })
	}
	results := []Result{}
	for _, name := range c.names {
		results = append(results, Result{name, c.rows[name]})
	}
	return results
}

// results gives what a run reached to add: at the last line of metrics.jsonl, by its online probes at the end and at
// their best, and by the layers that `pretrain eval` chose.
func (r *Run) results(add func(name string, value metrics.Number)) {
	if r.Record.Seconds > 0 {
		add("seconds", metrics.Number(r.Record.Seconds))
	}
	add("pictures a second", r.Throughput())
	if last := r.Last(); last != nil {
		add("pictures", metrics.Number(last.Pictures))
		add("views", metrics.Number(last.Views))
		add("loss", last.Loss)
		for _, name := range sortedNames(last.Tasks) {
			addTask(name, last.Tasks[name], add)
		}
	}
	r.probeResults(add)
	if report := r.Evaluation("eval"); report != nil {
		for _, row := range report.Rows {
			if row.Chosen {
				name := fmt.Sprintf("eval %s %s", row.Features, row.Probe)
				add(name, metrics.Number(row.Accuracy))
				if row.Layer > 0 {
					add(name+" layer", metrics.Number(row.Layer))
				}
			}
		}
	}
}

func addTask(name string, task metrics.Task, add func(string, metrics.Number)) {
	add(name+" loss", task.Loss)
	if task.Accuracy != nil {
		add(name+" accuracy", *task.Accuracy)
	}
	for _, metric := range sortedNames(task.Metrics) {
		add(name+" "+metric, task.Metrics[metric])
	}
}

func (r *Run) probeResults(add func(string, metrics.Number)) {
	best, final := map[string]metrics.Number{}, map[string]metrics.Number{}
	for _, record := range r.Metrics {
		measured := map[string]metrics.Number{}
		for _, probe := range record.Probes {
			if !math.IsNaN(float64(probe.Accuracy)) {
				measured[probe.Probe] = max(measured[probe.Probe], probe.Accuracy)
			}
		}
		for name, accuracy := range measured {
			final[name], best[name] = accuracy, max(best[name], accuracy)
		}
	}
	for _, name := range sortedNames(best) {
		add("probe "+name+" at the end", final[name])
		add("probe "+name+" at its best", best[name])
	}
}
