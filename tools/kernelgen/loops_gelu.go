package main

import (
	"math"

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

// normalTail returns Φ(−|x|) = erfc(|x|/√2)/2, |x| and exp(−x²/2), by Abramowitz & Stegun (1964), eq. 7.1.26:
// erfc(z) ≈ (a1·t + … + a5·t⁵)·exp(−z²), t = 1/(1 + p·z), with an absolute error below 1.5e-7.
func (l *loops) normalTail(x reg.VecVirtual) (tail, magnitude, density reg.VecVirtual) {
	magnitude, density = l.vector(), l.vector()
	l.and(l.bits(0x7fffffff), x, magnitude)
	l.VMULPS(l.constant(-0.5), x, density)
	l.VMULPS(x, density, density)
	l.exponential(density)
	t, one := l.vector(), l.vector()
	l.VMOVUPS(l.constant(1), one)
	l.VMOVAPS(one, t)
	l.VFMADD231PS(l.constant(0.3275911/math.Sqrt2), magnitude, t)
	l.VDIVPS(t, one, t)
	tail = l.vector()
	l.VMOVUPS(l.constant(1.061405429/2), tail)
	for _, a := range []float64{-1.453152027, 1.421413741, -0.284496736, 0.254829592} {
		l.VFMADD213PS(l.constant(a/2), t, tail)
	}
	l.VMULPS(t, tail, tail)
	l.VMULPS(density, tail, tail)
	return tail, magnitude, density
}

// emitGELU emits the loops of gelu.go.
func emitGELU(l *loops) {
	l.function("gelu", "func(y, x []float32)")
	n, p := l.length("y"), l.arrays("y", "x")
	l.over(n, func(s step) { // x·Φ(x) = max(x, 0) − |x|·Φ(−|x|)
		x := s.load(p[1])
		tail, magnitude, _ := l.normalTail(x)
		y := l.zeros()
		l.VMAXPS(x, y, y)
		l.VFNMADD231PS(tail, magnitude, y)
		s.store(y, p[0])
	})
	l.end()

	l.function("geluBackward", "func(dx, dy, x []float32)")
	n, p = l.length("dx"), l.arrays("dx", "dy", "x")
	l.over(n, func(s step) { // Φ(x) = 1/2 + sign(x)·(1/2 − Φ(−|x|))
		x := s.load(p[2])
		tail, magnitude, density := l.normalTail(x)
		slope, sign := l.vector(), magnitude
		l.VMOVUPS(l.constant(0.5), slope)
		l.VSUBPS(tail, slope, slope)
		l.and(l.bits(0x80000000), x, sign)
		l.xor(sign, slope, slope)
		l.VADDPS(l.constant(0.5), slope, slope)
		l.VMULPS(l.constant(1/math.Sqrt(2*math.Pi)), x, x)
		l.VFMADD231PS(density, x, slope)
		l.VMULPS(s.load(p[1]), slope, slope)
		s.store(slope, p[0])
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
