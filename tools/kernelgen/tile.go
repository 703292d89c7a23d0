package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// prefetchAhead is how many columns of A and rows of B the tile kernels ask for before their use; a multiple of 8. It
// covers the latency of memory: gradients of weights read both operands from there.
const prefetchAhead = 24

// tile is one kernel: rows×(2 vectors) of C in registers.
type tile struct {
	unit
	rows int
	term term

	upper reg.VecVirtual // split: the mask of the upper halves

	sums   [][2]reg.VecVirtual
	a      reg.GPVirtual
	aStep  reg.GPVirtual // bytes between rows of A
	triple reg.GPVirtual // three rows of A
}

// term is what a tile kernel adds for a word of A and a word of B.
type term struct {
	name   string       // in the names of functions, before the family
	rows   map[bool]int // largest tile, by whether the unit is wide
	add    func(t *tile, bases []reg.GPVirtual, b reg.GPVirtual)
	suffix string // in place of the unit's
}

// The largest tiles fill the register file: two vectors for B and one or two for A beside 12 of 16 or 28 of 32
// accumulators; a split needs four for B, two for A and one for the mask.
var (
	single = term{rows: map[bool]int{false: 6, true: 14}, add: (*tile).outerProduct}
	dot    = term{rows: map[bool]int{true: 14}, add: (*tile).outerProduct, suffix: "AVX512" + dotSuffix}
	split  = term{name: "Split", rows: map[bool]int{false: 4, true: 12}, add: (*tile).splitProduct}
)

// emitTiles declares a tile kernel for each number of rows, of float32 words and of words that are pairs of bf16: by
// VDPBF16PS, and for CPUs without it by splitting each word into two float32.
func emitTiles(c *build.Context) {
	bothUnits(c, func(u unit) {
		for _, term := range []term{single, dot, split} {
			for n := 1; n <= term.rows[u.wide()]; n++ {
				t := &tile{unit: u, rows: n, term: term}
				t.emit()
			}
		}
	})
}

func (t *tile) emit() {
	suffix := t.suffix
	if t.term.suffix != "" {
		suffix = t.term.suffix
	}
	t.Function(fmt.Sprintf("tile%d%s%s", t.rows, t.term.name, suffix))
	t.Attributes(attr.NOSPLIT)
	t.Signature(gotypes.NewSignature(kernelPackage, signatureOf("func(c *float32, cStride int, a *float32, aRow, aCol int, b *float32, bStride, k int, start *float32, accumulate bool, half *BFloat16, halfStride int, ahead *byte, aheadStep int)")))
	t.Doc(fmt.Sprintf("See tileKernel: %d rows.", t.rows))
	t.Pragma("noescape")
	t.begin()
	t.loop()
	t.finish()
	t.RET()
}

// begin loads the start values into the accumulators and asks for the lines that the results go to.
func (t *tile) begin() {
	start := t.pointer("start")
	first, second := t.vector(), t.vector()
	t.VMOVUPS(operand.Mem{Base: start}, first)
	t.VMOVUPS(operand.Mem{Base: start, Disp: t.bytes}, second)
	t.sums = make([][2]reg.VecVirtual, t.rows)
	for i := range t.sums {
		t.sums[i] = [2]reg.VecVirtual{t.vector(), t.vector()}
		t.VMOVAPS(first, t.sums[i][0])
		t.VMOVAPS(second, t.sums[i][1])
	}
	ahead, step := t.pointer("c"), t.stride("cStride")
	if t.term.suffix == dot.suffix {
		t.orHalf(ahead, step)
	}
	for range t.rows {
		t.prefetch(ahead, 2*t.bytes-4)
		t.advance(step, ahead)
	}
}

// orHalf moves row and step to where results are rounded to, if there is such a place.
func (t *tile) orHalf(row, step reg.GPVirtual) {
	half, halfStep := t.pointer("half"), t.pointer("halfStride")
	t.ADDQ(halfStep, halfStep)
	t.TESTQ(half, half)
	t.CMOVQNE(half, row)
	t.CMOVQNE(halfStep, step)
}

// loop adds the outer products of the k columns of A and rows of B.
func (t *tile) loop() {
	t.a, t.aStep = t.pointer("a"), t.stride("aRow")
	t.triple = t.GP64()
	t.LEAQ(operand.Mem{Base: t.aStep, Index: t.aStep, Scale: 2}, t.triple)
	aCol, bStep, b := t.stride("aCol"), t.stride("bStride"), t.pointer("b")
	bases := t.bases()
	if t.term.name == split.name {
		t.upper = t.vector()
		ones := t.GP32()
		t.MOVL(operand.U32(0xffff0000), ones)
		t.VMOVD(ones, t.upper.AsX())
		t.VBROADCASTSS(t.upper.AsX(), t.upper)
	}
	next, laterB := t.nextTile(aCol), t.later(b, bStep)
	ahead, aheadStep, k := t.pointer("ahead"), t.pointer("aheadStep"), t.pointer("k")
	t.TESTQ(k, k)
	t.JZ(operand.LabelRef("end"))
	t.Label("loop")
	t.term.add(t, bases, b)
	t.prefetch(next.line, 4*t.rows-4)
	t.prefetch(laterB, t.bytes)
	t.PREFETCHT1(operand.Mem{Base: ahead})
	t.advance(aheadStep, ahead)
	t.advance(aCol, bases...)
	t.advance(next.step, next.line)
	t.advance(bStep, b, laterB)
	t.DECQ(k)
	t.TESTB(operand.Imm(lineFloats-1), k.As8())
	t.JNZ(operand.LabelRef("loop"))
	t.advance(next.wrap, next.line)
	t.TESTQ(k, k)
	t.JNZ(operand.LabelRef("loop"))
	t.Label("end")
}

// lineFloats is the number of float32 in a cache line.
const lineFloats = 16

// walk is the order in which lines of A are asked for, one a step of the sum: wrap is added after each lineFloats steps.
type walk struct{ line, step, wrap reg.GPVirtual }

// nextTile walks through A a whole tile ahead: where its rows are contiguous, one line of each of the rows below after
// the other, then their next lines. Where its columns are, it asks for those that the sum comes to soon.
func (t *tile) nextTile(aCol reg.GPVirtual) walk {
	w := walk{t.later(t.a, aCol), t.GP64(), t.GP64()}
	t.MOVQ(aCol, w.step)
	t.XORQ(w.wrap, w.wrap)
	t.CMPQ(aCol, operand.Imm(4))
	t.JNE(operand.LabelRef("columns"))
	t.MOVQ(t.aStep, w.step)
	t.IMUL3Q(operand.Imm(uint64(t.rows)), t.aStep, w.line)
	t.ADDQ(t.a, w.line)
	t.MOVQ(t.aStep, w.wrap)
	t.SHLQ(operand.Imm(4), w.wrap)
	t.NEGQ(w.wrap)
	t.ADDQ(operand.Imm(4*lineFloats), w.wrap)
	t.Label("columns")
	return w
}

// outerProduct adds one column of A times one row of B. An element of A is loaded once, to all lanes, for both vectors:
// loads, not multiplications, would limit a kernel that broadcasts from memory in each multiplication.
func (t *tile) outerProduct(bases []reg.GPVirtual, b reg.GPVirtual) {
	left, right := t.vector(), t.vector()
	t.VMOVUPS(operand.Mem{Base: b}, left)
	t.VMOVUPS(operand.Mem{Base: b, Disp: t.bytes}, right)
	for i := range t.rows {
		element := t.vector()
		t.VBROADCASTSS(t.element(bases, i), element)
		t.VFMADD231PS(element, left, t.sums[i][0])
		t.VFMADD231PS(element, right, t.sums[i][1])
	}
}

// splitProduct adds one column of A times one row of B, both pairs of bf16.
func (t *tile) splitProduct(bases []reg.GPVirtual, b reg.GPVirtual) {
	leftLow, leftHigh := t.halves(operand.Mem{Base: b}, t.VMOVUPS)
	rightLow, rightHigh := t.halves(operand.Mem{Base: b, Disp: t.bytes}, t.VMOVUPS)
	for i := range t.rows {
		low, high := t.halves(t.element(bases, i), t.VBROADCASTSS)
		t.VFMADD231PS(low, leftLow, t.sums[i][0])
		t.VFMADD231PS(low, rightLow, t.sums[i][1])
		t.VFMADD231PS(high, leftHigh, t.sums[i][0])
		t.VFMADD231PS(high, rightHigh, t.sums[i][1])
	}
}

// halves loads words and returns the numbers in their lower and upper halves.
func (t *tile) halves(from operand.Mem, load func(...operand.Op)) (low, high reg.VecVirtual) {
	low, high = t.vector(), t.vector()
	load(from, high)
	t.VPSLLD(operand.Imm(16), high, low)
	if t.wide() {
		t.VPANDD(t.upper, high, high)
	} else {
		t.VANDPS(t.upper, high, high)
	}
	return low, high
}

// prefetch asks for the lines at both ends of what lies between p and p+span bytes.
func (t *tile) prefetch(p reg.GPVirtual, span int) {
	t.PREFETCHT0(operand.Mem{Base: p})
	t.PREFETCHT0(operand.Mem{Base: p, Disp: span})
}

// advance moves pointers on by a step.
func (t *tile) advance(step reg.GPVirtual, pointers ...reg.GPVirtual) {
	for _, p := range pointers {
		t.ADDQ(step, p)
	}
}

// later returns a pointer that is prefetchAhead steps in front of another.
func (t *tile) later(from, step reg.GPVirtual) reg.GPVirtual {
	p := t.GP64()
	t.MOVQ(from, p)
	for range prefetchAhead / 8 {
		t.LEAQ(operand.Mem{Base: p, Index: step, Scale: 8}, p)
	}
	return p
}

// bases returns pointers to rows 0, 5 and 10 of A, as many as needed: x86 addresses reach the four rows after each.
func (t *tile) bases() []reg.GPVirtual {
	bases := []reg.GPVirtual{t.a}
	for row := 5; row < t.rows; row += 5 {
		next := t.GP64()
		t.LEAQ(operand.Mem{Base: bases[len(bases)-1], Index: t.aStep, Scale: 4}, next)
		t.ADDQ(t.aStep, next)
		bases = append(bases, next)
	}
	return bases
}

// element addresses A in row i of the current column.
func (t *tile) element(bases []reg.GPVirtual, i int) operand.Mem {
	m := operand.Mem{Base: bases[i/5]}
	switch i % 5 {
	case 1, 2, 4:
		m.Index, m.Scale = t.aStep, uint8(i%5)
	case 3:
		m.Index, m.Scale = t.triple, 1
	}
	return m
}

// finish stores the accumulators, after adding C if asked to.
func (t *tile) finish() {
	accumulate := t.Load(t.Param("accumulate"), t.GP8()).(reg.GPVirtual)
	t.TESTB(accumulate, accumulate)
	t.JZ(operand.LabelRef("store"))
	cStep := t.stride("cStride")
	t.eachRow(t.pointer("c"), cStep, t.bytes, func(part operand.Mem, sum reg.VecVirtual) { t.VADDPS(part, sum, sum) })
	t.Label("store")
	if t.term.suffix == dot.suffix {
		t.finishHalf()
	}
	t.eachRow(t.pointer("c"), t.stride("cStride"), t.bytes, func(part operand.Mem, sum reg.VecVirtual) { t.VMOVUPS(sum, part) })
	t.VZEROUPPER()
}

// finishHalf rounds the accumulators and stores them as bf16 instead, if there is a place for that.
func (t *tile) finishHalf() {
	half, step, rounded := t.pointer("half"), t.pointer("halfStride"), t.YMM()
	t.TESTQ(half, half)
	t.JZ(operand.LabelRef("whole"))
	t.SHLQ(operand.Imm(1), step)
	t.eachRow(half, step, t.bytes/2, func(part operand.Mem, sum reg.VecVirtual) {
		t.VCVTPD2PS(sum, rounded) // becomes VCVTNEPS2BF16, see encodeDots
		t.VMOVDQU(rounded, part)
	})
	t.VZEROUPPER()
	t.RET()
	t.Label("whole")
}

// eachRow visits the places of the accumulators, size bytes each, moving the row pointer on by step.
func (t *tile) eachRow(row, step reg.GPVirtual, size int, visit func(operand.Mem, reg.VecVirtual)) {
	for i := range t.rows {
		for part := range 2 {
			visit(operand.Mem{Base: row, Disp: part * size}, t.sums[i][part])
		}
		if i < t.rows-1 {
			t.ADDQ(step, row)
		}
	}
}

// pointer loads a pointer parameter.
func (t *tile) pointer(name string) reg.GPVirtual {
	return t.Load(t.Param(name), t.GP64()).(reg.GPVirtual)
}

// stride loads a parameter that counts floats, as bytes.
func (t *tile) stride(name string) reg.GPVirtual {
	s := t.pointer(name)
	t.SHLQ(operand.Imm(2), s)
	return s
}
