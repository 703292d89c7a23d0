package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// tilePrograms is one way to run the kernels of family AMX.
type tilePrograms struct {
	name      string
	low, high tileBlocks
}

// models are stand-ins for the kernels of family AMX that run on any CPU: everything around them is the family's own.
// The build adds those that it has.
var models = []tilePrograms{{"amx in Go", blocksInGo, blocksInGo}}

// engine starts an Engine that multiplies bf16 as family AMX does and computes all else as family AVX512, or Portable
// where that does not run.
func (p tilePrograms) engine(workers int) *Engine {
	family := Portable
	if slices.Contains(Families(), AVX512) {
		family = AVX512
	}
	e, err := New(Options{Family: family, Workers: workers})
	if err != nil {
		panic(err)
	}
	kernels := amxMicroKernels(p.low, p.high)
	kernels.copyMatrix, kernels.transpose = e.pairs.copyMatrix, e.pairs.transpose
	e.pairs = newProductUnit(kernels, e.pairs.loops, workers, true)
	return e
}

// inPairFamilies is inFamilies for products of bf16: it adds the models of AMX.
func inPairFamilies(t *testing.T, body func(t *testing.T, e *Engine)) {
	t.Helper()
	inFamilies(t, body)
	for _, model := range models {
		t.Run(model.name, func(t *testing.T) {
			e := model.engine(2)
			defer e.Close()
			body(t, e)
		})
	}
}

// blocksInGo is a tileBlocks in plain Go. It reads the shapes from the configuration and rounds where TDPBF16PS does.
func blocksInGo(c *float32, cStride int, a *float32, aRow int, b *float32, bStride, steps, blocks int, start *float32, accumulate bool, config *byte) {
	shapes := (*tileConfig)(unsafe.Pointer(config))
	rows, depth := blocks*(int(shapes[48])+int(shapes[50])), int(shapes[54])
	left := unsafe.Slice(a, (rows-1)*aRow+steps*depth)
	right := unsafe.Slice(b, (steps*depth-1)*bStride+amxBlock)
	out, first := unsafe.Slice(c, (rows-1)*cStride+amxBlock), unsafe.Slice(start, amxBlock)
	for i := range rows {
		row := out[i*cStride:][:amxBlock]
		if !accumulate {
			copy(row, first)
		}
		for step := range steps {
			stepInGo(row, left[i*aRow+step*depth:][:depth], right[step*depth*bStride:], bStride)
		}
	}
}

// stepInGo adds one step's words of the sum to a row of C.
func stepInGo(row, a, b []float32, bStride int) {
	for j := range row {
		var evens, odds float32
		for p, pair := range a {
			low, high := halves(pair)
			left, right := halves(b[p*bStride+j])
			evens += float32(low * left)
			odds += float32(high * right)
		}
		row[j] += evens + odds
	}
}

// tileCase is a call of a tile kernel of family AMX.
type tileCase struct {
	rows, k, cStride, aRow, bStride int
	a, b, start                     []float32
	accumulate                      bool
}

func drawTileCase(t *rapid.T) tileCase {
	rows := rapid.OneOf(rapid.IntRange(1, amxRows), rapid.SampledFrom([]int{1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 64, 97, 223, 224})).Draw(t, "rows")
	k := rapid.OneOf(rapid.IntRange(0, 50), rapid.SampledFrom([]int{0, 1, 15, 16, 17, 31, 32, 33, 64})).Draw(t, "k")
	c := tileCase{rows: rows, k: k, accumulate: rapid.Bool().Draw(t, "accumulate")}
	gaps := rapid.SampledFrom([]int{0, 1, 7, 16})
	c.cStride, c.aRow, c.bStride = amxBlock+gaps.Draw(t, "gap of C"), k+gaps.Draw(t, "gap of A"), amxBlock+gaps.Draw(t, "gap of B")
	c.a, c.b, c.start = wholeNumbers(t, 2*(rows*c.aRow+1)), wholeNumbers(t, 2*(k*c.bStride+1)), make([]float32, amxBlock)
	if rapid.Bool().Draw(t, "start") {
		for j := range c.start {
			c.start[j] = float32(j - 9)
		}
	}
	return c
}

// wholeNumbers is n bf16 numbers, as words: small integers, whose sums are exact in any order.
func wholeNumbers(t *rapid.T, n int) []float32 {
	words, r := make([]float32, n/2), randomOf(t)
	for i := range Halves(words) {
		Halves(words)[i] = RoundBFloat16(float32(r.IntN(17) - 8))
	}
	return words
}

// run computes the case; C holds row + column before, and NaN in its gaps.
func (c tileCase) run(p tilePrograms) []float32 {
	out := make([]float32, c.rows*c.cStride)
	for i := range out {
		out[i] = float32(i/c.cStride + i%c.cStride)
		if i%c.cStride >= amxBlock {
			out[i] = float32(math.NaN())
		}
	}
	amxMicroKernels(p.low, p.high).tile(c.rows, out, c.cStride, c.a, c.aRow, 1, c.b, c.bStride, c.k, c.start, c.accumulate, nil, 0, nil)
	return out
}

// want is element (i, j) of C afterwards.
func (c tileCase) want(i, j int) float32 {
	sum := c.start[j]
	if c.accumulate {
		sum += float32(i + j)
	}
	for p := range c.k {
		low, high := halves(c.a[i*c.aRow+p])
		left, right := halves(c.b[p*c.bStride+j])
		sum += low*left + high*right
	}
	return sum
}

// TestTilesOfAMX holds whole tile kernels to exact sums.
func TestTilesOfAMX(t *testing.T) {
	for _, program := range tileProgramsHere() {
		t.Run(program.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				c := drawTileCase(t)
				for i, got := range c.run(program) {
					row, j := i/c.cStride, i%c.cStride
					if j >= amxBlock && got == got {
						t.Fatalf("the gap after row %d of C was overwritten with %g", row, got)
					}
					if j < amxBlock && got != c.want(row, j) {
						t.Fatalf("C[%d,%d] is %g, want %g", row, j, got, c.want(row, j))
					}
				}
			})
		})
	}
}

// TestTilesOfAMXAgree compares the bits of all ways to run the kernels, on numbers whose sums are rounded.
func TestTilesOfAMXAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawTileCase(t)
		for _, words := range [][]float32{c.a, c.b} {
			narrowPortable(Halves(words), normals(randomOf(t), 2*len(words), 0, 1))
		}
		want := c.run(models[0])
		for _, program := range tileProgramsHere()[1:] {
			sameBits(t, program.name, c.run(program), want)
		}
	})
}

// tileProgramsHere is the models, and the kernels themselves where the CPU has AMX.
func tileProgramsHere() []tilePrograms {
	if thisCPU().amx {
		return append(models[:len(models):len(models)], tilePrograms{"this CPU", amxKernels[0], amxKernels[1]})
	}
	return models
}

// TestAMXOnThisCPU says aloud whether the tests ran on tile registers.
func TestAMXOnThisCPU(t *testing.T) {
	if !thisCPU().amx {
		t.Skipf("not tested: family %s on tile registers (%v); it ran in %d models instead", AMX, tiles(), len(models))
	}
}

// TestAttentionOfAMX compares attention of bf16 with that of the same numbers in float32. Its products write whole
// panels, whose width the models share with family AVX512 only.
func TestAttentionOfAMX(t *testing.T) {
	if !slices.Contains(Families(), AVX512) {
		t.Skipf("not tested: attention of family %s, which needs AVX-512", AMX)
	}
	for _, program := range tileProgramsHere() {
		e := program.engine(2)
		defer e.Close()
		for _, s := range []AttentionShape{{2, 65, 2, 64, 0}, {1, 37, 3, 32, 0}, {2, 14, 2, 12, 0}} {
			rows, width := s.Views*s.Tokens, s.Heads*s.HeadDim
			half, qkv := rounded(normals(seeded(1), rows*3*width, 0, 1))
			halfGradient, gradient := rounded(normals(seeded(2), rows*width, 0, 1))
			run := func(qkv, gradient Array) (out, dqkv []float32) {
				lse := dirty(rows * s.Heads)
				out, dqkv = dirty(rows*width), dirty(rows*3*width)
				e.AttentionForward(s, F32(out), lse, qkv)
				e.AttentionBackward(s, F32(dqkv), gradient, lse, qkv)
				return out, dqkv
			}
			wantOut, want := run(F32(qkv), F32(gradient))
			gotOut, got := run(half, halfGradient)
			closeTo(t, gotOut, wantOut, 0.02)
			closeTo(t, got, want, 0.02)
		}
	}
}

func TestConfigOfTiles(t *testing.T) {
	for _, test := range []struct {
		rows, depth int
		want        string
	}{
		{32, 16, "16x64 16x64 16x64 16x64 16x64 16x64 16x64 16x64"},
		{17, 5, "16x64 16x64 1x64 1x64 16x20 1x20 5x64 5x64"},
		{16, 16, "16x64 16x64 0x0 0x0 16x64 0x0 16x64 16x64"},
		{3, 1, "3x64 3x64 0x0 0x0 3x4 0x0 1x64 1x64"},
	} {
		c, got := configOf(test.rows, test.depth), ""
		for tile := range 8 {
			got += fmt.Sprintf(" %dx%d", c[48+tile], c[16+2*tile])
		}
		if c[0] != 1 || got[1:] != test.want {
			t.Errorf("%d rows, %d words: palette %d, tiles%s, want %s", test.rows, test.depth, c[0], got, test.want)
		}
	}
}
