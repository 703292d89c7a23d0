package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
	"pretrain/internal/kernel/reference"
)

// half turns an operand into bf16 if asked to, and its numbers into what they are then in any case.
func (o *Operand) half(inBF16 bool) {
	half, back := rounded(o.Data.f32)
	if inBF16 {
		o.Data = half
	} else {
		o.Data = F32(back)
	}
}

// drawRows draws a row-major operand of rounded numbers, bf16 if asked to, transposed or not.
func drawRows(t *rapid.T, name string, rows, cols int, inBF16, transposed bool) Operand {
	gap := rapid.SampledFrom([]int{0, 0, 2, 3}).Draw(t, name+" gap")
	o := Operand{RowStride: cols + gap, ColStride: 1}
	size := rows * (cols + gap)
	if transposed {
		o = Operand{RowStride: 1, ColStride: rows + gap}
		size = cols * (rows + gap)
	}
	o.Data = F32(normals(randomOf(t), size, 0, 1))
	o.half(inBF16)
	return o
}

// TestMatMulPairs holds products of bf16 against the float64 product of the same numbers: activations in either
// storage, weights in float32, odd sums, all plans.
func TestMatMulPairs(t *testing.T) {
	inPairFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			m, n, k := 1+extents.Draw(t, "m"), 1+extents.Draw(t, "n"), extents.Draw(t, "k")
			switch rapid.IntRange(0, 9).Draw(t, "large") {
			case 0:
				m, n = stripMinimum+m, min(n, 33)
			case 1:
				k, m = 6*gridDepth+k, min(m, 17)
			case 2:
				m, k = gridHeight+m, min(k, 17)
			case 3:
				n, k = gridWidth+n, min(k, 17)
			}
			halfA, halfB := rapid.Bool().Draw(t, "A bf16"), rapid.Bool().Draw(t, "B bf16")
			p := Product{
				M: m, N: n, K: k,
				A: drawRows(t, "A", m, k, halfA, rapid.Bool().Draw(t, "A transposed")),
				B: drawRows(t, "B", k, n, halfB, rapid.Bool().Draw(t, "B transposed")),
			}
			p.CStride = n + rapid.SampledFrom([]int{0, 3}).Draw(t, "C gap")
			p.C = F32(dirty(m * p.CStride))
			halfC := rapid.Bool().Draw(t, "C bf16") || !halfA && !halfB
			if halfC {
				p.C, _ = rounded(p.C.f32)
			}
			if rapid.Bool().Draw(t, "biased") {
				p.Bias = normals(randomOf(t), n, 0, 1)
			}
			e.MatMul(p)
			checkPairs(t, p, halfC)
		})
	})
}

// checkPairs compares a product with its reference; gaps in C stay NaN.
func checkPairs(t failer, p Product, halfC bool) {
	t.Helper()
	at := func(o Operand) func(i, j int) float32 {
		numbers := float32sOf(o.Data)
		return func(i, j int) float32 { return numbers[i*o.RowStride+j*o.ColStride] }
	}
	want := reference.MatMul(p.M, p.N, p.K, at(p.A), at(p.B))
	got := float32sOf(p.C)
	for i, g := range got {
		row, j := i/p.CStride, i%p.CStride
		if j >= p.N {
			if g == g {
				t.Fatalf("the gap after row %d of C was overwritten with %g", row, g)
			}
			continue
		}
		w := want[row*p.N+j]
		if p.Bias != nil {
			w += float64(p.Bias[j])
		}
		tolerance := 2e-6 * (4 + float64(p.K))
		if halfC {
			tolerance += math.Abs(w) / 250
		}
		if d := math.Abs(float64(g) - w); !(d <= tolerance) {
			t.Fatalf("C[%d,%d] is %g, want %g", row, j, g, w)
		}
	}
}

// TestConvolutionPairs compares convolutions of bf16 maps with those of the same numbers in float32, of shapes that
// Winograd's algorithm does not take.
func TestConvolutionPairs(t *testing.T) {
	inPairFamilies(t, func(t *testing.T, e *Engine) {
		for _, s := range []ConvShape{
			{Images: 3, Height: 9, Width: 7, Channels: 6, Filters: 10, Kernel: 3, Stride: 1, Pad: 1},
			{Images: 2, Height: 9, Width: 8, Channels: 4, Filters: 34, Kernel: 3, Stride: 2, Pad: 1},
			{Images: 5, Height: 6, Width: 6, Channels: 8, Filters: 6, Kernel: 1, Stride: 1},
			{Images: 5, Height: 7, Width: 6, Channels: 8, Filters: 6, Kernel: 1, Stride: 2},
			{Images: 2, Height: 8, Width: 8, Channels: 2, Filters: 12, Kernel: 4, Stride: 4},
			{Images: 20, Height: 9, Width: 9, Channels: 30, Filters: 34, Kernel: 3, Stride: 1, Pad: 1},
			{Images: 20, Height: 9, Width: 9, Channels: 32, Filters: 32, Kernel: 3, Stride: 1},
		} {
			if s.winograd() {
				t.Fatalf("%+v goes by Winograd's algorithm", s)
			}
			for _, imagesInFloat32 := range []bool{false, true} {
				checkConvolutionPairs(t, e, s, imagesInFloat32)
			}
		}
		checkConvolutionPairs(t, e, ConvShape{Images: 4, Height: 16, Width: 16, Channels: 3, Filters: 8, Kernel: 7, Stride: 2, Pad: 3}, true)
	})
}

// checkConvolutionPairs runs the three products of a convolution; images may stay float32, as pictures do.
func checkConvolutionPairs(t *testing.T, e *Engine, s ConvShape, imagesInFloat32 bool) {
	t.Helper()
	halfX, x := rounded(normals(seeded(1), s.inputs()*s.Channels, 0, 1))
	halfDY, dy := rounded(normals(seeded(2), s.outputs()*s.Filters, 0, 1))
	_, w := rounded(normals(seeded(3), s.Filters*s.patch(), 0, 1))
	if imagesInFloat32 {
		halfX = F32(x)
	}
	y, dx, dw := make([]float32, s.outputs()*s.Filters), make([]float32, len(x)), make([]float32, len(w))
	halfY, halfDX, halfDW := BF16(make([]BFloat16, len(y))), BF16(make([]BFloat16, len(dx))), make([]float32, len(w))
	e.ConvForward(s, F32(y), F32(x), w)
	e.ConvForward(s, halfY, halfX, w)
	e.ConvBackwardInput(s, F32(dx), F32(dy), w)
	e.ConvBackwardInput(s, halfDX, halfDY, w)
	e.ConvBackwardWeights(s, dw, F32(dy), F32(x))
	e.ConvBackwardWeights(s, halfDW, halfDY, halfX)
	for _, c := range []struct {
		name      string
		got, want []float32
		relative  float64
	}{{"y", float32sOf(halfY), y, 1. / 250}, {"dx", float32sOf(halfDX), dx, 1. / 250}, {"dw", halfDW, dw, 1e-5}} {
		for i, want := range c.want {
			if d := math.Abs(float64(c.got[i] - want)); !(d <= c.relative*math.Abs(float64(want))+2e-4) {
				t.Fatalf("%+v: %s[%d] is %g, want %g", s, c.name, i, c.got[i], want)
			}
		}
	}
}

func TestPairsDoNotDependOnWorkers(t *testing.T) {
	for _, size := range [][3]int{{1500, 70, 400}, {70, 90, 5000}, {200, 400, 300}} {
		m, n, k := size[0], size[1], size[2]
		a, _ := rounded(normals(seeded(1), m*k, 0, 1))
		b := normals(seeded(2), k*n, 0, 1)
		product := func(e *Engine) []float32 {
			c := make([]float32, m*n)
			e.MatMul(Product{M: m, N: n, K: k, A: rowsOf(a, m).transposed(), B: rowMajor(b, n), C: F32(c), CStride: n})
			return c
		}
		sameForWorkers(t, product)
		for _, model := range models {
			sameInEngines(t, model.name, model.engine, product)
		}
	}
}
