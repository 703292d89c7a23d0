package train

import (
	"fmt"
	"strings"

	"pretrain/eval"
	"pretrain/internal/memory"
	"pretrain/nn"
)

// ProgramBytes is what a process takes beside what is planned: the program and its runtime, kernels' scratch memory,
// what prepares pictures. It is a round upper bound of what was measured.
const ProgramBytes = 64 << 20

// Memory is what a run takes, in bytes, known before any of it is allocated.
type Memory struct {
	Arena      int64 // intermediate results of a step
	Parameters int64 // with statistics and fixed tables; see StoredBytes
	Gradients  int64
	Optimizer  int64 // moments, and the sum of accumulated gradients
	Batches    int64 // the one that is shown and those prepared ahead
	Evaluation int64 // the backbone as it is read during training
	Pictures   int64 // kept decoded
	Inspection int64 // closer looks at a step; see metrics.inspect_every_steps
	Shown      int64 // views of what is drawn for the live page and the report; see metrics.pictures
	Program    int64 // ProgramBytes
}

// Total is the sum.
func (m Memory) Total() int64 {
	return m.Arena + m.Parameters + m.Gradients + m.Optimizer + m.Batches + m.Evaluation + m.Pictures + m.Inspection + m.Shown + m.Program
}

// String lists the parts that are there.
func (m Memory) String() string {
	var parts []string
	for _, part := range []struct {
		name  string
		bytes int64
	}{
		{"intermediate results", m.Arena}, {"parameters", m.Parameters}, {"gradients", m.Gradients}, {"optimizer", m.Optimizer},
		{"batches", m.Batches}, {"evaluation", m.Evaluation}, {"pictures kept (data.cache_mib)", m.Pictures},
		{"closer looks (metrics.inspect_every_steps)", m.Inspection}, {"pictures shown (metrics.pictures)", m.Shown}, {"the program", m.Program},
	} {
		if part.bytes > 0 {
			parts = append(parts, part.name+" "+memory.Text(part.bytes))
		}
	}
	return strings.Join(parts, ", ")
}

// MemoryUse says how a step is used, as far as that takes memory.
type MemoryUse struct {
	Optimizer  OptimizerConfig
	Accumulate int // batches a step; 0 means 1
	Batches    int // that exist at a time
}

// SizeOf is what the graph of a step takes and computes, found without allocating anything of its size. Store and
// Engine of the parts are left alone, and the weighter is one made for this: its Combine is called.
func SizeOf(parts StepParts) (nn.Size, error) {
	c := nn.NewCtx(nn.NewSketch(), true)
	s, keep, err := buildStep(c, parts)
	if err != nil {
		return nn.Size{}, err
	}
	return nn.SizeOf(c, s.cost, keep...)
}

// MemoryOf is what a run of steps of a size takes.
func MemoryOf(size nn.Size, use MemoryUse) Memory {
	moments := int64(use.Optimizer.moments())
	if use.Accumulate > 1 {
		moments++
	}
	return Memory{
		Arena: size.Arena, Parameters: StoredBytes(size), Gradients: size.Parameters,
		Optimizer: moments * size.Parameters, Batches: int64(use.Batches) * size.Inputs, Program: ProgramBytes,
	}
}

// StoredBytes is what a store takes without gradients: every parameter is there twice for a while, as it was
// initialised and in the flat buffer that all of them are laid out in.
func StoredBytes(size nn.Size) int64 { return 2*size.Parameters + size.Buffers }

// A MemoryError says that a batch does not fit in memory.
type MemoryError struct {
	Key     string // that sets the batch
	Batch   int
	Needed  Memory
	Limit   memory.Limit
	Largest int // batch that fits; 0 if none does
}

// Error names the bytes, the limit and the largest batch that fits.
func (e *MemoryError) Error() string {
	remedy := fmt.Sprintf("lower it to at most %d", e.Largest)
	if e.Largest == 0 {
		remedy = "not even a batch of 1 fits: take a smaller backbone, smaller pictures or fewer tasks"
	}
	return fmt.Sprintf("%s is %d: it takes %d bytes (%s) of memory, and %d bytes (%s, %s) are free: %s; the parts: %s",
		e.Key, e.Batch, e.Needed.Total(), memory.Text(e.Needed.Total()), e.Limit.Bytes, memory.Text(e.Limit.Bytes), e.Limit.Source, remedy, e.Needed)
}

// CheckMemory returns a *MemoryError, as a mistake in usage, if what predict tells of a batch is above the limit. A
// limit of 0 bytes is none. The largest batch that it names fits, and the next one does not.
func CheckMemory(key string, batch int, limit memory.Limit, predict func(batch int) (Memory, error)) error {
	needed, err := predict(batch)
	if err != nil || limit.Bytes == 0 || needed.Total() <= limit.Bytes {
		return err
	}
	largest, err := largestBatch(batch, limit.Bytes, predict)
	if err != nil {
		return err
	}
	return Usage(&MemoryError{Key: key, Batch: batch, Needed: needed, Limit: limit, Largest: largest})
}

// largestBatch bisects between 0 and a batch that does not fit. Each question plans a graph, which takes
// milliseconds whatever the batch.
func largestBatch(tooLarge int, limit int64, predict func(batch int) (Memory, error)) (int, error) {
	fits := 0
	for tooLarge-fits > 1 {
		middle := fits + (tooLarge-fits)/2
		needed, err := predict(middle)
		if err != nil {
			return 0, err
		}
		if needed.Total() <= limit {
			fits = middle
		} else {
			tooLarge = middle
		}
	}
	return fits, nil
}

// memoryLimit is what the job may take: what it says, or what the machine has.
func (j Job) memoryLimit() memory.Limit {
	if j.MemoryLimit > 0 {
		return memory.Limit{Bytes: j.MemoryLimit, Source: "the given limit"}
	}
	return memory.Free()
}

// fixedMemory is what the run keeps beside its step, whatever the batch.
func (s *session) fixedMemory() (Memory, error) {
	evaluation, err := eval.SizeOf(s.job.Backbone, nn.Float32, evaluationBatch)
	if err != nil {
		return Memory{}, err
	}
	return Memory{
		Evaluation: evaluation.Arena + 2*evaluation.Inputs, // the reader fills one batch while another is shown
		Pictures:   min(s.job.Data.CacheBytes(), s.files.ReducedBytes(s.job.Data.ReducedSide())),
	}, nil
}

// checkMemory refuses a batch that does not fit beside what else the run keeps in memory.
func (s *session) checkMemory(t *Trainer) error {
	fixed, err := s.fixedMemory()
	if err != nil {
		return err
	}
	return CheckMemory("train.batch_size", s.job.Train.BatchSize, s.job.memoryLimit(), func(batch int) (Memory, error) {
		parts, err := s.parts(t, batch)
		if err != nil {
			return Memory{}, err
		}
		size, err := SizeOf(parts)
		needed := MemoryOf(size, MemoryUse{s.job.Optimizer, s.job.Train.Accumulate, s.job.Data.Prefetch + 1})
		needed.Evaluation, needed.Pictures = fixed.Evaluation, fixed.Pictures
		needed.Inspection = inspectionBytes(s.job.Metrics.InspectEverySteps, len(t.tasks), size.Parameters, size.Inputs)
		if s.job.Metrics.Pictures {
			views := max(1, parts.Plan.viewBytes())
			needed.Shown = views * int64(min(batch, exhibited(s.job.Backbone.UsesBatchStatistics(), views)))
		}
		return needed, err
	})
}
