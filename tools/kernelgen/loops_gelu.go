package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// exponential replaces x ≤ 0 by exp(x), with a relative error below 3e-7: x = n·ln 2 + r with |r| ≤ ln 2/2, a
// polynomial for exp(r) (Cephes, expf) and 2ⁿ by its exponent bits. Below −80, where exp(x) < 2e-35, the result is 0:
// products of such values would be subnormal, which many CPUs handle slowly. NaN stays NaN.
func (l *loops) exponential(x reg.VecVirtual) {
	t, n, tiny := l.vector(), l.vector(), l.vector()
	l.VMOVUPS(l.constant(-80), tiny)
	kept := l.compare(x, notLess, tiny)
	l.VMULPS(l.constant(math.Log2E), x, t)
	l.VCVTPS2DQ(t, n)
	l.VCVTDQ2PS(n, t)
	l.VFNMADD231PS(l.constant(0.693359375), t, x) // ln 2 in two parts, the first exact in few bits
	l.VFNMADD231PS(l.constant(-2.12194440e-4), t, x)
	p, square := l.vector(), l.vector()
	l.VMOVUPS(l.constant(1.9875691500e-4), p)
	for _, c := range []float64{1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1} {
		l.VFMADD213PS(l.constant(c), x, p)
	}
	l.VMULPS(x, x, square)
	l.VFMADD213PS(x, square, p)
	l.VADDPS(l.constant(1), p, p)
	l.VPADDD(l.bits(127), n, n)
	l.VPSLLD(Imm(23), n, n)
	l.VMULPS(n, p, x)
	kept.keep(x)
}

// curve is a function of |x| in pieces of one width, each a polynomial of where in the piece |x| lies, from −1/2 to 1/2. The
// last piece, which has no end, is constant. A vector holds a coefficient of all pieces, so that one permutation finds it.
// The constants are in registers where there are many.
type curve struct {
	coefficients               []Op // of all pieces, highest power first
	density, magnitude, middle Op   // pieces a unit of |x|; mask of |x|; |x| in the middle of the last piece
}

// densities are such that the last piece begins where neither GELU nor its slope is further than 3e-7 from its end; degrees
// leave an error below 1e-7.
var (
	densities = map[int]float64{8: 1.15, 16: 2.5625} // by pieces
	degrees   = map[int]int{8: 7, 16: 5}
)

// curve prepares, in a function of that name, a curve that begins at 0 and ends at a constant.
func (l *loops) curve(name string, f func(a float64) float64, end float64) curve {
	keep := func(m Mem) Op {
		if !l.wide() {
			return m
		}
		v := l.vector()
		l.VMOVUPS(m, v)
		return v
	}
	density, degree := densities[l.lanes()], degrees[l.lanes()]
	c := curve{density: keep(l.constant(density)), magnitude: keep(l.bits(0x7fffffff)), middle: keep(l.constant(float64(l.lanes()-1) / density))}
	table := pieces(l.lanes(), f, end)
	for power := degree; power >= 0; power-- {
		m := l.StaticGlobal(fmt.Sprintf("%s%s_%d", name, l.suffix, power))
		l.DataAttributes(attr.RODATA | attr.NOPTR)
		for _, piece := range table {
			l.AppendDatum(U32(math.Float32bits(float32(piece[power]))))
		}
		c.coefficients = append(c.coefficients, keep(m))
	}
	return c
}

// pieces returns the polynomials of a curve, lowest power first. The first is 0 at 0, to be exact near it, and the last
// constant.
func pieces(count int, f func(a float64) float64, end float64) [][]float64 {
	density, degree := densities[count], degrees[count]
	table := [][]float64{append([]float64{0}, fit(degree-1, func(t float64) float64 { return f(t/density) / t })...)}
	for i := 1; i < count-1; i++ {
		table = append(table, fit(degree, func(t float64) float64 { return f((float64(i) + t) / density) }))
	}
	return append(table, append([]float64{end}, make([]float64, degree)...))
}

// fit returns the polynomial of a degree, lowest power first, that meets f in the Chebyshev nodes of [−1/2, 1/2]. There is
// none of that degree whose largest error is much smaller.
func fit(degree int, f func(t float64) float64) []float64 {
	n := degree + 1
	nodes, differences := make([]float64, n), make([]float64, n)
	for i := range nodes {
		nodes[i] = math.Cos((float64(i)+0.5)*math.Pi/float64(n)) / 2
		differences[i] = f(nodes[i])
	}
	for order := 1; order < n; order++ { // Newton's divided differences
		for i := n - 1; i >= order; i-- {
			differences[i] = (differences[i] - differences[i-1]) / (nodes[i] - nodes[i-order])
		}
	}
	powers := make([]float64, n)
	for i := n - 1; i >= 0; i-- { // powers·(t − node) + difference
		for k := n - 1; k > 0; k-- {
			powers[k] = powers[k-1] - nodes[i]*powers[k]
		}
		powers[0] = differences[i] - nodes[i]*powers[0]
	}
	return powers
}

// follow returns the curve at |x|. NaN stays NaN.
func (l *loops) follow(c curve, x reg.VecVirtual) reg.VecVirtual {
	at, piece, whole := l.vector(), l.vector(), l.vector()
	l.and(c.magnitude, x, at)
	l.VMOVUPS(c.middle, whole)
	l.VMINPS(at, whole, at) // the first operand is the result where it is NaN
	l.VMULPS(c.density, at, at)
	l.VCVTPS2DQ(at, piece)
	l.VCVTDQ2PS(piece, whole)
	l.VSUBPS(whole, at, at)
	var sum reg.VecVirtual
	for i, power := range c.coefficients {
		coefficient := l.vector()
		l.VPERMPS(power, piece, coefficient)
		if i > 0 {
			l.VFMADD231PS(sum, at, coefficient)
		}
		sum = coefficient
	}
	return sum
}

// bump is |x|·Φ(−|x|), by which GELU is below max(x, 0), and rise by how much its slope is above 1/2.
func bump(a float64) float64 { return a * 0.5 * math.Erfc(a/math.Sqrt2) }
func rise(a float64) float64 {
	return 0.5*math.Erf(a/math.Sqrt2) + a*math.Exp(-a*a/2)/math.Sqrt(2*math.Pi)
}

// emitGELU emits the loops of gelu.go.
func emitGELU(l *loops) {
	l.function("gelu", "func(y, x []float32)")
	n, p := l.length("y"), l.arrays("y", "x")
	bumps := l.curve("gelu", bump, 0)
	l.over(n, func(s step) { // x·Φ(x) = max(x, 0) − |x|·Φ(−|x|)
		x, y := s.load(p[1]), l.zeros()
		below := l.follow(bumps, x)
		l.VMAXPS(x, y, y)
		l.VSUBPS(below, y, y)
		s.store(y, p[0])
	})
	l.end()

	l.function("geluBackward", "func(dx, dy, x []float32)")
	n, p = l.length("dx"), l.arrays("dx", "dy", "x")
	rises := l.curve("geluBackward", rise, 0.5)
	l.over(n, func(s step) { // Φ(x) + x·φ(x) = 1/2 + sign(x)·(Φ(|x|) − 1/2 + |x|·φ(x))
		x := s.load(p[2])
		y := l.follow(rises, x)
		l.and(l.bits(0x80000000), x, x)
		l.xor(x, y, y)
		l.VADDPS(l.constant(0.5), y, y)
		l.VMULPS(s.load(p[1]), y, y)
		s.store(y, p[0])
	})
	l.end()

	l.lookUp()
	l.weigh()
}

// lookUp emits the loop that takes the entries of a table at every x.
func (l *loops) lookUp() {
	l.function("lookUp", "func(y, x, table *BFloat16, vectors int)")
	y, x, table := l.pointer("y"), l.pointer("x"), l.pointer("table")
	l.eachVector(func(i reg.GPVirtual) {
		for first := 0; first < l.lanes(); first += 8 {
			from, to := element(x, i, 2).Offset(2*first), element(y, i, 2).Offset(2*first)
			found, one := l.XMM(), l.GP32()
			for lane, index := range append(l.indices(from), l.indices(from.Offset(8))...) {
				entry := element(table, index, 2)
				if lane > 0 {
					l.VPINSRW(Imm(uint64(lane)), entry, found, found)
					continue
				}
				l.MOVWLZX(entry, one)
				l.VMOVD(one, found)
			}
			l.VMOVDQU(found, to)
		}
	})
}

// weigh emits the loop that multiplies dy by the entries of a table at every x.
func (l *loops) weigh() {
	l.function("weigh", "func(dx, dy, x *BFloat16, table *float32, vectors int)")
	dx, dy, x, table := l.pointer("dx"), l.pointer("dy"), l.pointer("x"), l.pointer("table")
	l.rounding = l.roundingConstants()
	l.eachVector(func(i reg.GPVirtual) {
		var quarters []reg.VecVirtual
		for first := 0; first < l.lanes(); first += 4 {
			found := l.XMM()
			if first == 0 {
				found = l.vector()
			}
			for lane, index := range l.indices(element(x, i, 2).Offset(2 * first)) {
				if entry := element(table, index, 4); lane == 0 {
					l.VMOVD(entry, found.AsX())
				} else {
					l.VPINSRD(Imm(uint64(lane)), entry, found.AsX(), found.AsX())
				}
			}
			quarters = append(quarters, found)
		}
		slope := quarters[0]
		l.VINSERTI128(Imm(1), quarters[1], slope.AsY(), slope.AsY())
		if l.wide() {
			upper := l.YMM()
			l.VINSERTI128(Imm(1), quarters[3], quarters[2].AsY(), upper)
			l.VINSERTI64X4(Imm(1), upper, slope, slope)
		}
		l.VMULPS(l.widened(element(dy, i, 2)), slope, slope)
		l.storeHalves(l.rounded(slope), element(dx, i, 2))
	})
}

// indices loads four bf16 numbers, each into a register of its own.
func (l *loops) indices(from Mem) []reg.GPVirtual {
	rest := l.GP64()
	l.MOVQ(from, rest)
	var all []reg.GPVirtual
	for range 3 {
		index := l.GP64()
		l.MOVWLZX(rest.As16(), index.As32())
		l.SHRQ(Imm(16), rest)
		all = append(all, index)
	}
	return append(all, rest)
}
