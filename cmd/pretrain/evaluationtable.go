package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"pretrain/eval"
)

// printReport writes what an evaluation found: a warning first if it must not be trusted, then accuracies, then the
// measures of the other probes.
func printReport(w io.Writer, measured eval.Report) error {
	return errors.Join(
		printLeaks(w, measured.Leaks, measured.Test),
		printAccuracies(w, measured),
		printSplits(w, measured.Splits),
		printMeasures(w, measured.Measures),
		printOutliers(w, measured),
		printHealth(w, measured.Health),
		printNotes(w, measured.Notes),
	)
}

// printAccuracies writes one line a classifier, then what the chosen layers reach.
func printAccuracies(w io.Writer, measured eval.Report) error {
	var chosen []eval.Row
	for _, row := range measured.Rows {
		if row.Chosen {
			chosen = append(chosen, row)
		}
	}
	if len(chosen) < len(measured.Rows) {
		if err := printRows(w, measured.Rows); err != nil {
			return err
		}
		fmt.Fprintf(w, "\nThe layers chosen without a look at the %d test pictures:\n\n", measured.Test)
	}
	return printRows(w, chosen)
}

// printSplits writes the means over redrawn splits, if there are any.
func printSplits(w io.Writer, rows []eval.SplitRow) error {
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nOver %d redrawn splits of all labelled pictures, each with a layer of its own choice:\n\n", len(rows[0].Accuracies))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FEATURES\tPROBE\tMEAN\tDEVIATION OF ONE")
	for _, row := range rows {
		fmt.Fprintf(table, "%s\t%s\t%.3f\t%.3f\n", row.Features, row.Probe, row.Mean, row.Deviation)
	}
	return table.Flush()
}

func printRows(w io.Writer, rows []eval.Row) error {
	if len(rows) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FEATURES\tLAYER\tPROBE\tACCURACY\t95 % INTERVAL\tBALANCED")
	for _, row := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%.3f\t%.3f to %.3f\t%.3f\n",
			row.Features, layerOf(row.Layer), row.Probe, row.Accuracy, row.Interval[0], row.Interval[1], row.BalancedAccuracy)
	}
	return table.Flush()
}

// layerOf is the number of a layer; pixels have none.
func layerOf(layer int) string {
	if layer == 0 {
		return "-"
	}
	return strconv.Itoa(layer)
}

// printMeasures writes a table a probe, with a line a layer and a column a measure.
func printMeasures(w io.Writer, measures []eval.Measure) error {
	var probes []string
	for _, m := range measures {
		if !slices.Contains(probes, m.Probe) {
			probes = append(probes, m.Probe)
		}
	}
	slices.Sort(probes)
	for _, probe := range probes {
		fmt.Fprintf(w, "\nProbe %s, with 95 %% intervals:\n\n", probe)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for at, line := range linesOf(measures, probe) {
			if at == 0 {
				fmt.Fprintln(table, "FEATURES\tLAYER\t"+strings.ToUpper(strings.Join(names(line), "\t")))
			}
			fmt.Fprintf(table, "%s\t%s", line[0].Features, layerOf(line[0].Layer))
			for _, m := range line {
				fmt.Fprintf(table, "\t%.3f %s–%s", m.Value, short(m.Low), short(m.High))
			}
			fmt.Fprintln(table)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// linesOf groups the measures of a probe by features and layer.
func linesOf(measures []eval.Measure, probe string) [][]eval.Measure {
	var lines [][]eval.Measure
	for _, m := range measures {
		if m.Probe != probe {
			continue
		}
		last := len(lines) - 1
		if last < 0 || lines[last][0].Features != m.Features || lines[last][0].Layer != m.Layer {
			lines, last = append(lines, nil), last+1
		}
		lines[last] = append(lines[last], m)
	}
	return lines
}

func names(measures []eval.Measure) []string {
	var names []string
	for _, m := range measures {
		names = append(names, m.Measure)
	}
	return names
}

// short is a number in three decimals without the zero before the point, so that four intervals fit on a line.
func short(v float64) string {
	return strings.Replace(fmt.Sprintf("%.3f", v), "0.", ".", 1)
}

// printOutliers names the pictures of one layer, the best one or else the last, that are farthest from the training part.
func printOutliers(w io.Writer, measured eval.Report) error {
	if len(measured.Outliers) == 0 {
		return nil
	}
	last := measured.Outliers[len(measured.Outliers)-1]
	if of := slices.IndexFunc(measured.Outliers, func(o eval.Outlier) bool { return o.Features == "pretrained" }); of >= 0 {
		last.Features, last.Layer = "pretrained", 0
		for _, outlier := range measured.Outliers {
			if outlier.Features == "pretrained" {
				last.Layer = max(last.Layer, outlier.Layer)
			}
		}
		if measured.BestLayer != nil {
			last.Layer = measured.BestLayer.Layer
		}
	}
	fmt.Fprintf(w, "\nTest pictures that are farthest from the training part (%s, layer %s):\n\n", last.Features, layerOf(last.Layer))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DISTANCE\tVALUE\tPICTURE")
	for _, outlier := range measured.Outliers {
		if outlier.Features == last.Features && outlier.Layer == last.Layer {
			fmt.Fprintf(table, "%s\t%.3f\t%s\n", outlier.Distance, outlier.Value, outlier.Path)
		}
	}
	return table.Flush()
}

func printHealth(w io.Writer, rows []eval.Health) error {
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nHealth, over %d training pictures:\n\n", rows[0].Pictures)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FEATURES\tLAYER\tNUMBERS\tRANKME\tFEATURE STD\tALIGNMENT\tUNIFORMITY")
	for _, row := range rows {
		fmt.Fprintf(table, "%s\t%d\t%d\t%.1f\t%.3f\t%.3f\t%.3f\n",
			row.Features, row.Layer, row.Dim, row.RankMe, row.FeatureStd, row.Alignment, row.Uniformity)
	}
	return table.Flush()
}

// printLeaks warns of test pictures that were trained on.
func printLeaks(w io.Writer, leaks *eval.Leaks, tested int) error {
	if leaks == nil || leaks.TestPictures == 0 {
		return nil
	}
	fmt.Fprintf(w, `WARNING: %d of the %d test pictures look like training pictures; figures are better than they would
be without them. Pairs by perceptual hash: %d, by features of layer %d: %d, by both: %d. The nearest:

`, leaks.TestPictures, tested, leaks.ByHash, leaks.Layer, leaks.ByFeatures, leaks.ByBoth)
	const shown = 5
	for _, pair := range leaks.Pairs[:min(shown, len(leaks.Pairs))] {
		fmt.Fprintf(w, "  %2d bits differ, cosine %.3f\n     train  %s\n     test   %s\n", pair.Distance, pair.Cosine, pair.Train, pair.Test)
	}
	_, err := fmt.Fprintln(w)
	return err
}

func printNotes(w io.Writer, notes []string) error {
	if len(notes) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(notes, "\n"))
	return err
}
