package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/klauspost/cpuid/v2"

	"pretrain/internal/kernel"
	"pretrain/internal/memory"
	"pretrain/nn"
)

// Row is what was measured of one model.
type Row struct {
	Model           string       `json:"model"`
	Variant         *Variant     `json:"variant,omitempty"`
	Mode            Mode         `json:"mode"`
	Precision       nn.Precision `json:"precision"`
	Recompute       bool         `json:"recompute,omitempty"` // cheap activations are computed twice
	Batch           int          `json:"batch"`
	Threads         int          `json:"threads"`
	ImagesPerSecond float64      `json:"images_per_second"` // pictures, however many views each has
	ViewsPerImage   float64      `json:"views_per_image"`
	StepSeconds     float64      `json:"step_seconds"` // median of the undisturbed steps
	Steps           int          `json:"steps"`        // that were timed
	CleanSteps      int          `json:"clean_steps"`  // during which other processes took next to nothing
	OtherCores      float64      `json:"other_cores"`  // that other processes kept busy meanwhile
	Disturbed       bool         `json:"disturbed"`    // too much of that to believe the figures: measure again
	FLOPsPerImage   float64      `json:"flops_per_image"`
	PeakFLOPs       float64      `json:"peak_flops_per_second"` // of the registers, with these threads, at this precision
	ShareOfPeak     float64      `json:"share_of_peak"`         // 0 to 1: FLOPs of the model over time, against the peak
	ArenaBytes      int64        `json:"arena_bytes"`
	PredictedBytes  int64        `json:"predicted_bytes"`
	PeakRSSBytes    int64        `json:"peak_rss_bytes"` // of the process that measured this row and nothing else
	Kernels         string       `json:"kernels"`
	CPU             string       `json:"cpu"`

	Profile []ProfileRow `json:"profile,omitempty"` // of one step, the longest first
}

// ProfileRow is the share of one kind of operation in a step, the mean over several. Rates are those of what the
// operation has to do at least; see nn.Cost. One that does no products has no FLOP/s.
type ProfileRow struct {
	Kind               string  `json:"kind"`
	Calls              float64 `json:"calls"`
	Seconds            float64 `json:"seconds"`
	Share              float64 `json:"share"` // of all operations
	GFLOPsPerSecond    float64 `json:"gflops_per_second,omitempty"`
	GigabytesPerSecond float64 `json:"gigabytes_per_second"`
}

const (
	// warmUpSteps come before the clock: memory is touched, scratch memory grows, caches and clock rates settle.
	warmUpSteps = 3
	// leastSteps are timed however long they take.
	leastSteps = 5
	// patience is how much longer than asked a disturbed row is measured.
	patience = 3
	// peakTime is what measuring the peak takes, before and after the steps.
	peakTime = 150 * time.Millisecond
	// profileSteps are measured call by call, after the others.
	profileSteps = 3
	// disturbance is the mean number of busy cores of other processes above which figures are not to be believed.
	disturbance = 0.1
)

// Measure measures a row in this process, whose peak memory is the row's only if it does nothing else.
func Measure(ctx context.Context, spec Spec) (Row, error) {
	predicted, err := spec.predict()
	if err != nil {
		return Row{}, err
	}
	engine, err := kernel.New(kernel.Options{Family: spec.Kernels, Workers: spec.Threads})
	if err != nil {
		return Row{}, err
	}
	defer engine.Close()
	step, err := spec.newStep(engine)
	if err != nil {
		return Row{}, err
	}
	row := Row{
		Model: spec.Model, Mode: spec.Mode, Precision: spec.Precision, Recompute: spec.Recompute, Batch: spec.Batch, Threads: engine.Workers(),
		ViewsPerImage: step.viewsPerImage(), FLOPsPerImage: step.FLOPs() / float64(spec.Batch),
		ArenaBytes: int64(step.ArenaBytes()), PredictedBytes: predicted.memory.Total(),
		Kernels: string(engine.Family()), CPU: cpuid.CPU.BrandName,
	}
	if !spec.Variant.empty() {
		row.Variant = &spec.Variant
	}
	if err := row.time(ctx, spec, step, engine); err != nil {
		return row, fmt.Errorf("%s, %s, %s: %w", spec.Model, spec.Mode, spec.Precision, err)
	}
	if spec.Profile {
		if row.Profile, err = step.profile(ctx, profileSteps); err != nil {
			return row, err
		}
	}
	row.PeakRSSBytes = memory.Peak()
	return row, nil
}

// empty reports whether the variant changes nothing.
func (v Variant) empty() bool { return v.Side+v.Width+v.Depth+v.Heads == 0 && len(v.Tasks) == 0 }

func (s Spec) newStep(engine *kernel.Engine) (*Step, error) {
	model, err := s.model()
	if err != nil {
		return nil, err
	}
	if s.Mode == Features {
		return NewFeatures(model, engine, s.Precision, s.Batch)
	}
	return NewTraining(model, engine, s.Precision, s.Batch)
}

// viewsPerImage is the number of views that the backbone sees of a picture.
func (s *Step) viewsPerImage() float64 {
	if s.views == 0 {
		return 1
	}
	return float64(s.views) / float64(s.Batch)
}

// time fills in the speed of a step.
func (r *Row) time(ctx context.Context, spec Spec, step *Step, engine *kernel.Engine) error {
	for range warmUpSteps {
		if err := step.runIn(ctx); err != nil {
			return err
		}
	}
	peak := engine.PeakFLOPs
	if spec.Precision == nn.BFloat16 {
		peak = engine.PeakBFloat16FLOPs
	}
	r.PeakFLOPs = peak(peakTime)
	times, err := timeSteps(ctx, step, spec.Seconds)
	if err != nil {
		return err
	}
	r.PeakFLOPs = max(r.PeakFLOPs, peak(peakTime))
	r.Steps, r.CleanSteps, r.OtherCores = len(times.all), len(times.clean), times.otherCores
	r.Disturbed = times.disturbed()
	r.StepSeconds = times.median()
	r.ImagesPerSecond = float64(r.Batch) / r.StepSeconds
	// A peak that was measured while something else ran may be too low: none is below what the step itself reached.
	r.ShareOfPeak = min(1, r.FLOPsPerImage*r.ImagesPerSecond/r.PeakFLOPs)
	return nil
}

// runIn is Run unless the context has ended.
func (s *Step) runIn(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return s.Run()
}

// stepTimes are the durations of steps in seconds.
type stepTimes struct {
	all, clean []float64
	otherCores float64
}

// timeSteps runs steps for so many seconds, and longer while too few of them were undisturbed.
func timeSteps(ctx context.Context, step *Step, seconds float64) (stepTimes, error) {
	var t stepTimes
	first := readClock()
	for {
		before := readClock()
		if err := step.runIn(ctx); err != nil {
			return t, err
		}
		spent := readClock().since(before)
		t.all = append(t.all, spent.wall)
		if spent.undisturbed() {
			t.clean = append(t.clean, spent.wall)
		}
		whole := readClock().since(first)
		t.otherCores = whole.others / whole.wall
		if len(t.all) >= leastSteps && (whole.wall > seconds && len(t.clean) >= leastSteps || whole.wall > patience*seconds) {
			return t, nil
		}
	}
}

// leastClean is the number of clean steps from which only those count.
const leastClean = 3

func (t stepTimes) disturbed() bool { return len(t.clean) < leastClean || t.otherCores > disturbance }

func (t stepTimes) median() float64 {
	counted := t.all
	if len(t.clean) >= leastClean {
		counted = t.clean
	}
	sorted := slices.Sorted(slices.Values(counted))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// profile measures steps call by call.
func (s *Step) profile(ctx context.Context, steps int) ([]ProfileRow, error) {
	s.program.EnableProfile()
	s.update = 0
	for range steps {
		if err := s.runIn(ctx); err != nil {
			return nil, err
		}
	}
	measured := s.program.Profile()
	if s.optimizer != nil {
		measured = append(measured, nn.ProfileRow{Kind: "Optimizer", Calls: steps, Time: s.update, Cost: nn.Cost{Bytes: float64(steps) * s.optimizer.Bytes()}})
	}
	return profileRows(measured, steps), nil
}

// profileRows brings measurements to one step.
func profileRows(measured []nn.ProfileRow, steps int) []ProfileRow {
	var whole time.Duration
	for _, row := range measured {
		whole += row.Time
	}
	var rows []ProfileRow
	for _, row := range measured {
		nanoseconds := max(1, float64(row.Time)) // a clock may not tell two calls apart
		rows = append(rows, ProfileRow{
			Kind: row.Kind, Calls: float64(row.Calls) / float64(steps), Seconds: row.Time.Seconds() / float64(steps),
			Share: float64(row.Time) / max(1, float64(whole)), GFLOPsPerSecond: row.FLOPs / nanoseconds, GigabytesPerSecond: row.Bytes / nanoseconds,
		})
	}
	slices.SortStableFunc(rows, func(a, b ProfileRow) int { return cmp.Compare(b.Seconds, a.Seconds) })
	return rows
}
