package pretext

import (
	"testing"

	"pretrain/data"
)

// BenchmarkPrepare is what one picture costs a loader's worker, a task and a network at a time.
func BenchmarkPrepare(b *testing.B) {
	for _, network := range testNetworks {
		for _, v := range variants() {
			if v.only != "" && v.only != network {
				continue
			}
			b.Run(network+"/"+v.name, func(b *testing.B) {
				env := testEnv(b, network)
				env.Side = 64
				benchmarkTask(b, newTask(b, v.params, env), env)
			})
		}
	}
}

func benchmarkTask(b *testing.B, task Task, env Env) {
	var canvases []Canvas
	for _, view := range task.Spec().Views {
		canvases = append(canvases, newCanvas(env, view))
	}
	target := make([]float32, task.Spec().Target)
	picture, sample := data.Preprocess(testPicture(1), 96).Image(), data.NewSample(testPicture(1), 1, 0, 0)
	number := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		sample.Reset(picture, env.Seed, 0, number)
		if err := task.Prepare(sample, canvases, target); err != nil {
			b.Fatal(err)
		}
		number++
	}
}

// BenchmarkPSNR is what the metric of colorization costs a step of 64 pictures.
func BenchmarkPSNR(b *testing.B) {
	env := testEnv(b, "resnet18")
	env.Side = 64
	task := newTask(b, changed("colorization", func(*ColorizationConfig) {}), env).(*colorization)
	rows := 64 * len(task.cells)
	logits, colours := make([]float32, rows*len(colourBins())), filled(rows*3, 0.4)
	for b.Loop() {
		task.psnr(logits, colours)
	}
}
