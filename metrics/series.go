package metrics

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Series is every Prometheus series of the program, on a registry of its own. Names are in base units; a task, a
// metric, a probe and a layer are labels, a step or an epoch never is (each value would become a new series).
// Counters start at 0 in each process. All methods may be called from several goroutines at once.
type Series struct {
	registry *prometheus.Registry

	runInfo       *prometheus.GaugeVec
	runProgress   prometheus.Gauge
	epochProgress prometheus.Gauge

	loss         prometheus.Gauge
	taskLoss     *prometheus.GaugeVec
	taskWeight   *prometheus.GaugeVec
	taskAccuracy *prometheus.GaugeVec
	taskMetric   *prometheus.GaugeVec
	learningRate prometheus.Gauge
	gradientNorm prometheus.Gauge

	stepDuration prometheus.Histogram
	dataWait     prometheus.Counter
	dataQueue    prometheus.Gauge
	images       prometheus.Counter
	views        prometheus.Counter
	badImages    prometheus.Counter

	checkpointDuration  prometheus.Histogram
	checkpointSize      prometheus.Gauge
	checkpointTimestamp prometheus.Gauge

	probeAccuracy *prometheus.GaugeVec
}

// Buckets, in seconds, of steps (a small model's takes some 20 ms, ViT-Base's many seconds) and of checkpoints.
var (
	stepBuckets       = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	checkpointBuckets = []float64{.01, .05, .1, .5, 1, 5, 10, 30, 60, 300}
)

// NewSeries declares the series, and those of the Go runtime, the process and the build, on a new registry.
func NewSeries() *Series {
	s := &Series{
		runInfo: gauges("run_info", "What is running; always 1.",
			"run", "version", "backbone", "kernels", "tasks", "config"),
		runProgress:   gauge("run_progress_ratio", "Part of the run's steps that is done."),
		epochProgress: gauge("epoch_progress_ratio", "Part of the current epoch that is done."),

		loss:         gauge("loss", "Weighted sum of the task losses in the last step."),
		taskLoss:     gauges("task_loss", "Loss of a pretext task in the last step, before weighting.", "task"),
		taskWeight:   gauges("task_weight", "Weight of a pretext task's loss in the last step.", "task"),
		taskAccuracy: gauges("task_accuracy_ratio", "Accuracy of a pretext task in the last step.", "task"),
		taskMetric:   gauges("task_metric", "A pretext task's own measure in the last step.", "task", "metric"),
		learningRate: gauge("learning_rate", "Learning rate of the last step."),
		gradientNorm: gauge("gradient_norm", "L2 norm of the gradient in the last step, before clipping."),

		stepDuration: histogram("step_duration_seconds",
			"Wall-clock time of a training step, waiting for data included.", stepBuckets),
		dataWait:  counter("data_wait_seconds_total", "Time that training steps waited for data."),
		dataQueue: gauge("data_queue_batches", "Batches that are ready and wait for the training step."),
		images:    counter("images_total", "Pictures trained on, counted once an epoch."),
		views:     counter("views_total", "Views of pictures that passed the backbone in training."),
		badImages: counter("bad_images_total", "Pictures that could not be decoded and were replaced."),

		checkpointDuration: histogram("checkpoint_duration_seconds",
			"Wall-clock time of writing a checkpoint.", checkpointBuckets),
		checkpointSize:      gauge("checkpoint_size_bytes", "Size of the last checkpoint."),
		checkpointTimestamp: gauge("checkpoint_timestamp_seconds", "Unix time when the last checkpoint was complete."),

		probeAccuracy: gauges("probe_accuracy_ratio",
			"Accuracy of an online probe of the frozen features.", "probe", "layer"),
	}
	s.register()
	return s
}

func (s *Series) register() {
	s.registry = prometheus.NewPedanticRegistry()
	s.registry.MustRegister( // fails only if two of these lines say the same
		s.runInfo, s.runProgress, s.epochProgress,
		s.loss, s.taskLoss, s.taskWeight, s.taskAccuracy, s.taskMetric, s.learningRate, s.gradientNorm,
		s.stepDuration, s.dataWait, s.dataQueue, s.images, s.views, s.badImages,
		s.checkpointDuration, s.checkpointSize, s.checkpointTimestamp, s.probeAccuracy,
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

// histogram counts in the given buckets and, for a Prometheus that asks for native histograms, in buckets a tenth wide,
// of which there are never more than nativeBuckets.
func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: nativeBuckets, NativeHistogramMinResetDuration: time.Hour,
	})
}

const nativeBuckets = 160

// with is the gauge of these label values, which client_golang panics about unless they are UTF-8.
func with(vector *prometheus.GaugeVec, values ...string) prometheus.Gauge {
	for i, value := range values {
		values[i] = strings.ToValidUTF8(value, "\uFFFD")
	}
	return vector.WithLabelValues(values...)
}

// RunInfo describes a run in labels.
type RunInfo struct {
	Run      string   // id, the same for all processes that work on the run
	Version  string   // of the program
	Backbone string   // architecture
	Kernels  string   // kernel family
	Tasks    []string // pretext tasks switched on
	Config   string   // fingerprint of the resolved configuration
}

// SetRunInfo replaces the labels of pretrain_run_info.
func (s *Series) SetRunInfo(info RunInfo) {
	tasks := strings.Join(slices.Sorted(slices.Values(info.Tasks)), ",")
	s.runInfo.Reset()
	with(s.runInfo, info.Run, info.Version, info.Backbone, info.Kernels, tasks, info.Config).Set(1)
}

// Step is what one training step says to Prometheus.
type Step struct {
	Number          int64   // of steps done since the start of the run
	Seconds         float64 // wall-clock time, waiting for data included
	DataWaitSeconds float64 // the part of it that waited for data
	DataQueue       int     // batches that were ready at the end of the step
	Pictures        int
	Views           int
	BadPictures     int // new ones since the last step
	LearningRate    float64
	GradientNorm    float64 // before clipping
	Loss            float64 // weighted sum
	RunProgress     float64 // part of all steps done, 0 to 1
	EpochProgress   float64 // part of the epoch's steps done, 0 to 1
	Tasks           map[string]Task
}

// ObserveStep records a training step. Negative times and counts are taken as 0: a clock that was set back must not
// stop a training.
func (s *Series) ObserveStep(step Step) {
	s.observeDuration(step)
	s.dataWait.Add(max(step.DataWaitSeconds, 0))
	s.dataQueue.Set(float64(step.DataQueue))
	s.images.Add(float64(max(step.Pictures, 0)))
	s.views.Add(float64(max(step.Views, 0)))
	s.badImages.Add(float64(max(step.BadPictures, 0)))
	s.learningRate.Set(step.LearningRate)
	s.gradientNorm.Set(step.GradientNorm)
	s.loss.Set(step.Loss)
	s.runProgress.Set(step.RunProgress)
	s.epochProgress.Set(step.EpochProgress)
	for name, task := range step.Tasks {
		s.observeTask(name, task)
	}
}

// observeDuration leaves the number of the step as an exemplar, so that a slow one can be found in metrics.jsonl and in
// the logs.
func (s *Series) observeDuration(step Step) {
	exemplar := prometheus.Labels{"step": strconv.FormatInt(step.Number, 10)}
	s.stepDuration.(prometheus.ExemplarObserver).ObserveWithExemplar(max(step.Seconds, 0), exemplar)
}

func (s *Series) observeTask(name string, task Task) {
	with(s.taskLoss, name).Set(float64(task.Loss))
	with(s.taskWeight, name).Set(float64(task.Weight))
	if task.Accuracy != nil {
		with(s.taskAccuracy, name).Set(float64(*task.Accuracy))
	}
	for metric, value := range task.Metrics {
		with(s.taskMetric, name, metric).Set(float64(value))
	}
}

// ObserveCheckpoint records a checkpoint: the seconds it took, its bytes and when it was complete, in Unix seconds.
func (s *Series) ObserveCheckpoint(seconds float64, bytes int64, unixSeconds float64) {
	s.checkpointDuration.Observe(max(seconds, 0))
	s.checkpointSize.Set(float64(bytes))
	s.checkpointTimestamp.Set(unixSeconds)
}

// ObserveProbe records the accuracy, 0 to 1, of an online probe ("knn", "linear") of a layer's features.
func (s *Series) ObserveProbe(probe, layer string, accuracy float64) {
	with(s.probeAccuracy, probe, layer).Set(accuracy)
}
