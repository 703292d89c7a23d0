package kernel

import (
	"testing"

	"pgregory.net/rapid"
	"pretrain/internal/kernel/reference"
)

// drawConv draws a geometry with at least one output.
func drawConv(t *rapid.T) ConvShape {
	s := ConvShape{
		Images: rapid.IntRange(0, 3).Draw(t, "images"), Channels: rapid.SampledFrom([]int{1, 2, 3, 16, 17, 33}).Draw(t, "channels"),
		Filters: rapid.SampledFrom([]int{1, 2, 5, 16, 31, 40}).Draw(t, "filters"), Kernel: rapid.IntRange(1, 5).Draw(t, "kernel"),
		Stride: rapid.IntRange(1, 4).Draw(t, "stride"), Pad: rapid.IntRange(0, 3).Draw(t, "pad"),
	}
	least := max(1, s.Kernel-2*s.Pad)
	s.Height, s.Width = rapid.IntRange(least, least+9).Draw(t, "height"), rapid.IntRange(least, least+9).Draw(t, "width")
	return s
}

// convTensors draws x, y and w of a geometry.
func convTensors(s ConvShape) (x, y, w []float32) {
	return normals(seeded(1), s.inputs()*s.Channels, 0, 1), normals(seeded(2), s.outputs()*s.Filters, 0, 1), normals(seeded(3), s.Filters*s.patch(), 0, 1)
}

func TestConv(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) { checkConv(t, e, drawConv(t)) })
	})
}

// checkConv compares the three kernels with the reference.
func checkConv(t failer, e *Engine, s ConvShape) {
	t.Helper()
	x, dy, w := convTensors(s)
	c := reference.Conv(s)
	y, dx, dw := dirty(len(dy)), dirty(len(x)), dirty(len(w))
	check := checkProduct
	if s.winograd() {
		check = func(t failer, got []float32, want []float64, _ int) {
			checkNorm(t, "result", got, want, winogradTolerance)
		}
	}
	e.ConvForward(s, F32(y), F32(x), w)
	check(t, y, c.Forward(len(y), x, w), s.patch())
	e.ConvBackwardInput(s, F32(dx), F32(dy), w)
	check(t, dx, c.BackwardInput(dy, w), s.Kernel*s.Kernel*s.Filters)
	e.ConvBackwardWeights(s, dw, F32(dy), F32(x))
	check(t, dw, c.BackwardWeights(dy, x), s.outputs())
}

// TestConvOfNetworks checks the geometries that networks use, with few images and channels.
func TestConvOfNetworks(t *testing.T) {
	for name, s := range map[string]ConvShape{
		"stem":            {2, 32, 32, 3, 24, 3, 1, 1},
		"large stem":      {1, 32, 32, 3, 16, 7, 2, 3},
		"block":           {2, 8, 8, 64, 48, 3, 1, 1},
		"deep block":      {2, 4, 4, 96, 40, 3, 1, 1},
		"wide block":      {2, 15, 14, 96, 40, 3, 1, 1}, // by Winograd's algorithm
		"down":            {2, 16, 16, 32, 64, 3, 2, 1},
		"shortcut":        {2, 16, 16, 32, 64, 1, 2, 0},
		"pointwise":       {2, 16, 16, 32, 64, 1, 1, 0},
		"patch embedding": {2, 32, 32, 3, 48, 4, 4, 0},
		"pad over kernel": {1, 5, 5, 3, 4, 1, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inFamilies(t, func(t *testing.T, e *Engine) { checkConv(t, e, s) })
		})
	}
}

func TestConvDoesNotDependOnWorkers(t *testing.T) {
	for _, s := range []ConvShape{{2, 20, 20, 33, 40, 3, 1, 1}, {2, 20, 20, 16, 40, 3, 2, 1}} {
		x, y, w := convTensors(s)
		sameForWorkers(t, func(e *Engine) []float32 {
			out, dx, dw := make([]float32, len(y)), make([]float32, len(x)), make([]float32, len(w))
			e.ConvForward(s, F32(out), F32(x), w)
			e.ConvBackwardInput(s, F32(dx), F32(y), w)
			e.ConvBackwardWeights(s, dw, F32(y), F32(x))
			return append(append(out, dx...), dw...)
		})
	}
}

// normalizedConvs are convolutions in every way that they are computed: in strips, as a grid, by Winograd's algorithm.
var normalizedConvs = map[string]ConvShape{
	"strips":    {3, 17, 12, 10, 40, 1, 1, 0},
	"patches":   {3, 24, 18, 6, 33, 3, 2, 1},
	"grid":      {2, 7, 5, 20, 24, 1, 1, 0},
	"Winograd":  {2, 16, 15, 32, 40, 3, 1, 1},
	"few rows":  {1, 3, 2, 4, 6, 3, 1, 1},
	"many rows": {2, 45, 40, 4, 8, 1, 1, 0},
}

// inStorages runs body with float32 activations and with bf16 ones.
func inStorages(t *testing.T, body func(t *testing.T, array func([]float32) Array)) {
	for storage, array := range storages {
		t.Run(storage, func(t *testing.T) { body(t, array) })
	}
}

// TestConvStatistics: y has the bits of ConvForward, and the statistics are those of its columns, in groups whose borders
// lie anywhere in strips.
func TestConvStatistics(t *testing.T) {
	const eps = 1e-3
	inFamilies(t, func(t *testing.T, e *Engine) {
		inStorages(t, func(t *testing.T, array func([]float32) Array) {
			for name, s := range normalizedConvs {
				x, dy, w := convTensors(s)
				rows, in, y, want := s.outputs(), array(x), array(dirty(len(dy))), array(dirty(len(dy)))
				e.ConvForward(s, want, in, w)
				for _, groups := range []NormGroups{{rows}, {rows - 1, 1}, {rows / 3, 1, rows - rows/3 - 1}} {
					mean, rstd := dirty(len(groups)*s.Filters), dirty(len(groups)*s.Filters)
					e.ConvStatistics(s, y, mean, rstd, in, w, groups, eps)
					sameBits(t, name, float32sOf(y), float32sOf(want))
					c := batchNormCase{groups: groups, rows: rows, cols: s.Filters}
					ones := make([]float64, s.Filters)
					_, wantMean, wantRstd := batchNormReference(c, float64s(float32sOf(want)), nil, ones, ones, eps)
					near(t, name+": mean", mean, wantMean, 2e-6)
					near(t, name+": rstd", rstd, wantRstd, 5e-6)
				}
			}
		})
	})
}

// TestConvNormalized: the same bits as one after the other.
func TestConvNormalized(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		inStorages(t, func(t *testing.T, array func([]float32) Array) {
			for name, s := range normalizedConvs {
				x, dy, w := convTensors(s)
				in, y, want, n := array(x), array(dirty(len(dy))), array(dirty(len(dy))), s.Filters
				gamma, mean, variance := normals(seeded(4), n, 1, 0.3), normals(seeded(5), n, 0, 1), normals(seeded(6), n, 2, 0.1)
				for _, residual := range []Array{{}, array(dy), F32(dy)} {
					e.ConvForward(s, want, in, w)
					e.BatchNormInference(want, want, residual, gamma, mean, mean, variance, s.outputs(), n, 1e-3, true)
					e.ConvNormalized(s, y, in, w, residual, gamma, mean, mean, variance, 1e-3, true)
					sameBits(t, name, float32sOf(y), float32sOf(want))
				}
			}
		})
	})
}

func TestConvStatisticsDoNotDependOnWorkers(t *testing.T) {
	s := normalizedConvs["many rows"]
	x, y, w := convTensors(s)
	groups := NormGroups{1000, s.outputs() - 1000}
	sameForWorkers(t, func(e *Engine) []float32 {
		out, statistics := make([]float32, len(y)), make([]float32, 4*s.Filters)
		e.ConvStatistics(s, F32(out), statistics[:2*s.Filters], statistics[2*s.Filters:], F32(x), w, groups, 1e-5)
		return append(out, statistics...)
	})
}
