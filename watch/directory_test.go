package watch

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pretrain/checkpoints"
	"pretrain/history"
	"pretrain/metrics"
	"pretrain/train"
)

// write puts down the record of a run, and lines of metrics up to a step.
func write(t *testing.T, d train.Directory, record train.Record, steps ...int64) {
	t.Helper()
	var lines strings.Builder
	for _, step := range steps {
		line, err := json.Marshal(metrics.Record{
			Step: step, Time: time.Unix(1000+10*step, 0), PicturesPerSecond: 50, Loss: 3,
			Tasks:  map[string]metrics.Task{"rotation": {Loss: 1}},
			Probes: []metrics.Probe{{Probe: "knn", Layer: "2", Accuracy: 0.5}},
		})
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	record.Steps = 100
	content, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{d.Config(): "train: {}\n", d.Record(): string(content), d.Metrics(): lines.String()} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWatchingADirectory follows a run through its life: it is killed, resumed from an earlier step, and finishes.
func TestWatchingADirectory(t *testing.T) {
	d := train.Directory(t.TempDir())
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, here := train.Record{State: "running", Host: "other", Locked: true, Backbone: "vit"}, train.Record{State: "running", Host: host, Locked: true}
	write(t, d, elsewhere)
	source, err := Directory(string(d))
	if err != nil {
		t.Fatal(err)
	}
	if v := look(t, source); v.State != "running" || len(v.Measure) > 0 || v.About != "vit" || v.Done != 0 {
		t.Errorf("before the first line: %+v", v)
	}
	write(t, d, elsewhere, 10, 20, 30)
	v := look(t, source)
	if v.Steps != [2]int64{30, 100} || v.Left != 700 || len(measure(t, v, "rotation").Past) != 3 || measure(t, v, "knn probe").Value != "0.500" {
		t.Errorf("after three lines: %+v", v)
	}
	write(t, d, here, 10, 20, 30)
	if v := look(t, source); v.State != history.StateKilled || !slices.Contains(v.Notes, "waiting for the run to be resumed") || v.Ended {
		t.Errorf("killed: %+v", v)
	}
	write(t, d, elsewhere, 10, 20)
	if v := look(t, source); v.State != "running" || v.Steps[0] != 20 || !slices.Contains(v.Notes, "the run was resumed from step 20") {
		t.Errorf("resumed: %+v", v)
	}
	finished := here
	finished.State, finished.Step = "finished", 100
	write(t, d, finished, 10, 20, 100)
	if v := look(t, source); v.State != "finished" || !v.Ended || v.Done != 1 || len(measure(t, v, "loss").Past) != 3 {
		t.Errorf("finished: %+v", v)
	}
}

// TestADirectoryThatBreaks: a record that cannot be read, and lines that are none, are told and end nothing.
func TestADirectoryThatBreaks(t *testing.T) {
	d := train.Directory(t.TempDir())
	write(t, d, train.Record{State: "running"}, 10)
	source, err := Directory(string(d))
	if err != nil {
		t.Fatal(err)
	}
	look(t, source)
	for path, text := range map[string]string{d.Record(): "{", d.Metrics(): "rubbish\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if v := look(t, source); v.State != history.StateBroken || v.Why == "" || len(v.Notes) == 0 {
		t.Errorf("got %+v", v)
	}
	for _, path := range []string{t.TempDir(), filepath.Join(string(d), "nowhere")} {
		if _, err := Directory(path); err == nil {
			t.Errorf("%s was taken for a run", path)
		}
	}
}

// TestWhatIsToldOfADirectory: the newest checkpoint that is whole, lines that are none, and how each state goes on.
func TestWhatIsToldOfADirectory(t *testing.T) {
	d := train.Directory(t.TempDir())
	write(t, d, train.Record{State: train.StateInterrupted}, 10, 20)
	source, err := Directory(string(d))
	if err != nil {
		t.Fatal(err)
	}
	if v := look(t, source); v.Checkpoint != "" || v.Ended || !slices.Equal(v.Notes, []string{"waiting for the run to be resumed"}) {
		t.Errorf("without checkpoints: %+v", v)
	}
	if err := os.MkdirAll(d.Checkpoints(), 0o755); err != nil {
		t.Fatal(err)
	}
	for step, damage := range map[int64]bool{20: false, 30: true} {
		path := filepath.Join(d.Checkpoints(), checkpoints.FileName(step))
		state := checkpoints.State{Info: checkpoints.Info{Step: step}, Tensors: []checkpoints.Tensor{{Name: "a", Data: []float32{1}}}}
		if _, err := checkpoints.Save(path, state); err != nil {
			t.Fatal(err)
		}
		if damage {
			if err := os.Truncate(path, 9); err != nil {
				t.Fatal(err)
			}
		}
	}
	if v := look(t, source); !strings.HasPrefix(v.Checkpoint, "step 20, ") || !strings.Contains(v.Checkpoint, "s ago, ") {
		t.Errorf("with a whole checkpoint and a damaged one: %q", v.Checkpoint)
	}
	lines, err := os.OpenFile(d.Metrics(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	if _, err := lines.WriteString("rubbish\n{\"step\":30,\"loss\":null,\"tasks\":{\"other\":{\"loss\":2}}}\n{\"step\":40,\"lo"); err != nil {
		t.Fatal(err)
	}
	v := look(t, source)
	if v.Steps[0] != 30 || !slices.Contains(v.Notes, "lines of metrics.jsonl that are no records and left out: 1") {
		t.Errorf("with a damaged line and a torn one: %+v", v)
	}
	if loss := measure(t, v, "loss"); loss.Value != "NaN" || !loss.Alarm || len(loss.Past) != 3 {
		t.Errorf("got %+v", loss)
	}
	if task := measure(t, v, "other"); len(task.Past) != 3 || !math.IsNaN(task.Past[0]) {
		t.Errorf("a task that was not there before: %+v", task)
	}
	if _, err := lines.WriteString("ss\":1.5}\n"); err != nil {
		t.Fatal(err)
	}
	if v := look(t, source); v.Steps[0] != 40 || measure(t, v, "loss").Value != "1.50" {
		t.Errorf("when the torn line is whole: %+v", v)
	}
	write(t, d, train.Record{State: train.StateImported})
	if v := look(t, source); v.State != train.StateImported || !v.Ended {
		t.Errorf("imported weights: %+v", v)
	}
}

// TestADirectoryThatGoesAway ends the watching by an error that says what is missing; a run that nobody has measured yet
// has no pace.
func TestADirectoryThatGoesAway(t *testing.T) {
	d := train.Directory(t.TempDir())
	write(t, d, train.Record{State: "running"}, 10)
	source, err := Directory(string(d))
	if err != nil {
		t.Fatal(err)
	}
	look(t, source)
	if err := os.Remove(d.Metrics()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.Metrics(), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "metrics.jsonl") {
		t.Errorf("got %v", err)
	}
}

// TestPaceIsTheMedian, so that an evaluation between two lines, or a night between two processes, moves it little.
func TestPaceIsTheMedian(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(step int64, seconds float64) metrics.Record {
		return metrics.Record{Step: step, Time: begin.Add(time.Duration(seconds * float64(time.Second)))}
	}
	for name, test := range map[string]struct {
		records []metrics.Record
		want    float64
	}{
		"nothing": {nil, nan}, "one line": {[]metrics.Record{at(1, 1)}, nan}, "steady": {[]metrics.Record{at(10, 0), at(20, 5), at(30, 10)}, 0.5},
		"a night":     {[]metrics.Record{at(10, 0), at(20, 5), at(30, 40_000), at(40, 40_005)}, 0.5},
		"the same":    {[]metrics.Record{at(10, 0), at(10, 5)}, nan},
		"a step back": {[]metrics.Record{at(10, 0), at(20, 10), at(15, 20), at(25, 30)}, 1},
	} {
		if got := pace(test.records); !same(got, test.want) {
			t.Errorf("%s: %g seconds a step, want %g", name, got, test.want)
		}
	}
}
