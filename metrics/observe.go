package metrics

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// values are the label values of a series, which client_golang panics about unless they are UTF-8.
func values(labels ...string) []string {
	for i, label := range labels {
		labels[i] = strings.ToValidUTF8(label, "\uFFFD")
	}
	return labels
}

func with(vector *prometheus.GaugeVec, labels ...string) prometheus.Gauge {
	return vector.WithLabelValues(values(labels...)...)
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

// SetFailed records that the run has ended in an error; diverged says that it was a loss or a gradient that is not finite.
func (s *Series) SetFailed(diverged bool) {
	s.runFailed.Set(1)
	if diverged {
		s.loss.Set(math.NaN())
	}
}

// Plan is what is known of a run before its first step.
type Plan struct {
	ArenaBytes              int64
	PeakOperationsPerSecond float64            // of all compute threads, on registers alone
	ChanceAccuracy          map[string]float64 // of the tasks that have an accuracy
}

// SetPlan records what does not change during a run.
func (s *Series) SetPlan(plan Plan) {
	s.arenaBytes.Set(float64(plan.ArenaBytes))
	s.peak.Set(plan.PeakOperationsPerSecond)
	for task, chance := range plan.ChanceAccuracy {
		with(s.taskChance, task).Set(chance)
	}
}

// Phases are the parts of a step in seconds, the same in metrics.jsonl.
type Phases struct {
	Data      Number `json:"data"` // waiting for it
	Forward   Number `json:"forward"`
	Backward  Number `json:"backward"`
	Optimizer Number `json:"optimizer"`
	Other     Number `json:"other"` // closer looks, measures
}

// Step is what one training step says to Prometheus.
type Step struct {
	Number           int64   // of steps done since the start of the run
	Seconds          float64 // wall-clock time, waiting for data included
	UnixSeconds      float64 // when it was complete
	Phases           Phases  // its parts
	DataQueue        int     // batches that were ready at the end of the step
	Pictures         int
	Views            int
	Operations       float64 // multiplications and additions
	PeakShare        float64 // of the passes, 0 to 1
	LearningRate     float64
	GradientNorm     float64 // before clipping
	Loss             float64 // weighted sum
	RunProgress      float64 // part of all steps done, 0 to 1
	RemainingSeconds float64 // to the end of the run
	EpochProgress    float64 // part of the epoch's steps done, 0 to 1
	Tasks            map[string]Task
}

// ObserveStep records a training step. Negative times and counts are taken as 0: a clock that was set back must not
// stop a training.
func (s *Series) ObserveStep(step Step) {
	s.observeDuration(step)
	s.stepTimestamp.Set(step.UnixSeconds)
	s.observePhases(step.Phases)
	s.dataQueue.Set(float64(step.DataQueue))
	s.images.Add(float64(max(step.Pictures, 0)))
	s.views.Add(float64(max(step.Views, 0)))
	s.operations.Add(max(step.Operations, 0))
	s.peakShare.Set(step.PeakShare)
	s.learningRate.Set(step.LearningRate)
	s.gradientNorm.Set(step.GradientNorm)
	s.loss.Set(step.Loss)
	s.runProgress.Set(step.RunProgress)
	s.runRemaining.Set(step.RemainingSeconds)
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

func (s *Series) observePhases(phases Phases) {
	s.dataWait.Add(max(float64(phases.Data), 0))
	for phase, seconds := range map[string]Number{
		"data": phases.Data, "forward": phases.Forward, "backward": phases.Backward, "optimizer": phases.Optimizer, "other": phases.Other,
	} {
		s.phase.WithLabelValues(phase).Add(max(float64(seconds), 0))
	}
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

// ObserveInspection records a closer look at a step.
func (s *Series) ObserveInspection(seen Inspection) {
	s.parameterNorm.Set(float64(seen.ParameterNorm))
	for task, norm := range seen.TaskGradientNorms {
		with(s.taskGradient, task).Set(float64(norm))
	}
	for _, pair := range seen.Cosines {
		with(s.taskCosine, pair.Task, pair.Other).Set(float64(pair.Cosine))
	}
	for block, ratio := range seen.Updates {
		with(s.updateRatio, block).Set(float64(ratio))
	}
	for _, layer := range seen.Features {
		with(s.featureRank, layer.Layer).Set(float64(layer.Rank))
		with(s.featureSpread, layer.Layer).Set(float64(layer.Spread))
	}
}

// CountBadImage counts a picture that could not be read, by what is wrong with it.
func (s *Series) CountBadImage(kind string) { s.badImages.WithLabelValues(values(kind)...).Inc() }

// CacheUse is what the memory cache of pictures did since the last call, and what it holds.
type CacheUse struct {
	Hits, Misses int
	Bytes        int64
}

// ObserveCache records what the cache of pictures did.
func (s *Series) ObserveCache(use CacheUse) {
	s.cacheRequests.WithLabelValues("hit").Add(float64(max(use.Hits, 0)))
	s.cacheRequests.WithLabelValues("miss").Add(float64(max(use.Misses, 0)))
	s.cacheBytes.Set(float64(use.Bytes))
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
