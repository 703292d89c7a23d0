package history

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pretrain/train"
)

func TestReadAWholeRun(t *testing.T) {
	dir := fake{record: train.Record{Step: 80, Backbone: "vit"}, lines: 9, ended: time.Now(), step: 80}.make(t, t.TempDir())
	putEvaluation(t, dir, "eval", 0.6)
	putEvaluation(t, dir, "grid4", 0.7)
	put(t, filepath.Join(dir, "eval", "best_layer.json"), `{"layer": 3}`)
	r := read(t, dir)
	if len(r.Problems) > 0 {
		t.Errorf("problems: %v", r.Problems)
	}
	want := []Setting{
		{"train.epochs", "20"}, {"train.seed", "1"}, {"data.path", "/pictures"}, {"data.mean", "[0.485, 0.456]"},
		{"data.workers", "2"}, {"tasks.rotation.weight", "1"}, {"eval.train", `""`},
	}
	if difference := cmp.Diff(want, r.Settings); difference != "" {
		t.Error(difference)
	}
	if value, found := r.Setting("train.epochs"); value != "20" || !found {
		t.Errorf("train.epochs is %q, %v", value, found)
	}
	if _, found := r.Setting("train.epoch"); found {
		t.Error("a key that is not there was found")
	}
	if len(r.Evaluations) != 2 || r.Evaluation("grid4") == nil || r.Evaluation("best_layer") != nil {
		t.Errorf("evaluations: %+v", r.Evaluations)
	}
	if r.Step() != 90 || len(r.Checkpoints) != 1 || r.Checkpoints[0].Info.Step != 80 {
		t.Errorf("step %d, checkpoints %+v", r.Step(), r.Checkpoints)
	}
}

// TestADamagedRunIsReadAsFarAsItGoes: each damage is named, and takes nothing else away.
func TestADamagedRunIsReadAsFarAsItGoes(t *testing.T) {
	for name, test := range map[string]struct {
		file, content string // "" removes it
		want          string
	}{
		"no record":          {"run.json", "", "run.json is missing"},
		"torn record":        {"run.json", `{"state":`, "run.json cannot be read"},
		"unknown state":      {"run.json", `{"state":"dancing"}`, "dancing"},
		"no configuration":   {"config.resolved.yaml", "", "config.resolved.yaml cannot be read"},
		"no YAML":            {"config.resolved.yaml", "a: b: c", "config.resolved.yaml is no YAML"},
		"damaged metrics":    {"metrics.jsonl", "{\"step\":1}\nrubbish\n{\"step\":3}\n", "metrics.jsonl: line 2"},
		"damaged checkpoint": {"checkpoints/step=00000099.ckpt", "rubbish", "step=00000099.ckpt cannot be used"},
		"damaged evaluation": {"eval/eval.json", "[]", "eval/eval.json cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fake{lines: 3, ended: time.Now(), step: 30}.make(t, t.TempDir())
			path := filepath.Join(dir, filepath.FromSlash(test.file))
			if test.content != "" {
				put(t, path, test.content)
			} else if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			r := read(t, dir)
			if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Error(), test.want) {
				t.Fatalf("problems %v, want one with %q", r.Problems, test.want)
			}
			if r.Last() == nil || len(r.Checkpoints) != 1 {
				t.Errorf("the rest was not read: %+v", r)
			}
		})
	}
}

func TestNoRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, "")
	for path, want := range map[string]string{t.TempDir(): "config.resolved.yaml", file: "is a file", filepath.Join(file, "x"): "not a directory", "nowhere": "no such file"} {
		_, err := Read(path)
		if usage := (*train.UsageError)(nil); !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestFind goes down three folders and not into runs, and bears what is broken.
func TestFind(t *testing.T) {
	root := t.TempDir()
	whole := fake{lines: 1, ended: time.Now()}
	for _, name := range []string{"b", "a/1", "a/2/x", "a/2/y/too-deep", "b/inside"} {
		whole.make(t, filepath.Join(root, name))
	}
	put(t, filepath.Join(root, "broken", "run.json"), "{")
	put(t, filepath.Join(root, "notes.txt"), "no run")
	found, err := Find(root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range found {
		s := f.Summarise(time.Now())
		names = append(names, f.Name+" "+s.State)
		if (s.State == StateBroken) != (s.Why != "") {
			t.Errorf("%s is %s because %q", s.Name, s.State, s.Why)
		}
	}
	if want := []string{"a/1 finished", "a/2/x finished", "b finished", "broken broken"}; !slices.Equal(names, want) {
		t.Errorf("found %q, want %q", names, want)
	}
	if alone, err := Find(filepath.Join(root, "b")); err != nil || len(alone) != 1 || alone[0].Name != "." {
		t.Errorf("the folder itself: %+v, %v", alone, err)
	}
	for _, path := range []string{t.TempDir(), filepath.Join(root, "nowhere")} {
		if _, err := Find(path); !errors.As(err, new(*train.UsageError)) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestState: what run.json says, who holds the lock and when something was last written, and what follows.
func TestState(t *testing.T) {
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, test := range map[string]struct {
		record train.Record
		silent time.Duration // since the last write
		want   string
	}{
		"finished":                {train.Record{State: "finished"}, time.Hour, "finished"},
		"imported":                {train.Record{State: "imported"}, time.Hour, "imported"},
		"interrupted":             {train.Record{State: "interrupted"}, time.Hour, "interrupted"},
		"failed":                  {train.Record{State: "failed", Error: "disk full"}, time.Hour, "failed"},
		"killed here":             {train.Record{State: "running", Locked: true, Host: here}, 0, "killed"},
		"elsewhere, lively":       {train.Record{State: "running", Locked: true, Host: "other"}, time.Minute, "running"},
		"elsewhere, silent":       {train.Record{State: "running", Locked: true, Host: "other"}, 92 * time.Second, "stopped?"},
		"without locks, lively":   {train.Record{State: "running", Host: here}, 80 * time.Second, "running"},
		"without locks, silent":   {train.Record{State: "running", Host: here}, time.Hour, "stopped?"},
		"of an older version":     {train.Record{State: "running"}, time.Hour, "stopped?"},
		"a state that is unheard": {train.Record{State: "dancing"}, 0, "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fake{record: test.record, lines: 5, ended: now}.make(t, t.TempDir())
			for _, file := range []string{"run.json", "metrics.jsonl"} {
				written := now.Add(-test.silent)
				if err := os.Chtimes(filepath.Join(dir, file), written, written); err != nil {
					t.Fatal(err)
				}
			}
			state, why := read(t, dir).State(now)
			silentStates := []string{"finished", "interrupted", "running", "imported"}
			if state != test.want || (why == "") != slices.Contains(silentStates, state) {
				t.Errorf("%s, because %q; want %s", state, why, test.want)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	dir := fake{record: train.Record{Step: 60}, lines: 6, ended: time.Now(), step: 60}.make(t, t.TempDir())
	putEvaluation(t, dir, "eval", 0.95)
	s := Found{Name: "first", Run: read(t, dir)}.Summarise(time.Now())
	if s.Step != 60 || s.Steps != 100 || math.Abs(float64(s.Loss)-4.4) > 1e-9 || s.PicturesPerSecond != 61 || s.Checkpoint.Step != 60 {
		t.Errorf("got %+v", s)
	}
	if want := (BestProbe{"knn", "2", 0.7, "online"}); math.Abs(float64(s.Probe.Accuracy)-0.7) > 1e-9 || s.Probe.Layer != want.Layer || s.Probe.Source != want.Source {
		t.Errorf("best probe %+v, want %+v", *s.Probe, want)
	}
	plain := fake{lines: 1, ended: time.Now()}.make(t, t.TempDir())
	putEvaluation(t, plain, "eval", 0.6)
	if best := read(t, plain).BestProbe(); best == nil || *best != (BestProbe{"linear", "3", 0.6, "eval/eval.json"}) {
		t.Errorf("without online probes the best is %+v", best)
	}
}
