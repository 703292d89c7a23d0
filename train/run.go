package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/klauspost/cpuid/v2"
	"go.uber.org/zap"

	"pretrain/backbone"
	"pretrain/checkpoints"
	"pretrain/data"
	"pretrain/eval"
	"pretrain/export"
	"pretrain/internal/kernel"
	"pretrain/losses"
	"pretrain/metrics"
	"pretrain/pretext"
)

// A Job is one run, fully described. The sections are those of the configuration.
type Job struct {
	Directory Directory
	Start     Start
	Resolved  string        // the configuration as YAML, stored in the run
	Version   string        // of the program
	Kernels   kernel.Family // asked for; "" takes the recorded family of a resumed run, or that of the CPU table
	Console   io.Writer
	Terminal  bool       // Console is a terminal
	Columns   func() int // of that terminal, asked anew for every line; nil or 0 = 80

	Backbone    backbone.Backbone
	Weights     string           // file that a fresh run takes the backbone's weights from; "" draws them at random
	TaskNames   []string         // tasks to train, in the order in which their losses are added
	Tasks       []pretext.Params // one a name
	Data        data.Config
	Losses      losses.Config
	Optimizer   OptimizerConfig
	Train       Config
	Checkpoints checkpoints.Config
	Eval        eval.Config
	Export      export.Config
	Metrics     metrics.Config
	Logging     LoggingConfig

	MemoryLimit int64 // bytes that the process may take; 0 = what the machine has free

	// Ended, if it is there, is called when a run that had begun has ended, well or badly, with everything in its directory,
	// before it is served on for Metrics.LingerSeconds.
	Ended func()
}

// Interrupted is the error of a run that was told to stop and has saved a checkpoint.
type Interrupted struct {
	Cause error
	Step  int
}

// Error says where the run stands and how to go on.
func (e *Interrupted) Error() string {
	return fmt.Sprintf("stopped at step %d (%v); a checkpoint is saved: repeat the command with --resume to go on", e.Step, e.Cause)
}

// Unwrap gives the cause of the stop.
func (e *Interrupted) Unwrap() error { return e.Cause }

// Run trains a job to its end and exports the backbone. When the context ends, the step under way is completed, a
// checkpoint is saved and the error is an *Interrupted. Mistakes in what was asked for are *UsageErrors, found before
// anything is written.
func Run(ctx context.Context, job Job) error {
	if err := job.Directory.Check(job.Start); err != nil {
		return err
	}
	s := &session{job: job, earlier: job.Directory.secondsSoFar(job.Start)}
	defer s.close()
	if err := s.open(ctx); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%w before the first step; nothing was changed, repeat the command", context.Cause(ctx))
		}
		return err
	}
	err := s.end(s.train(ctx))
	if job.Ended != nil {
		job.Ended()
	}
	return err
}

// end records how the training ended.
func (s *session) end(err error) error {
	switch interrupted := (*Interrupted)(nil); {
	case err == nil:
		return s.record(StateFinished, nil)
	case errors.As(err, &interrupted):
		return errors.Join(err, s.record(StateInterrupted, nil))
	default:
		s.log.Error("the run failed", zap.Error(err))
		s.series.SetFailed(errors.Is(err, errDiverged))
		return errors.Join(err, s.record(StateFailed, err))
	}
}

// train runs the loop to its end and exports the backbone.
func (s *session) train(ctx context.Context) error {
	s.announce()
	if err := s.measureLate(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	log, err := metrics.OpenLog(s.job.Directory.Metrics())
	if err != nil {
		return err
	}
	defer log.Close()
	s.progress.begin(s.job.TaskNames, s.trainer.position, s.job.showBar())
	err = s.trainer.Loop(ctx, s.progressHook(), s.prometheusHook(), s.probeHook(), s.inspectHook(), s.logHook(log), s.boardHook(),
		s.checkpointHook(log), s.pictureHook())
	s.progress.end()
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return s.interrupt(ctx, log)
	}
	if err != nil {
		return err
	}
	return s.finish(ctx)
}

// interrupt saves what is not saved yet: the signal may have come in the middle of a step, of an evaluation, or while
// the loop waited for pictures.
func (s *session) interrupt(ctx context.Context, log *metrics.Log) error {
	if s.saved != s.trainer.position.Step {
		if err := s.save(ctx, log); err != nil {
			return err
		}
	}
	return &Interrupted{context.Cause(ctx), s.trainer.position.Step}
}

// finish exports the backbone of the last checkpoint.
func (s *session) finish(ctx context.Context) error {
	if err := s.calibrate(ctx); err != nil {
		return err
	}
	if s.job.Export.AtEnd {
		weights, err := s.model.Weights()
		if err != nil {
			return err
		}
		path, err := export.Backbone(s.job.Directory.Exported(), weights)
		if err != nil {
			return err
		}
		s.log.Info("exported", zap.String("weights", path))
	}
	s.showPictures(ctx)
	s.log.Info("finished", zap.Int("step", s.trainer.position.Step), zap.Duration("duration", time.Since(s.started).Round(time.Millisecond)))
	return nil
}

// announce says what is about to run.
func (s *session) announce() {
	position := s.trainer.position
	s.series.SetRunInfo(metrics.RunInfo{
		Run: s.runID, Version: s.job.Version, Backbone: s.job.Backbone.Name(), Kernels: string(s.engine.Family()),
		Tasks: s.job.TaskNames, Config: fingerprint(s.job.Resolved),
	})
	s.series.SetPlan(s.plan())
	s.log.Info("training", zap.String("id", s.runID), zap.Int("pictures", s.pictures.Len()), zap.String("backbone", s.job.Backbone.Name()),
		zap.Strings("tasks", s.job.TaskNames), zap.Int("parameters", s.parameters()),
		zap.Int("views_per_step", s.trainer.plan.Views()), zap.Int("steps", position.Steps),
		zap.Int("arena_mib", s.trainer.step.ArenaBytes()>>20),
		zap.String("kernels", string(s.engine.Family())), zap.String("precision", string(s.precision())), zap.Int("threads", s.engine.Workers()))
	for i, task := range s.trainer.tasks {
		s.log.Info("task", zap.String("name", task.Name()), zap.Float64("weight", s.job.Tasks[i].TaskWeight()),
			zap.Int("pictures_per_batch", s.trainer.plan.pictures[i]), zap.Int("views_per_picture", len(task.Spec().Views)), zap.Float64("chance_accuracy", s.trainer.step.Chance(i)))
	}
}

// plan is what is known before the first step.
func (s *session) plan() metrics.Plan {
	plan := metrics.Plan{
		ArenaBytes: int64(s.trainer.step.ArenaBytes()), PeakOperationsPerSecond: s.peak, ChanceAccuracy: map[string]float64{},
	}
	for i, task := range s.trainer.tasks {
		if chance := s.trainer.step.Chance(i); chance > 0 {
			plan.ChanceAccuracy[task.Name()] = chance
		}
	}
	return plan
}

// showBar decides whether progress is a bar.
func (j Job) showBar() bool {
	return j.Logging.Format != formatJSON && (j.Logging.Progress == "on" || j.Logging.Progress == "auto" && j.Terminal)
}

func (s *session) parameters() int {
	count := 0
	for _, p := range s.trainer.store.Parameters() {
		count += len(p.Value)
	}
	return count
}

// record writes run.json.
func (s *session) record(state string, failure error) error {
	position := s.trainer.position
	record := Record{
		Run: s.runID, State: state, Version: s.job.Version, Go: runtime.Version(), CPU: cpuid.CPU.BrandName, Kernels: string(s.engine.Family()),
		Precision: string(s.precision()), Threads: s.engine.Workers(), Backbone: s.job.Backbone.Name(), Parameters: s.parameters(), Pictures: s.pictures.Len(),
		Step: position.Step, Steps: position.Steps,
		Started: s.started.UTC().Format(time.RFC3339), Seconds: s.earlier + time.Since(s.started).Seconds(),
		Locked: s.locked, Chance: s.plan().ChanceAccuracy,
	}
	record.Host, _ = os.Hostname() // for information only
	s.mirrors.state = state
	if failure != nil {
		record.Error = failure.Error()
	}
	s.live.Describe(s.about(record))
	return s.job.Directory.writeRecord(record)
}
