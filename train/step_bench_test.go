package train

import (
	"testing"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/internal/kernel"
	"pretrain/internal/random"
	"pretrain/losses"
	"pretrain/nn"
	"pretrain/pretext"
)

// BenchmarkStep times whole training steps (forward, backward, optimizer) of the standard models on pictures in memory,
// with one view a picture and one small head, as the PyTorch figures in docs/performance.md are taken.
func BenchmarkStep(b *testing.B) {
	vit := &backbone.ViTConfig{Patch: 4, MLPRatio: 4, ClassToken: true, Pooling: "class", Positions: "learned"}
	resnet := &backbone.ResNetConfig{Stem: "small", Width: 64}
	for _, model := range []struct {
		name, architecture string
		params             any
		batch              int
		optimizer          string
	}{
		{"vit_t4_32", "vit_tiny", vit, 128, "adamw"},
		{"resnet18_c", "resnet18", resnet, 128, "sgd"},
	} {
		for _, precision := range []nn.Precision{nn.Float32, nn.BFloat16} {
			b.Run(model.name+"/"+string(precision), func(b *testing.B) {
				step := newBenchStep(b, kernel.Options{}, precision, model.architecture, model.params, model.batch, model.optimizer)
				step.run(b)
				b.ReportAllocs()
				for b.Loop() {
					step.run(b)
				}
				b.ReportMetric(float64(model.batch)*float64(b.N)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}

type benchStep struct {
	step      *Step
	engine    *kernel.Engine
	optimizer *Optimizer
	batch     *Batch
	store     *nn.Store
	count     int
}

func newBenchStep(tb testing.TB, options kernel.Options, precision nn.Precision, architecture string, params any, batch int, optimizer string) *benchStep {
	tb.Helper()
	engine, err := kernel.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(engine.Close)
	family, err := backbone.Find(architecture)
	if err != nil {
		tb.Fatal(err)
	}
	network, err := family.New(architecture, params, 32)
	if err != nil {
		tb.Fatal(err)
	}
	rotation := &pretext.RotationConfig{Common: pretext.Common{Weight: 1, Share: 1}, Copies: 1}
	task, err := rotation.New(pretext.Env{Backbone: network, Side: 32, Batch: batch, Augmentation: data.DefaultAugmentation()})
	if err != nil {
		tb.Fatal(err)
	}
	tasks := []pretext.Task{task}
	plan, err := NewPlan(network, tasks, nil, batch)
	if err != nil {
		tb.Fatal(err)
	}
	weighter, err := losses.New(losses.DefaultConfig())
	if err != nil {
		tb.Fatal(err)
	}
	store := nn.NewStore(1)
	step, err := NewStep(StepParts{
		Store: store, Engine: engine, Backbone: network, Tasks: tasks, Weighter: weighter,
		Precision: precision, Terms: []losses.Term{{Name: "rotation", Weight: 1}}, Plan: plan,
	})
	if err != nil {
		tb.Fatal(err)
	}
	config := DefaultOptimizerConfig()
	config.Name = optimizer
	s := &benchStep{step: step, store: store, engine: engine, optimizer: NewOptimizer(config, store), batch: plan.NewBatch(tasks)}
	noise := random.New(1, "benchmark")
	for i := range s.batch.Passes[0].Pixels {
		s.batch.Passes[0].Pixels[i] = float32(noise.NormFloat64())
	}
	for i := range s.batch.Targets[0] {
		s.batch.Targets[0][i] = float32(i % 4)
	}
	return s
}

func (s *benchStep) run(tb testing.TB) {
	if err := s.step.Run(s.batch); err != nil {
		tb.Fatal(err)
	}
	s.count++
	s.optimizer.Step(s.engine, s.count, 1e-4, 1)
}
