package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"pretrain/data"
	"pretrain/internal/kernel"
	"pretrain/losses"
	"pretrain/metrics"
	"pretrain/nn"
	"pretrain/pretext"
)

// Position says how far a run has come. Everything random is a function of it and the seed.
type Position struct {
	Step            int // optimizer steps done
	Steps           int // of the whole run
	BatchesPerEpoch int // whole batches in a pass over the pictures
	BatchesPerStep  int // accumulated ones
	Pictures        int // shown so far, repetitions counted
	Views           int // of those pictures
}

// newPosition is the beginning of a run over the given number of pictures.
func newPosition(config Config, pictures int) Position {
	p := Position{BatchesPerEpoch: pictures / config.BatchSize, BatchesPerStep: config.Accumulate}
	p.Steps = config.Epochs * p.BatchesPerEpoch / p.BatchesPerStep
	if config.MaxSteps > 0 {
		p.Steps = min(p.Steps, config.MaxSteps)
	}
	return p
}

// Batch is the number of batches used, counted from the start of the run.
func (p Position) Batch() int { return p.Step * p.BatchesPerStep }

// Epoch is the number of whole passes over the pictures that are done.
func (p Position) Epoch() int { return p.Batch() / p.BatchesPerEpoch }

// EpochRatio is the part of the present pass that is done.
func (p Position) EpochRatio() float64 {
	return float64(p.Batch()%p.BatchesPerEpoch) / float64(p.BatchesPerEpoch)
}

// EpochBefore is Epoch before the last step, which may have completed several passes if it accumulated many batches.
func (p Position) EpochBefore() int { return (p.Batch() - p.BatchesPerStep) / p.BatchesPerEpoch }

// EndsEpoch reports whether the last step completed a pass over the pictures.
func (p Position) EndsEpoch() bool { return p.Epoch() > p.EpochBefore() }

// Done reports whether the run has come to its end.
func (p Position) Done() bool { return p.Step >= p.Steps }

// StepReport is what one step tells the hooks.
type StepReport struct {
	Position     Position
	Loss         float64      // weighted
	Tasks        []TaskResult // in the order of the trainer's tasks
	Weights      []float64    // of the tasks in the loss
	Pictures     int          // in this step
	Views        int          // of those pictures
	LearningRate float64
	GradientNorm float64       // before clipping
	Duration     time.Duration // all of it, with DataWait, Forward, Backward and Optimizer as parts
	DataWait     time.Duration
	Forward      time.Duration
	Backward     time.Duration
	Optimizer    time.Duration
	Inspection   *Inspection // nil for most steps
}

// addTimes adds the durations of another step.
func (r *StepReport) addTimes(other StepReport) {
	r.Duration += other.Duration
	r.DataWait += other.DataWait
	r.Forward += other.Forward
	r.Backward += other.Backward
	r.Optimizer += other.Optimizer
}

// phases splits the time of one of so many steps.
func (r StepReport) phases(steps int) metrics.Phases {
	mean := func(d time.Duration) metrics.Number { return metrics.Number(d.Seconds() / float64(steps)) }
	return metrics.Phases{
		Data: mean(r.DataWait), Forward: mean(r.Forward), Backward: mean(r.Backward), Optimizer: mean(r.Optimizer),
		Other: mean(r.Duration - r.DataWait - r.Forward - r.Backward - r.Optimizer),
	}
}

// losses lists the unweighted losses of the tasks.
func (r StepReport) losses() []float64 {
	losses := make([]float64, len(r.Tasks))
	for i, result := range r.Tasks {
		losses[i] = result.Loss
	}
	return losses
}

// A Hook looks at a run after each step. Hooks are called in order, on the loop's goroutine; an error ends the run.
type Hook interface {
	AfterStep(ctx context.Context, report StepReport) error
}

// A Trainer is the training loop with all that it changes. It runs on one goroutine; the loader's workers and the
// engine's pool are its only company, and neither touches its fields.
type Trainer struct {
	config    Config
	engine    *kernel.Engine
	store     *nn.Store
	tasks     []pretext.Task
	plan      *Plan
	step      *Step
	weighter  losses.Weighter
	optimizer *Optimizer
	loader    *data.Loader[*Batch]
	inspector *inspector
	position  Position
	resolved  string    // configuration, stored in checkpoints
	pictures  string    // which ones, stored in checkpoints
	sum       []float32 // of the gradients of the batches of a step; nil unless they are accumulated
}

// Loop trains until the run is done or the context ends, calling the hooks after every step. A context that ends
// never cuts a step short.
func (t *Trainer) Loop(ctx context.Context, hooks ...Hook) error {
	for !t.position.Done() {
		report, err := t.trainStep(ctx)
		if err != nil {
			return err
		}
		for _, hook := range hooks {
			if err := hook.AfterStep(ctx, report); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// trainStep makes one optimizer step out of Accumulate batches.
func (t *Trainer) trainStep(ctx context.Context) (StepReport, error) {
	started, waited := time.Now(), t.loader.Stats().Wait
	report := StepReport{Tasks: make([]TaskResult, len(t.tasks))}
	if t.inspector.due(t.position.Step) {
		report.Inspection = &Inspection{}
	}
	for i := range t.config.Accumulate {
		if err := t.runBatch(ctx, i, &report); err != nil {
			return report, err
		}
	}
	rate := t.config.Schedule.Rate(t.position.Step, t.position.Steps) * t.optimizer.config.LearningRate
	norm := math.Sqrt(t.engine.SumSquares(t.store.Gradients())) / float64(t.config.Accumulate)
	if err := t.checkFinite(report, norm); err != nil {
		return report, err
	}
	t.position.Step++
	report.Pictures, report.Views = t.config.BatchSize*t.config.Accumulate, t.plan.Views()*t.config.Accumulate
	t.position.Pictures += report.Pictures
	t.position.Views += report.Views
	report.Position, report.LearningRate, report.GradientNorm = t.position, rate, norm
	report.Weights = t.weighter.Weights() // of this step: the optimizer and Observe change them
	t.update(rate, t.gradientScale(norm), &report)
	t.weighter.Observe(report.losses(), t.position.EndsEpoch())
	report.Duration, report.DataWait = time.Since(started), t.loader.Stats().Wait-waited
	return report, nil
}

// update makes the optimizer's step, under the eyes of the inspector if it is due.
func (t *Trainer) update(rate, scale float64, report *StepReport) {
	if report.Inspection != nil {
		t.inspector.updates.before()
	}
	started := time.Now()
	t.optimizer.Step(t.engine, t.position.Step, rate, scale)
	report.Optimizer = time.Since(started)
	if seen := report.Inspection; seen != nil {
		seen.ParameterNorm, seen.Updates = t.inspector.updates.after()
	}
}

// runBatch computes the gradient of one batch and adds its share to the report and, if accumulated, to the sum.
func (t *Trainer) runBatch(ctx context.Context, number int, report *StepReport) error {
	batch, err := t.loader.Next(ctx)
	if err != nil {
		return err
	}
	err = t.computeBatch(batch, number, report)
	t.loader.Release(batch)
	if err != nil {
		return fmt.Errorf("step %d: %w", t.position.Step+1, err)
	}
	share := 1 / float64(t.config.Accumulate)
	report.Loss += share * t.step.Cost()
	for i := range t.tasks {
		report.Tasks[i].add(t.step.Result(i), share)
	}
	t.accumulate(number)
	return nil
}

// computeBatch runs the step's graph, after those of the single tasks if the inspector is due: they overwrite the
// gradients.
func (t *Trainer) computeBatch(batch *Batch, number int, report *StepReport) (err error) {
	if seen := report.Inspection; seen != nil && number == 0 {
		if seen.Conflicts, err = t.inspector.gradients.measure(batch); err != nil {
			return err
		}
	}
	t.weighter.Bind(t.step.program)
	if err := t.step.Run(batch); err != nil {
		return err
	}
	took := t.step.program.Took()
	report.Forward += took.Forward
	report.Backward += took.Backward
	return nil
}

// accumulate adds up the gradients of several batches and leaves the sum in the store after the last one.
func (t *Trainer) accumulate(number int) {
	if t.config.Accumulate == 1 {
		return
	}
	gradients := t.store.Gradients()
	if t.sum == nil {
		t.sum = make([]float32, len(gradients))
	}
	switch number {
	case 0:
		copy(t.sum, gradients)
	case t.config.Accumulate - 1:
		t.engine.Accumulate(kernel.F32(gradients), kernel.F32(t.sum))
	default:
		t.engine.Accumulate(kernel.F32(t.sum), kernel.F32(gradients))
	}
}

// gradientScale averages the accumulated gradients and clips their norm (Pascanu et al. 2013).
func (t *Trainer) gradientScale(norm float64) float64 {
	scale := 1 / float64(t.config.Accumulate)
	if limit := t.optimizer.config.ClipNorm; limit > 0 && norm > limit {
		scale *= limit / norm
	}
	return scale
}

// errDiverged ends the messages about numbers that are not finite. Training is deterministic: going on from the last
// checkpoint would end in the same way.
var errDiverged = errors.New("the run has diverged; begin again (--overwrite) with a lower optimizer.learning_rate or optimizer.clip_norm, or a longer train.schedule.warmup")

// checkFinite ends a run that has diverged before it spoils the weights, and says whose loss did.
func (t *Trainer) checkFinite(report StepReport, norm float64) error {
	for i, result := range report.Tasks {
		if !finite(result.Loss) {
			return fmt.Errorf("step %d: the loss of task %s is %g: %w", t.position.Step+1, t.tasks[i].Name(), result.Loss, errDiverged)
		}
	}
	if !finite(norm) {
		return fmt.Errorf("step %d: the norm of the gradient is %g: %w", t.position.Step+1, norm, errDiverged)
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// add adds a share of another result.
func (r *TaskResult) add(other TaskResult, share float64) {
	r.Loss += share * other.Loss
	r.Accuracy += share * other.Accuracy
	if r.Metrics == nil {
		r.Metrics = map[string]float64{}
	}
	for name, value := range other.Metrics {
		r.Metrics[name] += share * value
	}
}
