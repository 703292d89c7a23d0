package main

import (
	"encoding/binary"
	"fmt"
	"image/color"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pretrain/internal/pixel"
)

// extents are the bytes that a kernel of pixels may touch: its slices begin where they say and are not a byte longer.
type extents struct {
	dst []byte   // written
	in  [][]byte // read
	// call runs the kernel on them; arguments between pointers are those of the case.
	call func(m *machine, p *program, dst *memory, in []*memory)
}

// run calls a kernel on memory that is cut short by some bytes: of dst, or of one of its inputs.
func (x extents) run(p *program, shortDst int, shortIn ...int) (stopped string, written []byte) {
	m := newMachine()
	dst := m.allocate(slices.Clone(x.dst)[:len(x.dst)-shortDst], true)
	var in []*memory
	for i, data := range x.in {
		cut := 0
		if i < len(shortIn) {
			cut = shortIn[i]
		}
		in = append(in, m.allocate(data[:len(data)-cut], false))
	}
	return fault(func() { x.call(m, p, dst, in) }), dst.data
}

// check wants the bytes of dst, and that each extent is as small as can be: with a byte less the machine stops.
func (x extents) check(t *testing.T, what string, want []byte) {
	t.Helper()
	p := pixelKernels()[what]
	if p == nil {
		t.Fatalf("there is no kernel %s", what)
	}
	stopped, got := x.run(p, 0)
	if stopped != "" {
		t.Fatalf("%s: %s", what, stopped)
	}
	if at := firstDifference(got, want); at >= 0 {
		t.Fatalf("%s: byte %d of %d is %d, want %d", what, at, len(want), got[at], want[at])
	}
	if stopped, _ := x.run(p, 1); stopped == "" {
		t.Errorf("%s writes less than the %d bytes of this test", what, len(x.dst))
	}
	for i := range x.in {
		short := make([]int, len(x.in))
		short[i] = 1
		if stopped, _ := x.run(p, 0, short...); stopped == "" {
			t.Errorf("%s reads less than the %d bytes of this test from its input %d", what, len(x.in[i]), i)
		}
	}
}

func firstDifference(got, want []byte) int {
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			return i
		}
	}
	return -1
}

func randomBytes(r *rand.Rand, n int) []byte {
	all := make([]byte, n)
	for i := range all {
		all[i] = byte(r.Uint32())
	}
	return all
}

func float32Bytes(values []float32) (data []byte) {
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return data
}

func randomFloats(r *rand.Rand, n int) []float32 {
	all := make([]float32, n)
	for i := range all {
		all[i] = float32(r.NormFloat64())
	}
	return all
}

// TestEveryPixelKernelRuns names those that have a test here.
func TestEveryPixelKernelRuns(t *testing.T) {
	tested := []string{"widenAVX2", "filterRowAVX2", "combineRowsAVX2", "yCbCr1AVX2", "yCbCr2AVX2", "inverseDCTAVX2"}
	for name := range pixelKernels() {
		if !slices.Contains(tested, name) {
			t.Errorf("%s has no test", name)
		}
	}
}

func TestPixelWiden(t *testing.T) {
	for vectors := 1; vectors <= 4; vectors++ {
		src := randomBytes(rand.New(rand.NewPCG(1, uint64(vectors))), 8*vectors)
		var want []float32
		for _, b := range src {
			want = append(want, float32(b))
		}
		extents{dst: make([]byte, 32*vectors), in: [][]byte{src}, call: func(m *machine, p *program, dst *memory, in []*memory) {
			m.call(p, dst, in[0], vectors)
		}}.check(t, "widenAVX2", float32Bytes(want))
	}
}

// TestPixelColours holds whole groups of eight against the standard library. Behind the last pixel four bytes are lost,
// and no more: the driver leaves that much room.
func TestPixelColours(t *testing.T) {
	for shared, name := range map[int]string{1: "yCbCr1AVX2", 2: "yCbCr2AVX2"} {
		for groups := 1; groups <= 5; groups++ {
			r := rand.New(rand.NewPCG(uint64(shared), uint64(groups)))
			luma, cb, cr := randomBytes(r, 8*groups), randomBytes(r, 8*groups/shared), randomBytes(r, 8*groups/shared)
			for i, extreme := range []byte{0, 255, 0, 255} { // what has to be clipped
				luma[i], cb[i/shared], cr[i/shared] = extreme, 255-extreme, byte(i/2*255)
			}
			var want []byte
			for i, y := range luma {
				red, green, blue := color.YCbCrToRGB(y, cb[i/shared], cr[i/shared])
				want = append(want, red, green, blue)
			}
			call := func(m *machine, p *program, dst *memory, in []*memory) {
				m.call(p, dst, in[0], in[1], in[2], groups)
			}
			extents{dst: make([]byte, 24*groups+4), in: [][]byte{luma, cb, cr}, call: call}.check(t, name, want)
		}
	}
}

// TestPixelFilterRow: sums in float32, product by product, whatever the order of the starts; one number is read and
// written behind the last pixel, and has no influence.
func TestPixelFilterRow(t *testing.T) {
	for fours := 1; fours <= 3; fours++ {
		for _, taps := range []int{1, 2, 3, 7} {
			r := rand.New(rand.NewPCG(uint64(fours), uint64(taps)))
			pixels := 4*fours + taps
			src, weights, starts := randomFloats(r, 3*pixels+1), randomFloats(r, 4*fours*taps), []byte(nil)
			src[len(src)-1] = float32(math.NaN())
			var want []float32
			for i := range 4 * fours {
				start := (i*5 + 2) % (pixels - taps + 1) // the last pixel is read by some
				if i == 1 {
					start = pixels - taps
				}
				starts = binary.LittleEndian.AppendUint64(starts, uint64(start))
				for channel := range 3 {
					sum := float32(0)
					for k := range taps {
						product := weights[i*taps+k] * src[3*(start+k)+channel]
						sum += product
					}
					want = append(want, sum)
				}
			}
			extents{
				dst: make([]byte, 4*(12*fours+1)), in: [][]byte{float32Bytes(src), starts, float32Bytes(weights)},
				call: func(m *machine, p *program, dst *memory, in []*memory) {
					m.call(p, dst, in[0], in[1], in[2], fours, taps)
				},
			}.check(t, "filterRowAVX2", float32Bytes(want))
		}
	}
}

// TestPixelCombineRows over vectors by fours and alone, in rows with gaps.
func TestPixelCombineRows(t *testing.T) {
	for vectors := 1; vectors <= 9; vectors++ {
		for _, taps := range []int{1, 2, 5} {
			r := rand.New(rand.NewPCG(uint64(vectors), uint64(taps)))
			n := 8 * vectors
			stride := n + 3*(taps%2)
			rows, weights, want := randomFloats(r, (taps-1)*stride+n), randomFloats(r, taps), make([]float32, n)
			for k, w := range weights {
				for i := range want {
					product := w * rows[k*stride+i]
					want[i] += product
				}
			}
			extents{
				dst: make([]byte, 4*n), in: [][]byte{float32Bytes(rows), float32Bytes(weights)},
				call: func(m *machine, p *program, dst *memory, in []*memory) {
					m.call(p, dst, in[0], stride, in[1], taps, vectors)
				},
			}.check(t, "combineRowsAVX2", float32Bytes(want))
		}
	}
}

// TestPixelDCT: the levels of package pixel for coefficients of all sizes, those that overflow too; what lies between the
// rows stays.
func TestPixelDCT(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for n := range 64 {
		var b pixel.Block
		stride, size := 8+n%5, n/2
		for i := range b {
			b[i] = int32(r.Uint32()) >> (31 - size)
		}
		dst := randomBytes(r, 7*stride+8)
		want := slices.Clone(dst)
		pixel.InverseDCT(want, stride, &b)
		extents{dst: dst, in: [][]byte{bytesOfBlock(b)}, call: func(m *machine, p *program, dst *memory, in []*memory) {
			m.call(p, dst, stride, in[0])
		}}.check(t, "inverseDCTAVX2", want)
	}
}

// TestPixelDCTReference holds the same instructions against equation A.3.3 of ITU-T T.81 in float64: levels of single
// waves, which a transform with rows and columns exchanged would turn round.
func TestPixelDCTReference(t *testing.T) {
	for u := range 8 {
		for v := range 8 {
			t.Run(fmt.Sprintf("wave %d,%d", u, v), func(t *testing.T) {
				var b pixel.Block
				b[0], b[8*u+v] = 160, 400
				call := func(m *machine, p *program, dst *memory, in []*memory) { m.call(p, dst, 8, in[0]) }
				x := extents{dst: make([]byte, 64), in: [][]byte{bytesOfBlock(b)}, call: call}
				stopped, got := x.run(pixelKernels()["inverseDCTAVX2"], 0)
				if stopped != "" {
					t.Fatal(stopped)
				}
				for at, level := range got {
					if want := levelOf(&b, at%8, at/8); math.Abs(float64(level)-want) > 1 {
						t.Fatalf("pixel %d, %d is %d, want %.2f", at%8, at/8, level, want)
					}
				}
			})
		}
	}
}

func bytesOfBlock(b pixel.Block) (data []byte) {
	for _, v := range b {
		data = binary.LittleEndian.AppendUint32(data, uint32(v))
	}
	return data
}

// levelOf is the pixel in column x and row y of a transposed block.
func levelOf(b *pixel.Block, x, y int) float64 {
	sum := 128.0
	for k, coefficient := range b {
		u, v, scale := k/8, k%8, 0.25
		for _, frequency := range []int{u, v} {
			if frequency == 0 {
				scale /= math.Sqrt2
			}
		}
		wave := math.Cos(float64((2*x+1)*u)*math.Pi/16) * math.Cos(float64((2*y+1)*v)*math.Pi/16)
		sum += scale * float64(coefficient) * wave
	}
	return min(max(sum, 0), 255)
}
