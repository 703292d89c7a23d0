package main

import (
	"fmt"
	"go/token"
	"go/types"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// loops emits the inner loops of the vector kernels for one unit. Bodies are written once; what differs between the
// units (masks, lane extraction) is hidden here and in unit.
type loops struct {
	unit
	constants map[uint32]Mem // of the file, by bit pattern
	labels    int            // given out in this function
}

// vectorLoops turns a topic's emitter into one for both units.
func vectorLoops(emit func(*loops)) func(*build.Context) {
	return func(c *build.Context) {
		constants := map[uint32]Mem{}
		bothUnits(c, func(u unit) { emit(&loops{unit: u, constants: constants}) })
	}
}

// zeros returns a fresh register of zeros.
func (l *loops) zeros() reg.VecVirtual {
	v := l.vector()
	l.zero(v)
	return v
}

// and sets dst = a AND b, bit by bit.
func (l *loops) and(a, b, dst Op) {
	if l.wide() {
		l.VPANDD(a, b, dst)
	} else {
		l.VANDPS(a, b, dst)
	}
}

// xor sets dst = a XOR b, bit by bit.
func (l *loops) xor(a, b, dst Op) {
	if l.wide() {
		l.VPXORD(a, b, dst)
	} else {
		l.VXORPS(a, b, dst)
	}
}

// constant is a vector of one repeated float32 in read-only memory.
func (l *loops) constant(value float64) Mem { return l.bits(math.Float32bits(float32(value))) }

// bits is a vector of one repeated 32-bit pattern in read-only memory, long enough for either width.
func (l *loops) bits(pattern uint32) Mem {
	if m, ok := l.constants[pattern]; ok {
		return m
	}
	m := l.StaticGlobal(fmt.Sprintf("all_%08x", pattern))
	l.DataAttributes(attr.RODATA | attr.NOPTR)
	for range 16 {
		l.AppendDatum(U32(pattern))
	}
	l.constants[pattern] = m
	return m
}

// tailMasks is a row of eight set and eight clear lanes: read 32 bytes at 4·(8−n) for a mask of n lanes.
func (l *loops) tailMasks() Mem {
	const name = 1 // no float32 constant has this pattern
	if m, ok := l.constants[name]; ok {
		return m
	}
	m := l.StaticGlobal("tail_masks")
	l.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		l.AppendDatum(U32(uint32(int32(i/8 - 1))))
	}
	l.constants[name] = m
	return m
}

// function begins a function, named with the width's suffix.
func (l *loops) function(name, signature string) {
	l.labels = 0
	l.Function(name + l.suffix)
	l.Attributes(attr.NOSPLIT)
	l.Pragma("noescape")
	l.Signature(signatureOf(signature))
}

// end closes a function.
func (l *loops) end() {
	l.VZEROUPPER()
	l.RET()
}

// pointers loads the base pointers of slice parameters.
func (l *loops) pointers(names ...string) []reg.GPVirtual {
	var all []reg.GPVirtual
	for _, name := range names {
		r := l.GP64()
		l.Load(l.Param(name).Base(), r)
		all = append(all, r)
	}
	return all
}

// length loads the length of a slice parameter.
func (l *loops) length(name string) reg.GPVirtual {
	r := l.GP64()
	l.Load(l.Param(name).Len(), r)
	return r
}

// integer loads an int parameter.
func (l *loops) integer(name string) reg.GPVirtual {
	r := l.GP64()
	l.Load(l.Param(name), r)
	return r
}

// broadcast loads a float32 parameter into all lanes.
func (l *loops) broadcast(name string) reg.VecVirtual {
	return l.spread(l.address(l.Param(name)))
}

// address is where a parameter or result lies.
func (l *loops) address(c gotypes.Component) Mem {
	basic, err := c.Resolve()
	if err != nil {
		panic(err)
	}
	return basic.Addr
}

// at is the memory that a pointer points at.
func at(base reg.GPVirtual) Mem { return Mem{Base: base} }

// spread copies one float32 (memory or the lowest lane of an XMM register) into all lanes.
func (l *loops) spread(from Op) reg.VecVirtual {
	v := l.vector()
	l.VBROADCASTSS(from, v)
	return v
}

// step is one pass through the body of a loop over elements: the place, and which lanes are there.
type step struct {
	*loops
	index reg.GPVirtual // of the first element
	tail  *mask         // of the elements left when they are fewer than lanes; else nil
}

// over emits a loop over n elements. The body is emitted twice: for whole vectors and, masked, for the rest.
func (l *loops) over(n reg.GPVirtual, body func(s step)) {
	id := l.serial()
	index, left := l.GP64(), l.GP64()
	l.XORQ(index, index)
	l.Label(id + "whole")
	l.MOVQ(n, left)
	l.SUBQ(index, left)
	l.CMPQ(left, Imm(uint64(l.lanes())))
	l.JLT(LabelRef(id + "tail"))
	body(step{loops: l, index: index})
	l.ADDQ(Imm(uint64(l.lanes())), index)
	l.JMP(LabelRef(id + "whole"))
	l.Label(id + "tail")
	l.TESTQ(left, left)
	l.JLE(LabelRef(id + "done"))
	body(step{loops: l, index: index, tail: l.first(left)})
	l.Label(id + "done")
}

// first selects the first n lanes, n less than all, and uses n up.
func (l *loops) first(n reg.GPVirtual) *mask {
	m := &mask{unit: l.unit}
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
	return m
}

// serial returns a fresh label prefix.
func (l *loops) serial() string {
	l.labels++
	return fmt.Sprintf("loop%d_", l.labels)
}

// at is the step's place in an array.
func (s step) at(base reg.GPVirtual) Mem { return Mem{Base: base, Index: s.index, Scale: 4} }

// load reads the step's elements; lanes beyond the tail are zero.
func (s step) load(base reg.GPVirtual) reg.VecVirtual {
	v := s.vector()
	if s.tail != nil {
		s.tail.load(s.at(base), v)
	} else {
		s.VMOVUPS(s.at(base), v)
	}
	return v
}

// store writes the step's elements.
func (s step) store(v reg.VecVirtual, base reg.GPVirtual) {
	if s.tail != nil {
		s.tail.store(v, s.at(base))
	} else {
		s.VMOVUPS(v, s.at(base))
	}
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

// Predicates of compare, by Intel's numbers for VCMPPS.
const (
	unordered = 0x03 // either side is NaN
	notLess   = 0x15 // or unordered
	greater   = 0x1e
)

// compare selects the lanes in which "a predicate b" holds.
func (l *loops) compare(a reg.VecVirtual, predicate uint64, b reg.VecVirtual) *mask {
	m := &mask{unit: l.unit}
	if l.wide() {
		m.k = l.K()
		l.VCMPPS(Imm(predicate), b, a, m.k)
	} else {
		m.vector = l.YMM()
		l.VCMPPS(Imm(predicate), b, a, m.vector)
	}
	return m
}

// fold joins all lanes of v into the lowest lane of an XMM register by op (an addition or a maximum).
func (l *loops) fold(v reg.VecVirtual, op func(ops ...Op)) reg.VecVirtual {
	half := reg.Register(v)
	if l.wide() {
		upper := l.YMM()
		l.VEXTRACTF64X4(Imm(1), v, upper)
		op(upper, v.AsY(), upper)
		half = upper
	}
	x, t := l.XMM(), l.XMM()
	l.VEXTRACTF128(Imm(1), half, x)
	op(x, half.(reg.Vec).AsX(), x)
	l.VMOVHLPS(x, x, t)
	op(x, t, x)
	l.VMOVSHDUP(x, t)
	op(x, t, x)
	return x
}

// rows emits a loop over n rows and uses n up.
func (l *loops) rows(n reg.GPVirtual, body func()) {
	id := l.serial()
	l.Label(id + "row")
	l.TESTQ(n, n)
	l.JLE(LabelRef(id + "end"))
	body()
	l.DECQ(n)
	l.JMP(LabelRef(id + "row"))
	l.Label(id + "end")
}

// advance moves pointers on by stride elements.
func (l *loops) advance(stride reg.GPVirtual, pointers ...reg.GPVirtual) {
	for _, p := range pointers {
		l.LEAQ(Mem{Base: p, Index: stride, Scale: 4}, p)
	}
}

// next moves pointers on by one element.
func (l *loops) next(pointers ...reg.GPVirtual) {
	for _, p := range pointers {
		l.ADDQ(Imm(4), p)
	}
}

// kernelPackage declares the types of package kernel that signatures name.
var kernelPackage = func() *types.Package {
	p := types.NewPackage("kernel", "kernel")
	for _, name := range []string{"adamWFactors", "sgdFactors"} {
		named := types.NewNamed(types.NewTypeName(token.NoPos, p, name, nil), types.NewStruct(nil, nil), nil)
		p.Scope().Insert(named.Obj())
	}
	half := types.NewNamed(types.NewTypeName(token.NoPos, p, "BFloat16", nil), types.Typ[types.Uint16], nil)
	p.Scope().Insert(half.Obj())
	return p
}()

// signatureOf parses a function's signature.
func signatureOf(expression string) *gotypes.Signature {
	s, err := gotypes.ParseSignatureInPackage(kernelPackage, expression)
	if err != nil {
		panic(err)
	}
	return s
}
