package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/metrics"
)

// hookFunc is a function that is a Hook.
type hookFunc func(ctx context.Context, report StepReport) error

// AfterStep calls the function.
func (f hookFunc) AfterStep(ctx context.Context, report StepReport) error { return f(ctx, report) }

// prometheusHook shows each step to Prometheus.
func (s *session) prometheusHook() Hook {
	var cache data.CacheStats
	return hookFunc(func(_ context.Context, report StepReport) error {
		s.series.ObserveStep(metrics.Step{
			Number: int64(report.Position.Step), Seconds: report.Duration.Seconds(), UnixSeconds: unixNow(), Phases: report.phases(1),
			DataQueue: s.trainer.loader.Stats().Ready, Pictures: report.Pictures, Views: report.Views,
			Operations: s.operations(1), PeakShare: s.peakShare(1, report.Forward+report.Backward),
			LearningRate: report.LearningRate, GradientNorm: report.GradientNorm, Loss: report.Loss,
			RunProgress:      float64(report.Position.Step) / float64(report.Position.Steps),
			RemainingSeconds: s.pace.remaining(report).Seconds(),
			EpochProgress:    report.Position.EpochRatio(),
			Tasks:            s.taskMetrics(report.Tasks, report.Weights),
		})
		now := s.cache.Stats()
		s.series.ObserveCache(metrics.CacheUse{Hits: now.Hits - cache.Hits, Misses: now.Misses - cache.Misses, Bytes: now.Bytes})
		cache = now
		return nil
	})
}

// inspection names what a closer look saw.
func (s *session) inspection(report StepReport) metrics.Inspection {
	seen := metrics.Inspection{
		Step: int64(report.Position.Step), ParameterNorm: metrics.Number(report.Inspection.ParameterNorm),
		TaskGradientNorms: map[string]metrics.Number{}, Updates: map[string]metrics.Number{},
	}
	for t, norm := range report.Inspection.Norms {
		name := s.trainer.tasks[t].Name()
		seen.TaskGradientNorms[name] = metrics.Number(norm)
		for other, cosine := range report.Inspection.Cosines[t][:t] {
			pair := []string{name, s.trainer.tasks[other].Name()}
			slices.Sort(pair)
			seen.Cosines = append(seen.Cosines, metrics.Cosine{Task: pair[0], Other: pair[1], Cosine: metrics.Number(cosine)})
		}
	}
	for _, block := range report.Inspection.Updates {
		seen.Updates[block.Block] = metrics.Number(block.Ratio)
	}
	return seen
}

// operations are the multiplications and additions of so many steps' products.
func (s *session) operations(steps int) float64 {
	return float64(steps*s.job.Train.Accumulate) * s.flops
}

// peakShare is what the passes of so many steps reached of the processor's peak.
func (s *session) peakShare(steps int, passes time.Duration) float64 {
	return s.operations(steps) / passes.Seconds() / s.peak
}

// pace estimates how long the rest of a run takes, from the mean of the last steps: about the last fifty.
type pace struct{ step time.Duration }

func (p *pace) remaining(report StepReport) time.Duration {
	const memory = 50
	if p.step == 0 {
		p.step = report.Duration
	}
	p.step += (report.Duration - p.step) / memory
	return p.step * time.Duration(report.Position.Steps-report.Position.Step)
}

func (s *session) taskMetrics(results []TaskResult, weights []float64) map[string]metrics.Task {
	tasks := map[string]metrics.Task{}
	for i, result := range results {
		task := metrics.Task{
			Loss: metrics.Number(result.Loss), Weight: metrics.Number(weights[i]), Metrics: map[string]metrics.Number{},
		}
		if accuracy := metrics.Number(result.Accuracy); !math.IsNaN(result.Accuracy) {
			task.Accuracy = &accuracy
		}
		for name, value := range result.Metrics {
			task.Metrics[name] = metrics.Number(value)
		}
		tasks[s.trainer.tasks[i].Name()] = task
	}
	return tasks
}

// interval adds up the steps of one logging interval.
type interval struct {
	steps    int
	loss     float64
	norm     float64
	tasks    []TaskResult
	pictures int
	total    StepReport // durations only
}

func (i *interval) add(report StepReport) {
	if i.tasks == nil {
		i.tasks = make([]TaskResult, len(report.Tasks))
	}
	i.steps++
	i.loss += report.Loss
	i.norm += report.GradientNorm
	i.pictures += report.Pictures
	i.total.addTimes(report)
	for t, result := range report.Tasks {
		i.tasks[t].add(result, 1)
	}
}

// means divides the sums by the number of steps.
func (i *interval) means() (loss, norm float64, tasks []TaskResult) {
	share := 1 / float64(i.steps)
	tasks = make([]TaskResult, len(i.tasks))
	for t, sum := range i.tasks {
		tasks[t].add(sum, share)
	}
	return i.loss * share, i.norm * share, tasks
}

// logHook writes metrics.jsonl, a line a logging interval with the means over its steps. An interval ends with the
// run, with an online evaluation (whose result would be lost if the run were killed before the next line), and at
// multiples of the interval counted from the start of the run, so that a resumed run keeps the rhythm;
// its first line covers the steps since the checkpoint.
func (s *session) logHook(log *metrics.Log) Hook {
	var sums interval
	return hookFunc(func(_ context.Context, report StepReport) error {
		sums.add(report)
		position := report.Position
		if position.Step%s.job.Logging.EverySteps != 0 && len(s.probes) == 0 && !position.Done() {
			return nil
		}
		loss, norm, tasks := sums.means()
		total := sums.total
		record := metrics.Record{
			Step: int64(position.Step), Epoch: int64(position.Epoch()), Time: time.Now(),
			Pictures: int64(position.Pictures), Views: int64(position.Views),
			PicturesPerSecond: metrics.Number(float64(sums.pictures) / total.Duration.Seconds()),
			LearningRate:      metrics.Number(report.LearningRate), GradientNorm: metrics.Number(norm),
			DataWaitRatio: metrics.Number(total.DataWait.Seconds() / total.Duration.Seconds()),
			Phases:        total.phases(sums.steps),
			Operations:    metrics.Number(s.operations(sums.steps) / total.Duration.Seconds()),
			PeakShare:     metrics.Number(s.peakShare(sums.steps, total.Forward+total.Backward)),
			Remaining:     metrics.Number(s.pace.step.Seconds() * float64(position.Steps-position.Step)),
			Loss:          metrics.Number(loss), Tasks: s.taskMetrics(tasks, report.Weights),
			Probes: s.takeProbes(), Inspection: s.takeSeen(),
		}
		sums = interval{}
		s.mirror(record)
		s.live.Publish(record)
		return log.Append(record)
	})
}

// probeHook measures the backbone at the ends of epochs.
func (s *session) probeHook() Hook {
	return hookFunc(func(ctx context.Context, report StepReport) error {
		s.score = nil
		if !s.probe.due(report.Position) || ctx.Err() != nil {
			return nil
		}
		if err := s.calibrate(ctx); err != nil {
			return err
		}
		err := s.measure(ctx)
		if err != nil && ctx.Err() != nil {
			return nil // the step is logged and saved all the same, and measured when the run is resumed
		}
		return err
	})
}

// measure shows what the backbone is worth at this step.
func (s *session) measure(ctx context.Context) error {
	rows, best, err := s.probe.measure(ctx)
	if err != nil {
		return err
	}
	s.score = &best
	s.showProbes(s.trainer.position, rows)
	return nil
}

// measureLate makes up for the measurement that the signal cut short which stopped the run at this step, and adds it to the
// line of the step. Call it before the log is open.
func (s *session) measureLate(ctx context.Context) error {
	position, path := s.trainer.position, s.job.Directory.Metrics()
	if position.Step == 0 || !s.probe.due(position) {
		return nil
	}
	records, err := metrics.ReadLog(path)
	if err != nil || len(records) == 0 {
		return nil // CutBack has mended what can be mended; without its line there is nothing to add to
	}
	last := records[len(records)-1]
	if last.Step != int64(position.Step) || last.Probes != nil {
		return nil
	}
	if err := s.calibrate(ctx); err != nil {
		return err
	}
	if err := s.measure(ctx); err != nil {
		return err
	}
	last.Probes = s.takeProbes()
	if err := metrics.ReplaceLast(path, last); err != nil {
		return err
	}
	s.restorePage()
	return nil
}

func (s *session) showProbes(position Position, rows []eval.Row) {
	for _, row := range rows {
		s.series.ObserveProbe(row.Probe, layerName(row.Layer), row.Accuracy)
		s.probes = append(s.probes, metrics.Probe{Probe: row.Probe, Layer: layerName(row.Layer), Accuracy: metrics.Number(row.Accuracy)})
	}
	best := bestRows(rows)
	s.log.Info("online evaluation", zap.Int("epoch", position.Epoch()),
		zap.Float64("knn", best["knn"].Accuracy), zap.Int("knn_layer", best["knn"].Layer),
		zap.Float64("linear", best["linear"].Accuracy), zap.Int("linear_layer", best["linear"].Layer))
}

// checkpointHook saves when it is due, and after the last step.
func (s *session) checkpointHook(log *metrics.Log) Hook {
	return hookFunc(func(ctx context.Context, report StepReport) error {
		position := report.Position
		due := s.job.Checkpoints.Due(int64(position.Step), int64(position.EpochBefore()), int64(position.Epoch()))
		if !due && !position.Done() {
			return nil
		}
		return s.save(ctx, log)
	})
}

// save writes a checkpoint whose normalisation statistics fit its weights, even when the run is being stopped. The
// metrics go first, so that no checkpoint is ahead of them.
func (s *session) save(ctx context.Context, log *metrics.Log) error {
	if err := log.Sync(); err != nil {
		return err
	}
	if step := s.trainer.position.Step; !s.engine.AllFinite(s.trainer.store.Values()) {
		return fmt.Errorf("step %d: the weights are not finite and are not saved: %w", step, errDiverged)
	}
	if err := s.calibrate(ctx); err != nil {
		return err
	}
	started := time.Now()
	path, size, err := s.folder.Save(s.trainer.state(s.score))
	if err != nil {
		return err
	}
	s.saved = s.trainer.position.Step
	s.series.ObserveCheckpoint(time.Since(started).Seconds(), size, unixNow())
	s.log.Debug("checkpoint", zap.String("path", path), zap.Int64("bytes", size))
	return s.record(StateRunning, nil)
}

// unixNow is the present in Unix seconds.
func unixNow() float64 { return float64(time.Now().UnixNano()) / 1e9 }

// calibrate recomputes the normalisation statistics once a step.
func (s *session) calibrate(ctx context.Context) error {
	if s.calibrated == s.trainer.position.Step {
		return nil
	}
	err := s.model.Calibrate(context.WithoutCancel(ctx), s.pictures, s.job.Train.CalibrationPictures)
	if err == nil {
		s.calibrated = s.trainer.position.Step
	}
	return err
}

// takeSeen hands over the last closer look since the last line.
func (s *session) takeSeen() *metrics.Inspection {
	seen := s.seen
	s.seen = nil
	return seen
}

// takeProbes hands over what was measured since the last line.
func (s *session) takeProbes() []metrics.Probe {
	probes := s.probes
	s.probes = nil
	return probes
}

// bestRows is the row of the best layer of each probe.
func bestRows(rows []eval.Row) map[string]eval.Row {
	best := map[string]eval.Row{}
	for _, row := range rows {
		if row.Accuracy >= best[row.Probe].Accuracy {
			best[row.Probe] = row
		}
	}
	return best
}

func layerName(layer int) string { return strconv.Itoa(layer) }

// fingerprint is a short hash by which equal configurations can be recognised.
func fingerprint(resolved string) string {
	sum := sha256.Sum256([]byte(resolved))
	return hex.EncodeToString(sum[:6])
}
