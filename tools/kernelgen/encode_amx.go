package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Neither avo nor Go's assembler knows AMX. Kernels name its instructions by these opcodes, with tile registers as
// numbers and operands in the order of Go's assembler, the destination last but for multiplyTiles, which is in Intel's
// order. Once registers are allocated, encodeTiles replaces them by their bytes.
const (
	loadConfig    = "LDTILECFG"
	release       = "TILERELEASE"
	zeroTile      = "TILEZERO"
	loadTile      = "TILELOADD"
	streamTile    = "TILELOADDT1" // loads with the hint that the data is not needed again
	storeTile     = "TILESTORED"
	multiplyTiles = "TDPBF16PS"
)

// tileInstruction appends an instruction of AMX. Tile registers need no allocation, memory operands read theirs.
func (t *amx) tileInstruction(opcode string, operands ...operand.Op) {
	i := &ir.Instruction{Opcode: opcode, Operands: operands}
	for _, op := range operands {
		if m, ok := op.(operand.Mem); ok {
			i.Inputs = append(i.Inputs, m)
		}
	}
	t.Instruction(i)
}

// encodeTiles replaces the instructions of AMX by their bytes.
func encodeTiles(file *ir.File) error {
	for _, section := range file.Sections {
		f, ok := section.(*ir.Function)
		if !ok {
			continue
		}
		for _, i := range f.Instructions() {
			if _, ok := tileOpcodes[i.Opcode]; !ok {
				continue
			}
			bytes, err := tileCode(i.Opcode, i.Operands)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
			i.Opcode, i.Operands = "BYTE", []operand.Op{raw(byteList(bytes) + " // " + tileText(i.Opcode, i.Operands))}
		}
	}
	return nil
}

// byteList continues a BYTE instruction with all bytes.
func byteList(bytes []byte) string {
	list := make([]string, len(bytes))
	for n, b := range bytes {
		list[n] = fmt.Sprintf("$%#02x", b)
	}
	return strings.Join(list, "; BYTE ")
}

// tileText writes an instruction as the encoder was given it.
func tileText(opcode string, operands []operand.Op) string {
	words := make([]string, len(operands))
	for n, op := range operands {
		words[n] = op.Asm()
		if tile, ok := op.(operand.U8); ok {
			words[n] = fmt.Sprintf("TMM%d", tile)
		}
	}
	return strings.TrimSpace(opcode + " " + strings.Join(words, ", "))
}

// tileOpcode is what an instruction of AMX is made of: all are VEX.128.0F38.W0 (Intel SDM, vol. 2).
type tileOpcode struct{ prefix, code byte }

// The prefixes as VEX writes them.
const (
	prefixNone = iota
	prefix66
	prefixF3
	prefixF2
)

var tileOpcodes = map[string]tileOpcode{
	loadConfig:    {prefixNone, 0x49},
	release:       {prefixNone, 0x49},
	zeroTile:      {prefixF2, 0x49},
	loadTile:      {prefixF2, 0x4b},
	streamTile:    {prefix66, 0x4b},
	storeTile:     {prefixF3, 0x4b},
	multiplyTiles: {prefixF3, 0x5c},
}

// tileCode encodes an instruction.
func tileCode(opcode string, operands []operand.Op) ([]byte, error) {
	var tiles []byte
	var memory *operand.Mem
	for _, op := range operands {
		switch op := op.(type) {
		case operand.U8:
			if op > 7 {
				return nil, fmt.Errorf("%s: there is no tile register %d", opcode, op)
			}
			tiles = append(tiles, byte(op))
		case operand.Mem:
			memory = &op
		default:
			return nil, fmt.Errorf("%s: operand %v is neither a tile register nor memory", opcode, op)
		}
	}
	wanted, withMemory := tileOperands(opcode)
	if len(tiles) != wanted || (memory != nil) != withMemory {
		return nil, fmt.Errorf("%s does not take the operands %v", opcode, operands)
	}
	switch opcode {
	case release:
		return registerCode(opcode, 0, 0, 0), nil
	case zeroTile:
		return registerCode(opcode, tiles[0], 0, 0), nil
	case multiplyTiles:
		return registerCode(opcode, tiles[0], tiles[1], tiles[2]), nil
	case loadConfig:
		tiles = []byte{0}
	}
	return memoryCode(opcode, tiles[0], *memory)
}

// tileOperands says how many tile registers an instruction names, and whether it names memory.
func tileOperands(opcode string) (tiles int, memory bool) {
	switch opcode {
	case loadConfig:
		return 0, true
	case release:
		return 0, false
	case zeroTile:
		return 1, false
	case multiplyTiles:
		return 3, false
	}
	return 1, true
}

// registerCode encodes an instruction on registers: field reg of ModRM, field r/m, and the register in VEX.
func registerCode(opcode string, field, rm, third byte) []byte {
	o := tileOpcodes[opcode]
	return []byte{0xc4, 0xe2, ^third&15<<3 | o.prefix, o.code, 3<<6 | field<<3 | rm}
}

// memoryCode encodes an instruction on memory: [base + index·scale + displacement]. Tiles are always addressed with an
// index, which holds the bytes between rows.
func memoryCode(opcode string, field byte, m operand.Mem) ([]byte, error) {
	base, ok := m.Base.(reg.Physical)
	if !ok || base.Size() != 8 {
		return nil, fmt.Errorf("%s: %v has no 64-bit base register", opcode, m.Asm())
	}
	b, index, scale := byte(base.PhysicalIndex()), byte(noIndex), byte(0)
	if m.Index != nil {
		register, ok := m.Index.(reg.Physical)
		if !ok || register.Size() != 8 || register.PhysicalIndex() == noIndex {
			return nil, fmt.Errorf("%s: %v cannot be the index of an address", opcode, m.Index)
		}
		index = byte(register.PhysicalIndex())
		if scale = byte(strings.IndexByte("\x01\x02\x04\x08", m.Scale)); scale > 3 {
			return nil, fmt.Errorf("%s: the scale of %v is none of 1, 2, 4 and 8", opcode, m.Asm())
		}
	} else if opcode != loadConfig {
		return nil, fmt.Errorf("%s: %v has no index register to hold the bytes between rows", opcode, m.Asm())
	}
	o := tileOpcodes[opcode]
	code := []byte{0xc4, (^index>>3&1)<<6 | (^b>>3&1)<<5 | 1<<7 | 2, 15<<3 | o.prefix, o.code}
	return append(code, address(field, b, index, scale, m.Disp)...), nil
}

// noIndex is the number of the stack pointer, which as an index means none.
const noIndex = 4

// address encodes ModRM, SIB where needed and the displacement.
func address(field, base, index, scale byte, displacement int) []byte {
	var tail []byte
	mode := byte(0)
	switch {
	case displacement == 0 && base&7 != 5: // base 5 without displacement means something else
	case displacement == int(int8(displacement)):
		mode, tail = 1, []byte{byte(displacement)}
	default:
		d := uint32(int32(displacement))
		mode, tail = 2, []byte{byte(d), byte(d >> 8), byte(d >> 16), byte(d >> 24)}
	}
	if index == noIndex && base&7 != 4 {
		return append([]byte{mode<<6 | field<<3 | base&7}, tail...)
	}
	return append([]byte{mode<<6 | field<<3 | 4, scale<<6 | index&7<<3 | base&7}, tail...)
}
