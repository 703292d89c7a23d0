package train

import (
	"testing"

	"pretrain/backbone"
	"pretrain/internal/kernel"
	"pretrain/nn"
)

// TestStepAllocatesNothing holds whole training steps, with every family of kernels, to no memory at all once the first
// ones have grown the scratch memory. Which worker grows its own depends on who is quicker, and the runtime now and
// then makes something for a goroutine that waits, so the best of several steps counts.
func TestStepAllocatesNothing(t *testing.T) {
	for _, model := range []struct {
		name, architecture string
		params             any
		batch              int // enough that kernels cut their work into several pieces
		optimizer          string
	}{
		{"vit", "vit_tiny", &backbone.ViTConfig{Patch: 8, Width: 32, Depth: 2, Heads: 2, MLPRatio: 4, ClassToken: true, Pooling: "class", Positions: "learned"}, 32, "adamw"},
		{"resnet_small_stem", "resnet18", &backbone.ResNetConfig{Stem: "small", Width: 8}, 4, "sgd"},
		{"resnet_standard_stem", "resnet18", &backbone.ResNetConfig{Stem: "standard", Width: 8}, 4, "sgd"},
	} {
		for _, family := range kernel.Families() {
			for _, precision := range []nn.Precision{nn.Float32, nn.BFloat16} {
				t.Run(model.name+"/"+string(family)+"/"+string(precision), func(t *testing.T) {
					step := newBenchStep(t, kernel.Options{Family: family, Workers: 2}, precision, model.architecture, model.params, model.batch, model.optimizer)
					least := testing.AllocsPerRun(1, func() { step.run(t) })
					for range 5 {
						least = min(least, testing.AllocsPerRun(1, func() { step.run(t) }))
					}
					if least != 0 {
						t.Errorf("%v allocations in a step: want none", least)
					}
				})
			}
		}
	}
}
