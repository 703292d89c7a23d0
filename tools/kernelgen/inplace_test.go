package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// inPlace are loops whose result may overwrite one of their inputs: result, input.
var inPlace = map[string][2]string{
	"add": {"dst", "a"}, "scale": {"dst", "a"}, "relu": {"y", "x"}, "reluBackward": {"dx", "dy"}, "gelu": {"y", "x"},
	"geluBackward": {"dx", "dy"}, "softmaxRows": {"p", "x"}, "exponentialRows": {"p", "x"}, "softmaxBackward": {"dx", "dp"},
	"layerNorm": {"y", "x"}, "normalize": {"y", "x"}, "normalizeAdd": {"y", "residual"}, "normGradientApply": {"dx", "dy"},
	"normGradientSumsReLU": {"dz", "dy"}, "weigh": {"dx", "dy"}, "lookUp": {"y", "x"},
}

// TestLoopsInPlace gives loops one array for result and input, as executors do to save memory: no vector may be written
// before everything that is made of it was read.
func TestLoopsInPlace(t *testing.T) {
	found := map[string]bool{}
	for name, p := range kernels() {
		names, ok := inPlace[loopName(name)]
		if !ok {
			continue
		}
		found[loopName(name)] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, r := loopCases[loopName(name)], rand.New(rand.NewPCG(7, 7))
			for _, vectors := range []int{1, 2, 3} {
				cols := vectors * laneCount(p)
				if !k.whole {
					cols += 1 - 2*(vectors%2) // beside whole vectors
				}
				s := k.newSample(p, 3, cols, r)
				s.numbers["vectors"] = float64(vectors)
				k.runInPlace(t, p, s, names[0], names[1])
			}
		})
	}
	for name := range inPlace {
		if !found[name] {
			t.Errorf("there is no loop %s", name)
		}
	}
}

// runInPlace calls a loop whose result lies where its input is.
func (k kernelCase) runInPlace(t *testing.T, p *program, s *sample, result, input string) {
	t.Helper()
	m := newMachine()
	arguments, held := s.arguments(m, p)
	at := map[string]int{}
	for v := range p.parameters().Variables() {
		at[v.Name()] = len(at)
	}
	arguments[at[result]] = arguments[at[input]]
	if stopped := fault(func() { m.call(p, arguments...) }); stopped != "" {
		t.Fatalf("%d rows of %d: %s", s.rows, s.cols, stopped)
	}
	k.want(s)
	for v := range p.parameters().Variables() {
		if v.Name() == result {
			form, _ := storageOf(v)
			k.compare(t, s, result, form, form.decode(held[input].data))
		}
	}
}

// TestTilesKeepNumbersApart: what is no number in a row of A makes no number of that row of C alone, and what is none in a
// column of B of that column; an infinity reaches the same places.
func TestTilesKeepNumbersApart(t *testing.T) {
	for name, p := range kernels() {
		var rows int
		if n, _ := fmt.Sscanf(name, "tile%d", &rows); n != 1 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cols, pairs := 2*laneCount(p), strings.Contains(name, split.name) || strings.HasSuffix(name, dotSuffix)
			for _, bad := range []float64{math.NaN(), math.Inf(1)} {
				per := map[bool]int{false: 1, true: 2}[pairs]
				x := product{rows: rows, cols: cols, k: 3, cStride: cols, aRow: 3, aCol: 1, bStride: cols, pairs: pairs}
				x.a, x.b, x.c, x.start = ones(per*rows*3), ones(per*3*cols), make([]float64, rows*cols), make([]float64, cols)
				row, col := rows-1, cols-2
				x.a[per*(row*3+1)] = bad
				x.b[per*(2*cols+col)] = bad
				c, _ := x.run(p)
				for at, got := range c {
					want := float64(3 * per)
					if i, j := at/cols, at%cols; i == row || j == col {
						want = bad
					}
					if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
						t.Fatalf("row %d, column %d is %g, want %g", at/cols, at%cols, got, want)
					}
				}
			}
		})
	}
}

func ones(n int) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = 1
	}
	return all
}
