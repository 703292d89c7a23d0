package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// pixels emits the loops of package pixel, for AVX2 alone. They round every product before it is added, as the Go
// beside them does, so there is no fused multiply-add.
type pixels struct{ *loops }

// pixelLoops turns an emitter into one for a file.
func pixelLoops(emit func(pixels)) func(*build.Context) {
	return func(c *build.Context) {
		unit := unit{Context: c, suffix: "AVX2", bytes: 32, spare: 16}
		emit(pixels{&loops{unit: unit, constants: map[uint64]Mem{}}})
	}
}

// function begins a function.
func (p pixels) function(name, signature, doc string) {
	p.labels = 0
	p.Function(name + p.suffix)
	p.Attributes(attr.NOSPLIT)
	p.SignatureExpr(signature)
	p.Doc(name + p.suffix + " " + doc)
	p.Pragma("noescape")
}

// emitResampling declares the loops of resampling.
func emitResampling(p pixels) {
	p.emitWidenBytes()
	p.emitFilterRow()
	p.emitCombineRows()
}

func (p pixels) emitWidenBytes() {
	p.function("widen", "func(dst *float32, src *uint8, vectors int)", "converts vectors of eight bytes.")
	dst, src := p.pointer("dst"), p.pointer("src")
	p.eachVector(func(i reg.GPVirtual) {
		v := p.vector()
		p.VPMOVZXBD(element(src, i, 1), v)
		p.VCVTDQ2PS(v, v)
		p.VMOVUPS(v, element(dst, i, 4))
	})
}

// emitFilterRow declares filterRow: four outputs at a time, as the sums of one alone wait for each other.
func (p pixels) emitFilterRow() {
	p.function("filterRow", "func(dst, src *float32, starts *int, weights *float32, fours, taps int)",
		"computes 4·fours pixels; it reads and writes one float32 beyond the last of them.")
	dst, src, starts, weights := p.pointer("dst"), p.pointer("src"), p.pointer("starts"), p.pointer("weights")
	fours, taps := p.integer("fours"), p.integer("taps")
	p.rows(fours, func() {
		var pixel, weight [4]reg.GPVirtual
		var sum [4]reg.VecVirtual
		for i := range sum {
			pixel[i], weight[i], sum[i] = p.GP64(), p.GP64(), p.XMM()
			p.MOVQ(Mem{Base: starts, Disp: 8 * i}, pixel[i])
			p.LEAQ(Mem{Base: pixel[i], Index: pixel[i], Scale: 2}, pixel[i])
			p.LEAQ(Mem{Base: src, Index: pixel[i], Scale: 4}, pixel[i])
			p.VXORPS(sum[i], sum[i], sum[i])
		}
		weight[0] = weights
		for i := 1; i < len(weight); i++ {
			p.LEAQ(Mem{Base: weight[i-1], Index: taps, Scale: 4}, weight[i])
		}
		k := p.GP64()
		p.XORQ(k, k)
		p.Label("tap")
		for i := range sum {
			product := p.XMM()
			p.VBROADCASTSS(element(weight[i], k, 4), product)
			p.VMULPS(Mem{Base: pixel[i]}, product, product)
			p.VADDPS(product, sum[i], sum[i])
			p.ADDQ(Imm(12), pixel[i])
		}
		p.INCQ(k)
		p.CMPQ(k, taps)
		p.JLT(LabelRef("tap"))
		for i := range sum {
			p.VMOVUPS(sum[i], Mem{Base: dst, Disp: 12 * i})
		}
		p.ADDQ(Imm(48), dst)
		p.ADDQ(Imm(32), starts)
		p.LEAQ(Mem{Base: weight[3], Index: taps, Scale: 4}, weights)
	})
	p.end()
}

// emitCombineRows declares combineRows.
func (p pixels) emitCombineRows() {
	p.function("combineRows", "func(dst, rows *float32, stride int, weights *float32, taps, vectors int)",
		"sets 8·vectors numbers of dst to the weighted sum of those of the rows, which are stride apart.")
	dst, rows, weights := p.pointer("dst"), p.pointer("rows"), p.pointer("weights")
	stride, taps, vectors := p.integer("stride"), p.integer("taps"), p.integer("vectors")
	p.SHLQ(Imm(2), stride)
	p.columns(4, vectors, dst, rows, weights, stride, taps)
	p.columns(1, vectors, dst, rows, weights, stride, taps)
	p.end()
}

// columns combines as many groups of vectors as there are.
func (p pixels) columns(group int, vectors, dst, rows, weights, stride, taps reg.GPVirtual) {
	p.rowsBy(uint64(group), vectors, func() {
		sums := p.vectors(group)
		for _, sum := range sums {
			p.zero(sum)
		}
		row, k, label := p.GP64(), p.GP64(), p.serial()
		p.MOVQ(rows, row)
		p.XORQ(k, k)
		p.Label(label + "tap")
		weight := p.spread(element(weights, k, 4))
		for i, sum := range sums {
			product := p.vector()
			p.VMULPS(Mem{Base: row, Disp: 32 * i}, weight, product)
			p.VADDPS(product, sum, sum)
		}
		p.ADDQ(stride, row)
		p.INCQ(k)
		p.CMPQ(k, taps)
		p.JLT(LabelRef(label + "tap"))
		for i, sum := range sums {
			p.VMOVUPS(sum, Mem{Base: dst, Disp: 32 * i})
		}
		p.ADDQ(Imm(uint64(32*group)), dst)
		p.ADDQ(Imm(uint64(32*group)), rows)
	})
}

// emitColour declares the conversions of rows of YCbCr, for each number of pixels that share a chroma sample.
func emitColour(p pixels) {
	packing := p.packing()
	p.emitYCbCr("yCbCr1", 1, packing)
	p.emitYCbCr("yCbCr2", 2, packing)
}

func (p pixels) emitYCbCr(name string, shared int, packing Mem) {
	p.function(name, "func(dst, y, cb, cr *uint8, groups int)",
		"converts groups of eight pixels; it writes four bytes beyond the last of them.")
	dst, y, cb, cr, groups := p.pointer("dst"), p.pointer("y"), p.pointer("cb"), p.pointer("cr"), p.integer("groups")
	order := p.vector()
	p.VMOVDQU(packing, order)
	p.rows(groups, func() {
		grey, blue, red := p.vector(), p.chroma(cb, shared), p.chroma(cr, shared)
		p.VPMOVZXBD(Mem{Base: y}, grey)
		p.VPMULLD(p.bits(0x10101), grey, grey)
		green := p.times(blue, 22554)
		p.VPADDD(p.times(red, 46802), green, green)
		p.VPSUBD(green, grey, green)
		red, blue = p.times(red, 91881), p.times(blue, 116130)
		p.VPADDD(grey, red, red)
		p.VPADDD(grey, blue, blue)
		for shift, v := range []reg.VecVirtual{red, green, blue} {
			p.VPSRAD(Imm(16), v, v)
			p.VPMAXSD(p.bits(0), v, v)
			p.VPMINSD(p.bits(255), v, v)
			if shift > 0 {
				p.VPSLLD(Imm(uint64(8*shift)), v, v)
				p.VPOR(v, red, red)
			}
		}
		p.VPSHUFB(order, red, red)
		p.VMOVDQU(red.(reg.Vec).AsX(), Mem{Base: dst})
		high := p.XMM()
		p.VEXTRACTI128(Imm(1), red, high)
		p.VMOVDQU(high, Mem{Base: dst, Disp: 12})
		p.ADDQ(Imm(24), dst)
		p.ADDQ(Imm(8), y)
		p.ADDQ(Imm(uint64(8/shared)), cb)
		p.ADDQ(Imm(uint64(8/shared)), cr)
	})
	p.end()
}

// chroma loads the samples of eight pixels around zero.
func (p pixels) chroma(from reg.GPVirtual, shared int) reg.VecVirtual {
	v := p.vector()
	if shared == 1 {
		p.VPMOVZXBD(Mem{Base: from}, v)
	} else {
		half, twice := p.XMM(), p.vector()
		p.VPMOVZXBD(Mem{Base: from}, half)
		p.VPMOVZXDQ(half, v)
		p.VPSLLQ(Imm(32), v, twice)
		p.VPOR(twice, v, v)
	}
	p.VPSUBD(p.bits(128), v, v)
	return v
}

// times multiplies int32.
func (p pixels) times(v reg.VecVirtual, factor uint32) reg.VecVirtual {
	product := p.vector()
	p.VPMULLD(p.bits(factor), v, product)
	return product
}

// packing brings three of every four bytes together.
func (p pixels) packing() Mem {
	m := p.StaticGlobal("packing")
	p.DataAttributes(attr.RODATA | attr.NOPTR)
	for range 2 {
		for _, four := range []uint32{0x04020100, 0x09080605, 0x0e0d0c0a, 0x80808080} {
			p.AppendDatum(U32(four))
		}
	}
	return m
}

// emitDCT declares the inverse transform; package pixel says what it computes. Vectors hold one element of all rows,
// then of all columns.
func emitDCT(p pixels) {
	p.function("inverseDCT", "func(dst *uint8, stride int, block *int32)", "is InverseDCT.")
	dst, stride, block := p.pointer("dst"), p.pointer("stride"), p.pointer("block")
	x := p.vectors(8)
	for i, v := range x {
		p.VMOVDQU(Mem{Base: block, Disp: 32 * i}, v)
	}
	p.inverseRows(x)
	x = transposed(p.Context, x)
	p.inverseColumns(x)
	p.storeLevels(x, dst, stride)
	p.end()
}

func (p pixels) butterfly(a, b reg.VecVirtual) {
	difference := p.vector()
	p.VPSUBD(b, a, difference)
	p.VPADDD(b, a, a)
	p.VMOVDQA(difference, b)
}

// rotate replaces a and b by their rotation.
func (p pixels) rotate(a, b reg.VecVirtual, cosine, sine int32) {
	sum := p.vector()
	p.VPADDD(b, a, sum)
	p.VPMULLD(p.bits(uint32(cosine)), sum, sum)
	p.VPMULLD(p.bits(uint32(sine-cosine)), b, b)
	p.VPMULLD(p.bits(uint32(cosine+sine)), a, a)
	p.VPSUBD(a, sum, a)
	p.VPADDD(b, sum, b)
	p.swap(a, b)
}

func (p pixels) swap(a, b reg.VecVirtual) {
	kept := p.vector()
	p.VMOVDQA(a, kept)
	p.VMOVDQA(b, a)
	p.VMOVDQA(kept, b)
}

// shift shifts vectors to the left, or by negative numbers to the right.
func (p pixels) shift(bits int, vectors ...reg.VecVirtual) {
	for _, v := range vectors {
		if bits < 0 {
			p.VPSRAD(Imm(uint64(-bits)), v, v)
		} else {
			p.VPSLLD(Imm(uint64(bits)), v, v)
		}
	}
}

// inverseRows transforms eight rows in place; it is inverseRow of package pixel.
func (p pixels) inverseRows(x []reg.VecVirtual) {
	x0, x7, x2, x5, x1, x6, x3, x4 := x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
	p.shift(17, x0, x1)
	p.butterfly(x0, x1)
	p.rotate(x2, x3, 70936, -171254)
	p.butterfly(x1, x2)
	p.butterfly(x0, x3)

	p.shift(7, x7, x4)
	p.butterfly(x7, x4)
	p.VPMULLD(p.bits(181), x6, x6)
	p.VPMULLD(p.bits(181), x5, x5)
	p.butterfly(x7, x5)
	p.butterfly(x4, x6)
	p.shift(-2, x4, x7, x5, x6)
	p.lastStage(x, x0, x1, x2, x3, x4, x5, x6, x7)
}

// inverseColumns transforms eight columns in place; it is inverseColumn of package pixel without the last shift.
func (p pixels) inverseColumns(x []reg.VecVirtual) {
	x0, x7, x2, x5, x1, x6, x3, x4 := x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
	p.VPADDD(p.bits(1<<19), x0, x0)
	p.butterfly(x0, x1)
	p.shift(-2, x0, x1)
	p.shift(-13, x2, x3)
	p.rotate(x2, x3, 1108, -2676)
	p.butterfly(x1, x2)
	p.butterfly(x0, x3)

	p.butterfly(x7, x4)
	p.shift(-13, x5, x6)
	p.VPMULLD(p.bits(11585), x5, x5)
	p.VPMULLD(p.bits(11585), x6, x6)
	p.butterfly(x7, x5)
	p.butterfly(x4, x6)
	p.shift(-14, x4, x7, x5, x6)
	p.lastStage(x, x0, x1, x2, x3, x4, x5, x6, x7)
}

// lastStage rotates the odd half, adds it to the even one and orders the results in x.
func (p pixels) lastStage(x []reg.VecVirtual, x0, x1, x2, x3, x4, x5, x6, x7 reg.VecVirtual) {
	p.rotate(x4, x7, 3406, -2276)
	p.rotate(x5, x6, 4017, -799)
	p.butterfly(x0, x7)
	p.butterfly(x1, x6)
	p.butterfly(x2, x5)
	p.butterfly(x3, x4)
	copy(x, []reg.VecVirtual{x0, x1, x2, x3, x4, x5, x6, x7})
}

// storeLevels shifts rows to pixels, saturates them and writes them.
func (p pixels) storeLevels(x []reg.VecVirtual, dst, stride reg.GPVirtual) {
	p.shift(-18, x...)
	for i := 0; i < 8; i += 2 {
		both, high := x[i], p.XMM()
		p.VPACKSSDW(x[i+1], both, both) // 64-bit quarters: row i, row i+1, row i, row i+1
		p.VPERMQ(Imm(0xd8), both, both)
		p.VPADDSW(p.words128(), both, both)
		p.VEXTRACTI128(Imm(1), both, high)
		low := both.(reg.Vec).AsX()
		p.VPACKUSWB(high, low, low)
		p.VMOVQ(low, Mem{Base: dst})
		p.VMOVHPS(low, Mem{Base: dst, Index: stride, Scale: 1})
		p.LEAQ(Mem{Base: dst, Index: stride, Scale: 2}, dst)
	}
}

// words128 is a vector of 16-bit numbers 128.
func (p pixels) words128() Mem { return p.bits(128<<16 | 128) }
