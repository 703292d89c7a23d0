package run

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/train"
)

// EvaluateOptions name the labelled pictures and what is measured on them.
type EvaluateOptions struct {
	Train, Test, Val string   // folders or list files; Val may be empty
	Anomalies        string   // folder or list file of pictures of none of the classes; may be empty
	Probes           []string // among eval.ProbeNames, or all; nil = eval.DefaultProbes
	Layers           []int    // nil = all
	Features         []string // pretrained, random, pixels; nil = all
	Splits           int      // redrawn splits of all labelled pictures; 0 = none
	Grid             int      // cells along a side of a layer's map that make its vector; 0 and 1 = one mean
	Health           bool     // measure RankMe, feature std, alignment and uniformity besides
	Leaks            bool     // look for pictures of the training part among those of the test part
}

// Evaluate measures the run's features beside those of the same network with random weights and of the bare pixels, or
// those of them that are wanted.
func (r *Run) Evaluate(ctx context.Context, options EvaluateOptions) (eval.Report, error) {
	var report eval.Report
	evaluation, err := r.evaluation(ctx, options)
	if err != nil {
		return report, err
	}
	for _, layer := range options.Layers {
		if err := r.Model.CheckLayer(layer); err != nil {
			return report, train.Usage(err)
		}
	}
	wanted := options.Features
	if len(wanted) == 0 {
		wanted = FeatureNames()
	}
	for _, name := range wanted {
		if !slices.Contains(FeatureNames(), name) {
			return report, train.Usage(fmt.Errorf("--features %s: must be among %s", name, strings.Join(FeatureNames(), ", ")))
		}
	}
	grid := max(1, options.Grid)
	if options.Grid < 0 || grid > eval.MostCells {
		return report, train.Usage(fmt.Errorf("--grid %d: must be 1 to %d cells along a side", options.Grid, eval.MostCells))
	}
	report.Grid = grid
	for _, name := range FeatureNames() {
		if !slices.Contains(wanted, name) {
			continue
		}
		if err := r.measure(ctx, evaluation, name, grid, &report); err != nil {
			return report, err
		}
	}
	report.BestLayer = r.bestLayer(report)
	return report, nil
}

// bestLayer is the choice of an evaluation of the trained network among all its layers. A layer that was read as a grid
// need not be the best one to be read as one mean, as everybody else reads it, and is no choice.
func (r *Run) bestLayer(report eval.Report) *eval.Best {
	if report.Grid > 1 {
		return nil
	}
	return report.Best("pretrained", r.Model.Layers())
}

// KeepBestLayer stores the choice of an evaluation, if it made one, in the run for those who ask for the layer "best".
func (r *Run) KeepBestLayer(report eval.Report) error {
	best := report.BestLayer
	if best == nil {
		return nil
	}
	return r.StoreBestLayer(BestLayer{Layer: best.Layer, Probe: best.Probe, Validation: best.Validation, Grid: report.Grid})
}

// FeatureNames are the features that Evaluate measures, in their order.
func FeatureNames() []string { return []string{"pretrained", "random", "pixels"} }

// measure adds one kind of features to the report.
func (r *Run) measure(ctx context.Context, evaluation eval.Evaluation, name string, grid int, report *eval.Report) error {
	if name == "pixels" {
		return evaluation.Pixels(ctx, r.Model.Normalization, report)
	}
	model, err := r.Model, error(nil)
	if name == "random" {
		evaluation.Leaks = nil // pictures that are alike for the trained network are so for all
		if model, err = r.randomModel(ctx, evaluation.Train); err != nil {
			return err
		}
	}
	if model, err = model.Grid(grid); err != nil {
		return err
	}
	return evaluation.Model(ctx, name, model, report)
}

// evaluation opens the labelled folders.
func (r *Run) evaluation(ctx context.Context, options EvaluateOptions) (eval.Evaluation, error) {
	e := eval.Evaluation{Engine: r.engine, Seed: r.Config.Train.Seed, Layers: options.Layers, Splits: options.Splits}
	if options.Splits < 0 || options.Splits > 0 && options.Val == "" {
		return e, train.Usage(fmt.Errorf("--splits %d: must be at least 0, and needs --val, as every split chooses its layer on a validation part", options.Splits))
	}
	if err := r.choose(&e, options); err != nil {
		return e, train.Usage(err)
	}
	for _, part := range []struct {
		flag, path string
		set        *data.Dataset
	}{
		{"--train", options.Train, &e.Train}, {"--test", options.Test, &e.Test},
		{"--val", options.Val, &e.Val}, {"--anomalies", options.Anomalies, &e.Anomalies},
	} {
		if part.path == "" && (part.flag == "--val" || part.flag == "--anomalies") {
			continue
		}
		opened, err := eval.Open(ctx, part.path, r.Config.Data)
		if err != nil {
			return e, train.UsageUnlessCancelled(ctx, fmt.Errorf("%s: %w", part.flag, err))
		}
		*part.set = opened
	}
	return e, train.Usage(e.CheckLabels())
}

// choose puts what is wanted into the evaluation.
func (r *Run) choose(e *eval.Evaluation, options EvaluateOptions) error {
	names := options.Probes
	if len(names) == 0 {
		names = eval.DefaultProbes()
	}
	if err := e.Choose(names, r.Config.Eval, e.Seed); err != nil {
		return fmt.Errorf("--probe %w", err)
	}
	if options.Splits > 0 && len(e.Probes) == 0 {
		return fmt.Errorf("--splits %d: needs --probe %s", options.Splits, strings.Join(eval.DefaultProbes(), " or "))
	}
	if options.Anomalies != "" && e.Scorers["outlier"] == nil {
		return fmt.Errorf("--anomalies %s: only the probe outlier looks at them; add --probe outlier", options.Anomalies)
	}
	if options.Health {
		e.Health = &eval.Views{Augmentation: r.Config.Data.Augmentation, CacheSide: r.Config.Data.ReducedSide(), Seed: e.Seed}
	}
	if options.Leaks {
		check := eval.DefaultLeakCheck()
		e.Leaks = &check
	}
	return nil
}

// randomModel is the run's network as it was before the first step, with normalisation statistics of its own.
func (r *Run) randomModel(ctx context.Context, pictures data.Dataset) (*eval.Model, error) {
	model, err := r.Model.Random(r.Config.Train.Seed)
	if err != nil {
		return nil, err
	}
	return model, model.Calibrate(ctx, pictures, r.Config.Train.CalibrationPictures)
}
