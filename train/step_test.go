package train_test

import (
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
			t.Run(model.Name+"/"+string(family), func(t *testing.T) {
				step := newStep(t, kernel.Options{Family: family, Workers: 2}, model)
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
