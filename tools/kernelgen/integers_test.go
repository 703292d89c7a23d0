package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// signed is a number of up to eight bytes with its sign.
func signed(data []byte) int64 {
	unused := 64 - 8*len(data)
	return int64(binary.LittleEndian.Uint64(append(slices.Clone(data), make([]byte, 8)...))) << unused >> unused
}

// extended makes an instruction that puts zeros above numbers of size bytes; no more of them are read than there is
// room for.
func extended(size, into int) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) {
		n := sizeOf(ops[1]) / into
		from, data := m.get(ops[0], size*n), make([]byte, into*n)
		for i := range n {
			copy(data[into*i:], from[size*i:][:size])
		}
		m.set(ops[1], data)
	}
}

// shiftDoubleWords shifts numbers of 64 bits to the left.
func (m *machine) shiftDoubleWords(ops []operand.Op) {
	var data []byte
	from := m.get(ops[1], sizeOf(ops[2]))
	for ; len(from) > 0; from = from[8:] {
		data = binary.LittleEndian.AppendUint64(data, binary.LittleEndian.Uint64(from)<<int(ops[0].(operand.U8)))
	}
	m.set(ops[2], data)
}

// addSaturated adds signed numbers of 16 bits and stays at the limits.
func (m *machine) addSaturated(ops []operand.Op) {
	n := sizeOf(ops[2])
	a, b, data := m.get(ops[0], n), m.get(ops[1], n), []byte(nil)
	for at := 0; at < n; at += 2 {
		sum := signed(a[at:][:2]) + signed(b[at:][:2])
		data = binary.LittleEndian.AppendUint16(data, uint16(min(max(sum, math.MinInt16), math.MaxInt16)))
	}
	m.set(ops[2], data)
}

// shuffleBytes takes each byte from the place in the same 128 bits that the first operand names, or makes it zero.
func (m *machine) shuffleBytes(ops []operand.Op) {
	n := sizeOf(ops[2])
	places, from, data := m.get(ops[0], n), m.get(ops[1], n), make([]byte, n)
	for i, place := range places {
		if place < 0x80 {
			data[i] = from[i&^15+int(place&15)]
		}
	}
	m.set(ops[2], data)
}

// TestIntegerInstructions holds those of pixels against results worked out from Intel's SDM by hand, in the lowest 16
// bytes.
func TestIntegerInstructions(t *testing.T) {
	words := func(all ...uint32) []byte { return bytesOf(all) }
	shorts := func(all ...int16) (data []byte) {
		for _, v := range all {
			data = binary.LittleEndian.AppendUint16(data, uint16(v))
		}
		return data
	}
	minus := func(n uint32) uint32 { return -n }
	for _, test := range []struct {
		opcode     string
		imm        int // -1 = none
		a, b, want []byte
	}{
		{"VPSUBD", -1, words(1, 2, 0, minus(1)), words(5, 1, 0, minus(1)), words(4, minus(1), 0, 0)},
		{"VPMULLD", -1, words(3, 1<<16, minus(2), 7), words(5, 1<<16, 9, 0), words(15, 0, minus(18), 0)},
		{"VPMAXSD", -1, words(1, minus(1), 0, 7), words(minus(5), 0, minus(9), 8), words(1, 0, 0, 8)},
		{"VPMINSD", -1, words(1, minus(1), 0, 7), words(minus(5), 0, minus(9), 8), words(minus(5), minus(1), minus(9), 7)},
		{"VPSRAD", 3, nil, words(minus(1), minus(16), 17, 1<<31), words(minus(1), minus(2), 2, 0xf0000000)},
		{"VPSLLQ", 32, nil, words(1, 2, 3, 4), words(0, 1, 0, 3)},
		{"VPADDSW", -1, shorts(32000, -32000, 5, -5, 0, 0, 1, -1), shorts(1000, -1000, 6, -6, 7, -7, -1, 1),
			shorts(32767, -32768, 11, -11, 7, -7, 0, 0)},
		{"VPACKSSDW", -1, words(1, minus(1), 40000, minus(40000)), words(7, minus(7), 1<<31-1, 1<<31),
			shorts(7, -7, 32767, -32768, 1, -1, 32767, -32768)},
		{"VPACKUSDW", -1, words(1, minus(1), 40000, 70000), words(7, minus(7), 1<<31-1, 1<<31),
			shorts(7, 0, -1, 0, 1, 0, 40000-65536, -1)},
		{"VPACKUSWB", -1, shorts(0, 255, 256, -1, 100, 32767, -32768, 128), shorts(1, 2, 3, 4, 5, 6, 7, 8),
			[]byte{1, 2, 3, 4, 5, 6, 7, 8, 0, 255, 255, 0, 100, 255, 0, 128}},
		{"VPSHUFB", -1, []byte{15, 0, 0x80, 1, 0x8f, 14, 2, 2, 0, 0, 0, 0, 0, 0, 0, 16},
			[]byte{10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25},
			[]byte{25, 10, 0, 11, 0, 24, 12, 12, 10, 10, 10, 10, 10, 10, 10, 10}},
	} {
		m := newMachine()
		copy(m.vectors[0][:], test.a)
		copy(m.vectors[1][:], test.b)
		operands := []operand.Op{reg.X0, reg.X1, reg.X2}
		if test.imm >= 0 {
			operands[0] = operand.U8(test.imm)
		}
		if stopped := fault(func() { instructions[test.opcode](m, operands) }); stopped != "" {
			t.Errorf("%s: %s", test.opcode, stopped)
		}
		if got := m.vectors[2][:16]; !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.opcode, got, test.want)
		}
	}
}

// TestExtensions: no byte is read for which there is no room, and zeros stand above each number.
func TestExtensions(t *testing.T) {
	for _, test := range []struct {
		opcode     string
		to         reg.Register
		size, into int
	}{{"VPMOVZXBD", reg.X3, 1, 4}, {"VPMOVZXBD", reg.Y3, 1, 4}, {"VPMOVZXDQ", reg.X3, 4, 8}, {"VPMOVZXDQ", reg.Y3, 4, 8}} {
		n := int(test.to.Size()) / test.into
		from, want := make([]byte, n*test.size), make([]byte, 64)
		for i := range from {
			from[i] = byte(200 + i)
			want[i/test.size*test.into+i%test.size] = from[i]
		}
		m := newMachine()
		m.general[1] = m.allocate(from, false).base
		stopped := fault(func() { instructions[test.opcode](m, []operand.Op{operand.Mem{Base: reg.RCX}, test.to}) })
		if stopped != "" || !slices.Equal(m.vectors[3][:], want) {
			t.Errorf("%s of %d bytes: %v (%s), want %v", test.opcode, len(from), m.vectors[3], stopped, want)
		}
		short := newMachine()
		short.general[1] = short.allocate(from[1:], false).base
		message := fmt.Sprintf("an access of %d bytes at 0 of %d bytes", len(from), len(from)-1)
		stopped = fault(func() { instructions[test.opcode](short, []operand.Op{operand.Mem{Base: reg.RCX}, test.to}) })
		if stopped != message {
			t.Errorf("%s of a byte too few stops with %q, want %q", test.opcode, stopped, message)
		}
	}
}
