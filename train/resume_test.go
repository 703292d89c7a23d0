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
	"sync/atomic"
	"testing"

	"pretrain/backbone"
	"pretrain/losses"
	"pretrain/nn"
	"pretrain/pretext"
)

// stopper ends a run in the middle of a step: the weighter is bound before every batch, accumulated ones too.
type stopper struct {
	losses.Weighter
	left *atomic.Int64 // batches until the stop
	stop context.CancelCauseFunc
}

var errEnough = errors.New("enough")

func (s stopper) Bind(program *nn.Program) {
	if s.left.Add(-1) == 0 {
		s.stop(errEnough)
	}
	s.Weighter.Bind(program)
}

// stopBefore makes a job stop while it computes batch number n, counted from 1, of this process; the returned context is
// to be run with. Batch 0 is never: the run goes to its end.
func stopBefore(t *testing.T, job *Job, n int) context.Context {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	t.Cleanup(func() { stop(nil) })
	config, name, left := job.Losses, "stopping "+t.Name(), &atomic.Int64{}
	left.Store(int64(n))
	losses.Register(name, func() losses.Weighter {
		weighter, err := losses.New(config)
		if err != nil {
			t.Error(err)
		}
		return stopper{weighter, left, stop}
	})
	job.Losses.Weighter = name
	return ctx
}

// longJob has everything that a resumed run must go on with: two tasks, of which one looks at a part of the batch only,
// weights that follow the losses, moments, a schedule that moves, and steps that end in the middle of an epoch.
// Three epochs of five batches, two of them a step, are seven steps; the epochs end within steps 3, 5 (its last batch)
// and 8, which does not exist.
func longJob(t *testing.T, folder string) Job {
	t.Helper()
	job := newJob(t, folder)
	job.TaskNames = []string{"patch_location", "rotation"}
	location := pretext.Definitions()[1].Defaults().(*pretext.PatchLocationConfig)
	location.Weight, location.Share = 0.5, 0.5
	job.Tasks = []pretext.Params{location, &pretext.RotationConfig{Common: pretext.Common{Weight: 1, Share: 1}, Copies: 1}}
	job.Train.Epochs, job.Train.Accumulate, job.Losses.Weighter = 3, 2, "dwa"
	job.Checkpoints.Keep = 0
	return job
}

// sameEnd compares the last checkpoints of two runs number by number, and their exports byte by byte.
func sameEnd(t *testing.T, got, want Job) {
	t.Helper()
	a, b := latest(t, got.Directory).State, latest(t, want.Directory).State
	if a.Step != b.Step || a.Epoch != b.Epoch || a.Position != b.Position || a.Pictures != b.Pictures || a.Views != b.Views {
		t.Errorf("the run ends at %+v, want %+v", a.Info, b.Info)
	}
	if len(a.Tensors) != len(b.Tensors) {
		t.Fatalf("the checkpoint has %d tensors, want %d", len(a.Tensors), len(b.Tensors))
	}
	for i, tensor := range b.Tensors {
		if a.Tensors[i].Name != tensor.Name || !slices.Equal(a.Tensors[i].Data, tensor.Data) {
			t.Errorf("%s differs", tensor.Name)
		}
	}
	if !slices.Equal(exported(t, got), exported(t, want)) {
		t.Error("the exported weights differ")
	}
}

// oneLineAStep: however often a run was stopped, its metrics tell every step once, in order.
func oneLineAStep(t *testing.T, job Job) {
	t.Helper()
	var steps []int64
	for _, record := range records(t, job) {
		steps = append(steps, record.Step)
	}
	for i, step := range steps {
		if step != int64(i+1) {
			t.Fatalf("metrics.jsonl has lines of steps %v", steps)
		}
	}
	if last := latest(t, job.Directory).State.Step; int64(len(steps)) != last {
		t.Errorf("metrics.jsonl ends at step %d, the run at %d", len(steps), last)
	}
}

// TestResumeEqualsARunThatWasNotStopped stops in every odd place: within the first step, between the batches of a step,
// in the batch that ends an epoch and the one after it, within the last step, and several times. Each process has other
// workers, threads, prefetch and cache than the one before.
func TestResumeEqualsARunThatWasNotStopped(t *testing.T) {
	folder := pictures(t, 21) // the last one is left over in every epoch
	whole := longJob(t, folder)
	run(t, whole)
	oneLineAStep(t, whole)
	for name, stops := range map[string][]int{
		"within the first step":      {1},
		"between the batches":        {4},
		"in the batch that ends":     {5},
		"in the batch after the end": {6},
		"at an end that ends a step": {10},
		"within the last step":       {13},
		"in the very last batch":     {14},
		"in every second step":       {3, 3, 3},
		"twice in one place":         {2, 1, 1},
		"three times":                {7, 2, 4},
	} {
		t.Run(name, func(t *testing.T) {
			job := longJob(t, folder)
			for process, batches := range append(stops, 0) {
				part := job
				part.Data.Workers, part.Train.Threads, part.Data.Prefetch, part.Data.CacheMiB = 1+process%3, 1+process%2, 1+process, process
				ctx := stopBefore(t, &part, batches)
				err := Run(ctx, part)
				var interrupted *Interrupted
				switch {
				case batches == 0 && err != nil:
					t.Fatal(err)
				case batches > 0 && (!errors.As(err, &interrupted) || interrupted.Cause != errEnough):
					t.Fatalf("process %d ended with %v", process, err)
				}
				job.Start = StartResume
			}
			sameEnd(t, job, whole)
			oneLineAStep(t, job)
		})
	}
}

// TestOtherWorkersChangeNoBit of a whole run: neither those that prepare pictures nor those that compute, on a network
// that looks at the batch as a whole.
func TestOtherWorkersChangeNoBit(t *testing.T) {
	folder := pictures(t, 12)
	jobs := make([]Job, 3)
	for i := range jobs {
		jobs[i] = newJobOf(t, folder, "resnet18", &backbone.ResNetConfig{Stem: "small", Width: 8})
		jobs[i].Data.Workers, jobs[i].Train.Threads, jobs[i].Data.Prefetch, jobs[i].Data.CacheMiB = 1+2*i, 1+i, 1+i, i%2
		jobs[i].Train.MaxSteps = 4
		run(t, jobs[i])
	}
	sameEnd(t, jobs[1], jobs[0])
	sameEnd(t, jobs[2], jobs[0])
}

// TestKilledAtACheckpoint copies the run's directory whenever a checkpoint is reported, as a power cut at that moment
// would leave it, and goes on with each copy. The first copy has metrics that are ahead of nothing; all end alike.
func TestKilledAtACheckpoint(t *testing.T) {
	folder := pictures(t, 21)
	whole := longJob(t, folder)
	whole.Checkpoints.EverySteps, whole.Train.MaxSteps = 2, 5
	var copies []string
	whole.Console = &console{onLine: func(line string) {
		if strings.Contains(line, "checkpoint") {
			copied := filepath.Join(t.TempDir(), fmt.Sprint("copy", len(copies)))
			if err := os.CopyFS(copied, os.DirFS(string(whole.Directory))); err != nil {
				t.Error(err)
			}
			copies = append(copies, copied)
		}
	}}
	run(t, whole)
	if len(copies) < 3 {
		t.Fatalf("%d checkpoints were reported", len(copies))
	}
	for _, copied := range copies {
		job := whole
		job.Directory, job.Start, job.Console = Directory(copied), StartResume, io.Discard
		// What a process that went on for a while after its checkpoint would have appended.
		appendTo(t, job.Directory.Metrics(), `{"step":6,"epoch":2,"loss":1}`+"\n"+`{"step":7,"ep`)
		run(t, job)
		sameEnd(t, job, whole)
		oneLineAStep(t, job)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(content)+text)
}

// TestResumeAfterTheLastStep: a finished run is not trained any further, and what it exports comes back, whether the
// process was killed before it could export or a person deleted it.
func TestResumeAfterTheLastStep(t *testing.T) {
	job := longJob(t, pictures(t, 21))
	run(t, job)
	weights, metrics := exported(t, job), records(t, job)
	if err := os.RemoveAll(job.Directory.Exported()); err != nil {
		t.Fatal(err)
	}
	record, err := job.Directory.ReadRecord()
	if err != nil {
		t.Fatal(err)
	}
	record.State = StateRunning
	if err := job.Directory.writeRecord(record); err != nil {
		t.Fatal(err)
	}
	again := job
	again.Start, again.Train.Threads, again.Data.Workers = StartResume, 2, 3
	run(t, again)
	if !slices.Equal(exported(t, again), weights) {
		t.Error("the weights that are exported again differ")
	}
	if after := records(t, again); len(after) != len(metrics) {
		t.Errorf("%d lines of metrics became %d", len(metrics), len(after))
	}
	after, err := again.Directory.ReadRecord()
	if err != nil || after.State != StateFinished || after.Step != record.Step || after.Seconds < record.Seconds {
		t.Errorf("run.json says %+v, was %+v", after, record)
	}
}

// TestOverwriteBeginsAgain: nothing of the old run is left to go on with.
func TestOverwriteBeginsAgain(t *testing.T) {
	folder := pictures(t, 21)
	fresh, again := longJob(t, folder), longJob(t, folder)
	run(t, fresh)
	again.Train.Seed = 77
	run(t, again)
	again.Train.Seed, again.Start = fresh.Train.Seed, StartOverwrite
	run(t, again)
	sameEnd(t, again, fresh)
	oneLineAStep(t, again)
}
