package main

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gp are the 64-bit registers by number, and their names in Intel's syntax.
var (
	gp = []reg.Register{
		reg.RAX, reg.RCX, reg.RDX, reg.RBX, reg.RSP, reg.RBP, reg.RSI, reg.RDI,
		reg.R8, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13, reg.R14, reg.R15,
	}
	gpNames = strings.Fields("rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15")
)

// indexed is [base + index·scale + displacement].
func indexed(base, index int, scale uint8, displacement int) operand.Mem {
	return operand.Mem{Base: gp[base], Index: gp[index], Scale: scale, Disp: displacement}
}

// TestTileCode holds the encoder against bytes that the GNU assembler 2.40 gave for the same instructions.
func TestTileCode(t *testing.T) {
	tile := func(n int) operand.Op { return operand.U8(n) }
	for _, test := range []struct {
		want     string
		opcode   string
		operands []operand.Op
	}{
		{"c4e2784900", loadConfig, []operand.Op{operand.Mem{Base: reg.RAX}}},
		{"c4e278490424", loadConfig, []operand.Op{operand.Mem{Base: reg.RSP}}},
		{"c4e278494540", loadConfig, []operand.Op{operand.Mem{Base: reg.RBP, Disp: 64}}},
		{"c4c278490424", loadConfig, []operand.Op{operand.Mem{Base: reg.R12}}},
		{"c4c278498500010000", loadConfig, []operand.Op{operand.Mem{Base: reg.R13, Disp: 256}}},
		{"c4e27849c0", release, nil},
		{"c4e27b49c0", zeroTile, []operand.Op{tile(0)}},
		{"c4e27b49f8", zeroTile, []operand.Op{tile(7)}},
		{"c4e27b4b0408", loadTile, []operand.Op{indexed(0, 1, 1, 0), tile(0)}},
		{"c4a27b4b6c7d40", loadTile, []operand.Op{indexed(5, 15, 2, 64), tile(5)}},
		{"c4827b4b7c3d00", loadTile, []operand.Op{indexed(13, 15, 1, 0), tile(7)}},
		{"c4c27b4bb4ac00ffffff", loadTile, []operand.Op{indexed(12, 5, 4, -256), tile(6)}},
		{"c4e2794b5cd380", streamTile, []operand.Op{indexed(3, 2, 8, -128), tile(3)}},
		{"c4e27a4b0c31", storeTile, []operand.Op{indexed(1, 6, 1, 0), tile(1)}},
		{"c4a27a4b94c480000000", storeTile, []operand.Op{indexed(4, 8, 8, 128), tile(2)}},
		{"c4e24a5cc4", multiplyTiles, []operand.Op{tile(0), tile(4), tile(6)}},
		{"c4e2425cdd", multiplyTiles, []operand.Op{tile(3), tile(5), tile(7)}},
	} {
		got, err := tileCode(test.opcode, test.operands)
		if err != nil || hex.EncodeToString(got) != test.want {
			t.Errorf("%s is %x (%v), want %s", tileText(test.opcode, test.operands), got, err, test.want)
		}
	}
}

func TestTileCodeRefuses(t *testing.T) {
	for want, operands := range map[string][]operand.Op{
		"no tile register 8":   {indexed(0, 1, 1, 0), operand.U8(8)},
		"no index register":    {operand.Mem{Base: reg.RAX}, operand.U8(1)},
		"cannot be the index":  {indexed(0, 4, 1, 0), operand.U8(1)},
		"the scale":            {indexed(0, 1, 3, 0), operand.U8(1)},
		"no 64-bit base":       {operand.Mem{Base: reg.EAX, Index: reg.RCX, Scale: 1}, operand.U8(1)},
		"neither a tile":       {operand.Imm(1 << 9), operand.U8(1)},
		"does not take the op": {operand.U8(1)},
	} {
		if code, err := tileCode(loadTile, operands); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %x, error %v, want %q", tileText(loadTile, operands), code, err, want)
		}
	}
}

// TestTileCodeAgainstGNU holds the encoder against the GNU assembler over all registers and random addresses.
func TestTileCodeAgainstGNU(t *testing.T) {
	var lines []string
	var codes [][]byte
	for _, i := range randomTileInstructions() {
		code, err := tileCode(i.opcode, i.operands)
		if err != nil {
			t.Fatal(err)
		}
		lines, codes = append(lines, i.intel), append(codes, code)
	}
	compareWithGNU(t, lines, codes)
}

// compareWithGNU holds the bytes of instructions against those that the GNU assembler makes of their text.
func compareWithGNU(t *testing.T, lines []string, codes [][]byte) {
	t.Helper()
	for _, program := range []string{"as", "objdump"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not tested: the encoder against the GNU assembler, since there is no %s (Debian package binutils)", program)
		}
	}
	want := assembled(t, ".intel_syntax noprefix\n"+strings.Join(lines, "\n")+"\n")
	if len(want) != len(lines) {
		t.Fatalf("the assembler made %d instructions of %d", len(want), len(lines))
	}
	for n, code := range codes {
		if got := hex.EncodeToString(code); got != want[n] {
			t.Errorf("%s is %s, want %s", lines[n], got, want[n])
		}
	}
}

// tileInstruction is an instruction for the encoder and in Intel's syntax.
type tileInstruction struct {
	opcode   string
	operands []operand.Op
	intel    string
}

func randomTileInstructions() (all []tileInstruction) {
	r := rand.New(rand.NewPCG(1, 2))
	add := func(opcode, operands string, ops ...operand.Op) {
		all = append(all, tileInstruction{opcode, ops, strings.ToLower(opcode) + " " + operands})
	}
	displacement := func() int { return []int{0, 0, 64, -64, 127, -128, 128, -129, 1 << 20}[r.IntN(9)] }
	add(release, "")
	for n := range 8 {
		add(zeroTile, fmt.Sprintf("tmm%d", n), operand.U8(n))
	}
	for base := range gp {
		d := displacement()
		add(loadConfig, fmt.Sprintf("[%s%+d]", gpNames[base], d), operand.Mem{Base: gp[base], Disp: d})
	}
	for range 60 {
		n := r.Perm(8)
		add(multiplyTiles, fmt.Sprintf("tmm%d, tmm%d, tmm%d", n[0], n[1], n[2]), operand.U8(n[0]), operand.U8(n[1]), operand.U8(n[2]))
	}
	for range 600 {
		base, index, tile, d, scale := r.IntN(16), r.IntN(16), r.IntN(8), displacement(), 1<<r.IntN(4)
		if index == noIndex {
			continue
		}
		memory := fmt.Sprintf("[%s+%s*%d%+d]", gpNames[base], gpNames[index], scale, d)
		register := fmt.Sprintf("tmm%d", tile)
		add(loadTile, register+", "+memory, indexed(base, index, uint8(scale), d), operand.U8(tile))
		add(streamTile, register+", "+memory, indexed(base, index, uint8(scale), d), operand.U8(tile))
		add(storeTile, memory+", "+register, indexed(base, index, uint8(scale), d), operand.U8(tile))
	}
	return all
}

// assembled returns the bytes of each instruction of a source, as the GNU assembler makes them.
func assembled(t *testing.T, source string) (code []string) {
	t.Helper()
	object := filepath.Join(t.TempDir(), "instructions.o")
	assembler := exec.Command("as", "--64", "-o", object, "-")
	assembler.Stdin, assembler.Stderr = strings.NewReader(source), os.Stderr
	if err := assembler.Run(); err != nil {
		t.Skipf("not tested: the encoder against the GNU assembler, which does not know the instructions (%v)", err)
	}
	listing, err := exec.Command("objdump", "-d", "--insn-width=16", "-M", "intel", object).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range regexp.MustCompile(`(?m)^ +[0-9a-f]+:\t([0-9a-f ]+)\t`).FindAllStringSubmatch(string(listing), -1) {
		code = append(code, strings.ReplaceAll(line[1], " ", ""))
	}
	if len(code) == 0 {
		t.Fatalf("objdump lists no instructions:\n%s", listing)
	}
	return code
}
