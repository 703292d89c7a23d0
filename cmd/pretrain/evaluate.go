package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

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
ever chosen on --test. With a linear or a k-NN probe on all layers the best one is kept in the run: extract it by
--layer best. With --grid nothing is kept, as other commands read a layer as one mean.

Besides the probes knn and linear, which classify, there are few_shot (the nearest class mean of 1, 5 or 10 labelled
pictures a class), kmeans (how clusters agree with classes), retrieval (pictures of the same class among the nearest)
and outlier (how far test pictures, and --anomalies, are from the training part). docs/evaluation.md explains every
measure.

Test pictures that look like training pictures are reported, since they make every figure look better than it is.`,
		Example: `  pretrain eval runs/first --train labelled/train --test labelled/test
  pretrain eval runs/first --train labelled/train --test labelled/test --val labelled/val --probe knn --layers 2,3 --json eval.json
  pretrain eval runs/first --train labelled/train --test labelled/test --probe all --health --features pretrained
  pretrain eval runs/first --train labelled/train --test labelled/test --probe outlier --anomalies labelled/odd`,
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
	flags.StringVar(&options.Anomalies, "anomalies", "", "folder or list file `DIR` of pictures of none of the classes, which the probe outlier has to tell from the test part, for instance --anomalies labelled/odd")
	flags.StringSliceVar(&options.Probes, "probe", eval.DefaultProbes(), "probes, among "+strings.Join(eval.ProbeNames(), ", ")+", or all; for instance --probe knn,retrieval")
	flags.StringSliceVar(&options.Features, "features", run.FeatureNames(), "what is measured: the run, the same network with random weights, the bare pixels; for instance --features pretrained")
	flags.StringVar(&layers, "layers", "all", "layers to measure, from 1, for instance --layers 2,4")
	flags.IntVar(&options.Splits, "splits", 0, "besides, redraw train, test and validation part this often from all labelled pictures and report the mean, for instance --splits 10")
	flags.IntVar(&options.Grid, "grid", 1, "read every layer as the means over a grid of this many cells along a side of its map, which tells where things are too; 1 = one mean; for instance --grid 4")
	flags.BoolVar(&options.Health, "health", false, "besides, tell without labels whether the features have collapsed: RankMe, feature deviation, alignment and uniformity; for instance --health")
	flags.BoolVar(&options.Leaks, "leaks", true, "look for near-duplicates between training and test part, by features and perceptual hash; on unless turned off, for instance --leaks=false")
	flags.StringVar(&file, "json", "", "`FILE` for the measurements, - for standard output, for instance --json eval.json (default RUN/eval/eval.json)")
	required(command, "train")
	required(command, "test")
	complete(command, "probe", append(eval.ProbeNames(), "all")...)
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
	if err := report.measured(measured); err != nil {
		return err
	}
	return keepBestLayer(report.table, opened, measured)
}

// keepBestLayer stores the layer that was chosen among all, and says so, or why none is.
func keepBestLayer(w io.Writer, opened *run.Run, measured eval.Report) error {
	best := measured.BestLayer
	if best == nil && measured.Grid > 1 {
		_, err := fmt.Fprintf(w, "no layer is kept for --layer best, which is read as one mean: evaluate without --grid to choose one\n")
		return err
	}
	if best == nil {
		return nil
	}
	if err := opened.KeepBestLayer(measured); err != nil {
		return fmt.Errorf("the best layer could not be kept in the run: %w", err)
	}
	_, err := fmt.Fprintf(w, "best layer: %d (%s, %.3f on the validation part), kept in the run for --layer best\n",
		best.Layer, best.Probe, best.Validation)
	return err
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

// complete offers values for a flag. The only error is that of a flag that does not exist.
func complete(command *cobra.Command, flag string, values ...string) {
	if err := command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}
