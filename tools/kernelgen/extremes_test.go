package main

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// denormal is the smallest number of float32, and largest the largest finite one.
const (
	denormal = math.SmallestNonzeroFloat32
	largest  = math.MaxFloat32
)

// extremes are calls of loops whose numbers are not those that come along in training every day. The references are those
// of loopCases.
var extremes = []struct {
	loop, what string
	change     func(s *sample)
}{
	{"relu", "zeros of both signs and the ends of float32", func(s *sample) {
		s.repeat("x", math.Copysign(0, -1), 0, denormal, -denormal, largest, -largest, math.NaN())
	}},
	{"reluBackward", "a gradient that is no number where nothing passes", func(s *sample) {
		s.repeat("dy", math.NaN(), math.Inf(1), 1)
		s.repeat("y", 0, -1, denormal)
	}},
	{"scale", "a factor of zero", func(s *sample) { s.numbers["factor"] = 0 }},
	{"scale", "infinities", func(s *sample) {
		s.numbers["factor"] = -2
		s.repeat("a", math.Inf(1), math.Inf(-1), 1, math.NaN())
	}},
	{"add", "infinities of both signs", func(s *sample) {
		s.repeat("a", math.Inf(1), math.Inf(1), 1, math.NaN())
		s.repeat("b", math.Inf(1), math.Inf(-1), math.Inf(-1), 1)
	}},
	{"combine", "one factor zero", func(s *sample) { s.numbers["factorA"], s.numbers["factorB"] = 0, 1 }},
	{"gelu", "far beyond where the tail vanishes", func(s *sample) {
		s.repeat("x", 12, -12, 1e4, -1e4, 1e18, -1e18, 0, denormal)
	}},
	{"geluBackward", "far beyond where the density vanishes", func(s *sample) {
		s.repeat("x", 12, -12, 1e4, -1e4, 0, 1e9, -1e9)
	}},
	{"softmaxRows", "equal numbers", func(s *sample) { s.repeat("x", 1.5) }},
	{"softmaxRows", "one number far above all others", func(s *sample) {
		s.numbers["factor"] = 1
		s.inRows("x", func(_, j int) float64 { return where(j == s.cols/2, 300) })
	}},
	{"softmaxRows", "numbers that alone would overflow", func(s *sample) {
		s.numbers["factor"] = 1
		s.inRows("x", func(i, j int) float64 { return 1e4 + float64(i+j%3) })
	}},
	{"softmaxRows", "masked places", func(s *sample) {
		s.numbers["factor"] = 0.5
		s.inRows("x", func(i, j int) float64 {
			return map[bool]float64{true: math.Inf(-1), false: float64(j % 5)}[(i+j)%3 == 1]
		})
	}},
	{"exponentialRows", "from zero to beyond nothing", func(s *sample) {
		s.numbers["factor"] = 1
		s.repeat("shift", 0)
		s.inRows("x", func(i, j int) float64 { return []float64{0, -1e-7, -79, -81, -700, math.Inf(-1), math.NaN()}[(i+j)%7] })
	}},
	{"softmaxBackward", "probabilities of zero and one", func(s *sample) {
		s.inRows("p", func(_, j int) float64 { return where(j == 0, 1) })
	}},
	{"layerNorm", "rows of equal numbers", func(s *sample) {
		s.numbers["eps"] = float64(float32(1e-6))
		s.inRows("x", func(i, _ int) float64 { return float64(i) - 1 })
	}},
	{"layerNormBackward", "gradients of zero", func(s *sample) { s.repeat("dy", 0) }},
	{"normalize", "no floor", func(s *sample) { s.numbers["floor"] = math.Inf(-1) }},
	{"normalize", "everything below the floor", func(s *sample) { s.numbers["floor"] = 1e6 }},
	{"normalizeAdd", "everything below the floor", func(s *sample) {
		s.numbers["floor"] = 0
		s.repeat("residual", -1e3)
	}},
	{"normGradientSumsReLU", "nothing passes", func(s *sample) { s.repeat("y", 0) }},
	{"normGradientSumsReLU", "no number where nothing passes", func(s *sample) {
		s.repeat("y", 0, 1)
		for i := range s.a("dy") {
			if i%2 == 0 {
				s.a("dy")[i] = math.NaN()
			}
		}
	}},
	{"columnMoments", "columns of their shift", func(s *sample) {
		s.inRows("x", func(_, j int) float64 { return s.a("shift")[j] })
	}},
	{"columnSums", "an infinity in one column", func(s *sample) { s.a("x")[len(s.a("x"))-1] = math.Inf(1) }},
	{"maximum", "nothing but NaN", func(s *sample) { s.repeat("x", math.NaN()) }},
	{"maximum", "ties", func(s *sample) { copy(s.a("x"), s.a("y")) }},
	{"maximum", "below everything", func(s *sample) {
		s.repeat("y", math.Inf(-1))
		s.repeat("x", math.Inf(-1), -largest)
	}},
	{"adamW", "moments and gradients of zero", func(s *sample) {
		for _, name := range []string{"g", "m", "v"} {
			s.repeat(name, 0)
		}
	}},
	{"adamW", "a gradient that is no number", func(s *sample) { s.a("g")[s.cols/2] = math.NaN() }},
	{"sgd", "an infinite gradient", func(s *sample) { s.a("g")[s.cols-1] = math.Inf(-1) }},
	{"sum", "numbers that cancel", func(s *sample) { s.repeat("x", 3e7, 0.25, -3e7, 0.5) }},
	{"sumSquares", "numbers whose squares are beyond float32", func(s *sample) { s.repeat("x", 1e30, -1e25) }},
	{"dot", "products that cancel", func(s *sample) {
		s.repeat("a", 1e6, 1, -1e6, 0.5)
		s.repeat("b", 1e6, 1, 1e6, 0.5)
	}},
	{"finite", "finite numbers whose sum is not", func(s *sample) { s.repeat("x", largest) }},
	{"finite", "the smallest numbers", func(s *sample) { s.repeat("x", denormal, -denormal, 0) }},
	{"narrow", "what rounds to infinity, and what is none", func(s *sample) {
		below := float64(math.Float32frombits(0x7f7f7fff)) // infinity
		s.repeat("src", largest, -largest, math.Inf(1), math.Inf(-1), math.NaN(), denormal, below)
	}},
	{"widen", "the ends of bf16", func(s *sample) {
		top, bottom := math.Float32frombits(0x7f7f0000), math.Float32frombits(0x00010000)
		s.repeat("src", float64(top), float64(bottom), math.Inf(-1), math.NaN())
	}},
	{"pair", "infinities and NaN", func(s *sample) { s.repeat("src", math.Inf(1), 1, math.Inf(-1), 2, math.NaN()) }},
}

// repeat fills an array with some numbers over and over.
func (s *sample) repeat(name string, values ...float64) {
	s.every(name, func(j int) float64 { return values[j%len(values)] })
}

// inRows sets the elements of a matrix and leaves the gaps between its rows.
func (s *sample) inRows(name string, value func(i, j int) float64) {
	s.each(func(i, j, at int) { s.a(name)[at] = value(i, j) })
}

// round makes all numbers of a call such that their storages hold them.
func (s *sample) round(p *program) {
	for v := range p.parameters().Variables() {
		if form, points := storageOf(v); points {
			s.every(v.Name(), func(j int) float64 { return form.rounded(s.a(v.Name())[j]) })
		}
	}
}

// TestExtremes runs loops over numbers at the ends of what there is, in whole vectors and remainders.
func TestExtremes(t *testing.T) {
	for _, extreme := range extremes {
		found := 0
		for name, p := range kernels() {
			if loopName(name) != extreme.loop {
				continue
			}
			found++
			t.Run(name+", "+extreme.what, func(t *testing.T) {
				t.Parallel()
				k, r := loopCases[extreme.loop], rand.New(rand.NewPCG(4, 4))
				for _, vectors := range []int{1, 2, 3} {
					cols := vectors * laneCount(p)
					if !k.whole {
						cols -= 1 + vectors // a remainder
					}
					s := k.newSample(p, 2, cols, r)
					s.numbers["vectors"], s.numbers["index"] = float64(vectors), 7
					extreme.change(s)
					s.round(p)
					if extreme.loop == "finite" {
						s.result = 1
					}
					k.run(t, p, s)
				}
			})
		}
		if found == 0 {
			t.Errorf("there is no loop %s", extreme.loop)
		}
	}
}

// TestLookUpEveryNumber: each of the finite numbers of bf16 finds its own entry.
func TestLookUpEveryNumber(t *testing.T) {
	for _, name := range []string{"lookUpAVX2", "lookUpAVX512"} {
		p, k := kernels()[name], loopCases["lookUp"]
		var finite []float64
		for pattern := range uint32(1 << 16) {
			if v := float64(math.Float32frombits(pattern << 16)); !math.IsNaN(v) && !math.IsInf(v, 0) {
				finite = append(finite, v)
			}
		}
		s := k.newSample(p, 1, len(finite), rand.New(rand.NewPCG(6, 6)))
		copy(s.a("x"), finite)
		s.numbers["vectors"] = float64(len(finite) / laneCount(p))
		k.run(t, p, s)
	}
}

// TestLoopsTouchWhatTheyAreGiven: with any array a byte shorter than the other tests have it, each loop is stopped. So these
// tests give no loop room that it does not need.
func TestLoopsTouchWhatTheyAreGiven(t *testing.T) {
	for name, p := range kernels() {
		k, ok := loopCases[loopName(name)]
		if !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cols := laneCount(p) + 3
			if k.whole {
				cols = 2 * laneCount(p)
			}
			for v := range p.parameters().Variables() {
				if _, points := storageOf(v); !points || strings.Contains(k.arrays, v.Name()+":65536") {
					continue
				}
				s, m := k.newSample(p, 2, cols, rand.New(rand.NewPCG(5, 5))), newMachine()
				s.numbers["vectors"], s.numbers["index"] = 2, 7
				arguments, held := s.arguments(m, p)
				short := held[v.Name()]
				short.data = short.data[:len(short.data)-1]
				if stopped := fault(func() { m.call(p, arguments...) }); !strings.Contains(stopped, "an access of") {
					t.Errorf("%s may be a byte shorter than what is tested: %q", v.Name(), stopped)
				}
			}
		})
	}
}
