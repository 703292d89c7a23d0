package train_test

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"testing"

	"pretrain/backbone"
	"pretrain/bench"
	"pretrain/internal/kernel"
)

// TestStepAllocatesNothing holds whole training steps, with every family of kernels, to no memory at all once the first
// ones have grown the scratch memory. Which worker grows its own depends on who is quicker, and the runtime now and
// then makes something for a goroutine that waits, so the best of several steps counts.
func TestStepAllocatesNothing(t *testing.T) {
	for _, model := range []bench.Model{ // batches are large enough that kernels cut their work into several pieces
		{
			Name: "vit", Architecture: "vit_tiny", Side: 32, Batch: 32, Classes: 4, Optimizer: "adamw",
			Params: &backbone.ViTConfig{Patch: 8, Width: 32, Depth: 2, Heads: 2, MLPRatio: 4, ClassToken: true, Pooling: "class", Positions: "learned"},
		},
		{
			Name: "resnet_small_stem", Architecture: "resnet18", Side: 32, Batch: 4, Classes: 4, Optimizer: "sgd",
			Params: &backbone.ResNetConfig{Stem: "small", Width: 8},
		},
		{
			Name: "resnet_standard_stem", Architecture: "resnet18", Side: 32, Batch: 4, Classes: 4, Optimizer: "sgd",
			Params: &backbone.ResNetConfig{Stem: "standard", Width: 8},
		},
	} {
		for _, family := range kernel.Families() {
			for _, precision := range precisions {
				t.Run(model.Name+"/"+string(family)+"/"+string(precision), func(t *testing.T) {
					step := newStep(t, kernel.Options{Family: family, Workers: 2}, precision, model)
					least := testing.AllocsPerRun(1, func() { run(t, step) })
					for range 5 {
						least = min(least, testing.AllocsPerRun(1, func() { run(t, step) }))
					}
					if least != 0 {
						t.Errorf("%v allocations in a step: want none", least)
					}
				})
			}
		}
	}
}

// smallModels are a transformer and a residual network of a few channels.
func smallModels(batch int) []bench.Model {
	return []bench.Model{
		{
			Name: "vit", Architecture: "vit_tiny", Side: 32, Batch: batch, Classes: 4, Optimizer: "adamw",
			Params: &backbone.ViTConfig{Patch: 8, Width: 48, Depth: 2, Heads: 2, MLPRatio: 4, ClassToken: true, Pooling: "class", Positions: "learned"},
		},
		{
			Name: "resnet18", Architecture: "resnet18", Side: 32, Batch: batch, Classes: 4, Optimizer: "adamw",
			Params: &backbone.ResNetConfig{Stem: "small", Width: 8},
		},
	}
}

// TestStepDoesNotDependOnWorkers: the gradients of whole steps have the same bits for any number of threads, in every
// family and precision.
func TestStepDoesNotDependOnWorkers(t *testing.T) {
	for _, model := range smallModels(8) {
		for _, family := range kernel.Families() {
			for _, precision := range precisions {
				t.Run(fmt.Sprintf("%s/%s/%s", model.Name, family, precision), func(t *testing.T) {
					var first []float32
					for _, workers := range []int{1, 2, 3, 5} {
						step := newStep(t, kernel.Options{Family: family, Workers: workers}, precision, model)
						run(t, step)
						run(t, step)
						if first == nil {
							first = slices.Clone(step.Gradients())
						}
						if !slices.Equal(first, step.Gradients()) {
							t.Fatalf("the gradients differ between 1 and %d workers", workers)
						}
					}
				})
			}
		}
	}
}

// TestMemoryStaysFlat watches the resident memory over thousands of steps. It may rise for a while after the start
// (once by 5 MB within 2,000 steps), presumably as the system gathers pages into huge ones. A leak is what never stops, so one
// window of steps without growth is asked for. It takes a while: set SLOW_TESTS to run it.
func TestMemoryStaysFlat(t *testing.T) {
	if os.Getenv("SLOW_TESTS") == "" {
		t.Skip("thousands of steps take a while: set SLOW_TESTS to run them")
	}
	const window, windows, noise = 500, 8, 64 << 10
	for _, precision := range precisions {
		t.Run(string(precision), func(t *testing.T) {
			step := newStep(t, kernel.Options{}, precision, smallModels(16)[0])
			resident := []int{residentBytes(t)}
			for range windows {
				for range window {
					run(t, step)
				}
				before, after := resident[len(resident)-1], residentBytes(t)
				resident = append(resident, after)
				if after <= before+noise {
					return
				}
			}
			t.Errorf("the resident memory grows in every %d steps: %d bytes", window, resident)
		})
	}
}

// residentBytes is the process's resident memory after a garbage collection.
func residentBytes(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("resident memory is read from /proc, which is not here")
	}
	var size, resident int
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}
