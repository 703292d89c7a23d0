package train

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"pretrain/internal/memory"
	"pretrain/pretext"
)

// openSession prepares a run up to its first step.
func openSession(t *testing.T, job Job) *session {
	t.Helper()
	s := &session{job: job}
	t.Cleanup(s.close)
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPredictedMemory holds a prediction against what a session has allocated.
func TestPredictedMemory(t *testing.T) {
	folder := pictures(t, 12)
	for _, optimizer := range []string{"adamw", "sgd"} {
		job := newJob(t, folder)
		job.Optimizer.Name, job.Train.Accumulate = optimizer, 2
		s := openSession(t, job)
		parts, err := s.parts(s.trainer, job.Train.BatchSize)
		if err != nil {
			t.Fatal(err)
		}
		size, err := SizeOf(parts)
		if err != nil {
			t.Fatal(err)
		}
		got := MemoryOf(size, MemoryUse{job.Optimizer, job.Train.Accumulate, job.Data.Prefetch + 1})
		values := int64(4 * len(s.trainer.store.Values()))
		want := Memory{
			Arena: int64(s.trainer.step.ArenaBytes()), Parameters: 2 * values, Gradients: values, Program: ProgramBytes,
			Optimizer: int64(1+len(s.trainer.optimizer.moments)) * values,
			Batches:   int64(job.Data.Prefetch+1) * batchBytes(s.trainer.plan.NewBatch(s.trainer.tasks)),
		}
		got.Batches &^= 63 // the weights of the tasks are an input too
		want.Batches &^= 63
		if got != want {
			t.Errorf("%s: predicted %+v, is %+v", optimizer, got, want)
		}
		if got.Total() <= want.Arena+4*values {
			t.Errorf("%s: the total %d is not the sum of %v", optimizer, got.Total(), got)
		}
	}
}

func batchBytes(b *Batch) int64 {
	numbers := 0
	for _, pass := range b.Passes {
		numbers += len(pass.Pixels) + len(pass.Tokens) + len(pass.Positions)
	}
	for _, target := range b.Targets {
		numbers += len(target)
	}
	return int64(4 * numbers)
}

// TestBatchThatDoesNotFit asks for more than the limit. The run is refused before anything is written, and the batch
// that the message names is the largest that is not refused.
func TestBatchThatDoesNotFit(t *testing.T) {
	job := newJob(t, pictures(t, 12))
	job.Train.BatchSize = 12
	refused := func(batch int, limit int64) *MemoryError {
		job := job
		job.Directory, job.Train.BatchSize, job.MemoryLimit = Directory(t.TempDir()+"/run"), batch, limit
		s := &session{job: job}
		defer s.close()
		err := s.open(t.Context())
		var usage *UsageError
		var tooLarge *MemoryError
		if err == nil {
			return nil
		}
		if !errors.As(err, &usage) || !errors.As(err, &tooLarge) {
			t.Fatalf("the error is %v", err)
		}
		if _, err := os.Stat(string(job.Directory)); err == nil {
			t.Error("a refused run has made its directory")
		}
		return tooLarge
	}
	whole := refused(12, 1)
	if whole == nil || whole.Largest != 0 || !strings.Contains(whole.Error(), "not even a batch of 1 fits") {
		t.Fatalf("with one byte: %v", whole)
	}
	total := whole.Needed.Total()
	if err := refused(12, total); err != nil {
		t.Errorf("refused with just enough: %v", err)
	}
	tooLarge := refused(12, total-(total-ProgramBytes)/8)
	if tooLarge == nil {
		t.Fatal("not refused with too little")
	}
	for _, want := range []string{"train.batch_size is 12", "bytes", "are free", "lower it to at most", "intermediate results", "pictures kept"} {
		if !strings.Contains(tooLarge.Error(), want) {
			t.Errorf("%q is not in: %v", want, tooLarge)
		}
	}
	if tooLarge.Largest < 1 || tooLarge.Largest >= 12 {
		t.Fatalf("the largest batch is %d", tooLarge.Largest)
	}
	if err := refused(tooLarge.Largest, tooLarge.Limit.Bytes); err != nil {
		t.Errorf("the largest batch is refused: %v", err)
	}
	if refused(tooLarge.Largest+1, tooLarge.Limit.Bytes) == nil {
		t.Errorf("a larger batch than %d fits", tooLarge.Largest)
	}
}

// TestHugeBatchIsPlanned predicts a batch of a hundred million pictures, which nothing could hold.
func TestHugeBatchIsPlanned(t *testing.T) {
	job := newJob(t, "")
	env := pretext.Env{Backbone: job.Backbone, Side: 16, Batch: 1, Augmentation: job.Data.Augmentation}
	task, err := job.Tasks[0].New(env)
	if err != nil {
		t.Fatal(err)
	}
	s, trainer := &session{job: job, engine: newEngine(t)}, &Trainer{tasks: []pretext.Task{task}}
	predict := func(batch int) (Memory, error) {
		parts, err := s.parts(trainer, batch)
		if err != nil {
			return Memory{}, err
		}
		size, err := SizeOf(parts)
		return MemoryOf(size, MemoryUse{Optimizer: job.Optimizer, Batches: 2}), err
	}
	const huge = 100_000_000
	err = CheckMemory("batch", huge, memory.Limit{Bytes: 8 << 30, Source: "test"}, predict)
	var tooLarge *MemoryError
	if !errors.As(err, &tooLarge) || tooLarge.Needed.Batches < huge*16*16*3*4 || tooLarge.Largest < 1000 {
		t.Fatalf("the error is %v", err)
	}
	if err := CheckMemory("batch", huge, memory.Limit{}, predict); err != nil {
		t.Errorf("refused without a limit: %v", err)
	}
	failing := func(int) (Memory, error) { return Memory{}, context.Canceled }
	if err := CheckMemory("batch", 1, memory.Limit{Bytes: 1}, failing); !errors.Is(err, context.Canceled) {
		t.Errorf("the error of a prediction is lost: %v", err)
	}
}
