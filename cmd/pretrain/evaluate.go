package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"pretrain/eval"
	"pretrain/run"
	"pretrain/train"
)

func (p program) evalCommand() *cobra.Command {
	var options run.EvaluateOptions
	var layers, file string
	command := &cobra.Command{
		Use:   "eval RUN --train DIR --test DIR",
		Short: "Measure the features of a run on labelled pictures",
		Long: `Measure how well simple classifiers do on the frozen features of a run, layer by layer, beside the same network with
random weights and the bare pixels. The first folder under DIR that a picture is in is its label.

The best layer of each is chosen on --val or, without it, on a fifth of --train that is held out for that; nothing is
ever chosen on --test.`,
		Example: `  pretrain eval runs/first --train labelled/train --test labelled/test
  pretrain eval runs/first --train labelled/train --test labelled/test --val labelled/val --probe knn --layers 2,3 --json eval.json`,
		Args: one("RUN"),
		RunE: work(func(command *cobra.Command, arguments []string) (err error) {
			if options.Layers, err = parseLayers(layers); err != nil {
				return train.Usage(err)
			}
			return p.evaluate(command.Context(), arguments[0], options, file)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&options.Train, "train", "", "labelled folder or list file `DIR` that the classifiers are fitted on, for instance --train labelled/train")
	flags.StringVar(&options.Test, "test", "", "labelled folder or list file `DIR` that they are measured on, for instance --test labelled/test")
	flags.StringVar(&options.Val, "val", "", "labelled folder or list file `DIR` that the layer is chosen on, for instance --val labelled/val")
	flags.StringSliceVar(&options.Probes, "probe", []string{"knn", "linear"}, "classifiers, for instance --probe knn")
	flags.StringSliceVar(&options.Features, "features", run.FeatureNames(), "what is measured: the run, the same network with random weights, the bare pixels; for instance --features pretrained")
	flags.StringVar(&layers, "layers", "all", "layers to measure, from 1, for instance --layers 2,4")
	flags.IntVar(&options.Splits, "splits", 0, "besides, redraw train, test and validation part this often from all labelled pictures and report the mean, for instance --splits 10")
	flags.IntVar(&options.Grid, "grid", 1, "read every layer as the means over a grid of this many cells along a side of its map, which tells where things are too; 1 = one mean; for instance --grid 4")
	flags.StringVar(&file, "json", "", "`FILE` for the measurements, - for standard output, for instance --json eval.json (default RUN/eval/eval.json)")
	required(command, "train")
	required(command, "test")
	complete(command, "probe", "knn", "linear")
	complete(command, "features", run.FeatureNames()...)
	return command
}

// evaluate measures a run and reports to the file, or to eval.json in the run if none is named.
func (p program) evaluate(ctx context.Context, directory string, options run.EvaluateOptions, file string) error {
	opened, err := run.Open(directory)
	if err != nil {
		return err
	}
	defer opened.Close()
	if file == "" {
		file = filepath.Join(opened.Directory.Evaluations(), "eval.json")
	}
	report, err := p.openReport(file)
	if err != nil {
		return err
	}
	defer report.close()
	measured, err := opened.Evaluate(ctx, options)
	if err != nil {
		return err
	}
	return report.measured(measured)
}

// parseLayers reads "all" (nil) or numbers with commas between them.
func parseLayers(text string) ([]int, error) {
	if text == "all" {
		return nil, nil
	}
	var layers []int
	for part := range strings.SplitSeq(text, ",") {
		layer, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || layer < 1 {
			return nil, fmt.Errorf("--layers is %q: must be all, or layer numbers from 1 with commas between them, such as 2,4", text)
		}
		layers = append(layers, layer)
	}
	return layers, nil
}

// measured writes an evaluation as JSON, and as a table unless standard output has the JSON.
func (r *report) measured(evaluation eval.Report) error {
	if r.file != nil {
		if err := printReport(r.table, evaluation); err != nil {
			return err
		}
	}
	return r.finish(evaluation)
}

// printReport writes one line a measurement, then what the chosen layers reach.
func printReport(w io.Writer, measured eval.Report) error {
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
	if err := printRows(w, chosen); err != nil {
		return err
	}
	return printSplits(w, measured.Splits)
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
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FEATURES\tLAYER\tPROBE\tACCURACY\t95 % INTERVAL\tBALANCED")
	for _, row := range rows {
		layer := strconv.Itoa(row.Layer)
		if row.Layer == 0 {
			layer = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.3f\t%.3f to %.3f\t%.3f\n",
			row.Features, layer, row.Probe, row.Accuracy, row.Interval[0], row.Interval[1], row.BalancedAccuracy)
	}
	return table.Flush()
}

// complete offers values for a flag. The only error is that of a flag that does not exist.
func complete(command *cobra.Command, flag string, values ...string) {
	if err := command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}
