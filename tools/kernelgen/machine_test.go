package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The kernels run here instruction by instruction on a machine of Go, for every CPU family on any CPU. It knows which
// bytes a call may touch, which no CPU does, and stops at the first access beside them.

// machine is the state of a CPU. Instructions get their operands in the order of Go's assembler.
type machine struct {
	general [16]uint64
	vectors [32][64]byte
	masks   [8]uint64
	flags
	memory    []*memory
	arguments *memory
	locals    *memory
	globals   map[string]*memory
	dots      bool // VFMADD231PS and VCVTPD2PS stand for VDPBF16PS and VCVTNEPS2BF16: see encodeDots
}

// flags are what conditional jumps ask for.
type flags struct{ zero, less, parity bool }

// memory is a row of bytes at an address that only the machine knows.
type memory struct {
	base     uint64
	data     []byte
	writable bool
}

// kernels and pixelKernels are the functions of a package's files by name, before instructions are replaced by bytes.
var (
	kernels      = sync.OnceValue(func() map[string]*program { return programs(kernelFiles) })
	pixelKernels = sync.OnceValue(func() map[string]*program { return programs(pixelFiles) })
)

func programs(files []file) map[string]*program {
	all := map[string]*program{}
	for _, f := range files {
		file, err := compile(f.emit)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", f.name, err))
		}
		globals := map[string]*ir.Global{}
		for _, section := range file.Sections {
			if g, ok := section.(*ir.Global); ok {
				globals[g.Symbol.Name] = g
			}
		}
		for _, function := range file.Functions() {
			all[function.Name] = newProgram(f.name, function, globals)
		}
	}
	return all
}

// program is a function whose jumps have found their places.
type program struct {
	*ir.Function
	file    string
	code    []*ir.Instruction
	labels  map[ir.Label]int // index of the instruction that follows
	globals map[string]*ir.Global
}

func newProgram(file string, f *ir.Function, globals map[string]*ir.Global) *program {
	p := &program{Function: f, file: file, labels: map[ir.Label]int{}, globals: globals}
	for _, node := range f.Nodes {
		switch node := node.(type) {
		case ir.Label:
			p.labels[node] = len(p.code)
		case *ir.Instruction:
			p.code = append(p.code, node)
		}
	}
	return p
}

// newMachine is a CPU whose registers hold rubbish, as they do when a kernel is called.
func newMachine() *machine {
	m := &machine{globals: map[string]*memory{}}
	for i := range m.general {
		m.general[i] = 0xdead_0000_dead_0000 + uint64(i)
	}
	for i := range m.masks {
		m.masks[i] = math.MaxUint64 - uint64(i)
	}
	for i := range m.vectors {
		used := m.vectors[i][:]
		if i < 16 {
			used = used[:16] // Go itself keeps what is above them zero
		}
		for k := range used {
			used[k] = 0xff // NaN in any type
		}
	}
	return m
}

// allocate gives the machine memory of its own.
func (m *machine) allocate(data []byte, writable bool) *memory {
	all := &memory{base: uint64(len(m.memory)+1)<<40 + 0x1230, data: data, writable: writable}
	m.memory = append(m.memory, all)
	return all
}

// bytes returns n bytes of memory, or stops the machine.
func (m *machine) bytes(address uint64, n int, write bool) []byte {
	for _, part := range m.memory {
		offset := address - part.base
		if address < part.base || offset >= 1<<39 {
			continue
		}
		if offset+uint64(n) > uint64(len(part.data)) {
			panic(fmt.Sprintf("an access of %d bytes at %d of %d bytes", n, offset, len(part.data)))
		}
		if write && !part.writable {
			panic(fmt.Sprintf("a write to constants at %d", offset))
		}
		return part.data[offset:][:n:n]
	}
	panic(fmt.Sprintf("an access of %d bytes at %#x, which is nobody's", n, address))
}

// fault returns what stopped the machine, "" if nothing did.
func fault(body func()) (message string) {
	defer func() {
		if r := recover(); r != nil {
			message = fmt.Sprint(r)
		}
	}()
	body()
	return ""
}

// run executes a program on arguments laid out as in its frame.
func (m *machine) run(p *program, arguments []byte) {
	m.arguments, m.locals = m.allocate(arguments, true), m.allocate(make([]byte, p.LocalSize), true)
	for name, g := range p.globals {
		data := make([]byte, g.Size)
		for _, datum := range g.Data {
			binary.LittleEndian.PutUint32(data[datum.Offset:], uint32(datum.Value.(operand.U32)))
		}
		m.globals[name] = m.allocate(data, false)
	}
	m.dots = len(p.Name) > len(dotSuffix) && p.Name[len(p.Name)-len(dotSuffix):] == dotSuffix
	for at := 0; ; {
		i := p.code[at]
		at++
		if i.Opcode == "RET" {
			m.checkUppers()
			return
		}
		if label := i.TargetLabel(); label != nil {
			if m.jumps(i.Opcode) {
				at = p.labels[*label]
			}
			continue
		}
		if stopped := fault(func() { m.execute(i) }); stopped != "" {
			panic(fmt.Sprintf("%s, instruction %d, %s %v: %s", p.Name, at, i.OpcodeWithSuffixes(), texts(i.Operands), stopped))
		}
	}
}

func texts(operands []operand.Op) (all []string) {
	for _, op := range operands {
		all = append(all, op.Asm())
	}
	return all
}

// checkUppers stops the machine if it returns to Go with vectors in use, which slows its SSE instructions down.
func (m *machine) checkUppers() {
	for r := range 16 {
		for _, b := range m.vectors[r][16:] {
			if b != 0 {
				panic(fmt.Sprintf("returned without VZEROUPPER: vector register %d is in use", r))
			}
		}
	}
}

func (m *machine) jumps(opcode string) bool {
	switch opcode {
	case "JMP":
		return true
	case "JZ", "JEQ", "JE":
		return m.zero
	case "JNZ", "JNE":
		return !m.zero
	case "JLT", "JL":
		return m.less
	case "JLE":
		return m.less || m.zero
	}
	panic("the machine does not know the jump " + opcode)
}

func (m *machine) execute(i *ir.Instruction) {
	run, ok := instructions[i.OpcodeWithSuffixes()]
	if !ok {
		panic("the machine does not know it")
	}
	run(m, i.Operands)
}

// number is the index of a register.
func number(op operand.Op) int { return int(op.(reg.Physical).PhysicalIndex()) }

// sizeOf is the size of a register in bytes.
func sizeOf(op operand.Op) int { return int(op.(reg.Register).Size()) }

func isMask(op operand.Op) bool {
	r, ok := op.(reg.Register)
	return ok && r.Kind() == reg.KindOpmask
}

// address is where a memory operand points.
func (m *machine) address(at operand.Mem) uint64 {
	base := uint64(0)
	switch at.Base.Asm() {
	case "FP":
		base = m.arguments.base
	case "SP":
		base = m.locals.base
	case "SB":
		base = m.globals[at.Symbol.Name].base
	default:
		base = m.general[number(at.Base)]
	}
	if at.Index != nil {
		base += m.general[number(at.Index)] * uint64(at.Scale)
	}
	return base + uint64(at.Disp)
}

// get reads n bytes of a register, memory or constant.
func (m *machine) get(op operand.Op, n int) []byte {
	switch op := op.(type) {
	case operand.Mem:
		return append([]byte(nil), m.bytes(m.address(op), n, false)...)
	case operand.Constant:
		return binary.LittleEndian.AppendUint64(nil, constant(op))[:n]
	}
	r := op.(reg.Physical)
	switch r.Kind() {
	case reg.KindGP:
		return binary.LittleEndian.AppendUint64(nil, m.general[r.PhysicalIndex()])[:n]
	case reg.KindOpmask:
		return binary.LittleEndian.AppendUint64(nil, m.masks[r.PhysicalIndex()])[:n]
	}
	return append([]byte(nil), m.vectors[r.PhysicalIndex()][:n]...)
}

// constant is a constant as 64 bits. Go's assembler takes the number that is printed, and finds an encoding for it.
func constant(op operand.Constant) uint64 {
	switch op := op.(type) {
	case operand.U8:
		return uint64(op)
	case operand.U32:
		return uint64(op)
	}
	panic(fmt.Sprintf("the machine does not know constants like %s", op.Asm()))
}

// set writes a register or memory. Registers of general use keep their upper half if they are given 8 or 16 bits, and
// no more; vectors lose what is beyond the data.
func (m *machine) set(op operand.Op, data []byte) {
	if at, ok := op.(operand.Mem); ok {
		copy(m.bytes(m.address(at), len(data), true), data)
		return
	}
	r := op.(reg.Physical)
	switch r.Kind() {
	case reg.KindGP:
		whole := binary.LittleEndian.AppendUint64(nil, m.general[r.PhysicalIndex()])
		if len(data) >= 4 {
			clear(whole)
		}
		copy(whole, data)
		m.general[r.PhysicalIndex()] = binary.LittleEndian.Uint64(whole)
	case reg.KindOpmask:
		m.masks[r.PhysicalIndex()] = binary.LittleEndian.Uint64(append(data, make([]byte, 8)...))
	default:
		m.vectors[r.PhysicalIndex()] = [64]byte{}
		copy(m.vectors[r.PhysicalIndex()][:], data)
	}
}

// integer reads an operand of the given size.
func (m *machine) integer(op operand.Op, size int) uint64 {
	return binary.LittleEndian.Uint64(append(m.get(op, size), make([]byte, 8)...))
}

// setInteger writes the lower bytes of a value.
func (m *machine) setInteger(op operand.Op, value uint64, size int) {
	m.set(op, binary.LittleEndian.AppendUint64(nil, value)[:size])
}

// result writes a value of 64 bits and what the flags say of it.
func (m *machine) result(op operand.Op, value uint64) {
	m.flags = flags{zero: value == 0, less: int64(value) < 0}
	m.setInteger(op, value, 8)
}

// words reads vectors as numbers of 32 bits.
func (m *machine) words(op operand.Op, n int) []uint32 {
	data, all := m.get(op, 4*n), make([]uint32, n)
	for i := range all {
		all[i] = binary.LittleEndian.Uint32(data[4*i:])
	}
	return all
}

func bytesOf(words []uint32) (data []byte) {
	for _, w := range words {
		data = binary.LittleEndian.AppendUint32(data, w)
	}
	return data
}

// wordwise makes an instruction that computes each lane of its last operand from the lanes before it. A mask before the
// last operand selects the lanes that are written.
func wordwise(f func(lane []uint32) uint32) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) {
		dst := ops[len(ops)-1]
		lanes, selected := sizeOf(dst)/4, uint64(math.MaxUint64)
		var in [][]uint32
		for _, op := range ops {
			if isMask(op) {
				selected = m.masks[number(op)]
				continue
			}
			in = append(in, m.words(op, lanes))
		}
		out := m.words(dst, lanes)
		for i := range lanes {
			lane := make([]uint32, len(in))
			for k := range in {
				lane[k] = in[k][i]
			}
			if selected>>i&1 == 1 {
				out[i] = f(lane)
			}
		}
		m.set(dst, bytesOf(out))
	}
}

// numberwise is wordwise on float32.
func numberwise(f func(x []float32) float32) func(*machine, []operand.Op) {
	return wordwise(func(lane []uint32) uint32 {
		x := make([]float32, len(lane))
		for i, w := range lane {
			x[i] = math.Float32frombits(w)
		}
		return math.Float32bits(f(x))
	})
}

// fused is a·b + c with one rounding.
func fused(a, b, c float32) float32 {
	return float32(math.FMA(float64(a), float64(b), float64(c)))
}

// TestMachineStops shows that the machine notices what a kernel could do wrong.
func TestMachineStops(t *testing.T) {
	rax, rcx, y0 := operand.Op(reg.RAX), operand.Mem{Base: reg.RCX}, operand.Op(reg.Y0)
	returning := func(instructions ...*ir.Instruction) *program {
		f := ir.NewFunction("wrong")
		for _, i := range append(instructions, &ir.Instruction{Opcode: "RET"}) {
			f.AddInstruction(i)
		}
		return newProgram("", f, nil)
	}
	instruction := func(opcode string, operands ...operand.Op) *ir.Instruction {
		return &ir.Instruction{Opcode: opcode, Operands: operands}
	}
	for _, test := range []struct {
		want string
		*program
	}{
		{"", returning(instruction("MOVQ", rcx, rax), instruction("VZEROUPPER"))},
		{"8 bytes at 4 of 8 bytes", returning(instruction("MOVQ", rcx.Offset(4), rax))},
		{"a write to constants", returning(instruction("MOVQ", rax, rcx))},
		{"which is nobody's", returning(instruction("MOVQ", operand.Mem{Base: reg.RAX}, rax))},
		{"VMOVUPS [(CX) Y0]: an access of 32 bytes", returning(instruction("VMOVUPS", rcx, y0))},
		{"without VZEROUPPER: vector register 0", returning(instruction("VBROADCASTSS", rcx, y0))},
		{"does not know it", returning(instruction("CPUID"))},
	} {
		m := newMachine()
		m.general[1] = m.allocate([]byte{1, 2, 3, 4, 5, 6, 7, 8}, false).base
		if got := fault(func() { m.run(test.program, nil) }); (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("the machine stops with %q, want %q", got, test.want)
		}
	}
}
