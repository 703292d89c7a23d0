package kernel

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// measure runs body and reports the rate of the fastest run: on a busy machine the mean tells of the neighbours.
func measure(b *testing.B, operations float64, body func()) {
	body()
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		body()
		best = min(best, time.Since(start))
	}
	b.ReportMetric(operations/best.Seconds()/1e9, "best-GFLOP/s")
	b.ReportMetric(0, "ns/op")
}

// benchmarkFamily runs body with every worker of the machine in the family chosen by the table, and with one worker.
func benchmarkFamily(b *testing.B, body func(b *testing.B, e *Engine)) {
	for _, workers := range []int{1, 0} {
		e, err := New(Options{Workers: workers})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("%s-%d", e.Family(), e.Workers()), func(b *testing.B) { body(b, e) })
		e.Close()
	}
}

// BenchmarkLinear is the three products of the linear layers of ViT-Tiny/4 at 32 px with 128 pictures: forward, gradient
// of the input, gradient of the weights.
func BenchmarkLinear(b *testing.B) {
	const rows = 8320
	for _, s := range [][2]int{{192, 192}, {192, 576}, {192, 768}, {768, 192}, {576, 768}, {768, 768}, {256, 1024}} {
		in, out := s[0], s[1]
		r := seeded(1)
		x, y, w, dw := normals(r, rows*in, 0, 1), normals(r, rows*out, 0, 1), normals(r, in*out, 0, 1), make([]float32, in*out)
		dx := make([]float32, rows*in)
		for storage, array := range storages {
			ax, ay, adx := array(x), array(y), array(dx)
			products := map[string]Product{
				"y":  {M: rows, N: out, K: in, A: rowsOf(ax, in), B: rowMajor(w, in).transposed(), C: ay, CStride: out},
				"dx": {M: rows, N: in, K: out, A: rowsOf(ay, out), B: rowMajor(w, in), C: adx, CStride: in},
				"dw": {M: out, N: in, K: rows, A: rowsOf(ay, out).transposed(), B: rowsOf(ax, in), C: F32(dw), CStride: in},
			}
			for _, name := range []string{"y", "dx", "dw"} {
				b.Run(fmt.Sprintf("%dx%d/%s/%s", in, out, name, storage), func(b *testing.B) {
					benchmarkFamily(b, func(b *testing.B, e *Engine) {
						measure(b, 2*rows*float64(in)*float64(out), func() { e.MatMul(products[name]) })
					})
				})
			}
		}
	}
}

// storages make the activations of a benchmark.
var storages = map[string]func([]float32) Array{
	"fp32": F32,
	"bf16": func(x []float32) Array {
		half, _ := rounded(x)
		return half
	},
}

// BenchmarkConv is the convolutions of ResNet-18 with a small stem at 32 px, and of a patch embedding.
func BenchmarkConv(b *testing.B) {
	for _, s := range []ConvShape{
		{128, 32, 32, 3, 64, 3, 1, 1}, {128, 32, 32, 64, 64, 3, 1, 1}, {128, 32, 32, 64, 128, 3, 2, 1}, {128, 16, 16, 128, 128, 3, 1, 1},
		{128, 8, 8, 256, 256, 3, 1, 1}, {128, 4, 4, 512, 512, 3, 1, 1}, {128, 32, 32, 64, 128, 1, 2, 0}, {128, 32, 32, 3, 192, 4, 4, 0},
	} {
		r := seeded(1)
		x, y, w := normals(r, s.inputs()*s.Channels, 0, 1), normals(r, s.outputs()*s.Filters, 0, 1), normals(r, s.Filters*s.patch(), 0, 1)
		dx, dw := make([]float32, len(x)), make([]float32, len(w))
		for storage, array := range storages {
			if s.Channels == 3 && storage == "bf16" {
				continue // pictures stay float32
			}
			ax, ay, adx := array(x), array(y), array(dx)
			kernels := map[string]func(*Engine){
				"y":  func(e *Engine) { e.ConvForward(s, ay, ax, w) },
				"dx": func(e *Engine) { e.ConvBackwardInput(s, adx, ay, w) },
				"dw": func(e *Engine) { e.ConvBackwardWeights(s, dw, ay, ax) },
			}
			for _, name := range []string{"y", "dx", "dw"} {
				b.Run(fmt.Sprintf("%dx%dx%d-%d-k%ds%d/%s/%s", s.Height, s.Width, s.Channels, s.Filters, s.Kernel, s.Stride, name, storage), func(b *testing.B) {
					benchmarkFamily(b, func(b *testing.B, e *Engine) {
						measure(b, 2*float64(s.outputs())*float64(s.Filters)*float64(s.patch()), func() { kernels[name](e) })
					})
				})
			}
		}
	}
}
