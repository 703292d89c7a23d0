package train

import (
	"context"
	"fmt"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/internal/kernel"
)

// onlineProbe measures the backbone on labelled folders while it trains. A nil probe measures nothing.
type onlineProbe struct {
	evaluation eval.Evaluation
	model      *eval.Model
	every      int // epochs
}

// openProbe opens the labelled folders; it returns nil when the configuration names none.
func openProbe(ctx context.Context, job Job, engine *kernel.Engine, model *eval.Model) (_ *onlineProbe, err error) {
	config := job.Eval
	if config.EveryEpochs == 0 {
		return nil, nil
	}
	probe := &onlineProbe{model: model, every: config.EveryEpochs, evaluation: eval.Evaluation{
		Engine: engine, Seed: job.Train.Seed, Probes: config.Probes(job.Train.Seed), KeepAll: true,
	}}
	if probe.evaluation.Train, err = openLabelled(ctx, "eval.train", config.Train, job.Data); err != nil {
		return nil, err
	}
	if probe.evaluation.Test, err = openLabelled(ctx, "eval.test", config.Test, job.Data); err != nil {
		return nil, err
	}
	if err := probe.evaluation.CheckLabels(); err != nil { // or the run would fail after its first epochs
		return nil, Usage(fmt.Errorf("eval.train, eval.test: %w", err))
	}
	return probe, nil
}

func openLabelled(ctx context.Context, key, path string, config data.Config) (data.Dataset, error) {
	pictures, err := eval.Open(ctx, path, config)
	if err != nil {
		return nil, UsageUnlessCancelled(ctx, fmt.Errorf("%s: %w", key, err))
	}
	return pictures, nil
}

// due says whether to measure after the step that led to this position.
func (p *onlineProbe) due(position Position) bool {
	return p != nil && (position.Epoch()/p.every > position.EpochBefore()/p.every || position.Done())
}

// measure returns the rows of all layers and probes, and the best accuracy of the linear probe over the layers.
func (p *onlineProbe) measure(ctx context.Context) (rows []eval.Row, best float64, err error) {
	var report eval.Report
	if err := p.evaluation.Model(ctx, "pretrained", p.model, &report); err != nil {
		return nil, 0, fmt.Errorf("online evaluation: %w", err)
	}
	for _, row := range report.Rows {
		if row.Probe == "linear" {
			best = max(best, row.Accuracy)
		}
	}
	return report.Rows, best, nil
}
