package kernel

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// rounded returns x in bf16 and what it then is in float32.
func rounded(x []float32) (Array, []float32) {
	half, back := make([]BFloat16, len(x)), make([]float32, len(x))
	narrowPortable(half, x)
	widenPortable(back, half)
	return BF16(half), back
}

// float32sOf is a copy of an Array's numbers.
func float32sOf(a Array) []float32 {
	x := make([]float32, a.Len())
	Copy(F32(x), a)
	return x
}

// sameBits reports the first number at which two slices differ.
func sameBits(t failer, what string, got, want []float32) {
	t.Helper()
	for i, bits := range bitsOf(want) {
		if g := math.Float32bits(got[i]); g != bits {
			t.Fatalf("%s: number %d is %g (%08x), want %g (%08x)", what, i, got[i], g, want[i], bits)
		}
	}
}

// sameNumbers is sameBits, except that any NaN is as good as another: of two, the compiler chooses which one lives on.
func sameNumbers(t failer, what string, got, want []float32) {
	t.Helper()
	for i, w := range want {
		if g := got[i]; math.Float32bits(g) != math.Float32bits(w) && (g == g || w == w) {
			t.Fatalf("%s: number %d is %g (%08x), want %g (%08x)", what, i, g, math.Float32bits(g), w, math.Float32bits(w))
		}
	}
}

func TestRoundBFloat16(t *testing.T) {
	for _, test := range []struct {
		name string
		in   uint32
		want BFloat16
	}{
		{"exact", 0x3f800000, 0x3f80},
		{"below half", 0x3f807fff, 0x3f80},
		{"tie to even, down", 0x3f808000, 0x3f80},
		{"tie to even, up", 0x3f818000, 0x3f82},
		{"above half", 0x3f808001, 0x3f81},
		{"negative", 0xbf808001, 0xbf81},
		{"subnormal", 0x00018000, 0x0002},
		{"minus zero", 0x80000000, 0x8000},
		{"largest becomes infinite", 0x7f7fffff, 0x7f80},
		{"infinite", 0xff800000, 0xff80},
		{"quiet NaN", 0x7fc00000, 0x7fc0},
		{"NaN whose payload is lost", 0x7f800001, 0x7fc0},
		{"NaN that would overflow", 0xffffffff, 0xffff},
	} {
		if got := RoundBFloat16(math.Float32frombits(test.in)); got != test.want {
			t.Errorf("%s: %08x becomes %04x, want %04x", test.name, test.in, got, test.want)
		}
	}
}

// TestConversions holds the loops of every family against the portable ones, bit by bit, NaN and infinities among them.
func TestConversions(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			n := sizes.Draw(t, "n")
			low, high := make([]float32, n), make([]float32, n)
			r := randomOf(t)
			for i := range low {
				low[i], high[i] = math.Float32frombits(r.Uint32()), math.Float32frombits(r.Uint32())
			}
			v := &e.vector
			half, want := make([]BFloat16, n), make([]BFloat16, n)
			v.narrow(half, low)
			narrowPortable(want, low)
			for i := range want {
				if half[i] != want[i] {
					t.Fatalf("narrow: %08x becomes %04x, want %04x", math.Float32bits(low[i]), half[i], want[i])
				}
			}
			wide, wantWide := make([]float32, n), make([]float32, n)
			v.widen(wide, half)
			widenPortable(wantWide, half)
			sameBits(t, "widen", wide, wantWide)
			both := append(slices.Clone(low), high...)
			v.pair(wide, n, both, n, 1, n)
			pairPortable(wantWide, n, both, n, 1, n)
			sameBits(t, "pair", wide, wantWide)
			v.narrow(half, low)
			above := make([]BFloat16, n)
			v.narrow(above, high)
			v.pairHalves(wide, n, append(slices.Clone(half), above...), n, 1, n)
			sameBits(t, "pairHalves", wide, wantWide)
		})
	})
}

func TestConvert(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		x := normals(seeded(1), 3*elementChunk+5, 0, 1)
		half, back := rounded(x)
		got := BF16(make([]BFloat16, len(x)))
		e.Convert(got, F32(x))
		sameBits(t, "to bf16", float32sOf(got), back)
		e.Convert(got, half)
		sameBits(t, "bf16 to bf16", float32sOf(got), back)
		wide := make([]float32, len(x))
		e.Convert(F32(wide), half)
		sameBits(t, "to float32", wide, back)
		e.Convert(F32(wide), F32(x))
		sameBits(t, "copy", wide, x)
	})
}

// halfCase runs one kernel on operands whose storage the test chooses; results are what it wrote.
type halfCase struct {
	name     string
	operands [][]float32 // that may be bf16
	results  []int       // their lengths
	run      func(e *Engine, in, out []Array)
}

func halfCases() []halfCase {
	const rows, cols, views, tokens, heads, dim = 70, 24, 5, 14, 2, 12
	n := rows * cols
	x := func(seed uint64) []float32 { return normals(seeded(seed), n, 0, 1) }
	gamma, beta := normals(seeded(11), cols, 1, 0.3), normals(seeded(12), cols, 0, 0.3)
	groups := NormGroups{30, 40}
	pool := PoolShape{Images: 2, Height: 7, Width: 5, Channels: cols, Kernel: 3, Stride: 2, Pad: 1}
	pooled := 2 * pool.OutHeight() * pool.OutWidth() * cols
	attention := AttentionShape{Views: views, Tokens: tokens, Heads: heads, HeadDim: dim}
	scratch := func(n int) []float32 { return make([]float32, n) }
	return []halfCase{
		{"Add", [][]float32{x(1), x(2)}, []int{n}, func(e *Engine, in, out []Array) { e.Add(out[0], in[0], in[1]) }},
		{"Scale", [][]float32{x(1)}, []int{n}, func(e *Engine, in, out []Array) { e.Scale(out[0], in[0], 0.3) }},
		{"ReLU", [][]float32{x(1)}, []int{n}, func(e *Engine, in, out []Array) { e.ReLUForward(out[0], in[0]) }},
		{"ReLUBackward", [][]float32{x(1), x(2)}, []int{n}, func(e *Engine, in, out []Array) { e.ReLUBackward(out[0], in[0], in[1]) }},
		{"GELU", [][]float32{x(1)}, []int{n}, func(e *Engine, in, out []Array) { e.GELUForward(out[0], in[0]) }},
		{"GELUBackward", [][]float32{x(1), x(2)}, []int{n}, func(e *Engine, in, out []Array) { e.GELUBackward(out[0], in[0], in[1]) }},
		{"ColumnSums", [][]float32{x(1)}, nil, func(e *Engine, in, _ []Array) { e.ColumnSums(scratch(cols), in[0], rows, cols) }},
		{"LayerNorm", [][]float32{x(1)}, []int{n}, func(e *Engine, in, out []Array) {
			e.LayerNormForward(out[0], scratch(rows), scratch(rows), in[0], gamma, beta, rows, cols, 1e-6)
		}},
		{"LayerNormBackward", [][]float32{x(1), x(2)}, []int{n}, func(e *Engine, in, out []Array) {
			mean, rstd := scratch(rows), scratch(rows)
			e.LayerNormForward(F32(scratch(n)), mean, rstd, in[1], gamma, beta, rows, cols, 1e-6)
			e.LayerNormBackward(out[0], scratch(cols), scratch(cols), in[0], in[1], gamma, mean, rstd, rows, cols)
		}},
		{"BatchNorm", [][]float32{x(1), x(2)}, []int{n}, func(e *Engine, in, out []Array) {
			e.batchNorm(out[0], scratch(2*cols), scratch(2*cols), in[0], in[1], gamma, beta, groups, cols, 1e-5, true)
		}},
		{"BatchNormInference", [][]float32{x(1)}, []int{n}, func(e *Engine, in, out []Array) {
			e.BatchNormInference(out[0], in[0], Array{}, gamma, beta, beta, gamma, rows, cols, 1e-5, true)
		}},
		{"BatchNormBackward", [][]float32{x(1), x(2), x(3)}, []int{n, n}, func(e *Engine, in, out []Array) {
			mean, rstd := scratch(2*cols), normals(seeded(5), 2*cols, 1, 0.1)
			e.BatchNormBackward(out[0], out[1], scratch(cols), scratch(cols), in[0], in[1], in[2], gamma, mean, rstd, groups, cols, true)
		}},
		{"MaxPool", [][]float32{x(1)[:2*7*5*cols]}, []int{pooled}, func(e *Engine, in, out []Array) {
			e.MaxPoolForward(pool, out[0], make([]int32, pooled), in[0])
		}},
		{"MaxPoolBackward", [][]float32{x(1)[:pooled]}, []int{2 * 7 * 5 * cols}, func(e *Engine, in, out []Array) {
			argmax := make([]int32, pooled)
			e.MaxPoolForward(pool, F32(scratch(pooled)), argmax, F32(x(2)[:2*7*5*cols]))
			e.MaxPoolBackward(pool, out[0], in[0], argmax)
		}},
		{"MeanPool", [][]float32{x(1)}, []int{7 * cols}, func(e *Engine, in, out []Array) { e.MeanPoolForward(out[0], in[0], 7, 10, cols) }},
		{"MeanPoolBackward", [][]float32{x(1)[:7*cols]}, []int{n}, func(e *Engine, in, out []Array) { e.MeanPoolBackward(out[0], in[0], 7, 10, cols) }},
		{"Attention", [][]float32{normals(seeded(1), views*tokens*3*heads*dim, 0, 1)}, []int{views * tokens * heads * dim}, func(e *Engine, in, out []Array) {
			e.AttentionForward(attention, out[0], scratch(views*heads*tokens), in[0])
		}},
		{"AttentionBackward", [][]float32{normals(seeded(1), views*tokens*3*heads*dim, 0, 1), normals(seeded(2), views*tokens*heads*dim, 0, 1)},
			[]int{views * tokens * 3 * heads * dim}, func(e *Engine, in, out []Array) {
				lse, y := scratch(views*heads*tokens), F32(scratch(views*tokens*heads*dim))
				e.AttentionForward(attention, y, lse, in[0])
				e.AttentionBackward(attention, out[0], in[1], lse, in[0])
			}},
		{"AttentionOfThreeQueries", [][]float32{normals(seeded(1), views*tokens*3*heads*dim, 0, 1), normals(seeded(2), views*3*heads*dim, 0, 1)},
			[]int{views * 3 * heads * dim, views * tokens * 3 * heads * dim}, func(e *Engine, in, out []Array) {
				first, lse := attention, scratch(views*heads*3)
				first.Queries = 3
				e.AttentionForward(first, out[0], lse, in[0])
				e.AttentionBackward(first, out[1], in[1], lse, in[0])
			}},
	}
}

// TestHalfStorage: a kernel gives on bf16 operands what it gives on the same numbers in float32, and bf16 results are
// the float32 ones rounded; whatever the storage of the others.
func TestHalfStorage(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		for _, c := range halfCases() {
			for _, mix := range []struct {
				name             string
				operands, result bool // are bf16
			}{{"bf16", true, true}, {"bf16 to float32", true, false}, {"float32 to bf16", false, true}} {
				if mix.name != "bf16" && strings.HasPrefix(c.name, "Attention") {
					continue // rounds between its products where operands are bf16
				}
				t.Run(c.name+"/"+mix.name, func(t *testing.T) {
					var mixed, wides, got, want []Array
					for _, x := range c.operands {
						half, back := rounded(x)
						wides = append(wides, F32(back))
						if mix.operands {
							mixed = append(mixed, half)
						} else {
							mixed = append(mixed, F32(back))
						}
					}
					for _, n := range c.results {
						want = append(want, F32(dirty(n)))
						if mix.result {
							got = append(got, BF16(make([]BFloat16, n)))
						} else {
							got = append(got, F32(dirty(n)))
						}
					}
					c.run(e, mixed, got)
					c.run(e, wides, want)
					for i, w := range want {
						expected := w.f32
						if mix.result {
							_, expected = rounded(w.f32)
						}
						if strings.HasPrefix(c.name, "Attention") { // whose products round probabilities
							closeTo(t, float32sOf(got[i]), expected, 0.02)
							continue
						}
						sameBits(t, c.name, float32sOf(got[i]), expected)
					}
				})
			}
		}
	})
}

// TestHalfLoops holds the loops over bf16 against those over float32, bit by bit, for sizes with every kind of tail.
func TestHalfLoops(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			rows, cols := rapid.IntRange(1, 9).Draw(t, "rows"), max(1, sizes.Draw(t, "cols"))
			r, n := randomOf(t), rows*cols
			draw := func() ([]BFloat16, []float32) {
				x := normals(r, n, 0, 1)
				if r.IntN(4) == 0 {
					x[r.IntN(n)] = math.Float32frombits(r.Uint32() | 0x7f800000) // infinite or NaN
				}
				half, back := rounded(x)
				return half.bf16, back
			}
			a, wideA := draw()
			b, wideB := draw()
			c, wideC := draw()
			beyond := make([]BFloat16, n+1)
			got, want := beyond[:n], dirty(n)
			check := func(what string) {
				t.Helper()
				_, rounded := rounded(want)
				sameNumbers(t, what, float32sOf(BF16(got)), rounded)
				if beyond[n] != 0 {
					t.Fatalf("%s writes beyond its result", what)
				}
				clear(got)
			}
			factors := func() []float32 { return normals(r, cols, 1, 0.5) }
			mean, factor, beta, slope := factors(), factors(), factors(), factors()
			sums, wideSums := make([]float32, 4*cols), make([]float32, 4*cols)
			v, h := &e.vector, &e.vector.half

			h.add(got, a, b)
			v.add(want, wideA, wideB)
			check("add")
			h.scale(got, a, 0.3)
			v.scale(want, wideA, 0.3)
			check("scale")
			h.relu(got, a)
			v.relu(want, wideA)
			check("relu")
			h.reluBackward(got, a, b)
			v.reluBackward(want, wideA, wideB)
			check("reluBackward")
			e.GELUForward(BF16(got), BF16(a))
			v.gelu(want, wideA)
			check("gelu")
			e.GELUBackward(BF16(got), BF16(a), BF16(b))
			v.geluBackward(want, wideA, wideB)
			check("geluBackward")

			h.columnSums(sums[:cols], a, rows, cols)
			v.columnSums(wideSums[:cols], wideA, rows, cols)
			h.columnMoments(sums[cols:2*cols], sums[2*cols:3*cols], a, mean, rows, cols)
			v.columnMoments(wideSums[cols:2*cols], wideSums[2*cols:3*cols], wideA, mean, rows, cols)
			sameNumbers(t, "columnSums, columnMoments", sums, wideSums)

			rowMean, rowRstd := normals(r, rows, 0, 1), normals(r, rows, 1, 0.1)
			wideMean, wideRstd := slices.Clone(rowMean), slices.Clone(rowRstd)
			h.layerNormBackward(got, sums[:cols], sums[cols:2*cols], a, b, factor, rowMean, rowRstd, rows, cols)
			v.layerNormBackward(want, wideSums[:cols], wideSums[cols:2*cols], wideA, wideB, factor, rowMean, rowRstd, rows, cols)
			check("layerNormBackward")
			sameNumbers(t, "layerNormBackward, by parameters", sums, wideSums)
			h.layerNorm(got, rowMean, rowRstd, a, factor, beta, rows, cols, 1e-6)
			v.layerNorm(want, wideMean, wideRstd, wideA, factor, beta, rows, cols, 1e-6)
			check("layerNorm")
			sameNumbers(t, "layerNorm, mean and rstd", append(rowMean, rowRstd...), append(wideMean, wideRstd...))

			floor := float32(0)
			if rapid.Bool().Draw(t, "no floor") {
				floor = float32(math.Inf(-1))
			}
			h.normalize(got, a, mean, factor, beta, rows, cols, floor)
			v.normalize(want, wideA, mean, factor, beta, rows, cols, floor)
			check("normalize")
			h.normalizeAdd(got, a, b, mean, factor, beta, rows, cols, floor)
			v.normalizeAdd(want, wideA, wideB, mean, factor, beta, rows, cols, floor)
			check("normalizeAdd")
			h.normGradientSums(sums[:cols], sums[cols:2*cols], a, b, mean, factor, rows, cols)
			v.normGradientSums(wideSums[:cols], wideSums[cols:2*cols], wideA, wideB, mean, factor, rows, cols)
			h.normGradientSumsReLU(sums[2*cols:3*cols], sums[3*cols:], got, a, c, b, mean, factor, rows, cols)
			v.normGradientSumsReLU(wideSums[2*cols:3*cols], wideSums[3*cols:], want, wideA, wideC, wideB, mean, factor, rows, cols)
			check("normGradientSumsReLU")
			sameNumbers(t, "normGradientSums, normGradientSumsReLU", sums, wideSums)
			h.normGradientApply(got, a, b, mean, factor, beta, slope, rows, cols)
			v.normGradientApply(want, wideA, wideB, mean, factor, beta, slope, rows, cols)
			check("normGradientApply")
		})
	})
}

// TestGELUOfEveryHalf: the tables hold what the loops over float32 give.
func TestGELUOfEveryHalf(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		x := make([]BFloat16, 1<<16)
		for i := range x {
			x[i] = BFloat16(i)
		}
		wide, ones := make([]float32, len(x)), make([]BFloat16, len(x))
		widenPortable(wide, x)
		for i := range ones {
			ones[i] = 0x3f80
		}
		got, want := make([]BFloat16, len(x)), make([]float32, len(x))
		e.GELUForward(BF16(got), BF16(x))
		e.GELUForward(F32(want), F32(wide))
		_, back := rounded(want)
		sameBits(t, "GELUForward", float32sOf(BF16(got)), back)
		e.GELUBackward(BF16(got), BF16(ones), BF16(x))
		e.GELUBackward(F32(want), F32(float32sOf(BF16(ones))), F32(wide))
		_, back = rounded(want)
		sameBits(t, "GELUBackward", float32sOf(BF16(got)), back)
	})
}

// closeTo compares to an absolute tolerance.
func closeTo(t failer, got, want []float32, tolerance float64) {
	t.Helper()
	for i, w := range want {
		if d := math.Abs(float64(got[i] - w)); !(d <= tolerance) {
			t.Fatalf("number %d is %g, want %g", i, got[i], w)
		}
	}
}
