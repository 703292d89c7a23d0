package main

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Neither avo nor Go's assembler knows VDPBF16PS. Kernels whose name ends in dotSuffix are written with VFMADD231PS,
// which has the same operands and register use; once registers are allocated, each is replaced by the bytes of VDPBF16PS.
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
			if !ok || i.Opcode != "VFMADD231PS" {
				continue
			}
			if err := encodeDot(i); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
	return nil
}

// encodeDot turns VFMADD231PS b, a, sum into the bytes of VDPBF16PS sum, a, b (in Intel's order).
func encodeDot(i *ir.Instruction) error {
	var numbers [3]byte
	for n, op := range i.Operands {
		register, ok := op.(reg.Physical)
		if !ok || register.Size() != 64 {
			return fmt.Errorf("operand %v of VDPBF16PS is no 512-bit register", op)
		}
		numbers[n] = byte(register.PhysicalIndex())
	}
	bytes := dotBytes(numbers[2], numbers[1], numbers[0])
	i.Opcode = "LONG"
	i.Operands = []operand.Op{raw(fmt.Sprintf("$%#08x; WORD $%#04x", binary.LittleEndian.Uint32(bytes), binary.LittleEndian.Uint16(bytes[4:])))}
	return nil
}

// dotBytes encodes VDPBF16PS sum, a, b on registers ZMM0 to ZMM31: EVEX.512.F3.0F38.W0 52 /r (Intel SDM, vol. 2).
func dotBytes(sum, a, b byte) []byte {
	bit := func(n, i byte) byte { return ^n >> i & 1 } // EVEX holds register bits inverted
	return []byte{
		0x62,
		bit(sum, 3)<<7 | bit(b, 4)<<6 | bit(b, 3)<<5 | bit(sum, 4)<<4 | 2,
		^a&15<<3 | 4 | 2,
		2<<5 | bit(a, 4)<<3,
		0x52,
		3<<6 | sum&7<<3 | b&7,
	}
}

// raw is an operand that is printed as it stands.
type raw string

// Asm is the text.
func (r raw) Asm() string { return string(r) }
