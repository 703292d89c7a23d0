package train

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"pretrain/checkpoints"
	"pretrain/data"
	"pretrain/eval"
	"pretrain/export"
	"pretrain/internal/kernel"
	"pretrain/losses"
	"pretrain/metrics"
	"pretrain/nn"
	"pretrain/page"
	"pretrain/pretext"
)

// session is one process's share of a run: everything that is opened at its start and closed at its end. Nothing is
// written to the run's directory before all of it is known to fit together.
type session struct {
	job      Job
	runID    string
	started  time.Time
	earlier  float64 // seconds that earlier processes worked on the run
	progress *progress
	logFile  *lateFile
	log      *zap.Logger
	resumed  *checkpoints.State // nil for a fresh run, and once the trainer is restored
	engine   *kernel.Engine
	files    *data.Files
	pictures data.Dataset // the cache
	cache    *data.Cache  // files, reduced
	trainer  *Trainer
	model    *eval.Model // reads the backbone while it is trained
	probe    *onlineProbe
	folder   *checkpoints.Folder
	series   *metrics.Series
	mirrors  mirrors
	live     *page.Hub   // nil unless it is served
	shown    *exhibition // nil until somebody looks
	closers  []func()
	locked   bool // this process holds the lock on the directory

	flops      float64             // multiplications and additions of a batch
	peak       float64             // operations a second that the threads reach on registers alone
	pace       pace                // of the last steps
	saved      int                 // step of the last checkpoint
	calibrated int                 // step whose weights the normalisation statistics fit
	score      *float64            // of the online probe at this step, if it was measured
	probes     []metrics.Probe     // measured since the last line of metrics.jsonl
	seen       *metrics.Inspection // since then, the last closer look
}

// open prepares everything up to the first step.
func (s *session) open(ctx context.Context) error {
	steps := []func(context.Context) error{
		s.openLog, s.openCheckpoint, s.openEngine, s.openData, s.openTrainer, s.openModel, s.openMetrics, s.openDirectory,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// onClose registers what close does, last first.
func (s *session) onClose(f func()) { s.closers = append(s.closers, f) }

func (s *session) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

func (s *session) openLog(context.Context) (err error) {
	s.started, s.calibrated, s.saved = time.Now(), -1, -1
	s.progress = &progress{console: s.job.Console, columns: s.job.Columns}
	s.logFile = &lateFile{}
	s.onClose(s.logFile.close)
	if s.job.Metrics.Enabled {
		s.live = page.NewHub()
	}
	s.runID = s.job.Directory.runID(s.job.Start)
	s.log, err = newLogger(s.job.Logging, s.runID, s.progress, s.logFile, s.live)
	return err
}

// openCheckpoint finds where a resumed run stood. A run that was killed before its first checkpoint begins anew.
func (s *session) openCheckpoint(context.Context) error {
	if s.job.Start != StartResume {
		return nil
	}
	found, err := checkpoints.Latest(s.job.Directory.Checkpoints())
	if errors.Is(err, checkpoints.ErrNone) && !s.job.Directory.hasCheckpoints() {
		s.log.Warn("the run has no checkpoint yet: it begins anew", zap.String("directory", string(s.job.Directory)))
		return nil
	}
	if err != nil {
		return err
	}
	for _, skipped := range found.Skipped {
		s.log.Warn("a damaged checkpoint is left aside", zap.Error(skipped))
	}
	s.resumed, s.saved = &found.State, int(found.State.Step)
	s.log.Info("resuming", zap.String("checkpoint", found.Path), zap.Int64("step", found.State.Step))
	return nil
}

// openEngine starts the compute threads. A resumed run keeps its kernel family, because another one rounds
// differently and the run would not be the same any more.
func (s *session) openEngine(context.Context) (err error) {
	family := s.job.Kernels
	if s.resumed != nil {
		recorded := kernel.Family(s.resumed.Meta[metaKernels])
		if family != "" && family != recorded {
			return Usage(fmt.Errorf("kernels: the run was computed with %q so far, asked for is %q: leave PRETRAIN_KERNELS unset, or begin a new run", recorded, family))
		}
		family = recorded
	}
	s.engine, err = kernel.New(kernel.Options{Family: family, Workers: s.job.Train.Threads})
	if err != nil {
		return Usage(fmt.Errorf("kernels: %w", err))
	}
	s.onClose(s.engine.Close)
	if notice := kernel.Notice(); notice != "" {
		s.log.Warn(notice, zap.String("kernels", string(s.engine.Family())))
	}
	return nil
}

func (s *session) openData(ctx context.Context) (err error) {
	if s.files, err = data.Open(ctx, s.job.Data.Path, s.job.Data); err != nil {
		return UsageUnlessCancelled(ctx, err)
	}
	if err := s.files.CheckMinimum(s.job.Data.Size); err != nil {
		return Usage(err)
	}
	if s.resumed != nil && s.resumed.Meta[metaPictures] != s.pictureSet() {
		return Usage(fmt.Errorf("data.path: the run was begun with %s, %s has %s now: restore the folder or the build of the program, or begin a new run",
			s.resumed.Meta[metaPictures], s.job.Data.Path, s.pictureSet()))
	}
	s.cache = data.NewCache(s.files, s.job.Data.ReducedSide(), s.job.Data.CacheBytes())
	s.pictures = s.cache
	return nil
}

// pictureSet identifies the pictures by number, a hash of their paths and what decodes them: which picture comes when,
// where epochs end, and the pixels depend on them.
func (s *session) pictureSet() string {
	hash := sha256.New()
	for i := range s.files.Len() {
		fmt.Fprintln(hash, s.files.Path(i))
	}
	return fmt.Sprintf("%d pictures (%x) decoded by %s", s.files.Len(), hash.Sum(nil)[:6], data.JPEGDecoder)
}

// openTrainer builds the tasks, the graph and the loader, and restores a resumed run.
func (s *session) openTrainer(ctx context.Context) error {
	t := &Trainer{
		config: s.job.Train, engine: s.engine, store: nn.NewStore(s.job.Train.Seed), resolved: s.job.Resolved, pictures: s.pictureSet(),
	}
	if s.job.Train.BatchSize > s.pictures.Len() {
		return Usage(fmt.Errorf("train.batch_size is %d, but there are only %d pictures: lower it to at most %d, or add pictures",
			s.job.Train.BatchSize, s.pictures.Len(), s.pictures.Len()))
	}
	t.position = newPosition(s.job.Train, s.pictures.Len())
	if t.position.Steps == 0 {
		return Usage(fmt.Errorf("train.accumulate is %d batches a step, but the whole run has only %d batches: lower it",
			s.job.Train.Accumulate, s.job.Train.Epochs*t.position.BatchesPerEpoch))
	}
	if err := s.buildTasks(ctx, t); err != nil {
		return UsageUnlessCancelled(ctx, err)
	}
	if err := s.checkMemory(t); err != nil {
		return Usage(err)
	}
	if err := s.buildStep(t); err != nil {
		return Usage(err)
	}
	t.optimizer = NewOptimizer(s.job.Optimizer, t.store)
	if s.resumed != nil {
		if err := t.restore(*s.resumed); err != nil {
			return err
		}
	}
	s.trainer, s.resumed = t, nil // a checkpoint is as large as the trainer: let it go
	return s.openLoader(ctx)
}

func (s *session) buildTasks(ctx context.Context, t *Trainer) error {
	for i, params := range s.job.Tasks {
		task, err := params.New(pretext.Env{
			Backbone: s.job.Backbone, Side: s.job.Data.Size, Batch: params.TaskPictures(s.job.Train.BatchSize),
			Augmentation: s.job.Data.Augmentation, Normalization: s.job.Data.Normalization(),
			Seed: s.job.Train.Seed, Epochs: s.job.Train.Epochs,
			Sample: func(n int) ([]data.Image, error) { return s.samplePictures(ctx, n) },
			State:  TaskState(s.resumed, s.job.TaskNames[i]),
		})
		if err != nil {
			return fmt.Errorf("tasks.%s: %w", s.job.TaskNames[i], err)
		}
		t.tasks = append(t.tasks, task)
	}
	return nil
}

// samplePictures reads n training pictures spread evenly over the folder, leaving out unreadable ones.
func (s *session) samplePictures(ctx context.Context, n int) ([]data.Image, error) {
	chosen := eval.Spread(s.pictures, n)
	var images []data.Image
	for i := range chosen.Len() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if example, err := chosen.At(ctx, i); err == nil {
			images = append(images, example.Image)
		}
	}
	return images, nil
}

func (s *session) buildStep(t *Trainer) (err error) {
	parts, err := s.parts(t, s.job.Train.BatchSize)
	if err != nil {
		return err
	}
	t.plan, t.weighter = parts.Plan, parts.Weighter
	if t.step, err = NewStep(parts); err != nil {
		return err
	}
	t.inspector, err = newInspector(s.job.Metrics.InspectEverySteps, parts, t.step)
	return err
}

// parts are those of a step of batches of the given number of pictures. Tasks do not depend on it.
func (s *session) parts(t *Trainer, batch int) (parts StepParts, err error) {
	parts = StepParts{
		Store: t.store, Engine: s.engine, Backbone: s.job.Backbone, Tasks: t.tasks,
		Precision: s.precision(), Recompute: s.job.Train.Recompute,
	}
	pictures := make([]int, len(t.tasks))
	for i := range pictures {
		pictures[i] = s.job.Tasks[i].TaskPictures(batch)
	}
	if parts.Plan, err = NewPlan(s.job.Backbone, t.tasks, pictures, batch); err != nil {
		return parts, err
	}
	if parts.Weighter, err = losses.New(s.job.Losses); err != nil {
		return parts, err
	}
	for i, task := range t.tasks {
		parts.Terms = append(parts.Terms, losses.Term{Name: task.Name(), Weight: s.job.Tasks[i].TaskWeight()})
	}
	return parts, nil
}

// precision resolves "auto" by the kernel family, which a resumed run keeps.
func (s *session) precision() nn.Precision {
	return nn.ChoosePrecision(s.job.Train.Precision, s.engine.Family())
}

func (s *session) openLoader(ctx context.Context) (err error) {
	t := s.trainer
	t.loader, err = data.NewLoader(ctx, data.LoaderConfig[*Batch]{
		Dataset: s.pictures, BatchSize: s.job.Train.BatchSize, Seed: s.job.Train.Seed,
		Workers: s.job.Data.WorkerCount(), Prefetch: s.job.Data.Prefetch,
		Epoch: t.position.Batch() / t.position.BatchesPerEpoch, Step: t.position.Batch() % t.position.BatchesPerEpoch,
		MaxBadRatio: s.job.Data.MaxBadRatio, KnownBad: s.files.Report().Bad, OnBad: s.logBad,
		NewBatch: func() *Batch { return t.plan.NewBatch(t.tasks) },
		Fill: func(_ context.Context, sample *data.Sample, slot int, batch *Batch) error {
			return t.plan.Fill(t.tasks, s.job.Data.Normalization(), sample, slot, batch)
		},
	})
	if err == nil {
		s.onClose(t.loader.Close)
	}
	return err
}

func (s *session) logBad(bad *data.PictureError) {
	s.series.CountBadImage(bad.Kind())
	s.log.Warn("a picture cannot be read and is left out", zap.String("path", bad.Path), zap.Error(bad.Err))
}

// evaluationBatch is the number of pictures that the backbone reads at once outside training.
const evaluationBatch = 64

func (s *session) openModel(ctx context.Context) (err error) {
	s.model, err = eval.NewModel(s.job.Backbone, s.trainer.store, s.engine, s.job.Data.Normalization(), evaluationBatch)
	if err == nil {
		err = s.loadWeights()
	}
	if err != nil {
		return err
	}
	s.probe, err = openProbe(ctx, s.job, s.engine, s.model)
	return err
}

// peakTime is long enough to find the processor's peak, and too short to be noticed.
const peakTime = 20 * time.Millisecond

// measurePeak is what shares of peak are held against. Nothing but they depends on it.
func (s *session) measurePeak() float64 {
	if s.precision() == nn.BFloat16 && s.engine.Family().MultipliesBFloat16() {
		return s.engine.PeakBFloat16FLOPs(peakTime)
	}
	return s.engine.PeakFLOPs(peakTime)
}

// loadWeights begins a fresh run from the weights that the job names; a resumed run has weights of its own.
func (s *session) loadWeights() error {
	if s.job.Weights == "" || s.saved >= 0 {
		return nil
	}
	tensors, _, err := export.ReadWeights(s.job.Weights)
	if err != nil {
		return Usage(fmt.Errorf("backbone.weights: %w", err))
	}
	loaded, err := s.model.LoadWeights(tensors)
	if err != nil {
		return Usage(fmt.Errorf("backbone.weights: %s: %w", s.job.Weights, err))
	}
	s.log.Info("weights to begin with", zap.String("file", s.job.Weights), zap.Int("tensors", len(tensors)-len(loaded.Ignored)),
		zap.Strings("left_out", loaded.Ignored), zap.Strings("resized", loaded.Resized))
	return nil
}

// openMetrics listens before the run starts, so that an address that the user named and that is taken is found now.
func (s *session) openMetrics(ctx context.Context) error {
	s.series = metrics.NewSeries()
	s.flops, s.peak = s.trainer.step.program.Cost().FLOPs, s.measurePeak()
	if err := s.openMirrors(); err != nil {
		return err
	}
	if !s.job.Metrics.Enabled {
		return nil
	}
	server, err := metrics.Listen(s.job.Metrics, s.series.Registry())
	if err != nil {
		return Usage(err)
	}
	if warning := server.Warning(); warning != "" {
		s.log.Warn(warning)
	}
	s.live.Register(server.Handle)
	s.log.Info("metrics", zap.String("address", server.Address()), zap.String("page", "http://"+server.Address()+"/"))
	s.serve(ctx, server)
	return nil
}

// serve answers scrapes until the session is closed, and lingers then if it is told to.
func (s *session) serve(ctx context.Context, server *metrics.Server) {
	s.background(ctx, func(ctx context.Context) {
		if err := server.Serve(ctx); err != nil {
			s.log.Warn("metrics are not served any more", zap.Error(err))
		}
	})
	s.onClose(func() {
		select {
		case <-time.After(time.Duration(s.job.Metrics.LingerSeconds) * time.Second):
		case <-ctx.Done():
		}
		s.live.Close()
	})
}

// openDirectory is the last step, and the first that writes.
func (s *session) openDirectory(ctx context.Context) (err error) {
	directory := s.job.Directory
	release, held, err := directory.lock()
	if err != nil {
		return err
	}
	s.locked = held
	s.onClose(release)
	if err := directory.begin(s.job.Start, s.job.Resolved); err != nil {
		return err
	}
	if err := s.logFile.open(directory.Log()); err != nil {
		return err
	}
	if s.folder, err = checkpoints.OpenFolder(directory.Checkpoints(), s.job.Checkpoints); err != nil {
		return err
	}
	if err := metrics.CutBack(directory.Metrics(), int64(s.trainer.position.Step)); err != nil {
		return err
	}
	s.restorePage()
	if err := s.series.WatchDisk(string(directory)); err != nil {
		return err
	}
	for _, bad := range s.files.Report().Bad {
		s.logBad(bad)
	}
	if err := s.startMirrors(ctx); err != nil {
		return err
	}
	return s.record(StateRunning, nil)
}
