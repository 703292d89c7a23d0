package main

import (
	"fmt"
	"go/token"
	"go/types"
	"math"
	"strings"

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
	constants  map[uint64]Mem // of the file, by bit pattern
	half       bool           // activations, written []T in signatures, are bf16
	labels     int            // given out in this function
	parameters *types.Tuple   // of this function
	rounding   rounding       // of this function, if it has bf16 parameters
	moved      *Mem           // of this function: room for the bf16 numbers of a tail
}

// storages emits functions for activations in float32, then for bf16.
func (l *loops) storages(emit func()) {
	for _, l.half = range []bool{false, true} {
		emit()
	}
	l.half = false
}

// array is where the numbers of a slice parameter begin.
type array struct {
	base reg.GPVirtual
	half bool // they are bf16
}

// size is that of a number in bytes.
func (a array) size() uint8 {
	if a.half {
		return 2
	}
	return 4
}

// vectorLoops turns a topic's emitter into one for both units.
func vectorLoops(emit func(*loops)) func(*build.Context) {
	return func(c *build.Context) {
		constants := map[uint64]Mem{}
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
	if m, ok := l.constants[uint64(pattern)]; ok {
		return m
	}
	m := l.StaticGlobal(fmt.Sprintf("all_%08x", pattern))
	l.DataAttributes(attr.RODATA | attr.NOPTR)
	for range 16 {
		l.AppendDatum(U32(pattern))
	}
	l.constants[uint64(pattern)] = m
	return m
}

// tailMasksKey is where tailMasks stands among the constants.
const tailMasksKey = 1 << 32

// tailMasks is a row of eight set and eight clear lanes: read 32 bytes at 4·(8−n) for a mask of n lanes.
func (l *loops) tailMasks() Mem {
	if m, ok := l.constants[tailMasksKey]; ok {
		return m
	}
	m := l.StaticGlobal("tail_masks")
	l.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		l.AppendDatum(U32(uint32(int32(i/8 - 1))))
	}
	l.constants[tailMasksKey] = m
	return m
}

// function begins a function, named with the suffixes of its storage and width. In the signature, T is the type of an
// activation.
func (l *loops) function(name, signature string) {
	l.labels, l.moved = 0, nil
	element := "float32"
	if l.half {
		name, element = name+halfName, halfName
	}
	l.Function(name + l.suffix)
	l.Attributes(attr.NOSPLIT)
	l.Pragma("noescape")
	parsed := signatureOf(strings.ReplaceAll(signature, "[]T", "[]"+element))
	l.parameters = parsed.Params()
	l.Signature(gotypes.NewSignature(kernelPackage, parsed))
	if l.handlesHalves() {
		l.rounding = l.roundingConstants()
	}
}

// halfName is package kernel's type of bf16 numbers.
const halfName = "BFloat16"

// handlesHalves reports whether the function has activations or slices of bf16.
func (l *loops) handlesHalves() bool {
	if l.half {
		return true
	}
	for v := range l.parameters.Variables() {
		if holdsHalves(v) {
			return true
		}
	}
	return false
}

// holdsHalves reports whether a parameter is a slice of bf16.
func holdsHalves(v *types.Var) bool {
	slice, ok := v.Type().(*types.Slice)
	if !ok {
		return false
	}
	named, ok := slice.Elem().(*types.Named)
	return ok && named.Obj().Name() == halfName
}

// end closes a function.
func (l *loops) end() {
	l.VZEROUPPER()
	l.RET()
}

// arrays loads the base pointers of slice parameters.
func (l *loops) arrays(names ...string) []array {
	var all []array
	for _, name := range names {
		r := l.GP64()
		l.Load(l.Param(name).Base(), r)
		all = append(all, array{r, l.isHalf(name)})
	}
	return all
}

// isHalf reports whether a parameter is a slice of bf16.
func (l *loops) isHalf(name string) bool {
	for v := range l.parameters.Variables() {
		if v.Name() == name {
			return holdsHalves(v)
		}
	}
	panic("no parameter " + name)
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

// at is the memory where an array begins.
func at(a array) Mem { return Mem{Base: a.base} }

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
func (l *loops) rows(n reg.GPVirtual, body func()) { l.rowsBy(1, n, body) }

// rowsBy emits a loop over n rows, count at a time, that leaves the rest in n.
func (l *loops) rowsBy(count uint64, n reg.GPVirtual, body func()) {
	id := l.serial()
	l.Label(id + "row")
	l.CMPQ(n, Imm(count))
	l.JLT(LabelRef(id + "end"))
	body()
	l.SUBQ(Imm(count), n)
	l.JMP(LabelRef(id + "row"))
	l.Label(id + "end")
}

// successive returns n rows of an array, each cols elements after the one before.
func (l *loops) successive(first array, cols reg.GPVirtual, n int) []array {
	all := []array{first}
	for i := 1; i < n; i++ {
		row := array{l.GP64(), first.half}
		l.LEAQ(element(all[i-1].base, cols, row.size()), row.base)
		all = append(all, row)
	}
	return all
}

// advance moves arrays on by stride elements.
func (l *loops) advance(stride reg.GPVirtual, arrays ...array) {
	for _, a := range arrays {
		l.LEAQ(element(a.base, stride, a.size()), a.base)
	}
}

// next moves arrays on by one element.
func (l *loops) next(arrays ...array) {
	for _, a := range arrays {
		l.ADDQ(Imm(uint64(a.size())), a.base)
	}
}

// kernelPackage declares the types of package kernel that signatures name.
var kernelPackage = func() *types.Package {
	p := types.NewPackage("kernel", "kernel")
	for _, name := range []string{"adamWFactors", "sgdFactors"} {
		named := types.NewNamed(types.NewTypeName(token.NoPos, p, name, nil), types.NewStruct(nil, nil), nil)
		p.Scope().Insert(named.Obj())
	}
	half := types.NewNamed(types.NewTypeName(token.NoPos, p, halfName, nil), types.Typ[types.Uint16], nil)
	p.Scope().Insert(half.Obj())
	place := types.NewNamed(types.NewTypeName(token.NoPos, p, "place", nil), types.Typ[types.UnsafePointer], nil)
	p.Scope().Insert(place.Obj())
	return p
}()

// signatureOf parses a function's signature.
func signatureOf(expression string) *types.Signature {
	parsed, err := types.Eval(token.NewFileSet(), kernelPackage, token.NoPos, expression)
	if err != nil {
		panic(err)
	}
	return parsed.Type.(*types.Signature)
}
