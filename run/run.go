// Package run does what the commands are for: it trains a configuration, and reads, measures and exports what a
// training left in its directory.
package run

import (
	"errors"
	"fmt"
	"os"

	"pretrain/checkpoints"
	"pretrain/configs"
	"pretrain/eval"
	"pretrain/internal/kernel"
	"pretrain/nn"
	"pretrain/train"
)

// Environment variable that overrides the choice of the kernel family.
const kernelsVariable = "PRETRAIN_KERNELS"

// Kernels is the kernel family that the environment asks for; empty leaves the choice to the CPU table.
func Kernels() kernel.Family { return kernel.Family(os.Getenv(kernelsVariable)) }

// A Run is a trained, or half trained, backbone opened for reading. Close ends its compute threads. One goroutine may
// use it.
type Run struct {
	Directory train.Directory
	Config    *configs.Config
	Model     *eval.Model
	Step      int64 // of the checkpoint
	// Progress is told how many of a command's pictures are read, at first before any is, and at last all of them unless
	// something fails; nil = nobody watches.
	Progress func(done, total int)
	engine   *kernel.Engine
}

// batch is the number of pictures that the backbone reads at once.
const batch = 64

// Open loads the newest checkpoint of a run. A directory that is no run, or a run without a checkpoint, is a
// train.UsageError.
func Open(directory string) (*Run, error) {
	r := &Run{Directory: train.Directory(directory)}
	if err := r.loadConfig(); err != nil {
		return nil, err
	}
	found, err := checkpoints.Latest(r.Directory.Checkpoints())
	if errors.Is(err, checkpoints.ErrNone) {
		return nil, train.Usage(fmt.Errorf("%s holds a run that cannot be read yet: %w; go on with its training (--resume) until it has saved one", directory, err))
	}
	if err != nil {
		return nil, err
	}
	if r.engine, err = kernel.New(kernel.Options{Family: Kernels()}); err != nil {
		return nil, train.Usage(fmt.Errorf("%s: %w", kernelsVariable, err))
	}
	if err := r.loadModel(found.State); err != nil {
		r.Close()
		return nil, fmt.Errorf("%s: %w", found.Path, err)
	}
	r.Step = found.State.Step
	return r, nil
}

// Close ends the compute threads.
func (r *Run) Close() { r.engine.Close() }

func (r *Run) loadConfig() error {
	if !r.Directory.HoldsRun() {
		return train.Usage(fmt.Errorf("%s is not the directory of a run: it has no config.resolved.yaml; name what `pretrain train --out` was given", r.Directory))
	}
	resolved, err := recordedConfig(r.Directory)
	if err != nil {
		return err
	}
	r.Config = resolved.Config
	return nil
}

// recordedConfig loads the configuration that a run has recorded. What is wrong with it may be in what was torn off, so
// that not every problem names the file.
func recordedConfig(directory train.Directory) (*configs.Resolved, error) {
	resolved, err := configs.Load(configs.Source{Name: directory.Config()})
	if err != nil {
		return nil, fmt.Errorf("the configuration that the run has recorded in %s: %w", directory.Config(), err)
	}
	return resolved, nil
}

func (r *Run) loadModel(state checkpoints.State) (err error) {
	store := nn.NewStore(r.Config.Train.Seed)
	if r.Model, err = newModel(r.Config, store, r.engine); err != nil {
		return err
	}
	return train.LoadWeights(store, state)
}

// newModel is the configured backbone over a store, with random weights.
func newModel(c *configs.Config, store *nn.Store, engine *kernel.Engine) (*eval.Model, error) {
	backbone, err := c.NewBackbone()
	if err != nil {
		return nil, err
	}
	return eval.NewModel(backbone, store, engine, c.Data.Normalization(), batch)
}
