package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// step is one pass through the body of a loop over elements: the place, and which lanes are there.
type step struct {
	*loops
	index reg.GPVirtual // of the first element
	tail  *mask         // of the elements left when they are fewer than lanes; else nil
}

// over emits a loop over n elements. The body is emitted twice: for whole vectors and, masked, for the rest.
func (l *loops) over(n reg.GPVirtual, body func(s step)) {
	id := l.serial()
	index, left := l.GP64(), l.GP64() // left is n − lanes, then what remains of n
	l.XORQ(index, index)
	l.MOVQ(n, left)
	l.SUBQ(Imm(uint64(l.lanes())), left)
	l.JLT(LabelRef(id + "tail"))
	l.Label(id + "whole")
	body(step{loops: l, index: index})
	l.ADDQ(Imm(uint64(l.lanes())), index)
	l.CMPQ(index, left)
	l.JLE(LabelRef(id + "whole"))
	l.Label(id + "tail")
	l.ADDQ(Imm(uint64(l.lanes())), left)
	l.SUBQ(index, left)
	l.JLE(LabelRef(id + "done"))
	body(step{loops: l, index: index, tail: l.first(left)})
	l.Label(id + "done")
}

// first selects the first n lanes, n less than all. The mask keeps n.
func (l *loops) first(n reg.GPVirtual) *mask {
	m := &mask{unit: l.unit, count: n}
	if l.wide() {
		ones := l.GP32()
		l.MOVL(U32(math.MaxUint32), ones)
		l.BZHIL(n.As32(), ones, ones)
		m.k = l.K()
		l.KMOVW(ones, m.k)
		return m
	}
	m.vector = l.YMM()
	table := l.GP64()
	l.LEAQ(l.tailMasks().Offset(32), table)
	l.NEGQ(n)
	l.VMOVDQU(Mem{Base: table, Index: n, Scale: 4}, m.vector)
	if l.handlesHalves() {
		l.NEGQ(n)
	}
	return m
}

// serial returns a fresh label prefix.
func (l *loops) serial() string {
	l.labels++
	return fmt.Sprintf("loop%d_", l.labels)
}

// at is the step's place in an array.
func (s step) at(a array) Mem { return element(a.base, s.index, a.size()) }

// load reads the step's elements as float32; lanes beyond the tail are zero.
func (s step) load(a array) reg.VecVirtual {
	if a.half {
		return s.loadHalves(a)
	}
	v := s.vector()
	if s.tail != nil {
		s.tail.load(s.at(a), v)
	} else {
		s.VMOVUPS(s.at(a), v)
	}
	return v
}

// store writes the step's elements; bf16 uses v up.
func (s step) store(v reg.VecVirtual, a array) {
	switch {
	case a.half:
		s.storeHalves(s.rounded(v), a)
	case s.tail != nil:
		s.tail.store(v, s.at(a))
	default:
		s.VMOVUPS(v, s.at(a))
	}
}

// loadHalves is load of bf16.
func (s step) loadHalves(a array) reg.VecVirtual {
	if s.tail == nil {
		return s.widened(s.at(a))
	}
	v := s.vector()
	if s.wide() {
		s.VPMOVZXWD_Z(s.at(a), s.tail.k, v)
	} else {
		buffer := s.tailBuffer()
		s.zero(v)
		s.VMOVDQU(v.AsX(), buffer)
		s.eachOfTail(a, buffer, s.moveHalf)
		s.VPMOVZXWD(buffer, v)
	}
	s.VPSLLD(Imm(16), v, v)
	return v
}

// storeHalves writes the upper halves of the lanes and uses v up.
func (s step) storeHalves(v reg.VecVirtual, a array) {
	switch {
	case s.tail == nil:
		s.loops.storeHalves(v, s.at(a))
	case s.wide():
		s.VPSRLD(Imm(16), v, v)
		s.VPMOVDW(v, s.tail.k, s.at(a))
	default:
		buffer := s.tailBuffer()
		s.loops.storeHalves(v, buffer)
		s.eachOfTail(a, buffer, func(place, buffer Mem) { s.moveHalf(buffer, place) })
	}
}

// tailBuffer is a vector of bf16 in memory, which all tails of a function use in turn.
func (l *loops) tailBuffer() Mem {
	if l.moved == nil {
		buffer := l.AllocLocal(16)
		l.moved = &buffer
	}
	return *l.moved
}

// eachOfTail moves the tail's bf16 numbers one by one between an array and a buffer: AVX2 has no masks for them.
func (s step) eachOfTail(a array, buffer Mem, move func(place, buffer Mem)) {
	place, left := s.GP64(), s.GP64()
	s.LEAQ(s.at(a), place)
	s.MOVQ(s.tail.count, left)
	s.rows(left, func() { move(element(place, left, 2).Offset(-2), buffer.Idx(left, 2).Offset(-2)) })
}

// moveHalf copies one bf16 number.
func (l *loops) moveHalf(from, to Mem) {
	value := l.GP32()
	l.MOVWLZX(from, value)
	l.MOVW(value.As16(), to)
}

// keep puts zero into lanes beyond the tail, before they enter a sum.
func (s step) keep(v reg.VecVirtual) {
	if s.tail != nil {
		s.tail.keep(v)
	}
}

// fill puts a constant into lanes beyond the tail, before they enter a maximum.
func (s step) fill(v reg.VecVirtual, constant Mem) {
	if s.tail == nil {
		return
	}
	filled := s.vector()
	s.VMOVUPS(constant, filled)
	s.tail.merge(v, filled)
	s.VMOVAPS(filled, v)
}

// load sets v to memory in the selected lanes and to zero elsewhere.
func (m *mask) load(from Mem, v reg.VecVirtual) {
	if m.wide() {
		m.VMOVUPS_Z(from, m.k, v)
	} else {
		m.VMASKMOVPS(from, m.vector, v)
	}
}

// store writes the selected lanes of v.
func (m *mask) store(v reg.VecVirtual, to Mem) {
	if m.wide() {
		m.VMOVUPS(v, m.k, to)
	} else {
		m.VMASKMOVPS(v, m.vector, to)
	}
}

// keep puts zero into the lanes of v that are not selected.
func (m *mask) keep(v reg.VecVirtual) {
	if m.wide() {
		m.VMOVAPS_Z(v, m.k, v)
	} else {
		m.VANDPS(v, m.vector, v)
	}
}

// merge sets dst to v in the selected lanes and leaves it elsewhere.
func (m *mask) merge(v, dst reg.VecVirtual) {
	if m.wide() {
		m.VMOVAPS(v, m.k, dst)
	} else {
		m.VBLENDVPS(m.vector, v, dst, dst)
	}
}
