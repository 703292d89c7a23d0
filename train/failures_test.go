package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pretrain/metrics"
)

// at calls do when the console shows the n-th line with a word.
func at(word string, n int, do func()) *console {
	return &console{onLine: func(line string) {
		if strings.Contains(line, word) {
			if n--; n == 0 {
				do()
			}
		}
	}}
}

// block puts a file where the run wants a folder, or a folder where it wants a file.
func block(t *testing.T, path string, asFolder bool) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Error(err)
	}
	err := error(nil)
	if asFolder {
		err = os.MkdirAll(filepath.Join(path, "kept"), 0o755)
	} else {
		err = os.WriteFile(path, []byte("in the way"), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestFailuresInTheMiddle: what goes wrong with the disk while a run is under way ends it with an error that names the place;
// run.json says so, the metrics up to there are left, and once the disk is well again the run ends as if nothing had been.
func TestFailuresInTheMiddle(t *testing.T) {
	folder := pictures(t, 12)
	newJob := func() Job {
		job := newJob(t, folder)
		job.Checkpoints.EverySteps, job.Logging.EverySteps, job.Logging.Level = 2, 1, "debug"
		return job
	}
	whole := newJob()
	run(t, whole)
	for name, test := range map[string]struct {
		word   string
		number int
		hurt   func(job Job)
		mend   func(job Job)
		want   string
	}{
		"no folder for checkpoints": {
			"checkpoint", 1, func(job Job) { block(t, job.Directory.Checkpoints(), false) },
			func(job Job) { os.Remove(job.Directory.Checkpoints()) }, "checkpoints",
		},
		"no room for exports": {
			"checkpoint", 2, func(job Job) { block(t, job.Directory.Exported(), false) },
			func(job Job) { os.Remove(job.Directory.Exported()) }, "exported",
		},
	} {
		t.Run(name, func(t *testing.T) {
			job := newJob()
			job.Console = at(test.word, test.number, func() { test.hurt(job) })
			err := Run(t.Context(), job)
			if err == nil || !strings.Contains(err.Error(), test.want) || errors.As(err, new(*UsageError)) {
				t.Fatalf("got %v", err)
			}
			record, read := job.Directory.ReadRecord()
			if read != nil || record.State != StateFailed || !strings.Contains(record.Error, test.want) {
				t.Errorf("run.json says %+v, %v", record, read)
			}
			if lines := records(t, job); len(lines) < 2 {
				t.Errorf("%d lines of metrics are left", len(lines))
			}
			test.mend(job)
			job.Console, job.Start = io.Discard, StartResume
			run(t, job)
			if !slices.Equal(exported(t, job), exported(t, whole)) {
				t.Error("the weights differ from those of a run without the failure")
			}
			if record, err := job.Directory.ReadRecord(); err != nil || record.State != StateFinished || record.Error != "" {
				t.Errorf("run.json says %+v, %v", record, err)
			}
		})
	}
}

// TestPicturesThatVanish: a run whose pictures are deleted under it ends by naming them and what may be set.
func TestPicturesThatVanish(t *testing.T) {
	folder := pictures(t, 12)
	job := newJob(t, folder)
	job.Data.CacheMiB, job.Train.Epochs = 0, 50
	removed := false
	job.Console = at("training", 1, func() {
		for _, class := range []string{"warm", "cold"} {
			if err := os.RemoveAll(filepath.Join(folder, class)); err != nil {
				t.Error(err)
			}
		}
		removed = true
	})
	err := Run(t.Context(), job)
	if !removed || err == nil || !strings.Contains(err.Error(), "data.max_bad_ratio") || !strings.Contains(err.Error(), folder) {
		t.Fatalf("got %v", err)
	}
	if record, err := job.Directory.ReadRecord(); err != nil || record.State != StateFailed || !strings.Contains(record.Error, "data.max_bad_ratio") {
		t.Errorf("run.json says %+v, %v", record, err)
	}
}

// TestPlacesThatAreTaken: a folder or file of another kind in the place of one of the run's is found before the first step,
// and named.
func TestPlacesThatAreTaken(t *testing.T) {
	folder := pictures(t, 12)
	for name, asFolder := range map[string]bool{"train.log": true, "metrics.jsonl": true, "checkpoints": false} {
		job := newJob(t, folder)
		run(t, job)
		block(t, filepath.Join(string(job.Directory), name), asFolder)
		job.Start = StartResume
		err := Run(t.Context(), job)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
		if stat, err := os.Stat(filepath.Join(string(job.Directory), name)); err != nil || stat.IsDir() != asFolder {
			t.Errorf("%s was removed (%v)", name, err)
		}
	}
}

// TestHooksThatFail end the loop at once with their error, and the hooks behind them are not called.
func TestHooksThatFail(t *testing.T) {
	s := openSession(t, newJob(t, pictures(t, 12)))
	failure := errors.New("no more")
	var called []string
	hook := func(name string, failAt int) Hook {
		return hookFunc(func(_ context.Context, report StepReport) error {
			called = append(called, fmt.Sprint(name, report.Position.Step))
			if report.Position.Step == failAt {
				return failure
			}
			return nil
		})
	}
	if err := s.trainer.Loop(t.Context(), hook("a", 0), hook("b", 2), hook("c", 0)); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	if want := []string{"a1", "b1", "c1", "a2", "b2"}; !slices.Equal(called, want) {
		t.Errorf("called were %q, want %q", called, want)
	}
}

// TestEndedIsCalledOnce, however the run ends, when all that it leaves is there.
func TestEndedIsCalledOnce(t *testing.T) {
	for _, state := range []string{StateFinished, StateFailed} {
		job := newJob(t, pictures(t, 12))
		calls, seen := 0, ""
		job.Ended = func() {
			calls++
			if record, err := job.Directory.ReadRecord(); err == nil {
				seen = record.State
			}
		}
		if state == StateFailed {
			job.Optimizer = OptimizerConfig{Name: "sgd", LearningRate: 1e18, Momentum: 0.9}
			job.Train.Schedule, job.Train.Epochs = ScheduleConfig{Name: "constant"}, 20
		}
		if err := Run(t.Context(), job); (err != nil) != (state == StateFailed) {
			t.Fatal(err)
		}
		if calls != 1 || seen != state {
			t.Errorf("%s: called %d times, when the run was %s", state, calls, seen)
		}
	}
	job := newJob(t, t.TempDir())
	job.Ended = func() { t.Error("called for a run that never began") }
	if err := Run(t.Context(), job); err == nil {
		t.Error("a run without pictures succeeds")
	}
}

// TestRecordsOfResumedRuns: the time of all processes adds up, the id stays, and an error of before is forgotten.
func TestRecordsOfResumedRuns(t *testing.T) {
	job := newJob(t, pictures(t, 12))
	run(t, job)
	first, err := job.Directory.ReadRecord()
	if err != nil {
		t.Fatal(err)
	}
	changed := first
	changed.Seconds, changed.State, changed.Error = 1000, StateFailed, "disk full"
	if err := job.Directory.writeRecord(changed); err != nil {
		t.Fatal(err)
	}
	job.Start = StartResume
	run(t, job)
	second, err := job.Directory.ReadRecord()
	if err != nil || second.Seconds < 1000 || second.Error != "" || second.Run != first.Run || second.State != StateFinished {
		t.Errorf("%+v became %+v, %v", first, second, err)
	}
	job.Start = StartOverwrite
	run(t, job)
	if third, err := job.Directory.ReadRecord(); err != nil || third.Seconds >= 1000 || third.Run == first.Run {
		t.Errorf("overwritten: %+v, %v", third, err)
	}
	if log, err := metrics.ReadLog(job.Directory.Metrics()); err != nil || log[0].Step < 1 || log[len(log)-1].Step != int64(first.Steps) {
		t.Errorf("%d lines of metrics, %v", len(log), err)
	}
}
