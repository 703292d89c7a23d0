package watch

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
