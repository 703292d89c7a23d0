package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Series is every Prometheus series of the program, on a registry of its own. Names are in base units; a task, a
// metric, a block, a probe and a layer are labels, a step or an epoch never is (each value would become a new series).
// The number of series depends on the configuration alone. Counters start at 0 in each process. All methods may be called
// from several goroutines at once.
type Series struct {
	registry *prometheus.Registry

	runInfo       *prometheus.GaugeVec
	runProgress   prometheus.Gauge
	runRemaining  prometheus.Gauge
	runFailed     prometheus.Gauge
	epochProgress prometheus.Gauge

	loss         prometheus.Gauge
	taskLoss     *prometheus.GaugeVec
	taskWeight   *prometheus.GaugeVec
	taskAccuracy *prometheus.GaugeVec
	taskChance   *prometheus.GaugeVec
	taskMetric   *prometheus.GaugeVec
	taskGradient *prometheus.GaugeVec
	taskCosine   *prometheus.GaugeVec

	learningRate  prometheus.Gauge
	gradientNorm  prometheus.Gauge
	parameterNorm prometheus.Gauge
	updateRatio   *prometheus.GaugeVec
	lossScale     prometheus.Gauge
	skippedSteps  prometheus.Counter

	stepDuration  prometheus.Histogram
	stepTimestamp prometheus.Gauge
	phase         *prometheus.CounterVec
	dataWait      prometheus.Counter
	dataQueue     prometheus.Gauge
	images        prometheus.Counter
	views         prometheus.Counter
	badImages     *prometheus.CounterVec
	cacheRequests *prometheus.CounterVec
	cacheBytes    prometheus.Gauge

	operations prometheus.Counter
	peak       prometheus.Gauge
	peakShare  prometheus.Gauge
	arenaBytes prometheus.Gauge

	checkpointDuration  prometheus.Histogram
	checkpointSize      prometheus.Gauge
	checkpointTimestamp prometheus.Gauge

	probeAccuracy *prometheus.GaugeVec
	featureRank   *prometheus.GaugeVec
	featureSpread *prometheus.GaugeVec
}

// Buckets, in seconds, of steps (a small model's takes some 20 ms, ViT-Base's many seconds) and of checkpoints.
var (
	stepBuckets       = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	checkpointBuckets = []float64{.01, .05, .1, .5, 1, 5, 10, 30, 60, 300}
)

// NewSeries declares the series, and those of the Go runtime, the process and the build, on a new registry.
func NewSeries() *Series {
	s := &Series{}
	s.declareRun()
	s.declareTasks()
	s.declareOptimizer()
	s.declareSteps()
	s.declareComputing()
	s.declareCheckpoints()
	s.declareFeatures()
	s.register()
	s.lossScale.Set(1)
	return s
}

func (s *Series) declareRun() {
	s.runInfo = gauges("run_info", "What is running; always 1.",
		"run", "version", "backbone", "kernels", "tasks", "config")
	s.runProgress = gauge("run_progress_ratio", "Part of the run's steps that is done.")
	s.runRemaining = gauge("run_remaining_seconds", "Estimate of the time to the end of the run, from the speed of the last steps.")
	s.runFailed = gauge("run_failed", "1 once the run has ended in an error, 0 until then; to be scraped it needs metrics.linger_seconds, metrics.push or metrics.remote_write.")
	s.epochProgress = gauge("epoch_progress_ratio", "Part of the current epoch that is done.")
}

func (s *Series) declareTasks() {
	s.loss = gauge("loss", "Weighted sum of the task losses in the last step.")
	s.taskLoss = gauges("task_loss", "Loss of a pretext task in the last step, before weighting.", "task")
	s.taskWeight = gauges("task_weight", "Weight of a pretext task's loss in the last step.", "task")
	s.taskAccuracy = gauges("task_accuracy_ratio", "Accuracy of a pretext task in the last step.", "task")
	s.taskChance = gauges("task_chance_accuracy_ratio", "Accuracy of always giving a pretext task's commonest answer.", "task")
	s.taskMetric = gauges("task_metric", "A pretext task's own measure in the last step.", "task", "metric")
	s.taskGradient = gauges("task_gradient_norm",
		"L2 norm of the gradient of a pretext task's loss, before weighting, on the parameters that all tasks share; of the last step that was looked at closer.", "task")
	s.taskCosine = gauges("task_gradient_cosine",
		"Cosine between the gradients of two pretext tasks on the parameters that all tasks share: below zero they work against each other.", "task", "other")
}

func (s *Series) declareOptimizer() {
	s.learningRate = gauge("learning_rate", "Learning rate of the last step.")
	s.gradientNorm = gauge("gradient_norm", "L2 norm of the gradient in the last step, before clipping.")
	s.parameterNorm = gauge("parameter_norm", "L2 norm of all parameters, after the last step that was looked at closer.")
	s.updateRatio = gauges("update_ratio",
		"L2 norm of what a step changed in a block of the network over that of the block's parameters; about 0.001 is usual.", "block")
	s.lossScale = gauge("loss_scale", "Factor of the loss in the backward pass; always 1, as bf16 reaches as far as float32.")
	s.skippedSteps = counter("skipped_steps_total", "Steps that changed no parameter; always 0, as a loss that is not finite ends the run.")
}

func (s *Series) declareSteps() {
	s.stepDuration = histogram("step_duration_seconds",
		"Wall-clock time of a training step, waiting for data included.", stepBuckets)
	s.stepTimestamp = gauge("step_timestamp_seconds", "Unix time when the last step was complete; 0 before the first.")
	s.phase = counters("step_phase_seconds_total",
		"Time of training steps by phase: data (waiting for it), forward, backward, optimizer, other (closer looks, measures).", "phase")
	s.dataWait = counter("data_wait_seconds_total", "Time that training steps waited for data.")
	s.dataQueue = gauge("data_queue_batches", "Batches that are ready and wait for the training step.")
	s.images = counter("images_total", "Pictures trained on, counted once an epoch.")
	s.views = counter("views_total", "Views of pictures that passed the backbone in training.")
	s.badImages = counters("bad_images_total", "Pictures that could not be read and were replaced, by what is wrong with them.", "kind")
	s.cacheRequests = counters("cache_requests_total", "Pictures asked of the memory cache, by result: hit or miss.", "result")
	s.cacheBytes = gauge("cache_bytes", "Memory of the pictures that are kept decoded.")
}

func (s *Series) declareComputing() {
	s.operations = counter("floating_point_operations_total", "Multiplications and additions of the matrix products and convolutions of training steps, those of the algorithm, not of shortcuts.")
	s.peak = gauge("peak_operations_per_second", "Floating-point operations a second that the compute threads reach on registers alone, measured at the start.")
	s.peakShare = gauge("peak_share_ratio", "Floating-point operations a second of the last step's passes over those reached on registers alone.")
	s.arenaBytes = gauge("arena_bytes", "Memory of the intermediate results of a step, planned when the run begins.")
}

func (s *Series) declareCheckpoints() {
	s.checkpointDuration = histogram("checkpoint_duration_seconds",
		"Wall-clock time of writing a checkpoint.", checkpointBuckets)
	s.checkpointSize = gauge("checkpoint_size_bytes", "Size of the last checkpoint.")
	s.checkpointTimestamp = gauge("checkpoint_timestamp_seconds", "Unix time when the last checkpoint was complete.")
}

func (s *Series) declareFeatures() {
	s.probeAccuracy = gauges("probe_accuracy_ratio",
		"Accuracy of an online probe of the frozen features.", "probe", "layer")
	s.featureRank = gauges("feature_rank",
		"Effective rank of a layer's features of training pictures (RankMe); near 1 they have collapsed.", "layer")
	s.featureSpread = gauges("feature_spread_ratio",
		"Standard deviation of a layer's normalised features over that of directions at random; near 0 they have collapsed.", "layer")
}

func (s *Series) register() {
	s.registry = prometheus.NewPedanticRegistry()
	s.registry.MustRegister( // fails only if two of these lines say the same
		s.runInfo, s.runProgress, s.runRemaining, s.runFailed, s.epochProgress,
		s.loss, s.taskLoss, s.taskWeight, s.taskAccuracy, s.taskChance, s.taskMetric, s.taskGradient, s.taskCosine,
		s.learningRate, s.gradientNorm, s.parameterNorm, s.updateRatio, s.lossScale, s.skippedSteps,
		s.stepDuration, s.stepTimestamp, s.phase, s.dataWait, s.dataQueue, s.images, s.views, s.badImages, s.cacheRequests, s.cacheBytes,
		s.operations, s.peak, s.peakShare, s.arenaBytes,
		s.checkpointDuration, s.checkpointSize, s.checkpointTimestamp,
		s.probeAccuracy, s.featureRank, s.featureSpread,
		newHostCollector(),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
}

// Registry is what a Server serves.
func (s *Series) Registry() *prometheus.Registry { return s.registry }

const namespace = "pretrain"

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// histogram counts in the given buckets and, for a Prometheus that asks for native histograms, in buckets a tenth wide,
// of which there are never more than nativeBuckets.
func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: nativeBuckets, NativeHistogramMinResetDuration: time.Hour,
	})
}

const nativeBuckets = 160
