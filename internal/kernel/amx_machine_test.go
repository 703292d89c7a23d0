//go:build amd64 && !noasm

package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/arch/x86/x86asm"
	"golang.org/x/sys/cpu"
)

// The assembled kernels of family AMX run here without AMX: a machine that knows the dozen scalar instructions in them
// and models those of AMX, from Intel's SDM, vol. 2, executes their very bytes, decoded independently of the encoder
// that wrote them. It stops at what a CPU would refuse, and at every access outside of what the call may touch.

func init() {
	models = append(models, tilePrograms{"amx in the machine", machineRun(blocks1AMX), machineRun(blocks2AMX)})
}

// amxKernels are the kernels as this CPU runs them, if it can.
var amxKernels = [...]tileBlocks{blocks1AMX, blocks2AMX}

// machine is the state of a CPU.
type machine struct {
	registers [16]uint64
	zero      bool // the flag ZF
	views     []view
	tileState
}

// view is memory that a call may touch: rows×width bytes, stride apart, from an address that only the machine knows.
type view struct {
	base                uint64
	data                []byte
	rows, stride, width int
	writable            bool
}

// bytes returns n bytes of memory.
func (m *machine) bytes(address uint64, n int, write bool) []byte {
	for _, v := range m.views {
		offset := int(address - v.base)
		if address < v.base || offset >= len(v.data) {
			continue
		}
		if column := offset % v.stride; column+n <= v.width && offset+n <= len(v.data) && (v.writable || !write) {
			return v.data[offset:][:n:n]
		}
	}
	panic(fmt.Sprintf("an access of %d bytes at %#x (write: %t), which is not the call's", n, address, write))
}

// machineRun makes a tileBlocks that executes an assembled one in a new machine.
func machineRun(kernel tileBlocks) tileBlocks {
	code := assembledCode(reflect.ValueOf(kernel).Pointer())
	return func(c *float32, cStride int, a *float32, aRow int, b *float32, bStride, steps, blocks int, start *float32, accumulate bool, config *byte) {
		shapes := (*tileConfig)(unsafe.Pointer(config))
		rows, words := blocks*(int(shapes[48])+int(shapes[50])), steps*int(shapes[54])
		m := &machine{}
		arguments := []uint64{
			0, m.view(c, rows, cStride, amxBlock, true), uint64(cStride), m.view(a, rows, aRow, words, false), uint64(aRow),
			m.view(b, words, bStride, amxBlock, false), uint64(bStride), uint64(steps), uint64(blocks), m.view(start, 1, 0, amxBlock, false),
			0, m.view((*float32)(unsafe.Pointer(config)), 1, 0, 16, false),
		}
		if accumulate {
			arguments[10] = 1
		}
		m.registers[4] = m.view((*float32)(unsafe.Pointer(&arguments[0])), 1, 0, 2*len(arguments), true)
		m.execute(code)
	}
}

// view gives the machine a matrix of floats and returns its address, which no float32 of real memory has.
func (m *machine) view(data *float32, rows, stride, width int, writable bool) uint64 {
	base := uint64(len(m.views)+1)<<40 + 0x1234
	if rows == 1 {
		stride = width
	}
	memory := unsafe.Slice((*byte)(unsafe.Pointer(data)), 4*((rows-1)*stride+width))
	m.views = append(m.views, view{base, memory, rows, 4 * stride, 4 * width, writable})
	return base
}

// assembledCode is the code of a kernel from its first instruction on. Go calls assembly through a wrapper, in which
// the code is what is called under the same name.
func assembledCode(wrapper uintptr) []byte {
	name := strings.TrimSuffix(runtime.FuncForPC(wrapper).Name(), ".abi0")
	code, at := textAt(wrapper), 0
	for at < 256 {
		i, err := x86asm.Decode(code[at:], 64)
		if err != nil {
			panic(err)
		}
		at += i.Len
		if i.Op != x86asm.CALL {
			continue
		}
		called := wrapper + uintptr(at) + uintptr(i.Args[0].(x86asm.Rel))
		if f := runtime.FuncForPC(called); f != nil && f.Entry() == called && strings.TrimSuffix(f.Name(), ".abi0") == name {
			return textAt(called)
		}
	}
	panic("the wrapper of " + name + " calls no assembly")
}

// textAt is the kilobyte of the program's code at an address.
func textAt(address uintptr) []byte {
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&address))), 1024)
}

// execute runs code until it returns; it must leave no tile state behind.
func (m *machine) execute(code []byte) {
	for at := 0; ; {
		if i, ok := decodeTile(code[at:]); ok {
			m.tileInstruction(i)
			at += i.length
			continue
		}
		i, err := x86asm.Decode(code[at:], 64)
		if err != nil {
			panic(fmt.Sprintf("%x: %v", code[at:at+8], err))
		}
		at += i.Len
		switch i.Op {
		case x86asm.RET:
			if m.configured {
				panic("the tile registers were not released")
			}
			return
		case x86asm.JMP:
			at += int(i.Args[0].(x86asm.Rel))
		case x86asm.JE, x86asm.JNE:
			if m.zero == (i.Op == x86asm.JE) {
				at += int(i.Args[0].(x86asm.Rel))
			}
		default:
			m.scalar(i)
		}
	}
}

// scalar runs an instruction on general registers.
func (m *machine) scalar(i x86asm.Inst) {
	to := i.Args[0]
	switch i.Op {
	case x86asm.MOV:
		m.set(to, m.get(i.Args[1]))
	case x86asm.ADD:
		m.result(to, m.get(to)+m.get(i.Args[1]))
	case x86asm.XOR:
		m.result(to, m.get(to)^m.get(i.Args[1]))
	case x86asm.SHL:
		m.result(to, m.get(to)<<m.get(i.Args[1]))
	case x86asm.DEC:
		m.result(to, m.get(to)-1)
	case x86asm.TEST:
		m.zero = m.get(to)&m.get(i.Args[1]) == 0
	default:
		panic("the machine does not know " + i.String())
	}
}

// result stores a result and what ZF says of it.
func (m *machine) result(to x86asm.Arg, value uint64) {
	m.set(to, value)
	m.zero = m.get(to) == 0
}

// registerOf is the number of a register and the bytes of it that are meant.
func registerOf(r x86asm.Reg) (number, size int) {
	switch {
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), 8
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), 4
	case r >= x86asm.AL && r <= x86asm.BL:
		return int(r - x86asm.AL), 1
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return int(r-x86asm.SPB) + 4, 1
	}
	panic("the machine does not know register " + r.String())
}

func (m *machine) get(from x86asm.Arg) uint64 {
	switch from := from.(type) {
	case x86asm.Imm:
		return uint64(from)
	case x86asm.Mem:
		return binary.LittleEndian.Uint64(m.bytes(m.address(from), 8, false))
	}
	number, size := registerOf(from.(x86asm.Reg))
	return m.registers[number] << (64 - 8*size) >> (64 - 8*size)
}

func (m *machine) set(to x86asm.Arg, value uint64) {
	number, size := registerOf(to.(x86asm.Reg))
	if size == 1 {
		value = m.registers[number]&^255 | value&255
	}
	if size == 4 {
		value &= math.MaxUint32
	}
	m.registers[number] = value
}

func (m *machine) address(a x86asm.Mem) uint64 {
	base, _ := registerOf(a.Base)
	address := m.registers[base] + uint64(a.Disp)
	if a.Index != 0 {
		index, _ := registerOf(a.Index)
		address += m.registers[index] * uint64(a.Scale)
	}
	return address
}

// tileDecoded is an instruction of AMX: its prefix and opcode as a text, and the fields of its encoding.
type tileDecoded struct {
	name                string
	length              int
	register, rm, third int // tile registers in ModRM.reg, ModRM.rm and VEX.vvvv
	memory              bool
	base, index         int // general registers; index is -1 for none
	scale, displacement uint64
}

// decodeTile decodes an instruction of AMX: VEX with map 0F38, W0 and L0.
func decodeTile(code []byte) (i tileDecoded, ok bool) {
	if code[0] != 0xc4 || code[1]&0x1f != 2 || code[2]&0x84 != 0 {
		return i, false
	}
	i.name = [...]string{"", "66 ", "F3 ", "F2 "}[code[2]&3] + fmt.Sprintf("%02X", code[3])
	modRM := code[4]
	i.third, i.register, i.rm, i.length = int(^code[2]>>3&15), int(modRM>>3&7), int(modRM&7), 5
	if modRM>>6 == 3 {
		return i, true
	}
	i.memory, i.index, i.base = true, -1, i.rm|int(^code[1]>>5&1)<<3
	if i.rm == 4 {
		sib := code[5]
		i.scale, i.length = 1<<(sib>>6), 6
		i.base = int(sib&7) | int(^code[1]>>5&1)<<3
		if index := int(sib>>3&7) | int(^code[1]>>6&1)<<3; index != 4 {
			i.index = index
		}
	}
	switch {
	case modRM>>6 == 1:
		i.displacement = uint64(int8(code[i.length]))
		i.length++
	case modRM>>6 == 2:
		i.displacement = uint64(int32(binary.LittleEndian.Uint32(code[i.length:])))
		i.length += 4
	case i.base&7 == 5:
		panic("an address relative to the instruction")
	}
	return i, true
}

// tileState is the tile registers and their shapes.
type tileState struct {
	configured bool
	rows, cols [8]int // cols in bytes
	tiles      [8][16][64]byte
}

// tileInstruction runs an instruction of AMX.
func (m *machine) tileInstruction(i tileDecoded) {
	address := uint64(0)
	if i.memory {
		address = m.registers[i.base] + i.displacement
	}
	switch {
	case i.name == "49" && i.memory:
		m.loadConfig(m.bytes(address, 64, false))
	case i.name == "49":
		m.tileState = tileState{}
	case i.name == "F2 49":
		if m.tiles[i.register] = [16][64]byte{}; !m.configured || m.rows[i.register] == 0 {
			panic(fmt.Sprintf("#UD: tile %d is not configured", i.register))
		}
	case i.name == "F2 4B":
		loaded := [16][64]byte{}
		m.eachRow(i, address, func(row int, at uint64, n int) { copy(loaded[row][:], m.bytes(at, n, false)) })
		m.tiles[i.register] = loaded
	case i.name == "F3 4B":
		m.eachRow(i, address, func(row int, at uint64, n int) { copy(m.bytes(at, n, true), m.tiles[i.register][row][:]) })
	case i.name == "F3 5C":
		m.multiply(i.register, i.rm, i.third)
	default:
		panic("the machine does not know " + i.name)
	}
}

// eachRow visits the rows of a tile in memory.
func (m *machine) eachRow(i tileDecoded, address uint64, visit func(row int, at uint64, n int)) {
	if !m.configured || m.rows[i.register] == 0 || i.index < 0 {
		panic(fmt.Sprintf("#UD: tile %d is not configured, or has no stride", i.register))
	}
	for row := range m.rows[i.register] {
		visit(row, address+uint64(row)*m.registers[i.index]*i.scale, m.cols[i.register])
	}
}

// loadConfig is LDTILECFG, which clears all tiles.
func (m *machine) loadConfig(c []byte) {
	m.tileState = tileState{configured: true}
	for at, v := range c {
		reserved := at > 1 && at < 16 || at >= 32 && at < 48 || at >= 56
		if reserved && v != 0 || at == 0 && v != 1 || at == 1 && v != 0 {
			panic(fmt.Sprintf("#GP: byte %d of the configuration is %d", at, v))
		}
	}
	for tile := range 8 {
		m.rows[tile], m.cols[tile] = int(c[48+tile]), int(binary.LittleEndian.Uint16(c[16+2*tile:]))
		if m.rows[tile] > 16 || m.cols[tile] > 64 || (m.rows[tile] == 0) != (m.cols[tile] == 0) {
			panic(fmt.Sprintf("#GP: tile %d has %d rows of %d bytes", tile, m.rows[tile], m.cols[tile]))
		}
	}
}

// multiply is TDPBF16PS: sums of even and of odd terms by FMA, added to each other and then to C; numbers below the
// smallest normal one count as zero.
func (m *machine) multiply(c, a, b int) {
	if !m.configured || c == a || a == b || b == c || m.rows[c] == 0 || m.rows[c] != m.rows[a] || m.cols[c] != m.cols[b] || m.cols[a]%4 != 0 || m.cols[a]/4 != m.rows[b] {
		panic(fmt.Sprintf("#UD: the shapes of tiles %d, %d and %d do not fit: rows %v, bytes %v", c, a, b, m.rows, m.cols))
	}
	for row := range m.rows[c] {
		var sums [2 * amxTile]float32
		for k := range m.cols[a] / 4 {
			for half := range 2 {
				left := number(m.tiles[a][row][4*k+2*half:])
				for n := half; n < m.cols[b]/2; n += 2 {
					sums[n] = flushed(float32(left*number(m.tiles[b][k][2*n:])) + sums[n])
				}
			}
		}
		for n := range m.cols[c] / 4 {
			out := m.tiles[c][row][4*n:]
			old := flushed(math.Float32frombits(binary.LittleEndian.Uint32(out)))
			binary.LittleEndian.PutUint32(out, math.Float32bits(flushed(old+flushed(sums[2*n]+sums[2*n+1]))))
		}
	}
}

// number is a bf16 number in memory.
func number(at []byte) float32 {
	return flushed(math.Float32frombits(uint32(binary.LittleEndian.Uint16(at)) << 16))
}

// flushed is x with numbers below the smallest normal one as zero.
func flushed(x float32) float32 {
	if bits := math.Float32bits(x); bits&0x7f800000 == 0 {
		return math.Float32frombits(bits & 0x80000000)
	}
	return x
}

// TestOperatingSystem asks the operating system about the registers of AMX, whatever the CPU.
func TestOperatingSystem(t *testing.T) {
	const avx512 = 0xe6
	if saved := xcr0(); thisCPU().avx512 && saved&avx512 != avx512 {
		t.Errorf("the registers of AVX-512 are not saved: %#x", saved)
	}
	if err := requestTiles(); err == nil && !cpu.X86.HasAMXTile {
		t.Error("the operating system lends tile registers that the CPU does not have")
	}
}

// TestPeakOfTiles runs the loop that measures the limit of AMX: it must end, and leave no tile state behind.
func TestPeakOfTiles(t *testing.T) {
	m, config := &machine{}, configOf(amxBlock, amxTile)
	arguments := []uint64{0, 3, m.view((*float32)(unsafe.Pointer(&config)), 1, 0, 16, false)}
	m.registers[4] = m.view((*float32)(unsafe.Pointer(&arguments[0])), 1, 0, 2*len(arguments), false)
	m.execute(assembledCode(reflect.ValueOf(peakTilesAMX).Pointer()))
}

// TestMachineRefuses shows that the machine notices mistakes that a kernel or its caller could make.
func TestMachineRefuses(t *testing.T) {
	x := make([]float32, 4096)
	call := func(kernel tileBlocks, rows, depth, steps int, change func(c *tileConfig)) any {
		config := configOf(rows, depth)
		change(&config)
		return panicOf(func() {
			machineRun(kernel)(&x[0], 32, &x[0], 64, &x[0], 32, steps, 1, &x[0], false, &config[0])
		})
	}
	none := func(*tileConfig) {}
	if got := call(blocks2AMX, 20, 16, 2, none); got != nil {
		t.Errorf("a sound call panics with %v", got)
	}
	for want, got := range map[string]any{
		"#UD: tile 2 is not":          call(blocks2AMX, 16, 16, 2, none),
		"not the call's":              call(blocks1AMX, 16, 5, 2, none), // steps of less than 16 words: moves on by 16
		"#GP: byte 0":                 call(blocks1AMX, 16, 16, 2, func(c *tileConfig) { c[0] = 2 }),
		"#GP: tile 3 has 17":          call(blocks1AMX, 16, 16, 2, func(c *tileConfig) { c[51], c[22] = 17, 4 }),
		"#UD: the shapes of tiles 0,": call(blocks1AMX, 16, 16, 2, func(c *tileConfig) { c[24] = 60 }),
	} {
		if text := fmt.Sprint(got); !strings.Contains(text, want) {
			t.Errorf("the machine says %q, want %q", text, want)
		}
	}
}
