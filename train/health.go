package train

import (
	"context"
	"fmt"

	"pretrain/eval"
	"pretrain/metrics"
)

// healthPictures is how many training pictures, at even distances, the health of the features is told by: enough to see a
// collapse, and few enough to cost less than a step. The rank that they can show is at most their number.
const healthPictures = 192

// healthCalibration is the number of pictures for statistics of batch normalisation, where they are not fresh anyway.
const healthCalibration = 128

// inspectHook names what a closer look at a step saw, adds the health of the features after it, and shows it.
func (s *session) inspectHook() Hook {
	return hookFunc(func(ctx context.Context, report StepReport) error {
		if report.Inspection == nil || ctx.Err() != nil {
			return nil
		}
		seen := s.inspection(report)
		var err error
		if seen.Features, err = s.health(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("health of the features: %w", err)
		}
		s.series.ObserveInspection(seen)
		s.seen = &seen
		return nil
	})
}

// health is the rank and the spread of every layer's features.
func (s *session) health(ctx context.Context) ([]metrics.FeatureHealth, error) {
	if s.calibrated != s.trainer.position.Step {
		// Coarser statistics than those of a checkpoint, which computes its own after this.
		if err := s.model.Calibrate(ctx, s.pictures, min(healthCalibration, s.job.Train.CalibrationPictures)); err != nil {
			return nil, err
		}
	}
	features, err := s.model.Extract(ctx, eval.Spread(s.pictures, healthPictures))
	if err != nil {
		return nil, err
	}
	var layers []metrics.FeatureHealth
	for i, layer := range features.Layers {
		layers = append(layers, metrics.FeatureHealth{
			Layer: layerName(i + 1), Rank: metrics.Number(eval.RankMe(layer)), Spread: metrics.Number(eval.FeatureStd(layer)),
		})
	}
	return layers, nil
}
