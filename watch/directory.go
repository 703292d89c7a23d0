package watch

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"pretrain/checkpoints"
	"pretrain/history"
	"pretrain/internal/memory"
	"pretrain/internal/terminal"
	"pretrain/metrics"
	"pretrain/train"
)

// directory is the Source of a run on this machine, or on a file system that it shares.
type directory struct {
	name     string
	follower *metrics.Follower
	run      history.Run // what is read again and again of it
	broken   int         // lines of metrics.jsonl that are no records
	cutBack  int64       // step that a resumption went back to; -1 for none
}

// Directory watches the directory of a run. One that holds none is a train.UsageError.
func Directory(path string) (Source, error) {
	if _, err := history.Read(path); err != nil {
		return nil, err
	}
	d := train.Directory(path)
	return &directory{name: path, follower: metrics.Follow(d.Metrics()), run: history.Run{Directory: d}, cutBack: -1}, nil
}

// Look reads what the run has written since the last time.
func (d *directory) Look(context.Context) (View, error) {
	d.run.Problems = nil
	record, err := d.run.Directory.ReadRecord()
	if err != nil {
		d.run.Problems = append(d.run.Problems, err)
	}
	d.run.Record = record
	if err := d.follow(); err != nil {
		return View{}, err
	}
	view := d.view()
	view.Checkpoint, err = d.checkpoint()
	if err != nil {
		view.Notes = append(view.Notes, err.Error())
	}
	return view, nil
}

func (d *directory) follow() error {
	before := d.run.Step()
	records, again, broken, err := d.follower.Poll()
	if err != nil {
		return err
	}
	if again {
		d.run.Metrics, d.broken = nil, 0
	}
	d.run.Metrics = append(d.run.Metrics, records...)
	d.broken += broken
	if step := d.run.Step(); again && step < before {
		d.cutBack = step
	}
	return nil
}

func (d *directory) checkpoint() (string, error) {
	entries, err := checkpoints.List(d.run.Directory.Checkpoints())
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		if entry.Err == nil {
			age := terminal.Age(time.Since(entry.Written).Seconds())
			return fmt.Sprintf("step %d, %s ago, %s", entry.Info.Step, age, memory.Text(entry.Bytes)), nil
		}
	}
	return "", nil
}

func (d *directory) view() View {
	record := d.run.Record
	v := View{
		Title: d.name, About: about(record.Backbone, record.Kernels, record.Precision),
		Steps: [2]int64{d.run.Step(), int64(record.Steps)}, Done: nan, Left: nan, Sign: d.run.Seen(),
	}
	v.State, v.Why = d.run.State(time.Now())
	if record.Steps > 0 {
		v.Done = float64(v.Steps[0]) / float64(record.Steps)
	}
	v.Ended = slices.Contains([]string{train.StateFinished, train.StateFailed, train.StateImported}, v.State)
	if v.State == train.StateRunning {
		v.Left = float64(v.Steps[1]-v.Steps[0]) * pace(d.run.Metrics)
	}
	if last := d.run.Last(); last != nil {
		v.Epoch = strconv.FormatInt(last.Epoch, 10)
		v.Measure = measures(d.run.Metrics)
	}
	v.Notes = d.notes(v.State)
	return v
}

func (d *directory) notes(state string) (notes []string) {
	if state == history.StateKilled || state == history.StateStopped || state == train.StateInterrupted {
		notes = append(notes, "waiting for the run to be resumed")
	}
	if d.cutBack >= 0 {
		notes = append(notes, fmt.Sprintf("the run was resumed from step %d", d.cutBack))
	}
	if d.broken > 0 {
		notes = append(notes, fmt.Sprintf("lines of metrics.jsonl that are no records and left out: %d", d.broken))
	}
	return notes
}

// about joins what is known.
func about(parts ...string) string {
	text := ""
	for _, part := range parts {
		if part != "" && text != "" {
			text += " · "
		}
		text += part
	}
	return text
}

// pace is the seconds of a step: the median over the last lines, which pauses for evaluations and between two processes
// move little. NaN before the second line.
func pace(records []metrics.Record) float64 {
	const considered = 20
	recent := records[max(0, len(records)-considered):]
	var seconds []float64
	for i := 1; i < len(recent); i++ {
		if steps := recent[i].Step - recent[i-1].Step; steps > 0 {
			seconds = append(seconds, recent[i].Time.Sub(recent[i-1].Time).Seconds()/float64(steps))
		}
	}
	if len(seconds) == 0 {
		return nan
	}
	slices.Sort(seconds)
	return seconds[(len(seconds)-1)/2]
}

// measures are those of the last record, with the past of all.
func measures(records []metrics.Record) []Measure {
	last := records[len(records)-1]
	past := func(value func(metrics.Record) metrics.Number) []float64 {
		values := make([]float64, len(records))
		for i, record := range records {
			values[i] = float64(value(record))
		}
		return values
	}
	all := []Measure{lossMeasure(float64(last.Loss), float64(last.LearningRate), float64(last.GradientNorm),
		past(func(r metrics.Record) metrics.Number { return r.Loss }))}
	for _, name := range slices.Sorted(maps.Keys(last.Tasks)) {
		all = append(all, taskMeasure(name, last.Tasks[name], past(func(r metrics.Record) metrics.Number {
			if task, ok := r.Tasks[name]; ok {
				return task.Loss
			}
			return metrics.Number(nan)
		})))
	}
	all = append(all, rateMeasure(float64(last.PicturesPerSecond), float64(last.DataWaitRatio),
		past(func(r metrics.Record) metrics.Number { return r.PicturesPerSecond })))
	return append(all, probeMeasures(records)...)
}

func lossMeasure(loss, rate, norm float64, past []float64) Measure {
	return Measure{
		Name: "loss", Value: terminal.Loss(loss), Past: past, Alarm: math.IsNaN(loss) || math.IsInf(loss, 0),
		Beside: []string{"lr " + strconv.FormatFloat(rate, 'g', 3, 64), "gradient " + terminal.Loss(norm)},
	}
}

func taskMeasure(name string, task metrics.Task, past []float64) Measure {
	m := Measure{Name: name, Value: terminal.Loss(float64(task.Loss)), Past: past}
	if task.Accuracy != nil {
		m.Beside = append(m.Beside, fmt.Sprintf("%.1f %% right", 100*float64(*task.Accuracy)))
	}
	for _, metric := range slices.Sorted(maps.Keys(task.Metrics)) {
		m.Beside = append(m.Beside, metric+" "+terminal.Loss(float64(task.Metrics[metric])))
	}
	return m
}

func rateMeasure(rate, wait float64, past []float64) Measure {
	m := Measure{Name: "pictures/s", Value: "-", Past: past}
	if !math.IsNaN(rate) {
		m.Value = fmt.Sprintf("%.0f", rate)
	}
	if !math.IsNaN(wait) {
		m.Beside = []string{fmt.Sprintf("%.1f %% waits for data", 100*wait)}
		m.Alarm = wait > starving
	}
	return m
}

// probeMeasures are the online probes, each by its best layer.
func probeMeasures(records []metrics.Record) []Measure {
	past, layers := map[string][]float64{}, map[string]string{}
	for _, record := range records {
		for name, probe := range bestOf(record.Probes) {
			past[name], layers[name] = append(past[name], float64(probe.Accuracy)), probe.Layer
		}
	}
	var all []Measure
	for _, name := range slices.Sorted(maps.Keys(past)) {
		accuracies := past[name]
		all = append(all, Measure{
			Name: name + " probe", Value: fmt.Sprintf("%.3f", accuracies[len(accuracies)-1]), Past: accuracies,
			Beside: []string{"layer " + layers[name]},
		})
	}
	return all
}

// bestOf is the best layer of each probe, without accuracies that are no numbers.
func bestOf(probes []metrics.Probe) map[string]metrics.Probe {
	best := map[string]metrics.Probe{}
	for _, probe := range probes {
		known, ok := best[probe.Probe]
		if !math.IsNaN(float64(probe.Accuracy)) && (!ok || probe.Accuracy > known.Accuracy) {
			best[probe.Probe] = probe
		}
	}
	return best
}
