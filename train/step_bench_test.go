package train_test

import (
	"testing"

	"pretrain/bench"
	"pretrain/internal/kernel"
	"pretrain/nn"
)

// BenchmarkStep times whole training steps (forward, backward, optimizer) of the standard models on pictures in memory,
// as `pretrain bench` does, which also measures memory, apart for each model.
func BenchmarkStep(b *testing.B) {
	for _, model := range bench.Models() {
		for _, precision := range precisions {
			b.Run(model.Name+"/"+string(precision), func(b *testing.B) {
				step := newStep(b, kernel.Options{}, precision, model)
				run(b, step)
				b.ReportAllocs()
				for b.Loop() {
					run(b, step)
				}
				b.ReportMetric(float64(model.Batch)*float64(b.N)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}

var precisions = []nn.Precision{nn.Float32, nn.BFloat16}

func newStep(tb testing.TB, options kernel.Options, precision nn.Precision, model bench.Model) *bench.Step {
	tb.Helper()
	engine, err := kernel.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(engine.Close)
	step, err := bench.NewTraining(model, engine, precision, model.Batch)
	if err != nil {
		tb.Fatal(err)
	}
	return step
}

func run(tb testing.TB, step *bench.Step) {
	if err := step.Run(); err != nil {
		tb.Fatal(err)
	}
}
