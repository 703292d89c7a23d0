package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// maxPoolReference returns each window's largest value and its position.
func maxPoolReference(s PoolShape, x []float64) (y []float64, argmax []int32) {
	for image := range s.Images {
		for outY := range s.OutHeight() {
			for outX := range s.OutWidth() {
				for c := range s.Channels {
					best, position := math.Inf(-1), int32(-1)
					for inY := outY*s.Stride - s.Pad; inY < outY*s.Stride-s.Pad+s.Kernel; inY++ {
						for inX := outX*s.Stride - s.Pad; inX < outX*s.Stride-s.Pad+s.Kernel; inX++ {
							if inY < 0 || inX < 0 || inY >= s.Height || inX >= s.Width {
								continue
							}
							if v := x[((image*s.Height+inY)*s.Width+inX)*s.Channels+c]; v > best {
								best, position = v, int32(inY*s.Width+inX)
							}
						}
					}
					y, argmax = append(y, best), append(argmax, position)
				}
			}
		}
	}
	return y, argmax
}

func TestMaxPool(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			s := PoolShape{Images: rapid.IntRange(0, 3).Draw(t, "images"), Channels: rapid.IntRange(1, 35).Draw(t, "channels")}
			s.Kernel, s.Stride = rapid.IntRange(1, 3).Draw(t, "kernel"), rapid.IntRange(1, 3).Draw(t, "stride")
			s.Pad = rapid.IntRange(0, (s.Kernel-1)/2).Draw(t, "pad")
			s.Height, s.Width = rapid.IntRange(s.Kernel, 7).Draw(t, "height"), rapid.IntRange(s.Kernel, 7).Draw(t, "width")
			r := randomOf(t)
			x := normals(r, s.Images*s.Height*s.Width*s.Channels, 0, 1)
			for i := range x { // ties are common in feature maps after a ReLU
				x[i] = max(x[i], 0)
			}
			want, wantArgmax := maxPoolReference(s, float64s(x))
			y, argmax := dirty(len(want)), make([]int32, len(want))
			e.MaxPoolForward(s, F32(y), argmax, F32(x))
			near(t, "y", y, want, 0)
			dy, dx, wantDx := normals(r, len(y), 0, 1), dirty(len(x)), make([]float64, len(x))
			size, out := s.Height*s.Width*s.Channels, s.OutHeight()*s.OutWidth()*s.Channels
			for i, position := range wantArgmax {
				if argmax[i] != position {
					t.Fatalf("argmax[%d] is %d, want %d", i, argmax[i], position)
				}
				wantDx[i/out*size+int(position)*s.Channels+i%s.Channels] += float64(dy[i])
			}
			e.MaxPoolBackward(s, F32(dx), F32(dy), argmax)
			near(t, "dx", dx, wantDx, 1e-6)
		})
	})
}

func TestMaxPoolKeepsNaN(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		s := PoolShape{Images: 1, Height: 2, Width: 2, Channels: 1, Kernel: 2, Stride: 2}
		for i := range 4 {
			x, y, argmax := []float32{1, 2, 3, 4}, dirty(1), []int32{0}
			x[i] = float32(math.NaN())
			y[0] = 0
			e.MaxPoolForward(s, F32(y), argmax, F32(x))
			if y[0] == y[0] {
				t.Errorf("the maximum of %v is %g, want NaN", x, y[0])
			}
		}
	})
}

func TestMeanPool(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			views, positions := rapid.IntRange(0, 4).Draw(t, "views"), rapid.IntRange(1, 70).Draw(t, "positions")
			cols, r := rapid.IntRange(1, 40).Draw(t, "cols"), randomOf(t)
			reference := func(x []float64) []float64 {
				y := make([]float64, views*cols)
				for i, v := range x {
					y[i/(positions*cols)*cols+i%cols] += v / float64(positions)
				}
				return y
			}
			x, dy := normals(r, views*positions*cols, 1, 1), normals(r, views*cols, 0, 1)
			y, dx := dirty(len(dy)), dirty(len(x))
			e.MeanPoolForward(F32(y), F32(x), views, positions, cols)
			near(t, "y", y, reference(float64s(x)), 1e-6)
			e.MeanPoolBackward(F32(dx), F32(dy), views, positions, cols)
			followsDifferences(t, r, func(in [][]float64) float64 { return weighted(dy, reference(in[0])) }, [][]float32{x}, [][]float32{dx})
		})
	})
}
