package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// product is a call of a tile kernel: C = start + A·B (+ C), see tileKernel of package kernel.
type product struct {
	rows, cols, k          int
	cStride, aRow, aCol    int
	bStride, halfStride    int
	accumulate, intoHalves bool
	pairs                  bool
	a, b, c, start         []float64 // words of pairs are two numbers, the first in the lower half
}

// drawProduct draws a product of a tile kernel's height.
func drawProduct(r *rand.Rand, rows, cols int, pairs, half bool) product {
	gap := func() int { return []int{0, 1, 5}[r.IntN(3)] }
	x := product{
		rows: rows, cols: cols, k: []int{0, 1, 2, 9, 16, 17, 33}[r.IntN(7)], pairs: pairs,
		accumulate: r.IntN(2) == 0, intoHalves: half && r.IntN(2) == 0,
	}
	x.cStride, x.bStride, x.halfStride = cols+gap(), cols+gap(), cols+gap()
	x.aRow, x.aCol = x.k+gap(), 1
	if r.IntN(2) == 0 {
		x.aRow, x.aCol = 1, rows+gap()
	}
	per := map[bool]int{false: 1, true: 2}[pairs]
	x.a, x.b = wholeNumbers(r, per*x.wordsOfA()), wholeNumbers(r, per*x.wordsOfB())
	x.c, x.start = wholeNumbers(r, (rows-1)*x.cStride+cols), wholeNumbers(r, cols)
	return x
}

// wholeNumbers are small integers, whose sums are exact in any order.
func wholeNumbers(r *rand.Rand, n int) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = float64(r.IntN(9) - 4)
	}
	return all
}

// wordsOfA and wordsOfB are what the kernel may touch, to the last word.
func (x product) wordsOfA() int {
	return min(x.k, 1) * ((x.rows-1)*x.aRow + (x.k-1)*x.aCol + 1)
}

func (x product) wordsOfB() int { return min(x.k, 1) * ((x.k-1)*x.bStride + x.cols) }

// want is element (i, j) of C afterwards.
func (x product) want(i, j int) float64 {
	sum, per := x.start[j], map[bool]int{false: 1, true: 2}[x.pairs]
	if x.accumulate {
		sum += x.c[i*x.cStride+j]
	}
	for p := range x.k {
		for half := range per {
			sum += x.a[per*(i*x.aRow+p*x.aCol)+half] * x.b[per*(p*x.bStride+j)+half]
		}
	}
	return sum
}

// run computes the product in the machine; rounded is what it wrote as bf16, if it was asked to.
func (x product) run(p *program) (c, rounded []float64) {
	m, form := newMachine(), singles
	if x.pairs {
		form = halves
	}
	place, half, out := m.allocate(singles.encode(x.c), true), m.allocate(nil, false), []byte(nil)
	half.base = 0
	if x.intoHalves {
		out = make([]byte, 2*((x.rows-1)*x.halfStride+x.cols))
		half = m.allocate(out, true)
		place.writable = false
	}
	a, b, start := m.allocate(form.encode(x.a), false), m.allocate(form.encode(x.b), false), m.allocate(singles.encode(x.start), false)
	m.call(p, place, x.cStride, a, x.aRow, x.aCol, b, x.bStride, x.k, start, x.accumulate, half, x.halfStride, half, 64)
	return singles.decode(place.data), halves.decode(out)
}

// TestTiles holds the tile kernels of every height against exact sums, gaps included.
func TestTiles(t *testing.T) {
	for name, p := range kernels() {
		var rows int
		if n, _ := fmt.Sscanf(name, "tile%d", &rows); n != 1 {
			continue
		}
		pairs := strings.Contains(name, split.name) || strings.HasSuffix(name, dotSuffix)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(rows), uint64(len(name))))
			for range 12 {
				x := drawProduct(r, rows, 2*laneCount(p), pairs, strings.HasSuffix(name, dotSuffix))
				c, rounded := x.run(p)
				if x.intoHalves {
					x.compare(t, rounded, x.halfStride, make([]float64, len(rounded)))
				} else {
					x.compare(t, c, x.cStride, x.c)
				}
			}
		})
	}
}

// compare holds a result against the sums, and what lies between its rows against what stood there.
func (x product) compare(t *testing.T, got []float64, stride int, before []float64) {
	for at, v := range got {
		want := before[at]
		if i, j := at/stride, at%stride; j < x.cols {
			want = x.want(i, j)
		}
		if v != want {
			t.Fatalf("row %d, column %d is %g, want %g", at/stride, at%stride, v, want)
		}
	}
}

// TestTilesRound shows that results which bf16 cannot hold are rounded to nearest even on their way.
func TestTilesRound(t *testing.T) {
	x := product{rows: 1, cols: 32, aRow: 1, aCol: 1, bStride: 32, cStride: 32, halfStride: 32, intoHalves: true, pairs: true}
	x.c, x.start = make([]float64, 32), make([]float64, 32)
	for j := range x.start {
		x.start[j] = 256 + float64(j) // bf16 counts by twos there
	}
	_, rounded := x.run(kernels()["tile1AVX512"+dotSuffix])
	for j, got := range rounded {
		if want := halves.rounded(256 + float64(j)); got != want || j%4 == 3 && got != 256+float64(j)+1 {
			t.Errorf("%d is rounded to %g, want %g", 256+j, got, want)
		}
	}
}

// TestCopyMatrix copies rows of every length; what the mask leaves out is neither read nor written.
func TestCopyMatrix(t *testing.T) {
	for _, name := range []string{"copyMatrixAVX2", "copyMatrixAVX512"} {
		p, lanes := kernels()[name], laneCount(kernels()[name])
		for cols := 1; cols <= 6*lanes; cols++ {
			for _, s := range []sample{{rows: 1, cols: cols, stride: cols, wide: cols}, {rows: 3, cols: cols, stride: cols + 2, wide: cols + 7}, {rows: 4, cols: cols, stride: cols, wide: 0}} {
				m, mask := newMachine(), make([]float64, lanes)
				for i := range cols % lanes {
					mask[i] = -1
				}
				src, dst := make([]float64, (s.rows-1)*s.wide+cols), make([]float64, (s.rows-1)*s.stride+cols)
				for i := range src {
					src[i] = float64(i + 1)
				}
				to := m.allocate(singles.encode(dst), true)
				stopped := fault(func() {
					m.call(p, to, s.stride, m.allocate(singles.encode(src), false), s.wide, s.rows, cols/lanes, m.allocate(integers.encode(mask), false))
				})
				s.each(func(i, j, at int) { dst[at] = src[i*s.wide+j] })
				if got := singles.decode(to.data); stopped != "" || fmt.Sprint(got) != fmt.Sprint(dst) {
					t.Fatalf("%s of %d rows of %d: %v (%s), want %v", name, s.rows, cols, got, stopped, dst)
				}
			}
		}
	}
}

// TestTranspose turns blocks of eight rows.
func TestTranspose(t *testing.T) {
	for blocks := 1; blocks <= 3; blocks++ {
		for _, gap := range []int{0, 3} {
			m, cols := newMachine(), 8*blocks
			src, dst := make([]float64, 7*(cols+gap)+cols), make([]float64, (cols-1)*(8+gap)+8)
			for i := range src {
				src[i] = float64(i + 1)
			}
			to := m.allocate(singles.encode(dst), true)
			m.call(kernels()["transpose8AVX2"], to, 8+gap, m.allocate(singles.encode(src), false), cols+gap, blocks)
			for i := range 8 {
				for j := range cols {
					dst[j*(8+gap)+i] = src[i*(cols+gap)+j]
				}
			}
			if got := singles.decode(to.data); fmt.Sprint(got) != fmt.Sprint(dst) {
				t.Errorf("%d blocks: %v, want %v", blocks, got, dst)
			}
		}
	}
}

// TestPeakLoops runs the loops that measure the limit of a CPU: they end, and leave no vectors in use.
func TestPeakLoops(t *testing.T) {
	for _, name := range []string{"peakAVX2", "peakAVX512", "peak" + dotSuffix} {
		if stopped := fault(func() { newMachine().call(kernels()[name], 3, float32(1.5)) }); stopped != "" {
			t.Errorf("%s: %s", name, stopped)
		}
	}
	if stopped := fault(func() { newMachine().call(kernels()["pause"]) }); stopped != "" {
		t.Error(stopped)
	}
}

// transforms are those of F(4×4, 3×3) as Lavin & Gray (2015) write them, for the points 0, ±1, ±2 and infinity.
var transforms = map[string][][]float64{
	"winogradInput": { // Bᵀ
		{4, 0, -5, 0, 1, 0}, {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0}, {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1},
	},
	"winogradWeights": { // G
		{1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6}, {1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6}, {0, 0, 1},
	},
	"winogradOutput": { // Aᵀ
		{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1},
	},
}

func init() {
	transforms["winogradGradient"] = transposedMatrix(transforms["winogradOutput"])
	transforms["winogradWeightsGradient"] = transposedMatrix(transforms["winogradWeights"])
}

func transposedMatrix(m [][]float64) [][]float64 {
	out := make([][]float64, len(m[0]))
	for j := range out {
		for i := range m {
			out[j] = append(out[j], m[i][j])
		}
	}
	return out
}

// transformed is L·D·Lᵀ.
func transformed(l, d [][]float64) [][]float64 {
	return multiplied(l, multiplied(d, transposedMatrix(l)))
}

// multiplied is the product of two matrices.
func multiplied(a, b [][]float64) [][]float64 {
	out := make([][]float64, len(a))
	for i := range a {
		out[i] = make([]float64, len(b[0]))
		for j := range b[0] {
			for k := range b {
				out[i][j] += a[i][k] * b[k][j]
			}
		}
	}
	return out
}

// TestTransformsConvolve proves the matrices: outputs of transformed maps times transformed weights are correlations.
func TestTransformsConvolve(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	d, g := randomMatrix(r, 6), randomMatrix(r, 3)
	points := transformed(transforms["winogradInput"], d)
	for i, row := range transformed(transforms["winogradWeights"], g) {
		for j, w := range row {
			points[i][j] *= w
		}
	}
	for i, row := range transformed(transforms["winogradOutput"], points) {
		for j, got := range row {
			want := 0.0
			for u := range 3 {
				for v := range 3 {
					want += d[i+u][j+v] * g[u][v]
				}
			}
			if math.Abs(got-want) > 1e-12 {
				t.Errorf("output (%d, %d) is %g, want %g", i, j, got, want)
			}
		}
	}
}

func randomMatrix(r *rand.Rand, side int) [][]float64 {
	m := make([][]float64, side)
	for i := range m {
		for range side {
			m[i] = append(m[i], float64(r.IntN(17)-8))
		}
	}
	return m
}

// TestWinograd holds the transforms against their matrices, in every number of channels up to two vectors and more.
func TestWinograd(t *testing.T) {
	for name, p := range kernels() {
		l, ok := transforms[loopName(name)]
		if !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := range 2*laneCount(p) + 3 {
				checkTransform(t, p, l, n)
			}
		})
	}
}

// checkTransform runs one transform of n channels. Places hold maps in the storage that the name says, points float32.
func checkTransform(t *testing.T, p *program, l [][]float64, n int) {
	t.Helper()
	form := singles
	if strings.Contains(p.Name, halfName) {
		form = halves
	}
	m, r, stride, scatters := newMachine(), rand.New(rand.NewPCG(uint64(n), 1)), n+3, len(l) == 6
	in, out := len(l[0]), len(l)
	channels, table := make([][][]float64, n), []byte(nil)
	for c := range channels {
		channels[c] = randomMatrix(r, in)
	}
	places := make([]*memory, map[bool]int{true: in * in, false: out * out}[scatters])
	points := make([]float64, 35*stride+n)
	for k := range places {
		values := make([]float64, n)
		for c := range values {
			values[c] = math.NaN()
			if scatters {
				values[c] = channels[c][k/in][k%in]
			}
		}
		places[k] = m.allocate(form.encode(values), !scatters)
		table = binary.LittleEndian.AppendUint64(table, places[k].base)
	}
	for i := range points {
		points[i] = math.NaN()
		if c := i % stride; !scatters && c < n {
			points[i] = channels[c][i/stride/6][i/stride%6]
		}
	}
	held := m.allocate(singles.encode(points), scatters)
	arguments := []any{m.allocate(table, false), span{held, len(points)}, stride, n}
	if scatters {
		arguments = []any{span{held, len(points)}, stride, m.allocate(table, false), n}
	}
	if stopped := fault(func() { m.call(p, arguments...) }); stopped != "" {
		t.Fatalf("%d channels: %s", n, stopped)
	}
	got := singles.decode(held.data)
	for c := range n {
		for i, row := range transformed(l, channels[c]) {
			for j, want := range row {
				v := 0.0
				if scatters {
					v = got[(6*i+j)*stride+c]
				} else {
					v = form.decode(places[out*i+j].data)[c]
				}
				if !near(v, want, map[storage]float64{singles: 4e-6, halves: 1. / 250}[form]) && math.Abs(v-want) > 4e-4 {
					t.Fatalf("%d channels: result (%d, %d) of channel %d is %g, want %g", n, i, j, c, v, want)
				}
			}
		}
	}
}
