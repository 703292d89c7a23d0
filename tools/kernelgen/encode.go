package main

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Neither avo nor Go's assembler knows VDPBF16PS and VCVTNEPS2BF16. Kernels whose name ends in dotSuffix are written with
// VFMADD231PS and VCVTPD2PS, which have the same operands and register use; once registers are allocated, each is replaced
// by the bytes of the other.
const dotSuffix = "BF16"

// encodeDots replaces the multiplications of dot kernels.
func encodeDots(file *ir.File) error {
	for _, section := range file.Sections {
		f, ok := section.(*ir.Function)
		if !ok || !strings.HasSuffix(f.Name, dotSuffix) {
			continue
		}
		for _, node := range f.Nodes {
			i, ok := node.(*ir.Instruction)
			if !ok {
				continue
			}
			if err := encode(i); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
	return nil
}

// encode turns VFMADD231PS b, a, sum into the bytes of VDPBF16PS sum, a, b (in Intel's order), and VCVTPD2PS from, to into
// those of VCVTNEPS2BF16 to, from.
func encode(i *ir.Instruction) error {
	if i.Opcode != "VFMADD231PS" && i.Opcode != "VCVTPD2PS" {
		return nil
	}
	var numbers []byte
	for _, op := range i.Operands {
		register, ok := op.(reg.Physical)
		if !ok {
			return fmt.Errorf("operand %s of %s is no register", op.Asm(), i.Opcode)
		}
		numbers = append(numbers, byte(register.PhysicalIndex()))
	}
	bytes := roundBytes
	if i.Opcode == "VFMADD231PS" {
		bytes = dotBytes
	}
	code := bytes(numbers)
	i.Opcode = "LONG"
	i.Operands = []operand.Op{raw(fmt.Sprintf("$%#08x; WORD $%#04x", binary.LittleEndian.Uint32(code), binary.LittleEndian.Uint16(code[4:])))}
	return nil
}

// dotBytes encodes VDPBF16PS on ZMM registers, given in Go's order: EVEX.512.F3.0F38.W0 52 /r (Intel SDM, vol. 2).
func dotBytes(registers []byte) []byte { return evex(0x52, registers[2], registers[1], registers[0]) }

// roundBytes encodes VCVTNEPS2BF16 from a ZMM to a YMM register, given in Go's order: EVEX.512.F3.0F38.W0 72 /r.
func roundBytes(registers []byte) []byte { return evex(0x72, registers[1], 0, registers[0]) }

// evex encodes an instruction EVEX.512.F3.0F38.W0 on registers 0 to 31.
func evex(opcode, reg, second, rm byte) []byte {
	bit := func(n, i byte) byte { return ^n >> i & 1 } // EVEX holds register bits inverted
	return []byte{
		0x62,
		bit(reg, 3)<<7 | bit(rm, 4)<<6 | bit(rm, 3)<<5 | bit(reg, 4)<<4 | 2,
		^second&15<<3 | 4 | 2,
		2<<5 | bit(second, 4)<<3,
		opcode,
		3<<6 | reg&7<<3 | rm&7,
	}
}

// raw is an operand that is printed as it stands.
type raw string

// Asm is the text.
func (r raw) Asm() string { return string(r) }
