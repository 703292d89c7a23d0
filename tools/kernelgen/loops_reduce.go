package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// emitReductions emits the loops of reduce.go.
func emitReductions(l *loops) {
	l.float64Sum("sum", func(v, total reg.VecVirtual) { l.VADDPD(v, total, total) })
	l.float64Sum("sumSquares", func(v, total reg.VecVirtual) { l.VFMADD231PD(v, v, total) })

	l.function("finite", "func(x []float32) bool")
	n, x := l.length("x"), l.arrays("x")[0]
	total := l.zeros()
	l.over(n, func(s step) { // v − v is 0 for a finite v and NaN for others
		v := s.load(x)
		l.VSUBPS(v, v, v)
		l.VADDPS(v, total, total)
	})
	result, ok := l.fold(total, l.VADDPS), l.GP8()
	l.VUCOMISS(result, result)
	l.SETPC(ok)
	l.Store(ok, l.ReturnIndex(0))
	l.end()

	l.function("dot", "func(a, b []float32) float32")
	n, p := l.length("a"), l.arrays("a", "b")
	total = l.zeros()
	l.over(n, func(s step) { l.VFMADD231PS(s.load(p[1]), s.load(p[0]), total) })
	l.VMOVSS(l.fold(total, l.VADDPS), l.address(l.ReturnIndex(0)))
	l.end()

	l.storages(func() {
		columnSums(l)
		columnMoments(l)
	})
}

func columnMoments(l *loops) {
	l.function("columnMoments", "func(sums, squares []float32, x []T, shift []float32, rows, cols int)")
	p := l.arrays("sums", "squares", "x", "shift")
	rows, cols := l.integer("rows"), l.integer("cols")
	l.clear(cols, p[0], p[1])
	l.rows(rows, func() {
		l.over(cols, func(s step) {
			d, sum, square := s.load(p[2]), s.load(p[0]), s.load(p[1])
			l.VSUBPS(s.load(p[3]), d, d)
			l.VADDPS(d, sum, sum)
			s.store(sum, p[0])
			l.VFMADD231PS(d, d, square)
			s.store(square, p[1])
		})
		l.advance(cols, p[2])
	})
	l.end()
}

// columnSums emits the sum over rows. Four rows are added together before they meet the running sum: one pass over
// the sums instead of four, and less rounding.
func columnSums(l *loops) {
	l.function("columnSums", "func(sums []float32, x []T, rows, cols int)")
	sums := l.arrays("sums")[0]
	rows, cols := l.integer("rows"), l.integer("cols")
	x := l.successive(l.arrays("x")[0], cols, 4)
	l.clear(cols, sums)
	stride := l.GP64()
	l.MOVQ(cols, stride)
	l.SHLQ(Imm(2), stride)
	l.rowsBy(4, rows, func() {
		l.over(cols, func(s step) {
			a, b, sum := s.load(x[0]), s.load(x[2]), s.load(sums)
			l.VADDPS(s.load(x[1]), a, a)
			l.VADDPS(s.load(x[3]), b, b)
			l.VADDPS(a, b, b)
			l.VADDPS(b, sum, sum)
			s.store(sum, sums)
		})
		l.advance(stride, x...)
	})
	l.rows(rows, func() {
		l.over(cols, func(s step) {
			sum := s.load(sums)
			l.VADDPS(s.load(x[0]), sum, sum)
			s.store(sum, sums)
		})
		l.advance(cols, x[0])
	})
	l.end()
}

// clear writes n zeros to each array.
func (l *loops) clear(n reg.GPVirtual, arrays ...array) {
	zero := l.zeros()
	l.over(n, func(s step) {
		for _, a := range arrays {
			s.store(zero, a)
		}
	})
}

// float64Sum emits a sum over x in float64, one total for each half of a vector; add adds a term to a total.
func (l *loops) float64Sum(name string, add func(v, total reg.VecVirtual)) {
	l.function(name, "func(x []float32) float64")
	n, x := l.length("x"), l.arrays("x")[0]
	low, high := l.zeros(), l.zeros()
	l.over(n, func(s step) {
		v := s.load(x)
		a, b := l.vector(), l.vector()
		if l.wide() {
			upper := l.YMM()
			l.VEXTRACTF64X4(Imm(1), v, upper)
			l.VCVTPS2PD(upper, b)
			l.VCVTPS2PD(v.AsY(), a)
		} else {
			upper := l.XMM()
			l.VEXTRACTF128(Imm(1), v, upper)
			l.VCVTPS2PD(upper, b)
			l.VCVTPS2PD(v.AsX(), a)
		}
		add(a, low)
		add(b, high)
	})
	l.VADDPD(high, low, low)
	l.VMOVSD(l.foldFloat64(low), l.address(l.ReturnIndex(0)))
	l.end()
}

// foldFloat64 adds all float64 lanes of v into the lowest lane of an XMM register.
func (l *loops) foldFloat64(v reg.VecVirtual) reg.VecVirtual {
	half := l.YMM()
	if l.wide() {
		l.VEXTRACTF64X4(Imm(1), v, half)
		l.VADDPD(half, v.AsY(), half)
	} else {
		l.VMOVAPD(v, half)
	}
	x, t := l.XMM(), l.XMM()
	l.VEXTRACTF128(Imm(1), half, x)
	l.VADDPD(x, half.AsX(), x)
	l.VPERMILPD(Imm(1), x, t)
	l.VADDSD(x, t, x)
	return x
}
