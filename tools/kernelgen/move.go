package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// emitMoves declares the kernels that bring operands into the order the tile kernels read.
func emitMoves(c *build.Context) {
	bothUnits(c, emitCopy)
	emitTranspose(c)
}

// emitCopy declares copyMatrix: whole vectors, then what is left of a row through a mask.
func emitCopy(u unit) {
	u.Function("copyMatrix" + u.suffix)
	u.Attributes(attr.NOSPLIT)
	u.SignatureExpr("func(dst *float32, dstStride int, src *float32, srcStride, rows, vectors int, mask *int32)")
	u.Doc("copyMatrix" + u.suffix + " copies rows of whole vectors followed by the lanes of one more that mask selects; see copyMatrix.")
	u.Pragma("noescape")
	dst, src := u.Load(u.Param("dst"), u.GP64()).(reg.GPVirtual), u.Load(u.Param("src"), u.GP64()).(reg.GPVirtual)
	dstStep, srcStep := u.Load(u.Param("dstStride"), u.GP64()).(reg.GPVirtual), u.Load(u.Param("srcStride"), u.GP64()).(reg.GPVirtual)
	u.SHLQ(operand.Imm(2), dstStep)
	u.SHLQ(operand.Imm(2), srcStep)
	rows, vectors := u.Load(u.Param("rows"), u.GP64()).(reg.GPVirtual), u.Load(u.Param("vectors"), u.GP64()).(reg.GPVirtual)
	tail := u.loadMask(u.Load(u.Param("mask"), u.GP64()).(reg.GPVirtual))

	u.Label("row")
	from, to, count := u.GP64(), u.GP64(), u.GP64()
	u.MOVQ(src, from)
	u.MOVQ(dst, to)
	u.MOVQ(vectors, count)
	u.copyVectors("fours", from, to, count, srcStep, 4)
	u.copyVectors("ones", from, to, count, srcStep, 1)
	tail.move(operand.Mem{Base: from}, operand.Mem{Base: to})
	u.ADDQ(srcStep, src)
	u.ADDQ(dstStep, dst)
	u.DECQ(rows)
	u.JNZ(operand.LabelRef("row"))
	u.VZEROUPPER()
	u.RET()
}

// copyVectors copies vectors by groups while count holds a whole group. Sources are often strided rows of a matrix too
// large for the caches, whose stride the processor does not foresee: each group asks for the row eight further on.
func (u unit) copyVectors(label string, from, to, count, srcStep reg.GPVirtual, group int) {
	u.Label(label)
	u.CMPQ(count, operand.Imm(uint64(group)))
	u.JL(operand.LabelRef(label + "End"))
	vectors := u.vectors(group)
	for i, v := range vectors {
		u.PREFETCHT0(operand.Mem{Base: from, Index: srcStep, Scale: 8, Disp: i * u.bytes})
		u.VMOVUPS(operand.Mem{Base: from, Disp: i * u.bytes}, v)
	}
	for i, v := range vectors {
		u.VMOVUPS(v, operand.Mem{Base: to, Disp: i * u.bytes})
	}
	u.LEAQ(operand.Mem{Base: from, Disp: group * u.bytes}, from)
	u.LEAQ(operand.Mem{Base: to, Disp: group * u.bytes}, to)
	u.SUBQ(operand.Imm(uint64(group)), count)
	u.JMP(operand.LabelRef(label))
	u.Label(label + "End")
}

// mask selects lanes of a vector in memory: a mask register of AVX-512, a vector of sign bits for AVX2. Lanes left
// out are neither read nor written, not even where that would fault.
type mask struct {
	unit
	vector reg.VecVirtual
	k      reg.OpmaskVirtual
	count  reg.GPVirtual // of selected lanes, in masks of a tail
}

// loadMask loads a mask from as many int32 as a vector has lanes, negative where a lane is selected.
func (u unit) loadMask(from reg.GPVirtual) mask {
	m := mask{unit: u, vector: u.vector()}
	u.VMOVUPS(operand.Mem{Base: from}, m.vector)
	if u.wide() {
		m.k = u.K()
		u.VPMOVD2M(m.vector, m.k)
	}
	return m
}

// move copies the selected lanes.
func (m mask) move(from, to operand.Mem) {
	v := m.unit.vector()
	if m.wide() {
		m.VMOVUPS_Z(from, m.k, v)
		m.VMOVUPS(v, m.k, to)
		return
	}
	m.VMASKMOVPS(from, m.vector, v)
	m.VMASKMOVPS(v, m.vector, to)
}

// emitTranspose declares transpose8AVX2, which both families use: 8×8 blocks through shuffles.
func emitTranspose(c *build.Context) {
	c.Function("transpose8AVX2")
	c.Attributes(attr.NOSPLIT)
	c.SignatureExpr("func(dst *float32, dstStride int, src *float32, srcStride, blocks int)")
	c.Doc("transpose8AVX2 transposes 8 rows of 8·blocks columns of src into 8·blocks rows of 8 columns of dst; blocks is at least 1.")
	c.Pragma("noescape")
	dst, src := c.Load(c.Param("dst"), c.GP64()).(reg.GPVirtual), c.Load(c.Param("src"), c.GP64()).(reg.GPVirtual)
	dstStep, srcStep := c.Load(c.Param("dstStride"), c.GP64()).(reg.GPVirtual), c.Load(c.Param("srcStride"), c.GP64()).(reg.GPVirtual)
	c.SHLQ(operand.Imm(2), dstStep)
	c.SHLQ(operand.Imm(2), srcStep)
	blocks := c.Load(c.Param("blocks"), c.GP64()).(reg.GPVirtual)
	c.Label("block")
	row := c.GP64()
	c.MOVQ(src, row)
	in := make([]reg.VecVirtual, 8)
	for i := range in {
		in[i] = c.YMM()
		c.VMOVUPS(operand.Mem{Base: row}, in[i])
		c.ADDQ(srcStep, row)
	}
	for _, v := range transposed(c, in) {
		c.VMOVUPS(v, operand.Mem{Base: dst})
		c.ADDQ(dstStep, dst)
	}
	c.ADDQ(operand.Imm(32), src)
	c.DECQ(blocks)
	c.JNZ(operand.LabelRef("block"))
	c.VZEROUPPER()
	c.RET()
}

// transposed returns the columns of the 8×8 matrix whose rows are in: pairs of rows are interleaved, then quads, then
// the 128-bit halves are swapped.
func transposed(c *build.Context, in []reg.VecVirtual) []reg.VecVirtual {
	pairs := make([]reg.VecVirtual, 8)
	for i := 0; i < 8; i += 2 {
		pairs[i], pairs[i+1] = c.YMM(), c.YMM()
		c.VUNPCKLPS(in[i+1], in[i], pairs[i])
		c.VUNPCKHPS(in[i+1], in[i], pairs[i+1])
	}
	quads := make([]reg.VecVirtual, 8)
	for half := 0; half < 8; half += 4 {
		for i := range 2 {
			low, high := pairs[half+i], pairs[half+i+2]
			quads[half+2*i], quads[half+2*i+1] = c.YMM(), c.YMM()
			c.VSHUFPS(operand.Imm(0x44), high, low, quads[half+2*i])
			c.VSHUFPS(operand.Imm(0xee), high, low, quads[half+2*i+1])
		}
	}
	out := make([]reg.VecVirtual, 8)
	for i := range 4 {
		out[i], out[i+4] = c.YMM(), c.YMM()
		c.VPERM2F128(operand.Imm(0x20), quads[i+4], quads[i], out[i])
		c.VPERM2F128(operand.Imm(0x31), quads[i+4], quads[i], out[i+4])
	}
	return out
}
