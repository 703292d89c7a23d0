package kernel

import (
	"math"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
	"pretrain/internal/kernel/reference"
)

// extents are the awkward sizes of a dimension: nothing, less than a tile, tails, and enough to be cut.
var extents = rapid.OneOf(rapid.IntRange(0, 3), rapid.SampledFrom([]int{5, 7, 13, 14, 15, 16, 17, 29, 31, 32, 33, 64, 97}))

// operands draws an operand of rows×cols elements with gaps between its rows or columns, transposed or not.
func drawOperand(t *rapid.T, name string, rows, cols int) Operand {
	gap := rapid.SampledFrom([]int{0, 0, 1, 5}).Draw(t, name+" gap")
	step := rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, name+" step")
	o := Operand{RowStride: cols*step + gap, ColStride: step}
	if rapid.Bool().Draw(t, name+" transposed") {
		o = Operand{RowStride: step, ColStride: rows*step + gap}
	}
	size := 0
	if rows > 0 && cols > 0 {
		size = (rows-1)*o.RowStride + (cols-1)*o.ColStride + 1
	}
	o.Data = F32(normals(randomOf(t), size, 0, 1))
	return o
}

// drawProduct draws a product of the given size whose C has gaps that hold NaN, and returns what C must become; NaN
// stands for an element that must not be touched.
func drawProduct(t *rapid.T, m, n, k int) (Product, []float64) {
	p := Product{M: m, N: n, K: k, A: drawOperand(t, "A", m, k), B: drawOperand(t, "B", k, n)}
	p.CStride = n + rapid.SampledFrom([]int{0, 3}).Draw(t, "C gap")
	p.Accumulate = rapid.Bool().Draw(t, "accumulate")
	p.C = F32(dirty(m * p.CStride))
	if rapid.Bool().Draw(t, "biased") {
		p.Bias = normals(randomOf(t), n, 0, 1)
	}
	at := func(o Operand) func(i, j int) float32 {
		return func(i, j int) float32 { return o.Data.f32[i*o.RowStride+j*o.ColStride] }
	}
	product := reference.MatMul(m, n, k, at(p.A), at(p.B))
	want := make([]float64, p.C.Len())
	for i := range want {
		want[i] = math.NaN()
		if row, j := i/p.CStride, i%p.CStride; j < n {
			want[i] = product[row*n+j]
			if p.Bias != nil {
				want[i] += float64(p.Bias[j])
			}
			if p.Accumulate {
				p.C.f32[i] = float32(i % 7)
				want[i] += float64(p.C.f32[i])
			}
		}
	}
	return p, want
}

// checkProduct compares C with what it must become.
func checkProduct(t failer, got []float32, want []float64, k int) {
	t.Helper()
	for i, w := range want {
		if g := float64(got[i]); math.IsNaN(w) != math.IsNaN(g) || math.Abs(g-w) > 2e-6*(4+float64(k)) {
			t.Fatalf("element %d is %g, want %g", i, g, w)
		}
	}
}

// rowRecorder is a job that counts how often each row was handed out.
type rowRecorder struct {
	mutex sync.Mutex
	rows  []int
}

func (r *rowRecorder) run(_ *Engine, _, from, to int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for i := from; i < to; i++ {
		r.rows[i]++
	}
}

func TestMatMul(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			m, n, k := extents.Draw(t, "m"), extents.Draw(t, "n"), extents.Draw(t, "k")
			switch rapid.IntRange(0, 9).Draw(t, "large") {
			case 0: // strips of rows
				m, n = stripMinimum+m, min(n, 33)
			case 1: // K in several visits, or in parts of its own
				k, m = 3*gridDepth+k, min(m, 17)
			case 2: // several blocks of C
				m, k = gridHeight+m, min(k, 17)
			case 3:
				n, k = gridWidth+n, min(k, 17)
			}
			p, want := drawProduct(t, m, n, k)
			seen := rowRecorder{rows: make([]int, m)}
			p.Followers = []Follower{{&seen, m}}
			e.MatMul(p)
			checkProduct(t, p.C.f32, want, k)
			if i := slices.IndexFunc(seen.rows, func(count int) bool { return count != 1 }); i >= 0 {
				t.Fatalf("what follows saw row %d %d times", i, seen.rows[i])
			}
		})
	})
}

// TestMatMulOfNothing: a product with K = 0 is the bias, or what C held, and reads neither A nor B, which are empty. Under
// the race detector, which checks pointers, it shows that none is moved out of them either.
func TestMatMulOfNothing(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		for _, empty := range []Array{F32(nil), BF16(nil), BF16([]BFloat16{})} {
			for _, m := range []int{1, 5, 65, 2 * stripMinimum} {
				for _, n := range []int{1, 40, 387} {
					for _, strides := range [][2]int{{1, 0}, {0, 1}, {1, 7}, {7, 1}, {3, 5}} {
						nothing := Operand{Data: empty, RowStride: strides[0], ColStride: strides[1]}
						p := Product{M: m, N: n, A: nothing, B: nothing, C: F32(dirty(m * n)), CStride: n}
						e.MatMul(p)
						checkProduct(t, p.C.f32, make([]float64, m*n), 0)
						bias, want := normals(seeded(1), n, 0, 1), make([]float64, m*n)
						for i := range want {
							want[i] = float64(bias[i%n])
						}
						p.Bias, p.Accumulate = bias, true
						e.MatMul(p)
						checkProduct(t, p.C.f32, want, 0)
					}
				}
			}
		}
	})
}

// TestSumsOfA: a product that also sums the columns of A gives the sums that A has and the product that it is without.
func TestSumsOfA(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			m := rapid.OneOf(extents, rapid.SampledFrom([]int{511, 512, 513, 1100})).Draw(t, "m")
			n, k := extents.Draw(t, "n"), rapid.OneOf(extents, rapid.SampledFrom([]int{512, 600})).Draw(t, "k")
			values := normals(randomOf(t), m*k, 0, 1)
			a := F32(values)
			if rapid.Bool().Draw(t, "half") {
				a, _ = rounded(values)
			}
			want := make([]float64, k)
			for i := range a.Len() {
				want[i%k] += float64(a.at(i))
			}
			sums, plain, c := dirty(k), make([]float32, m*n), make([]float32, m*n)
			p := Product{M: m, N: n, K: k, A: rowsOf(a, k), B: drawOperand(t, "B", k, n), C: F32(plain), CStride: n}
			e.MatMul(p)
			p.C, p.SumsOfA = F32(c), sums
			e.MatMul(p)
			near(t, "sums", sums, want, 5e-5) // of up to 1,100 numbers, which may cancel
			if !slices.Equal(c, plain) {
				t.Fatal("the product is another one with the sums")
			}
		})
	})
}

func TestSmallProduct(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			m, n, k := extents.Draw(t, "m"), extents.Draw(t, "n"), extents.Draw(t, "k")
			p, want := drawProduct(t, m, n, k)
			if p.Bias != nil {
				t.Skip("no bias in small products")
			}
			e.smallProduct(1, p, false, nil)
			checkProduct(t, p.C.f32, want, k)
		})
	})
}

func TestMatMulDoesNotDependOnWorkers(t *testing.T) {
	for _, size := range [][3]int{{1500, 70, 400}, {70, 90, 5000}, {200, 400, 300}} {
		m, n, k := size[0], size[1], size[2]
		a, b, bias := normals(seeded(1), m*k, 0, 1), normals(seeded(2), k*n, 0, 1), normals(seeded(3), n, 0, 1)
		sameForWorkers(t, func(e *Engine) []float32 {
			c := make([]float32, m*n)
			e.MatMul(Product{M: m, N: n, K: k, A: rowMajor(a, m).transposed(), B: rowMajor(b, n), C: F32(c), CStride: n, Bias: bias})
			return c
		})
	}
}
