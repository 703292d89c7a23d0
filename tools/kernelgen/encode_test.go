package main

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// TestDotCode holds the encoder of the bf16 instructions against bytes that the GNU assembler 2.40 gave for them. The
// registers are in Go's order, the destination last.
func TestDotCode(t *testing.T) {
	for _, test := range []struct {
		want      string
		encode    func([]byte) []byte
		registers []byte
	}{
		{"62f27e4852c0", dotBytes, []byte{0, 0, 0}},
		{"62f26e4852cb", dotBytes, []byte{3, 2, 1}},
		{"62524e4852cf", dotBytes, []byte{15, 6, 9}},
		{"6202064052ff", dotBytes, []byte{31, 31, 31}},
		{"62b2164852c4", dotBytes, []byte{20, 13, 0}},
		{"62e27e4872c1", roundBytes, []byte{1, 16}},
		{"62f27e4872c0", roundBytes, []byte{0, 0}},
		{"62027e4872ff", roundBytes, []byte{31, 31}},
	} {
		if got := hex.EncodeToString(test.encode(test.registers)); got != test.want {
			t.Errorf("registers %d are encoded as %s, want %s", test.registers, got, test.want)
		}
	}
}

// TestDotCodeAgainstGNU: every bit of every register, in every field.
func TestDotCodeAgainstGNU(t *testing.T) {
	var lines []string
	var codes [][]byte
	add := func(from, second, to byte) {
		lines = append(lines, fmt.Sprintf("vdpbf16ps zmm%d, zmm%d, zmm%d", to, second, from))
		codes = append(codes, dotBytes([]byte{from, second, to}))
		lines = append(lines, fmt.Sprintf("vcvtneps2bf16 ymm%d, zmm%d", to, from))
		codes = append(codes, roundBytes([]byte{from, to}))
	}
	r := rand.New(rand.NewPCG(3, 3))
	for n := range byte(32) {
		add(n, 0, 0)
		add(0, n, 0)
		add(0, 0, n)
		add(byte(r.IntN(32)), byte(r.IntN(32)), byte(r.IntN(32)))
	}
	compareWithGNU(t, lines, codes)
}

// dotFunction is a file of one function made of some instructions.
func dotFunction(name string, instructions ...*ir.Instruction) (*ir.File, *ir.Function) {
	f, file := ir.NewFunction(name), ir.NewFile()
	for _, i := range instructions {
		f.AddInstruction(i)
	}
	file.AddSection(f)
	return file, f
}

// TestEncodeDots replaces the stand-ins of dot kernels by bytes in the order in which they lie in memory, and leaves all
// other instructions and functions as they are.
func TestEncodeDots(t *testing.T) {
	instructions := func() []*ir.Instruction {
		return []*ir.Instruction{
			{Opcode: "VMOVUPS", Operands: []operand.Op{reg.Z1, reg.Z2}},
			{Opcode: "VFMADD231PS", Operands: []operand.Op{reg.Z3, reg.Z2, reg.Z1}},
			{Opcode: "VCVTPD2PS", Operands: []operand.Op{reg.Z1, reg.Y16}},
		}
	}
	for name, want := range map[string][]string{
		"dot" + dotSuffix: {"VMOVUPS Z1 Z2", "LONG $0x486ef262; WORD $0xcb52", "LONG $0x487ee262; WORD $0xc172"},
		"product":         {"VMOVUPS Z1 Z2", "VFMADD231PS Z3 Z2 Z1", "VCVTPD2PS Z1 Y16"},
	} {
		file, f := dotFunction(name, instructions()...)
		if err := encodeDots(file); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, i := range f.Instructions() {
			got = append(got, strings.Join(append([]string{i.Opcode}, texts(i.Operands)...), " "))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestEncodersName the function whose instruction they cannot encode.
func TestEncodersName(t *testing.T) {
	memory := operand.Mem{Base: reg.RAX}
	for want, encode := range map[string]func() error{
		"fBF16: operand (AX) of VCVTPD2PS is no register": func() error {
			file, _ := dotFunction("f"+dotSuffix, &ir.Instruction{Opcode: "VCVTPD2PS", Operands: []operand.Op{memory, reg.Y1}})
			return encodeDots(file)
		},
		"f: TILEZERO: there is no tile register 9": func() error {
			file, _ := dotFunction("f", &ir.Instruction{Opcode: zeroTile, Operands: []operand.Op{operand.U8(9)}})
			return encodeTiles(file)
		},
	} {
		if err := encode(); err == nil || err.Error() != want {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
}

// TestEncodeTilesIsReadable: beside the bytes stands what they mean.
func TestEncodeTilesIsReadable(t *testing.T) {
	file, f := dotFunction("f",
		&ir.Instruction{Opcode: multiplyTiles, Operands: []operand.Op{operand.U8(0), operand.U8(4), operand.U8(6)}},
		&ir.Instruction{Opcode: "RET"},
	)
	if err := encodeTiles(file); err != nil {
		t.Fatal(err)
	}
	i := f.Instructions()[0]
	want := "BYTE $0xc4; BYTE $0xe2; BYTE $0x4a; BYTE $0x5c; BYTE $0xc4 // TDPBF16PS TMM0, TMM4, TMM6"
	if got := i.Opcode + " " + i.Operands[0].Asm(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if f.Instructions()[1].Opcode != "RET" {
		t.Errorf("another instruction became %s", f.Instructions()[1].Opcode)
	}
}

// TestNoStandInsAreLeft: what is printed for dot kernels holds no multiplication of float32 and no rounding of float64,
// which would compute something else without anybody's noticing.
func TestNoStandInsAreLeft(t *testing.T) {
	stand := regexp.MustCompile("VFMADD231PS|VCVTPD2PS")
	found := 0
	for _, f := range kernelFiles {
		file, err := compile(f.emit)
		if err != nil {
			t.Fatal(err)
		}
		if err := encodeDots(file); err != nil {
			t.Fatal(err)
		}
		for _, function := range file.Functions() {
			if !strings.HasSuffix(function.Name, dotSuffix) {
				continue
			}
			found++
			for _, i := range function.Instructions() {
				if stand.MatchString(i.Opcode) {
					t.Errorf("%s still has %s", function.Name, i.Opcode)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no kernel is one of bf16 products")
	}
}
