package run

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"pretrain/checkpoints"
	"pretrain/configs"
	"pretrain/metrics"
	"pretrain/sample"
	"pretrain/train"
)

// samples is the folder of the sample's pictures, extracted once. Tests do not write there.
var samples string

func TestMain(m *testing.M) {
	var err error
	if samples, err = os.MkdirTemp("", "sample"); err == nil {
		err = sample.Extract(samples)
	}
	if err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(samples)
		os.Exit(code)
	}))
}

// small is a configuration that trains in a fraction of a second, with all tasks.
const small = `
data: {size: 32, cache_side: 40, max_pictures: 24, prefetch: 2}
backbone:
  name: vit
  vit: {patch: 8, width: 16, depth: 2, heads: 2}
tasks:
  rotation: {weight: 1}
  relative_position: {weight: 1, share: 0.75}
  patch_location: {weight: 1, share: 0.5}
  colorization: {weight: 1, share: 0.1}
losses: {weighter: dwa}
train: {epochs: 3, batch_size: 8}
checkpoints: {every_steps: 2, keep: 2}
logging: {every_steps: 1, level: error}
metrics: {enabled: false}
`

// load reads the small configuration with overrides KEY=VALUE.
func load(t *testing.T, data string, overrides ...string) *configs.Resolved {
	t.Helper()
	file := filepath.Join(t.TempDir(), "small.yaml")
	if err := os.WriteFile(file, []byte(small), 0o644); err != nil {
		t.Fatal(err)
	}
	source := configs.Source{Name: file, Pictures: configs.Required}
	for _, override := range append([]string{"data.path=" + data}, overrides...) {
		key, value, _ := strings.Cut(override, "=")
		source.Overrides = append(source.Overrides, configs.Override{Flag: "--set", Path: key, Value: value})
	}
	resolved, err := configs.Load(source)
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// stopper is a console that stops a run when it reports a checkpoint for the n-th time.
type stopper struct {
	cancel context.CancelCauseFunc
	left   int
}

var errStop = errors.New("told to stop")

// Write looks for the line of a checkpoint.
func (s *stopper) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("checkpoint")) {
		if s.left--; s.left == 0 {
			s.cancel(errStop)
		}
	}
	return len(line), nil
}

// stopAt trains until the n-th checkpoint and expects the run to say that it was interrupted.
func stopAt(t *testing.T, resolved *configs.Resolved, run string, n int) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	err := Train(ctx, resolved, TrainOptions{Directory: run, Console: &stopper{cancel, n}})
	var interrupted *train.Interrupted
	if !errors.As(err, &interrupted) || !errors.Is(err, errStop) {
		t.Fatalf("the stopped run returned %v", err)
	}
	if record, err := train.Directory(run).ReadRecord(); err != nil || record.State != "interrupted" || record.Step != interrupted.Step {
		t.Fatalf("run.json says %+v, %v; the run stopped at step %d", record, err, interrupted.Step)
	}
}

func weights(t *testing.T, run string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(run, "exported", "backbone.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestResumedRunEqualsUninterruptedOne stops a run at each of its checkpoints and goes on with other numbers of workers
// and threads: exported weights, last checkpoint and metrics must be those of the run that was never stopped.
func TestResumedRunEqualsUninterruptedOne(t *testing.T) {
	for precision, stops := range map[string][]int{"fp32": {1, 2, 3, 4}, "bf16": {2}} {
		t.Run(precision, func(t *testing.T) { checkResumed(t, precision, stops) })
	}
}

func checkResumed(t *testing.T, precision string, stops []int) {
	data, how := filepath.Join(samples, "train"), "train.precision="+precision
	whole := filepath.Join(t.TempDir(), "whole")
	if err := Train(t.Context(), load(t, data, how, "data.workers=1", "train.threads=1"), TrainOptions{Directory: whole, Console: io.Discard}); err != nil {
		t.Fatal(err)
	}
	for _, n := range stops {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			parts := filepath.Join(t.TempDir(), "parts")
			stopAt(t, load(t, data, how, "logging.level=debug"), parts, n)
			resolved := load(t, data, how, "data.workers="+strconv.Itoa(n+1), "train.threads=3")
			if err := Train(t.Context(), resolved, TrainOptions{Directory: parts, Start: train.StartResume, Console: io.Discard}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(weights(t, parts), weights(t, whole)) {
				t.Error("the exported weights differ")
			}
			sameCheckpoint(t, whole, parts)
			sameMetrics(t, whole, parts)
		})
	}
}

// sameCheckpoint compares every tensor of the newest checkpoints.
func sameCheckpoint(t *testing.T, want, got string) {
	t.Helper()
	var states [2]checkpoints.State
	for i, run := range []string{want, got} {
		found, err := checkpoints.Latest(train.Directory(run).Checkpoints())
		if err != nil {
			t.Fatal(err)
		}
		states[i] = found.State
	}
	for _, tensor := range states[0].Tensors {
		other, ok := states[1].Tensor(tensor.Name)
		if !ok || !slices.Equal(tensor.Data, other.Data) {
			t.Errorf("tensor %s differs", tensor.Name)
		}
	}
}

// sameMetrics compares what does not depend on the clock.
func sameMetrics(t *testing.T, want, got string) {
	t.Helper()
	var logs [2][]metrics.Record
	for i, run := range []string{want, got} {
		records, err := metrics.ReadLog(train.Directory(run).Metrics())
		if err != nil {
			t.Fatal(err)
		}
		for r := range records {
			record := &records[r] // without what tells of the machine
			record.Time, record.PicturesPerSecond, record.DataWaitRatio, record.Phases = time.Time{}, 0, 0, metrics.Phases{}
			record.Operations, record.PeakShare, record.Remaining = 0, 0, 0
		}
		logs[i] = records
	}
	if difference := cmp.Diff(logs[0], logs[1]); difference != "" {
		t.Errorf("metrics.jsonl differs (-uninterrupted +resumed):\n%s", difference)
	}
}

// TestFinishedRunMayBeResumed writes the exports again and nothing else.
func TestFinishedRunMayBeResumed(t *testing.T) {
	data := filepath.Join(samples, "train")
	run := filepath.Join(t.TempDir(), "run")
	if err := Train(t.Context(), load(t, data), TrainOptions{Directory: run, Console: io.Discard}); err != nil {
		t.Fatal(err)
	}
	before := weights(t, run)
	if err := os.RemoveAll(train.Directory(run).Exported()); err != nil {
		t.Fatal(err)
	}
	if err := Train(t.Context(), load(t, data), TrainOptions{Directory: run, Start: train.StartResume, Console: io.Discard}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, weights(t, run)) {
		t.Error("the weights that were exported again differ")
	}
}

// TestMistakesAreFoundBeforeWork asks for what cannot be: each is a UsageError that names the remedy, and nothing is
// written.
func TestMistakesAreFoundBeforeWork(t *testing.T) {
	data := filepath.Join(samples, "train")
	empty, other := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "letter.txt"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		overrides []string
		out       string
		start     train.Start
		want      []string
	}{
		{"empty folder", []string{"data.path=" + empty}, "", train.StartFresh, []string{empty, "is empty", "JPEG"}},
		{"no pictures in the folder", []string{"data.path=" + other}, "", train.StartFresh, []string{other, "JPEG"}},
		{"batch larger than the data", []string{"train.batch_size=4000"}, "", train.StartFresh, []string{"4000", "train.batch_size", "24"}},
		{"foreign directory", nil, other, train.StartFresh, []string{other, "--out"}},
		{"foreign directory to overwrite", nil, other, train.StartOverwrite, []string{other, "--out"}},
		{"nothing to resume", nil, filepath.Join(empty, "missing"), train.StartResume, []string{"--resume"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out := test.out
			if out == "" {
				out = filepath.Join(t.TempDir(), "run")
			}
			err := Train(t.Context(), load(t, data, test.overrides...), TrainOptions{Directory: out, Start: test.start, Console: io.Discard})
			var usage *train.UsageError
			if !errors.As(err, &usage) {
				t.Fatalf("got %v, want a usage error", err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not mention %q", err, part)
				}
			}
			if test.out == "" && exists(out) {
				t.Errorf("%s was written", out)
			}
		})
	}
	if !exists(filepath.Join(other, "letter.txt")) {
		t.Error("a foreign file was deleted")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
