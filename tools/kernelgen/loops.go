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
