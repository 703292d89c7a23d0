package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// row is one measurement of one run.
type row struct {
	Experiment string  `json:"-"`
	Seed       string  `json:"-"`
	Pictures   int     `json:"-"` // shown in training
	Seconds    float64 `json:"-"` // of training

	Features   string     `json:"features"`
	Layer      int        `json:"layer"`
	Probe      string     `json:"probe"`
	Accuracy   float64    `json:"accuracy"`
	Balanced   float64    `json:"balanced_accuracy"`
	Interval   [2]float64 `json:"interval"`
	Validation float64    `json:"validation"`
	Chosen     bool       `json:"chosen"`

	Splits splitRow `json:"-"` // of the same features and probe
}

// splitRow is the mean over redrawn splits of one run.
type splitRow struct {
	Features  string  `json:"features"`
	Probe     string  `json:"probe"`
	Mean      float64 `json:"mean"`
	Deviation float64 `json:"deviation"`
}

// batch is the number of pictures that a step of the recipes shows.
const batch = 64

// readRows reads the evaluation of a run and what training cost.
func readRows(e experiment, seed, run, report string) ([]row, error) {
	var measured struct {
		Rows   []row
		Splits []splitRow
	}
	if err := readJSON(report, &measured); err != nil {
		return nil, err
	}
	var record struct {
		Step    int
		Seconds float64
	}
	if err := readJSON(filepath.Join(run, "run.json"), &record); err != nil {
		return nil, err
	}
	for i := range measured.Rows {
		r := &measured.Rows[i]
		r.Experiment, r.Seed, r.Pictures, r.Seconds = e.name, seed, record.Step*batch, record.Seconds
		for _, split := range measured.Splits {
			if split.Features == r.Features && split.Probe == r.Probe {
				r.Splits = split
			}
		}
	}
	return measured.Rows, nil
}

func readJSON(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeCSV writes every measurement, also of layers that were not chosen.
func writeCSV(path string, rows []row) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := csv.NewWriter(file)
	lines := [][]string{{"experiment", "seed", "pictures", "seconds", "features", "layer", "probe", "accuracy", "balanced_accuracy", "low", "high", "validation", "chosen"}}
	for _, r := range rows {
		lines = append(lines, []string{r.Experiment, r.Seed, strconv.Itoa(r.Pictures), short(r.Seconds), r.Features, strconv.Itoa(r.Layer), r.Probe,
			short(r.Accuracy), short(r.Balanced), short(r.Interval[0]), short(r.Interval[1]), short(r.Validation), strconv.FormatBool(r.Chosen)})
	}
	return w.WriteAll(lines)
}

func short(x float64) string { return strconv.FormatFloat(x, 'g', 5, 64) }

// group is one line of a table: the chosen layers of all seeds of an experiment.
type group struct {
	name, probe string
	rows        []row
}

// printTables prints, for each experiment and probe, mean and spread over the seeds on the test part, at the layer that
// was chosen on the validation part; random weights and pixels stand below those whose run measured them.
func printTables(w io.Writer, rows []row) error {
	table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "| features\t| probe\t| layer\t| accuracy on test\t| balanced\t| 95 % of test pictures\t| mean of 10 splits\t| pictures\t| minutes\t|")
	fmt.Fprintln(table, "| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t|")
	for _, g := range groupsOf(rows, func(r row) bool { return r.Chosen }) {
		first := g.rows[0]
		fmt.Fprintf(table, "| %s\t| %s\t| %s\t| %s\t| %s\t| %.2f–%.2f\t| %s\t| %d\t| %.1f\t|\n", g.name, g.probe, g.layers(),
			g.spread(func(r row) float64 { return r.Accuracy }), g.spread(func(r row) float64 { return r.Balanced }),
			g.mean(func(r row) float64 { return r.Interval[0] }), g.mean(func(r row) float64 { return r.Interval[1] }),
			g.spread(func(r row) float64 { return r.Splits.Mean }), first.Pictures, g.mean(func(r row) float64 { return r.Seconds })/60)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := printDifferences(w, rows); err != nil {
		return err
	}
	return printLayers(w, rows)
}

// printLayers prints the mean accuracy on the test part of every layer, for each experiment and probe.
func printLayers(w io.Writer, rows []row) error {
	table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "\n| features\t| probe\t| accuracy on test, layer by layer\t|\n| ---\t| ---\t| ---\t|")
	for _, g := range groupsOf(rows, func(row) bool { return true }) {
		byLayer := map[int][]float64{}
		for _, r := range g.rows {
			byLayer[r.Layer] = append(byLayer[r.Layer], r.Accuracy)
		}
		fmt.Fprintf(table, "| %s\t| %s\t| %s\t|\n", g.name, g.probe, layerMeans(byLayer))
	}
	return table.Flush()
}

// layerMeans lists the means in the order of the layers.
func layerMeans(byLayer map[int][]float64) string {
	var text []string
	for _, layer := range slices.Sorted(maps.Keys(byLayer)) {
		sum := 0.0
		for _, accuracy := range byLayer[layer] {
			sum += accuracy
		}
		text = append(text, fmt.Sprintf("%.3f", sum/float64(len(byLayer[layer]))))
	}
	return strings.Join(text, " ")
}

// groupsOf collects the wanted rows in the order in which they were measured.
func groupsOf(rows []row, wanted func(row) bool) []*group {
	var groups []*group
	for _, r := range rows {
		if !wanted(r) {
			continue
		}
		name := r.Experiment
		if r.Features != "pretrained" {
			name += ": " + r.Features
		}
		at := slices.IndexFunc(groups, func(g *group) bool { return g.name == name && g.probe == r.Probe })
		if at < 0 {
			at = len(groups)
			groups = append(groups, &group{name: name, probe: r.Probe})
		}
		groups[at].rows = append(groups[at].rows, r)
	}
	return groups
}

// layers lists the layers that were chosen, one a seed.
func (g *group) layers() string {
	text := ""
	for i, r := range g.rows {
		if i > 0 {
			text += ","
		}
		text += strconv.Itoa(r.Layer)
	}
	return text
}

func (g *group) mean(value func(row) float64) float64 {
	sum := 0.0
	for _, r := range g.rows {
		sum += value(r)
	}
	return sum / float64(len(g.rows))
}

// spread is the mean over seeds and, with several, their standard deviation.
func (g *group) spread(value func(row) float64) string {
	mean := g.mean(value)
	if len(g.rows) == 1 {
		return fmt.Sprintf("%.3f", mean)
	}
	squares := g.mean(func(r row) float64 { return (value(r) - mean) * (value(r) - mean) })
	n := float64(len(g.rows))
	return fmt.Sprintf("%.3f ± %.3f", mean, math.Sqrt(squares*n/(n-1)))
}
