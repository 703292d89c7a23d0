package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The eight tile registers: a block of C of up to 2×2 tiles, the two tiles of A and the two of B that it is made from.
const (
	tileC = 0 // rows 0–15: 0, 1; rows 16–31: 2, 3
	tileA = 4 // rows 0–15: 4; rows 16–31: 5
	tileB = 6 // columns 0–15: 6; columns 16–31: 7
)

const tileBytes = 64 // of a row of a tile: 16 words; a tile has up to 16 rows

// amx emits one kernel over blocks of C that are high tiles high and two wide.
type amx struct {
	*build.Context
	high                         int
	c, cStep, a, aStep, b, bStep reg.GPVirtual // pointers, and bytes between rows
}

// emitAMX declares the kernels of blocks two tiles high and one tile high, peakTilesAMX and xcr0.
func emitAMX(c *build.Context) {
	for _, high := range []int{2, 1} {
		t := &amx{Context: c, high: high}
		t.emit()
	}
	(&amx{Context: c}).emitPeak()
	emitXCR0(c)
}

// emit writes a kernel that leaves no tile state behind: the runtime may move a goroutine to another thread, but never
// within an assembly function.
func (t *amx) emit() {
	t.Function(fmt.Sprintf("blocks%dAMX", t.high))
	t.Attributes(attr.NOSPLIT)
	t.SignatureExpr("func(c *float32, cStride int, a *float32, aRow int, b *float32, bStride, steps, blocks int, start *float32, accumulate bool, config *byte)")
	t.Doc(fmt.Sprintf("See tileBlocks: blocks of %d×2 tiles.", t.high))
	t.Pragma("noescape")
	t.tileInstruction(loadConfig, operand.Mem{Base: t.pointer("config")})
	t.c, t.cStep, t.a, t.aStep = t.pointer("c"), t.stride("cStride"), t.pointer("a"), t.stride("aRow")
	t.b, t.bStep = t.pointer("b"), t.stride("bStride")
	blocks := t.pointer("blocks")
	t.Label("block")
	t.block()
	t.DECQ(blocks)
	t.JNZ(operand.LabelRef("block"))
	t.tileInstruction(release)
	t.RET()
}

// block computes a block and moves the pointers to A and C on to the next.
func (t *amx) block() {
	c := t.rows(t.c, t.cStep)
	t.begin(c)
	a, b, below := t.rows(t.a, t.aStep), t.GP64(), t.GP64()
	t.MOVQ(t.b, b)
	t.MOVQ(t.bStep, below)
	t.SHLQ(operand.Imm(4), below) // 16 rows of B
	steps := t.pointer("steps")
	t.Label("step")
	t.products(a, b)
	for _, p := range a {
		t.ADDQ(operand.Imm(tileBytes), p)
	}
	t.ADDQ(below, b)
	t.DECQ(steps)
	t.JNZ(operand.LabelRef("step"))
	t.eachC(c, func(tile int, at operand.Mem) { t.tileInstruction(storeTile, at, operand.U8(tile)) })
	t.next(t.c, t.cStep)
	t.next(t.a, t.aStep)
}

// begin loads the tiles of C from C itself, or from the start row over and over.
func (t *amx) begin(c []reg.GPVirtual) {
	accumulate := t.Load(t.Param("accumulate"), t.GP8()).(reg.GPVirtual)
	t.TESTB(accumulate, accumulate)
	t.JNZ(operand.LabelRef("accumulate"))
	start, still := t.pointer("start"), t.GP64()
	t.XORQ(still, still)
	for i := range 2 * t.high {
		t.tileInstruction(loadTile, operand.Mem{Base: start, Index: still, Scale: 1, Disp: i % 2 * tileBytes}, operand.U8(tileC+i))
	}
	t.JMP(operand.LabelRef("begun"))
	t.Label("accumulate")
	t.eachC(c, func(tile int, at operand.Mem) { t.tileInstruction(loadTile, at, operand.U8(tile)) })
	t.Label("begun")
}

// products adds the products of a column of tiles of A and a row of tiles of B. Multiplications stand between the
// loads, so that the first need not wait for the last load.
func (t *amx) products(a []reg.GPVirtual, b reg.GPVirtual) {
	for i := range a {
		t.tileInstruction(loadTile, operand.Mem{Base: a[i], Index: t.aStep, Scale: 1}, operand.U8(tileA+i))
		for j := range 2 {
			if i == 0 {
				t.tileInstruction(loadTile, operand.Mem{Base: b, Index: t.bStep, Scale: 1, Disp: j * tileBytes}, operand.U8(tileB+j))
			}
			t.tileInstruction(multiplyTiles, operand.U8(tileC+2*i+j), operand.U8(tileA+i), operand.U8(tileB+j))
		}
	}
}

// eachC visits the tiles of C.
func (t *amx) eachC(rows []reg.GPVirtual, visit func(tile int, at operand.Mem)) {
	for i, row := range rows {
		for j := range 2 {
			visit(tileC+2*i+j, operand.Mem{Base: row, Index: t.cStep, Scale: 1, Disp: j * tileBytes})
		}
	}
}

// rows returns copies of a pointer to the first row of each tile of a block.
func (t *amx) rows(p, step reg.GPVirtual) []reg.GPVirtual {
	all := make([]reg.GPVirtual, t.high)
	for i := range all {
		all[i] = t.GP64()
		if i == 0 {
			t.MOVQ(p, all[0])
			continue
		}
		t.MOVQ(step, all[i])
		t.SHLQ(operand.Imm(4), all[i])
		t.ADDQ(all[i-1], all[i])
	}
	return all
}

// next moves a pointer on by the rows of a block.
func (t *amx) next(p, step reg.GPVirtual) {
	distance := t.GP64()
	t.MOVQ(step, distance)
	t.SHLQ(operand.Imm(uint64(3+t.high)), distance) // 16 or 32 rows
	t.ADDQ(distance, p)
}

// emitPeak declares a loop of multiplications of zeros, which is the most that a processor computes in tiles.
func (t *amx) emitPeak() {
	t.Function("peakTilesAMX")
	t.Attributes(attr.NOSPLIT)
	t.SignatureExpr("func(rounds int, config *byte)")
	t.Doc("peakTilesAMX multiplies tiles four times a round; see peak.go.")
	t.Pragma("noescape")
	t.tileInstruction(loadConfig, operand.Mem{Base: t.pointer("config")})
	for tile := range 8 {
		t.tileInstruction(zeroTile, operand.U8(tile))
	}
	rounds := t.pointer("rounds")
	t.Label("round")
	for i := range 4 {
		t.tileInstruction(multiplyTiles, operand.U8(tileC+i), operand.U8(tileA+i/2), operand.U8(tileB+i%2))
	}
	t.DECQ(rounds)
	t.JNZ(operand.LabelRef("round"))
	t.tileInstruction(release)
	t.RET()
}

// pointer loads a parameter of 64 bits.
func (t *amx) pointer(name string) reg.GPVirtual {
	return t.Load(t.Param(name), t.GP64()).(reg.GPVirtual)
}

// stride loads a parameter that counts floats, as bytes.
func (t *amx) stride(name string) reg.GPVirtual {
	s := t.pointer(name)
	t.SHLQ(operand.Imm(2), s)
	return s
}

// emitXCR0 declares a function that reads which registers the operating system saves.
func emitXCR0(c *build.Context) {
	c.Function("xcr0")
	c.Attributes(attr.NOSPLIT)
	c.SignatureExpr("func() uint32")
	c.Doc("xcr0 is the lower half of the extended control register 0: a bit for each kind of registers that the operating system saves. The CPU must have XSAVE, as those with AVX have.")
	c.XORL(reg.ECX, reg.ECX)
	c.XGETBV()
	c.Store(reg.EAX, c.ReturnIndex(0))
	c.RET()
}
