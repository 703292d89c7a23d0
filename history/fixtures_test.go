package history

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pretrain/checkpoints"
	"pretrain/metrics"
	"pretrain/train"
)

const settings = `# how it was resolved
train:
  epochs: 20  # --set
  seed: 1
data:
  path: /pictures  # --data
  mean: [0.485, 0.456]  # default
  workers: 2
tasks:
  rotation: {weight: 1}
eval: {train: ""}
`

// fake describes a run that is written by hand; its zero values are those of a whole one.
type fake struct {
	record   train.Record
	settings string
	lines    int       // of metrics.jsonl
	ended    time.Time // time of the last line
	weight   float32   // of the only tensor
	step     int64     // of the checkpoint; 0 for none
}

// make writes the run.
func (f fake) make(t *testing.T, directory string) string {
	t.Helper()
	d := train.Directory(directory)
	if f.record.State == "" {
		f.record.State = train.StateFinished
	}
	f.record.Steps = 100
	content, err := json.Marshal(f.record)
	if err != nil {
		t.Fatal(err)
	}
	put(t, d.Record(), string(content))
	if f.settings == "" {
		f.settings = settings
	}
	put(t, d.Config(), f.settings)
	var lines strings.Builder
	for i := range f.lines {
		line, err := json.Marshal(f.line(i + 1))
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	put(t, d.Metrics(), lines.String())
	if f.step > 0 {
		state := checkpoints.State{
			Info:    checkpoints.Info{Step: f.step, Meta: map[string]string{"pictures": "10 pictures (abc)"}},
			Tensors: []checkpoints.Tensor{{Name: "a", Shape: []int{2}, Data: []float32{1, f.weight}}, {Name: "b", Data: []float32{2}}},
		}
		path := filepath.Join(d.Checkpoints(), checkpoints.FileName(f.step))
		put(t, path, "")
		if _, err := checkpoints.Save(path, state); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// line is the i-th of metrics.jsonl, ten seconds and ten steps after the one before.
func (f fake) line(i int) metrics.Record {
	accuracy := metrics.Number(float64(i) / 100)
	record := metrics.Record{
		Step: int64(10 * i), Time: f.ended.Add(time.Duration(i-f.lines) * 10 * time.Second), Pictures: int64(640 * i),
		PicturesPerSecond: metrics.Number(60 + i%2), Loss: metrics.Number(5 - float64(i)/10),
		Tasks: map[string]metrics.Task{"rotation": {Loss: metrics.Number(5 - float64(i)/10), Weight: 1, Accuracy: &accuracy}},
	}
	if i%2 == 0 {
		record.Probes = []metrics.Probe{{Probe: "knn", Layer: "1", Accuracy: 0.2}, {Probe: "knn", Layer: "2", Accuracy: metrics.Number(0.9 - float64(i)/10)}}
	}
	return record
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// putEvaluation writes eval/NAME.json with chosen rows.
func putEvaluation(t *testing.T, directory, name string, accuracy float64) {
	t.Helper()
	put(t, filepath.Join(directory, "eval", name+".json"), fmt.Sprintf(`{"rows": [
		{"features": "pretrained", "layer": 1, "probe": "linear", "accuracy": 0.99, "chosen": false},
		{"features": "pretrained", "layer": 3, "probe": "linear", "accuracy": %g, "chosen": true},
		{"features": "pixels", "layer": 0, "probe": "linear", "accuracy": 0.3, "chosen": true}]}`, accuracy))
}

func read(t *testing.T, directory string) *Run {
	t.Helper()
	r, err := Read(directory)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
