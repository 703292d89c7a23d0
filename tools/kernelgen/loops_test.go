package main

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// loopCases are the loops by name, without the suffixes of storage and unit. They run in rows of all lengths up to two
// vectors and more, so that every remainder of lanes is there.
var loopCases = map[string]kernelCase{
	"add":   {arrays: "dst:c! a:c b:c", want: func(s *sample) { s.every("dst", func(j int) float64 { return s.a("a")[j] + s.a("b")[j] }) }},
	"scale": {arrays: "dst:c! a:c", want: func(s *sample) { s.every("dst", func(j int) float64 { return s.a("a")[j] * s.numbers["factor"] }) }},
	"relu": {arrays: "y:c! x:c", fill: func(s *sample) { s.sprinkle("x", math.NaN(), math.Inf(1), math.Inf(-1), 0) }, want: func(s *sample) {
		s.every("y", func(j int) float64 { return positive(s.a("x")[j]) })
	}},
	"reluBackward": {arrays: "dx:c! dy:c y:c", fill: func(s *sample) { s.sprinkle("y", 0, math.NaN()) }, want: func(s *sample) {
		s.every("dx", func(j int) float64 { return where(s.a("y")[j] > 0, s.a("dy")[j]) })
	}},
	"gelu": {arrays: "y:c! x:c", fill: spreadOut("x"), want: func(s *sample) {
		s.every("y", func(j int) float64 { return s.a("x")[j] * cumulative(s.a("x")[j]) })
	}},
	"geluBackward": {arrays: "dx:c! dy:c x:c", fill: spreadOut("x"), want: func(s *sample) {
		s.every("dx", func(j int) float64 {
			x := s.a("x")[j]
			return s.a("dy")[j] * (cumulative(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi))
		})
	}},
	"lookUp": {arrays: "y:c! x:c table:65536", whole: true, exact: true, want: func(s *sample) {
		s.every("y", func(j int) float64 { return s.a("table")[nearestHalf(float32(s.a("x")[j]))] })
	}},
	"weigh": {arrays: "dx:c! dy:c x:c table:65536", whole: true, want: func(s *sample) {
		s.every("dx", func(j int) float64 { return s.a("dy")[j] * s.a("table")[nearestHalf(float32(s.a("x")[j]))] })
	}},
	"combine": {arrays: "a:c b:c", want: func(s *sample) {
		s.every("a", func(j int) float64 { return s.numbers["factorA"]*s.a("a")[j] + s.numbers["factorB"]*s.a("b")[j] })
	}},
	"softmaxRows": {arrays: "p:rs! maxima:r! sums:r! x:rs", least: 1, gap: true, want: func(s *sample) {
		for i := range s.rows {
			row, top, sum := s.a("x")[i*s.stride:], math.Inf(-1), 0.0
			for j := range s.cols {
				top = max(top, s.numbers["factor"]*row[j])
			}
			for j := range s.cols {
				s.a("p")[i*s.stride+j] = math.Exp(s.numbers["factor"]*row[j] - top)
				sum += s.a("p")[i*s.stride+j]
			}
			s.a("maxima")[i], s.a("sums")[i] = top, sum
		}
	}},
	"exponentialRows": {arrays: "p:rs! x:rs shift:r", gap: true, fill: func(s *sample) {
		for i := range s.a("shift") {
			s.a("shift")[i] += 5 // exponents are at most 0
		}
	}, want: func(s *sample) {
		s.each(func(i, j, at int) { s.a("p")[at] = math.Exp(s.numbers["factor"]*s.a("x")[at] - s.a("shift")[i]) })
	}},
	"softmaxBackward": {arrays: "dx:rs! p:rs dp:rs delta:r", gap: true, want: func(s *sample) {
		s.each(func(i, j, at int) {
			s.a("dx")[at] = s.a("p")[at] * (s.a("dp")[at] - s.a("delta")[i]) * s.numbers["factor"]
		})
	}},
	"layerNorm":         {arrays: "y:rc! mean:r! rstd:r! x:rc gamma:c beta:c", least: 1, want: layerNormReference},
	"layerNormBackward": {arrays: "dx:rc! dgamma:c dbeta:c dy:rc x:rc gamma:c mean:r rstd:r", least: 1, want: layerNormBackwardReference},
	"normalize": {arrays: "y:rc! x:rc mean:c factor:c beta:c", want: func(s *sample) {
		s.each(func(_, j, at int) { s.a("y")[at] = max(s.normalized(j, at), s.numbers["floor"]) })
	}},
	"normalizeAdd": {arrays: "y:rc! x:rc residual:rc mean:c factor:c beta:c", want: func(s *sample) {
		s.each(func(_, j, at int) { s.a("y")[at] = max(s.normalized(j, at)+s.a("residual")[at], s.numbers["floor"]) })
	}},
	"normGradientSums": {arrays: "sums:c! products:c! dy:rc x:rc mean:c rstd:c", want: func(s *sample) {
		s.gradientSums(s.a("dy"))
	}},
	"normGradientSumsReLU": {arrays: "sums:c! products:c! dz:rc! dy:rc y:rc x:rc mean:c rstd:c", want: func(s *sample) {
		s.each(func(_, _, at int) { s.a("dz")[at] = where(s.a("y")[at] > 0, s.a("dy")[at]) })
		s.gradientSums(s.a("dz"))
	}},
	"normGradientApply": {arrays: "dx:rc! dy:rc x:rc mean:c factor:c meanGradient:c slope:c", want: func(s *sample) {
		s.each(func(_, j, at int) {
			g := s.a("dy")[at] - s.a("meanGradient")[j] - s.a("slope")[j]*(s.a("x")[at]-s.a("mean")[j])
			s.a("dx")[at] = g * s.a("factor")[j]
		})
	}},
	"columnSums": {arrays: "sums:c! x:rc", want: func(s *sample) {
		clear(s.a("sums"))
		s.each(func(_, j, at int) { s.a("sums")[j] += s.a("x")[at] })
	}},
	"columnMoments": {arrays: "sums:c! squares:c! x:rc shift:c", want: func(s *sample) {
		clear(s.a("sums"))
		clear(s.a("squares"))
		s.each(func(_, j, at int) {
			d := s.a("x")[at] - s.a("shift")[j]
			s.a("sums")[j] += d
			s.a("squares")[j] += d * d
		})
	}},
	"maximum": {arrays: "y:c argmax:c x:c", exact: true, fill: func(s *sample) { s.sprinkle("x", math.NaN(), s.first("y")) }, want: func(s *sample) {
		for j, x := range s.a("x") {
			if !(x <= s.a("y")[j]) {
				s.a("y")[j], s.a("argmax")[j] = x, s.numbers["index"]
			}
		}
	}},
	"sum":        {arrays: "x:c", want: func(s *sample) { s.result = s.total(func(j int) float64 { return s.a("x")[j] }) }},
	"sumSquares": {arrays: "x:c", want: func(s *sample) { s.result = s.total(func(j int) float64 { return s.a("x")[j] * s.a("x")[j] }) }},
	"dot":        {arrays: "a:c b:c", want: func(s *sample) { s.result = s.total(func(j int) float64 { return s.a("a")[j] * s.a("b")[j] }) }},
	"finite":     {arrays: "x:c", want: func(s *sample) { s.result = 1 }},
	"adamW":      {arrays: "p:c g:c m:c v:c c:9", fill: func(s *sample) { s.magnitudes("v", "c") }, want: adamWReference},
	"sgd":        {arrays: "p:c g:c momentum:c c:6", want: sgdReference},
	"widen":      {arrays: "dst:c! src:c", whole: true, exact: true, want: func(s *sample) { copy(s.a("dst"), s.a("src")) }},
	"narrow": {arrays: "dst:rs! src:rw", whole: true, gap: true, exact: true, fill: func(s *sample) { s.hardToRound("src") }, want: func(s *sample) {
		s.each(func(i, j, at int) { s.a("dst")[at] = halves.rounded(s.a("src")[i*s.wide+j]) })
	}},
	"pair":       {arrays: "dst:rs! src:Rw", whole: true, gap: true, exact: true, fill: func(s *sample) { s.hardToRound("src") }, want: pairReference},
	"pairHalves": {arrays: "dst:rs! src:Rw", whole: true, gap: true, exact: true, want: pairReference},
}

// loopName is the name of a loop without its suffixes.
func loopName(kernel string) string {
	name := strings.TrimSuffix(strings.TrimSuffix(kernel, "AVX2"), "AVX512")
	return strings.TrimSuffix(name, halfName)
}

// TestLoops runs every loop, for both units and storages, in the machine.
func TestLoops(t *testing.T) {
	for name, p := range kernels() {
		if k, ok := loopCases[loopName(name)]; ok {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				k.everyLength(t, p)
			})
		}
	}
}

func (k kernelCase) everyLength(t *testing.T, p *program) {
	r := rand.New(rand.NewPCG(3, uint64(len(p.Name))))
	lanes, longest := laneCount(p), 35
	if k.whole {
		longest = 3
	}
	for n := k.least; n <= longest; n++ {
		cols, rows := n, []int{1, 2, 5, 3}[n%4]
		if k.whole {
			cols = n * lanes
		}
		s := k.newSample(p, rows, cols, r)
		s.numbers["vectors"], s.numbers["index"] = float64(n), 7
		k.run(t, p, s)
	}
	s := k.newSample(p, 0, 2*lanes, r)
	s.numbers["vectors"] = 2
	k.runOn(t, p, s)
}

// runOn runs a call without rows, unless that would be a call with columns all the same.
func (k kernelCase) runOn(t *testing.T, p *program, s *sample) {
	if strings.Contains(p.Signature.String(), "rows") {
		k.run(t, p, s)
	}
}

func laneCount(p *program) int {
	if strings.Contains(p.Name, "AVX512") {
		return 16
	}
	return 8
}

// TestEveryKernelRuns looks for kernels that no test runs in the machine.
func TestEveryKernelRuns(t *testing.T) {
	elsewhere := []string{"tile", "copyMatrix", "transpose8", "winograd", "peak", "pause", "xcr0", "blocks"}
	for name := range kernels() {
		_, here := loopCases[loopName(name)]
		for _, prefix := range elsewhere {
			here = here || strings.HasPrefix(name, prefix)
		}
		if !here {
			t.Errorf("%s has no case among loopCases", name)
		}
	}
}

// TestFiniteFindsEveryPlace puts one number that is not finite in each place.
func TestFiniteFindsEveryPlace(t *testing.T) {
	k := kernelCase{arrays: "x:c", want: func(*sample) {}}
	for _, name := range []string{"finiteAVX2", "finiteAVX512"} {
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			for at := range 35 {
				s := k.newSample(kernels()[name], 1, 35, rand.New(rand.NewPCG(1, 1)))
				s.a("x")[at] = bad
				k.run(t, kernels()[name], s)
			}
		}
	}
}

// every sets an array to a function of the place.
func (s *sample) every(name string, f func(j int) float64) {
	for j := range s.a(name) {
		s.a(name)[j] = f(j)
	}
}

func (s *sample) total(f func(j int) float64) (sum float64) {
	for j := range s.cols {
		sum += f(j)
	}
	return sum
}

// sprinkle puts special values among the numbers of an array.
func (s *sample) sprinkle(name string, values ...float64) {
	for i, v := range values {
		if at := 5*i + 1; at < len(s.a(name)) {
			s.a(name)[at] = v
		}
	}
}

// first is the second number of an array, for ties; 0 if there is none.
func (s *sample) first(name string) float64 {
	if len(s.a(name)) < 7 {
		return 0
	}
	return s.a(name)[6]
}

func (s *sample) magnitudes(names ...string) {
	for _, name := range names {
		s.every(name, func(j int) float64 { return math.Abs(s.a(name)[j]) + 0.1 })
	}
}

// spreadOut makes a filler that reaches far beyond where exp(−x²/2) vanishes.
func spreadOut(name string) func(*sample) {
	return func(s *sample) {
		for j := range s.a(name) {
			s.a(name)[j] = float64(float32(s.a(name)[j] * []float64{0.1, 1, 3, 20}[j%4]))
		}
	}
}

// hardToRound puts ties of bf16, and numbers next to them, among others.
func (s *sample) hardToRound(name string) {
	for i, pattern := range []uint32{0x3f808000, 0x3f818000, 0x3f808001, 0x3f817fff, 0xbf808000, 0x00008000, 0x7f7fffff, 0x80000000} {
		if at := i % max(1, s.cols); at < len(s.a(name)) {
			s.a(name)[at] = float64(math.Float32frombits(pattern))
		}
	}
}

func positive(x float64) float64 {
	if x < 0 {
		return 0
	}
	return x
}

func where(keep bool, x float64) float64 {
	if keep {
		return x
	}
	return 0
}

// cumulative is Φ, the distribution function of the normal distribution.
func cumulative(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// normalized is an element of a batch normalisation before its shortcut.
func (s *sample) normalized(j, at int) float64 {
	return (s.a("x")[at]-s.a("mean")[j])*s.a("factor")[j] + s.a("beta")[j]
}

func (s *sample) gradientSums(gradient []float64) {
	clear(s.a("sums"))
	clear(s.a("products"))
	s.each(func(_, j, at int) {
		s.a("sums")[j] += gradient[at]
		s.a("products")[j] += gradient[at] * (s.a("x")[at] - s.a("mean")[j]) * s.a("rstd")[j]
	})
}

func layerNormReference(s *sample) {
	for i := range s.rows {
		x := s.a("x")[i*s.cols:]
		mean := s.mean(func(j int) float64 { return x[j] })
		variance := s.mean(func(j int) float64 { return (x[j] - mean) * (x[j] - mean) })
		s.a("mean")[i], s.a("rstd")[i] = mean, 1/math.Sqrt(variance+s.numbers["eps"])
		for j := range s.cols {
			s.a("y")[i*s.cols+j] = (x[j]-mean)*s.a("rstd")[i]*s.a("gamma")[j] + s.a("beta")[j]
		}
	}
}

func layerNormBackwardReference(s *sample) {
	for i := range s.rows {
		x, dy := s.a("x")[i*s.cols:], s.a("dy")[i*s.cols:]
		h := func(j int) float64 { return (x[j] - s.a("mean")[i]) * s.a("rstd")[i] }
		g := func(j int) float64 { return dy[j] * s.a("gamma")[j] }
		meanGradient := s.mean(g)
		meanProduct := s.mean(func(j int) float64 { return g(j) * h(j) })
		for j := range s.cols {
			s.a("dx")[i*s.cols+j] = (g(j) - meanGradient - h(j)*meanProduct) * s.a("rstd")[i]
			s.a("dgamma")[j] += dy[j] * h(j)
			s.a("dbeta")[j] += dy[j]
		}
	}
}

func adamWReference(s *sample) {
	c := s.a("c")
	gradient, beta1, keep1, beta2, keep2, shrink, rate, root, epsilon := c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8]
	for j := range s.cols {
		g := s.a("g")[j] * gradient
		s.a("m")[j] = beta1*s.a("m")[j] + keep1*g
		s.a("v")[j] = beta2*s.a("v")[j] + keep2*g*g
		s.a("p")[j] = s.a("p")[j]*shrink - rate*s.a("m")[j]/(math.Sqrt(s.a("v")[j])*root+epsilon)
	}
}

func sgdReference(s *sample) {
	c := s.a("c")
	gradient, decay, momentum, direct, buffered, rate := c[0], c[1], c[2], c[3], c[4], c[5]
	for j := range s.cols {
		g := s.a("g")[j]*gradient + decay*s.a("p")[j]
		s.a("momentum")[j] = momentum*s.a("momentum")[j] + g
		s.a("p")[j] -= rate * (direct*g + buffered*s.a("momentum")[j])
	}
}

// pairReference puts each number of an even row below the one of the odd row after it.
func pairReference(s *sample) {
	s.each(func(i, j, at int) {
		low, high := nearestHalf(float32(s.a("src")[2*i*s.wide+j])), nearestHalf(float32(s.a("src")[(2*i+1)*s.wide+j]))
		s.a("dst")[at] = float64(math.Float32frombits(uint32(high)<<16 | uint32(low)))
	})
}
