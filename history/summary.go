package history

import (
	"math"
	"slices"
	"time"

	"pretrain/checkpoints"
	"pretrain/metrics"
)

// Summary is a run in a few numbers, which are null where they are not known.
type Summary struct {
	Name              string                  `json:"name"`
	State             string                  `json:"state"`
	Why               string                  `json:"why,omitempty"` // of some states
	Problems          []string                `json:"problems,omitempty"`
	Backbone          string                  `json:"backbone,omitempty"`
	Step              int64                   `json:"step"`
	Steps             int64                   `json:"steps"`
	Epoch             int64                   `json:"epoch"`
	Loss              metrics.Number          `json:"loss"`
	Tasks             map[string]metrics.Task `json:"tasks,omitempty"` // at the last line of metrics.jsonl
	Probe             *BestProbe              `json:"best_probe,omitempty"`
	PicturesPerSecond metrics.Number          `json:"pictures_per_second"` // median over the lines of metrics.jsonl
	Seconds           float64                 `json:"seconds"`             // of training, up to the last checkpoint
	Started           string                  `json:"started,omitempty"`
	Checkpoint        *LastCheckpoint         `json:"last_checkpoint,omitempty"`
}

// BestProbe is the highest accuracy that simple classifiers have reached on the run's features.
type BestProbe struct {
	Probe    string         `json:"probe"` // knn or linear
	Layer    string         `json:"layer"`
	Accuracy metrics.Number `json:"accuracy"` // 0 to 1
	Source   string         `json:"source"`   // "online", or the evaluation's file such as eval/eval.json
}

// LastCheckpoint is the newest one.
type LastCheckpoint struct {
	Step    int64     `json:"step"`
	Written time.Time `json:"written"`
	Bytes   int64     `json:"bytes"`
}

// Summarise describes what was found, as of now.
func (f Found) Summarise(now time.Time) Summary {
	if f.Err != nil {
		return Summary{Name: f.Name, State: StateBroken, Why: f.Err.Error(), Loss: unknown, PicturesPerSecond: unknown}
	}
	r := f.Run
	s := Summary{
		Name: f.Name, Backbone: r.Record.Backbone, Step: r.Step(), Steps: int64(r.Record.Steps), Loss: unknown,
		PicturesPerSecond: r.Throughput(), Seconds: r.Record.Seconds, Started: r.Record.Started,
		Probe: r.BestProbe(), Checkpoint: lastCheckpoint(r.Checkpoints),
	}
	s.State, s.Why = r.State(now)
	for _, problem := range r.Problems {
		if text := problem.Error(); text != s.Why {
			s.Problems = append(s.Problems, text)
		}
	}
	if last := r.Last(); last != nil {
		s.Epoch, s.Loss, s.Tasks = last.Epoch, last.Loss, last.Tasks
	}
	return s
}

var unknown = metrics.Number(math.NaN())

func lastCheckpoint(entries []checkpoints.Entry) *LastCheckpoint {
	if len(entries) == 0 {
		return nil
	}
	return &LastCheckpoint{entries[0].Info.Step, entries[0].Written, entries[0].Bytes}
}

// Throughput is the median of the pictures a second in metrics.jsonl, which neither other work on the machine nor a slow
// start moves much; NaN where there are none.
func (r *Run) Throughput() metrics.Number {
	var rates []metrics.Number
	for _, record := range r.Metrics {
		if !math.IsNaN(float64(record.PicturesPerSecond)) {
			rates = append(rates, record.PicturesPerSecond)
		}
	}
	if len(rates) == 0 {
		return unknown
	}
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// BestProbe is the best of the online probes or, where there were none, of the rows that evaluations chose for the
// trained features; nil where nothing was measured. The two are not mixed: they may be of different pictures.
func (r *Run) BestProbe() *BestProbe {
	var best *BestProbe
	offer := func(p BestProbe) {
		if !math.IsNaN(float64(p.Accuracy)) && (best == nil || p.Accuracy > best.Accuracy) {
			best = &p
		}
	}
	for _, record := range r.Metrics {
		for _, probe := range record.Probes {
			offer(BestProbe{probe.Probe, probe.Layer, probe.Accuracy, "online"})
		}
	}
	if best != nil {
		return best
	}
	for _, evaluation := range r.Evaluations {
		for _, row := range evaluation.Report.Rows {
			if row.Features == "pretrained" && row.Chosen {
				offer(BestProbe{row.Probe, layerName(row.Layer), metrics.Number(row.Accuracy), "eval/" + evaluation.Name + ".json"})
			}
		}
	}
	return best
}
