package kernel

import (
	"fmt"
	"slices"
	"testing"
)

// TestFollowers: kernels that follow a product give the bits that they give after it, in strips and in grids, in either
// storage, in place or not.
func TestFollowers(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		for _, size := range [][3]int{{700, 40, 50}, {513, 36, 64}, {60, 40, 2000}, {300, 500, 20}, {1, 2, 0}, {5, 0, 3}} {
			for storage, array := range storages {
				m, n, k := size[0], size[1], size[2]
				a, b := array(normals(seeded(1), m*k, 0, 1)), normals(seeded(2), k*n, 0, 1)
				residual, gradient := array(normals(seeded(3), m*n, 0, 1)), array(normals(seeded(4), m*n, 0, 1))
				gamma, beta := normals(seeded(5), n, 1, 0.1), normals(seeded(6), n, 0, 1)
				var results [2][]Array
				for i, following := range []bool{false, true} {
					room := func() Array { return array(dirty(m * n)) }
					c, gelu, slope, sum, norm := room(), room(), room(), room(), room()
					mean, rstd := dirty(m), dirty(m)
					calls := []func(){
						func() { e.GELUForward(gelu, c) },
						func() { e.GELUBackward(slope, gradient, c) },
						func() { e.Add(sum, c, residual) },
						func() { e.LayerNormForward(norm, mean, rstd, sum, gamma, beta, m, n, 1e-6) },
						func() { e.ReLUForward(c, c) },
						func() { e.Scale(c, c, 3) },
					}
					p := Product{M: m, N: n, K: k, A: rowsOf(a, k), B: rowMajor(b, n), C: c, CStride: n}
					if following {
						for _, call := range calls {
							p.Followers = append(p.Followers, e.Follow(call))
						}
						calls = nil
					}
					e.MatMul(p)
					for _, call := range calls {
						call()
					}
					results[i] = []Array{c, gelu, slope, sum, norm, F32(mean), F32(rstd)}
				}
				for i, want := range results[0] {
					got := results[1][i]
					if !slices.Equal(got.bf16, want.bf16) {
						t.Errorf("%v, %s: result %d is another one", size, storage, i)
					}
					sameNumbers(t, fmt.Sprintf("%v, %s: result %d", size, storage, i), got.f32, want.f32)
				}
			}
		}
	})
}

// TestFollowNeedsAnIdleEngine: a call cannot be recorded while another one runs, which would be recorded with it.
func TestFollowNeedsAnIdleEngine(t *testing.T) {
	e := engine(t, 2)
	x := F32(make([]float32, 8))
	defer func() {
		if recover() == nil {
			t.Error("a task of the engine recorded a call")
		}
		e.ReLUForward(x, x) // the engine goes on
	}()
	e.Parallel(2, func(_, _ int) { e.Follow(func() { e.ReLUForward(x, x) }) })
}

// TestFollowTakesOneKernel: what makes no call, or several, cannot follow.
func TestFollowTakesOneKernel(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		x := F32(make([]float32, 8))
		for _, call := range []func(){func() {}, func() { e.ReLUForward(x, x); e.ReLUForward(x, x) }} {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("recorded")
					}
				}()
				e.Follow(call)
			}()
		}
		x.f32[0] = -1
		if e.ReLUForward(x, x); x.f32[0] != 0 {
			t.Error("the engine still records")
		}
	})
}
