package main

import (
	"math"
	"math/bits"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// emitConverts declares the loops between float32 and bf16, over whole vectors of elements; the rest is Go's.
func emitConverts(l *loops) {
	l.emitWiden()
	l.emitNarrow()
	l.emitPairs()
	l.emitPairsOfHalves()
}

// eachVector emits a loop over as many vectors as the parameter "vectors" says; the body gets the index of the first
// element.
func (l *loops) eachVector(body func(index reg.GPVirtual)) {
	left, index := l.integer("vectors"), l.GP64()
	l.XORQ(index, index)
	l.rows(left, func() {
		body(index)
		l.ADDQ(Imm(uint64(l.lanes())), index)
	})
	l.end()
}

// pointer loads a pointer parameter.
func (l *loops) pointer(name string) reg.GPVirtual { return l.integer(name) }

// element addresses the element at index of an array of elements of the given size.
func element(base, index reg.GPVirtual, size uint8) Mem {
	return Mem{Base: base, Index: index, Scale: size}
}

// widened loads bf16 numbers as float32.
func (l *loops) widened(from Mem) reg.VecVirtual {
	v := l.vector()
	l.VPMOVZXWD(from, v)
	l.VPSLLD(Imm(16), v, v)
	return v
}

func (l *loops) emitWiden() {
	l.function("widen", "func(dst *float32, src *BFloat16, vectors int)")
	dst, src := l.pointer("dst"), l.pointer("src")
	l.eachVector(func(i reg.GPVirtual) { l.VMOVUPS(l.widened(element(src, i, 2)), element(dst, i, 4)) })
}

// rounding are the constants of rounded.
type rounding struct{ half, one, quiet Op }

// roundingConstants keeps them in registers where there are many.
func (l *loops) roundingConstants() rounding {
	load := func(pattern uint32) Op {
		if !l.wide() {
			return l.bits(pattern)
		}
		v := l.vector()
		l.VMOVUPS(l.bits(pattern), v)
		return v
	}
	return rounding{half: load(0x7fff), one: load(1), quiet: load(0x00400000)}
}

// rounded turns float32 v into the nearest bf16, ties to even, in the upper half of each lane, with rubbish below it.
func (l *loops) rounded(v reg.VecVirtual) reg.VecVirtual {
	r, nan := l.rounding, l.compare(v, unordered, v)
	odd := l.vector()
	l.VPSRLD(Imm(16), v, odd)
	l.and(r.one, odd, odd)
	sum := l.vector()
	l.VPADDD(r.half, v, sum)
	l.VPADDD(odd, sum, sum)
	if l.wide() {
		l.VPORD(r.quiet, v, nan.k, sum)
		return sum
	}
	quiet := l.vector()
	l.VPOR(r.quiet, v, quiet)
	nan.merge(quiet, sum)
	return sum
}

// matrix is a loop over the rows of a source and a destination.
type matrix struct {
	dst, src         reg.GPVirtual // the row
	dstStep, srcStep reg.GPVirtual // bytes to the next one
}

// rowsAhead is how many rows of a matrix are asked for before their use: rows lie far apart, where no prefetching by the
// processor finds them.
const rowsAhead = 8

// eachRow emits a loop over the rows of a matrix, and in each over whole vectors; the parameters are those of emitNarrow.
// A row of the destination is made of per rows of the source.
func (l *loops) eachRow(dstSize, srcSize uint8, per int, body func(m matrix, index reg.GPVirtual)) {
	m := matrix{dst: l.pointer("dst"), src: l.pointer("src"), dstStep: l.integer("dstStride"), srcStep: l.integer("srcStride")}
	l.SHLQ(Imm(uint64(bits.Len8(dstSize)-1)), m.dstStep)
	l.SHLQ(Imm(uint64(bits.Len8(srcSize)-1)), m.srcStep)
	rows, vectors := l.integer("rows"), l.integer("vectors")
	index, left, later, next := l.GP64(), l.GP64(), l.GP64(), l.GP64()
	l.rows(rows, func() {
		l.XORQ(index, index)
		l.MOVQ(vectors, left)
		l.LEAQ(Mem{Base: m.src, Index: m.srcStep, Scale: rowsAhead}, later)
		l.LEAQ(Mem{Base: later, Index: m.srcStep, Scale: 1}, next)
		l.rows(left, func() {
			l.PREFETCHT0(element(later, index, srcSize))
			if per == 2 {
				l.PREFETCHT0(element(next, index, srcSize))
			}
			body(m, index)
			l.ADDQ(Imm(uint64(l.lanes())), index)
		})
		for range per {
			l.ADDQ(m.srcStep, m.src)
		}
		l.ADDQ(m.dstStep, m.dst)
	})
	l.end()
}

func (l *loops) emitNarrow() {
	l.function("narrow", "func(dst *BFloat16, dstStride int, src *float32, srcStride, rows, vectors int)")
	l.rounding = l.roundingConstants()
	l.eachRow(2, 4, 1, func(m matrix, i reg.GPVirtual) {
		v := l.vector()
		l.VMOVUPS(element(m.src, i, 4), v)
		l.storeHalves(l.rounded(v), element(m.dst, i, 2))
	})
}

// storeHalves stores the upper halves of the lanes.
func (l *loops) storeHalves(v reg.VecVirtual, to Mem) {
	l.VPSRLD(Imm(16), v, v)
	if l.wide() {
		l.VPMOVDW(v, to)
		return
	}
	l.VPACKUSDW(v, v, v)
	l.VPERMQ(Imm(0x08), v, v)
	l.VMOVDQU(v.AsX(), to)
}

// emitPairs rounds rows 2i and 2i+1 of a float32 matrix and puts each element of the first below the one of the second.
func (l *loops) emitPairs() {
	l.function("pair", "func(dst *float32, dstStride int, src *float32, srcStride, rows, vectors int)")
	l.rounding = l.roundingConstants()
	l.eachRow(4, 4, 2, func(m matrix, i reg.GPVirtual) {
		next := l.GP64()
		l.LEAQ(Mem{Base: m.src, Index: m.srcStep, Scale: 1}, next)
		a, b := l.vector(), l.vector()
		l.VMOVUPS(element(m.src, i, 4), a)
		l.VMOVUPS(element(next, i, 4), b)
		lower, upper := l.rounded(a), l.rounded(b)
		l.VPSRLD(Imm(16), lower, lower)
		l.and(l.bits(math.MaxUint16<<16), upper, upper)
		l.join(lower, upper, element(m.dst, i, 4))
	})
}

// emitPairsOfHalves does the same with rows 2i and 2i+1 of a bf16 matrix.
func (l *loops) emitPairsOfHalves() {
	l.function("pairHalves", "func(dst *float32, dstStride int, src *BFloat16, srcStride, rows, vectors int)")
	l.eachRow(4, 2, 2, func(m matrix, i reg.GPVirtual) {
		next := l.GP64()
		l.LEAQ(Mem{Base: m.src, Index: m.srcStep, Scale: 1}, next)
		low := l.vector()
		l.VPMOVZXWD(element(m.src, i, 2), low)
		l.join(low, l.widened(element(next, i, 2)), element(m.dst, i, 4))
	})
}

// join stores lanes made of lower, whose upper half is zero, and upper, whose lower half is.
func (l *loops) join(lower, upper reg.VecVirtual, to Mem) {
	if l.wide() {
		l.VPORD(lower, upper, upper)
	} else {
		l.VPOR(lower, upper, upper)
	}
	l.VMOVUPS(upper, to)
}
