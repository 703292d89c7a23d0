package bench

import (
	"errors"
	"fmt"
	"slices"

	"pretrain/eval"
	"pretrain/internal/kernel"
	"pretrain/internal/memory"
	"pretrain/nn"
	"pretrain/train"
)

// Mode is what a model is asked to do.
type Mode string

// The modes.
const (
	Train    Mode = "train"    // whole training steps: forward, backward, optimizer
	Features Mode = "features" // one vector of every layer, as `pretrain extract` makes them
)

// ModeNames lists the modes.
func ModeNames() []string { return []string{string(Train), string(Features)} }

// Options say what is measured. Empty lists mean everything there is.
type Options struct {
	Models, Modes, Precisions []string
	Batch                     int     // pictures a step; 0 = each model's own
	Seconds                   float64 // of a row
	Threads                   int     // 0 = all cores
	Kernels                   kernel.Family
	Profile                   bool
	Recompute                 bool  // cheap activations, as train.recompute
	MemoryLimit               int64 // bytes a row may take; 0 = what the machine has free
}

// Spec is one row to be measured. As JSON it passes to the process that measures it.
type Spec struct {
	Model     string        `json:"model"`
	Variant   Variant       `json:"variant,omitzero"`
	Mode      Mode          `json:"mode"`
	Precision nn.Precision  `json:"precision"`
	Batch     int           `json:"batch"`
	Threads   int           `json:"threads"`
	Seconds   float64       `json:"seconds"`
	Kernels   kernel.Family `json:"kernels"`
	Profile   bool          `json:"profile"`
	Recompute bool          `json:"recompute"`
}

// largestBatch bounds batches, so that numbers of bytes stay far from the largest int64.
const largestBatch = 1 << 30

// Specs lists the rows, models first, or says everything that is wrong with the options as train.UsageErrors: unknown
// names, numbers out of range, batches that do not fit in memory. Features of a model with pretext tasks are those of
// its backbone, which another row measures: that row is left out.
func (o Options) Specs() ([]Spec, error) {
	models, modes, precisions := orAll(o.Models, ModelNames()), orAll(o.Modes, ModeNames()), orAll(o.Precisions, PrecisionNames())
	err := errors.Join(o.check(), known("--models", "model", models, ModelNames()), known("--modes", "mode", modes, ModeNames()),
		known("--precisions", "precision", precisions, PrecisionNames()))
	if err != nil {
		return nil, train.Usage(err)
	}
	var specs []Spec
	for _, name := range models {
		model, err := Find(name)
		if err != nil {
			return nil, train.Usage(err)
		}
		for _, mode := range modes {
			if len(model.Tasks) > 0 && Mode(mode) == Features {
				continue
			}
			for _, precision := range precisions {
				specs = append(specs, o.spec(model, Mode(mode), nn.Precision(precision)))
			}
		}
	}
	if len(specs) == 0 {
		return nil, train.Usage(fmt.Errorf("--modes: features of the model %v are those of its backbone: name vit_t4_32, or the mode train", models))
	}
	return specs, o.checkMemory(specs)
}

// spec is a row of these options.
func (o Options) spec(model Model, mode Mode, precision nn.Precision) Spec {
	spec := Spec{
		Model: model.Name, Mode: mode, Precision: precision, Batch: o.Batch, Threads: o.Threads, Seconds: o.Seconds,
		Kernels: o.Kernels, Profile: o.Profile, Recompute: o.Recompute && mode == Train,
	}
	if spec.Batch == 0 {
		spec.Batch = model.Batch
	}
	return spec
}

// orAll is the list, or all there is if it is empty.
func orAll(list, all []string) []string {
	if len(list) == 0 {
		return all
	}
	return list
}

// mostThreads is far more than any machine has cores, and few enough to be started.
const mostThreads = 4096

// check reports numbers out of range.
func (o Options) check() error {
	var problems []error
	if o.Batch < 0 || o.Batch > largestBatch {
		problems = append(problems, fmt.Errorf("--batch is %d: it must be 1 to %d, or 0 for each model's own", o.Batch, largestBatch))
	}
	problems = append(problems, CheckSeconds(o.Seconds))
	if o.Threads < 0 || o.Threads > mostThreads {
		problems = append(problems, fmt.Errorf("--threads is %d: it must be 1 to %d, or 0 for all cores", o.Threads, mostThreads))
	}
	if engine, err := kernel.New(kernel.Options{Family: o.Kernels, Workers: 1}); err != nil {
		problems = append(problems, err)
	} else {
		engine.Close()
	}
	return errors.Join(problems...)
}

// longest is the time in seconds that measuring one thing may take.
const longest = 24 * 60 * 60

// CheckSeconds reports a time that cannot be measured for.
func CheckSeconds(seconds float64) error {
	if seconds > 0 && seconds <= longest {
		return nil
	}
	return fmt.Errorf("--seconds is %v: it must be above 0 and at most %d, a day", seconds, longest)
}

// known reports the names that do not exist.
func known(flag, what string, names, there []string) error {
	var problems []error
	for _, name := range names {
		if !slices.Contains(there, name) {
			problems = append(problems, fmt.Errorf("%s: %w", flag, unknown(what, name, there)))
		}
	}
	return errors.Join(problems...)
}

// checkMemory plans every row before the first one runs.
func (o Options) checkMemory(specs []Spec) error {
	limit := memory.Limit{Bytes: o.MemoryLimit, Source: "the given limit"}
	if limit.Bytes == 0 {
		limit = memory.Free()
	}
	var problems []error
	for _, spec := range specs {
		key := fmt.Sprintf("--batch (%s, %s, %s)", spec.Model, spec.Mode, spec.Precision)
		problems = append(problems, train.CheckMemory(key, spec.Batch, limit, spec.memory))
	}
	return errors.Join(problems...)
}

// memory is what the spec takes with another batch.
func (s Spec) memory(batch int) (train.Memory, error) {
	s.Batch = batch
	predicted, err := s.predict()
	return predicted.memory, err
}

// prediction is what a row takes and computes, known before it runs.
type prediction struct {
	memory train.Memory
	flops  float64 // of a step
}

// predict plans a row.
func (s Spec) predict() (prediction, error) {
	model, err := s.model()
	if err != nil {
		return prediction{}, err
	}
	if s.Mode == Features {
		network, err := model.network()
		if err != nil {
			return prediction{}, err
		}
		size, err := eval.SizeOf(network, s.Precision, s.Batch)
		return prediction{featuresMemory(size), size.FLOPs}, err
	}
	parts, err := model.parts(s.Batch, s.Precision)
	if err != nil {
		return prediction{}, err
	}
	size, err := train.SizeOf(parts)
	return prediction{train.MemoryOf(size, train.MemoryUse{Optimizer: model.optimizerOf(), Batches: 1}), size.FLOPs}, err
}

// featuresMemory is what reading features takes: no gradients.
func featuresMemory(size nn.Size) train.Memory {
	return train.Memory{Arena: size.Arena, Parameters: train.StoredBytes(size), Batches: size.Inputs, Program: train.ProgramBytes}
}

// model is the standard model, changed as the spec says.
func (s Spec) model() (Model, error) {
	model, err := Find(s.Model)
	if err != nil {
		return model, err
	}
	if !slices.Contains(ModeNames(), string(s.Mode)) {
		return model, unknown("mode", string(s.Mode), ModeNames())
	}
	model.Recompute = s.Recompute
	return model.with(s.Variant)
}
