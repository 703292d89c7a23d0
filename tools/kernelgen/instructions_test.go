package main

import (
	"encoding/binary"
	"math"

	"github.com/mmcloughlin/avo/operand"
)

// instructions are what the kernels use, from Intel's SDM, vol. 2. Operands are in the order of Go's assembler: Intel's
// reversed, so that the last one is written.
var instructions = map[string]func(m *machine, ops []operand.Op){
	"PAUSE":       func(*machine, []operand.Op) {},
	"PREFETCHT0":  func(*machine, []operand.Op) {}, // may point anywhere
	"PREFETCHT1":  func(*machine, []operand.Op) {},
	"VZEROUPPER":  func(m *machine, _ []operand.Op) { m.zeroUppers() },
	"MOVB":        move(1),
	"MOVW":        move(2),
	"MOVL":        move(4),
	"MOVQ":        move(8),
	"MOVWLZX":     func(m *machine, ops []operand.Op) { m.setInteger(ops[1], m.integer(ops[0], 2), 4) },
	"LEAQ":        func(m *machine, ops []operand.Op) { m.setInteger(ops[1], m.address(ops[0].(operand.Mem)), 8) },
	"ADDQ":        arithmetic(func(a, b uint64) uint64 { return b + a }),
	"SUBQ":        subtract(true),
	"CMPQ":        func(m *machine, ops []operand.Op) { subtract(false)(m, []operand.Op{ops[1], ops[0]}) },
	"IMUL3Q":      func(m *machine, ops []operand.Op) { m.setInteger(ops[2], m.integer(ops[0], 8)*m.integer(ops[1], 8), 8) },
	"XORQ":        arithmetic(func(a, b uint64) uint64 { return b ^ a }),
	"SHLQ":        arithmetic(func(a, b uint64) uint64 { return b << a }),
	"SHRQ":        arithmetic(func(a, b uint64) uint64 { return b >> a }),
	"NEGQ":        func(m *machine, ops []operand.Op) { m.result(ops[0], -m.integer(ops[0], 8)) },
	"INCQ":        func(m *machine, ops []operand.Op) { m.result(ops[0], m.integer(ops[0], 8)+1) },
	"DECQ":        func(m *machine, ops []operand.Op) { m.result(ops[0], m.integer(ops[0], 8)-1) },
	"TESTQ":       test(8),
	"TESTB":       test(1),
	"CMOVQNE":     (*machine).moveUnlessZero,
	"BZHIL":       (*machine).zeroHigh,
	"SETPC":       (*machine).setUnlessParity,
	"KMOVW":       func(m *machine, ops []operand.Op) { m.setInteger(ops[1], m.integer(ops[0], 2), 8) },
	"VPMOVD2M":    (*machine).signsToMask,
	"VMOVD":       low(4),
	"VMOVSS":      low(4),
	"VMOVSD":      low(8),
	"VMOVUPS":     moveVector(false),
	"VMOVDQU":     moveVector(false),
	"VMOVAPD":     moveVector(false),
	"VMOVAPS":     moveVector(false),
	"VMOVUPS.Z":   moveVector(true),
	"VMOVAPS.Z":   moveVector(true),
	"VMASKMOVPS":  (*machine).maskedMove,
	"VADDPS":      numberwise(func(x []float32) float32 { return x[1] + x[0] }),
	"VSUBPS":      numberwise(func(x []float32) float32 { return x[1] - x[0] }),
	"VMULPS":      numberwise(func(x []float32) float32 { return x[1] * x[0] }),
	"VDIVPS":      numberwise(func(x []float32) float32 { return x[1] / x[0] }),
	"VSQRTPS":     numberwise(func(x []float32) float32 { return float32(math.Sqrt(float64(x[0]))) }),
	"VMAXPS":      numberwise(maximum),
	"VMINPS":      numberwise(minimum),
	"VFMADD213PS": numberwise(func(x []float32) float32 { return fused(x[1], x[2], x[0]) }),
	"VFMSUB213PS": numberwise(func(x []float32) float32 { return fused(x[1], x[2], -x[0]) }),
	"VFNMADD231PS": numberwise(func(x []float32) float32 {
		return fused(-x[1], x[0], x[2])
	}),
	"VFMADD231PS": (*machine).multiplyAdd,
	"VPADDD":      wordwise(func(x []uint32) uint32 { return x[1] + x[0] }),
	"VANDPS":      wordwise(func(x []uint32) uint32 { return x[1] & x[0] }),
	"VPANDD":      wordwise(func(x []uint32) uint32 { return x[1] & x[0] }),
	"VPOR":        wordwise(func(x []uint32) uint32 { return x[1] | x[0] }),
	"VPORD":       wordwise(func(x []uint32) uint32 { return x[1] | x[0] }),
	"VXORPS":      wordwise(func(x []uint32) uint32 { return x[1] ^ x[0] }),
	"VPXORD":      wordwise(func(x []uint32) uint32 { return x[1] ^ x[0] }),
	"VPSLLD":      shift(func(w uint32, by int) uint32 { return w << by }),
	"VPSRLD":      shift(func(w uint32, by int) uint32 { return w >> by }),
	"VCVTPS2DQ":   numberwise(func(x []float32) float32 { return math.Float32frombits(uint32(int32(math.RoundToEven(float64(x[0]))))) }),
	"VCVTDQ2PS":   wordwise(func(x []uint32) uint32 { return math.Float32bits(float32(int32(x[0]))) }),
	"VBLENDVPS":   wordwise(blend),
	"VCMPPS":      (*machine).compare,
	"VUCOMISS":    (*machine).compareLowest,
	// Whole numbers, of which only pixels are made.
	"VMOVDQA":      moveVector(false),
	"VPSUBD":       wordwise(func(x []uint32) uint32 { return x[1] - x[0] }),
	"VPMULLD":      wordwise(func(x []uint32) uint32 { return x[1] * x[0] }),
	"VPMAXSD":      wordwise(func(x []uint32) uint32 { return uint32(max(int32(x[1]), int32(x[0]))) }),
	"VPMINSD":      wordwise(func(x []uint32) uint32 { return uint32(min(int32(x[1]), int32(x[0]))) }),
	"VPSRAD":       shift(func(w uint32, by int) uint32 { return uint32(int32(w) >> by) }),
	"VPSLLQ":       (*machine).shiftDoubleWords,
	"VPADDSW":      (*machine).addSaturated,
	"VPACKSSDW":    pack(4, math.MinInt16, math.MaxInt16),
	"VPACKUSWB":    pack(2, 0, math.MaxUint8),
	"VPMOVZXBD":    extended(1, 4),
	"VPMOVZXDQ":    extended(4, 8),
	"VPSHUFB":      (*machine).shuffleBytes,
	"VEXTRACTI128": extract(16),
	"VMOVQ":        low(8),
	"VMOVHPS":      func(m *machine, ops []operand.Op) { m.set(ops[1], m.get(ops[0], 16)[8:]) },
	// Halves, quarters and other parts of vectors.
	"VBROADCASTSS":  (*machine).broadcast,
	"VEXTRACTF128":  extract(16),
	"VEXTRACTF64X4": extract(32),
	"VINSERTI128":   insert(16),
	"VINSERTI64X4":  insert(32),
	"VPINSRW":       insert(2),
	"VPINSRD":       insert(4),
	"VPMOVZXWD":     widen,
	"VPMOVZXWD.Z":   widen,
	"VPMOVDW":       (*machine).lowerHalves,
	"VPACKUSDW":     pack(4, 0, math.MaxUint16),
	"VPERMQ":        (*machine).permuteQuarters,
	"VPERM2F128":    (*machine).permuteHalves,
	"VPERMPS":       (*machine).permuteNumbers,
	"VUNPCKLPS":     within128(func(a, b []uint32) []uint32 { return []uint32{b[0], a[0], b[1], a[1]} }),
	"VUNPCKHPS":     within128(func(a, b []uint32) []uint32 { return []uint32{b[2], a[2], b[3], a[3]} }),
	"VMOVHLPS":      within128(func(a, b []uint32) []uint32 { return []uint32{a[2], a[3], b[2], b[3]} }),
	"VMOVSHDUP":     within128(func(a, _ []uint32) []uint32 { return []uint32{a[1], a[1], a[3], a[3]} }),
	"VSHUFPS":       (*machine).shuffle,
	"VPERMILPD":     (*machine).swapDoubles,
	// Numbers of other sizes.
	"VCVTPS2PD":   (*machine).toDoubles,
	"VCVTPD2PS":   (*machine).roundToHalves,
	"VADDPD":      doubles(func(x []float64) float64 { return x[1] + x[0] }),
	"VFMADD231PD": doubles(func(x []float64) float64 { return math.FMA(x[1], x[0], x[2]) }),
	"VADDSD":      lowestDouble(func(a, b float64) float64 { return b + a }),
	"VCVTSI2SSQ":  (*machine).fromInteger,
	"VDIVSS":      (*machine).divideLowest,
}

func (m *machine) zeroUppers() {
	for r := range 16 {
		clear(m.vectors[r][16:])
	}
}

func move(size int) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) { m.set(ops[1], m.get(ops[0], size)) }
}

// low moves the lowest bytes of a vector; what is above them becomes zero.
func low(size int) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) { m.set(ops[len(ops)-1], m.get(ops[0], size)) }
}

func arithmetic(f func(a, b uint64) uint64) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) { m.result(ops[1], f(m.integer(ops[0], 8), m.integer(ops[1], 8))) }
}

// subtract takes the first operand from the second; flags compare them as signed numbers.
func subtract(keep bool) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) {
		a, b := int64(m.integer(ops[0], 8)), int64(m.integer(ops[1], 8))
		if keep {
			m.setInteger(ops[1], uint64(b-a), 8)
		}
		m.flags = flags{zero: a == b, less: b < a}
	}
}

func test(size int) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) {
		m.flags = flags{zero: m.integer(ops[0], size)&m.integer(ops[1], size) == 0}
	}
}

func (m *machine) moveUnlessZero(ops []operand.Op) {
	if !m.zero {
		m.set(ops[1], m.get(ops[0], 8))
	}
}

// zeroHigh is BZHI: the count is in the lowest byte of the first operand.
func (m *machine) zeroHigh(ops []operand.Op) {
	value := m.integer(ops[1], 4)
	if count := m.integer(ops[0], 1); count < 32 {
		value &= 1<<count - 1
	}
	m.flags = flags{zero: value == 0}
	m.setInteger(ops[2], value, 4)
}

func (m *machine) setUnlessParity(ops []operand.Op) {
	m.setInteger(ops[0], map[bool]uint64{false: 1}[m.parity], 1)
}

func (m *machine) signsToMask(ops []operand.Op) {
	mask := uint64(0)
	for i, w := range m.words(ops[0], sizeOf(ops[0])/4) {
		mask |= uint64(w>>31) << i
	}
	m.setInteger(ops[1], mask, 8)
}

// moveVector moves the lanes that a mask selects, or all; others of a register stay or, with zeroing, become zero. What
// is not selected is not touched in memory.
func moveVector(zeroing bool) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) {
		from, to := ops[0], ops[len(ops)-1]
		size := vectorSize(from, to)
		if len(ops) == 2 {
			m.set(to, m.get(from, size))
			return
		}
		mask := m.masks[number(ops[1])]
		m.moveLanes(from, to, size/4, zeroing, func(lane int) bool { return mask>>lane&1 == 1 })
	}
}

// vectorSize is that of the operand that is a register.
func vectorSize(from, to operand.Op) int {
	if _, ok := from.(operand.Mem); ok {
		return sizeOf(to)
	}
	return sizeOf(from)
}

// moveLanes moves the selected lanes of 32 bits.
func (m *machine) moveLanes(from, to operand.Op, lanes int, zeroing bool, selected func(lane int) bool) {
	at, store := to.(operand.Mem)
	kept := make([]byte, 4*lanes)
	if !store && !zeroing {
		kept = m.get(to, 4*lanes)
	}
	for lane := range lanes {
		if !selected(lane) {
			continue
		}
		word := []byte(nil)
		if source, ok := from.(operand.Mem); ok {
			word = m.get(source.Offset(4*lane), 4)
		} else {
			word = m.get(from, 4*lanes)[4*lane:][:4]
		}
		if store {
			m.set(at.Offset(4*lane), word)
		}
		copy(kept[4*lane:], word)
	}
	if !store {
		m.set(to, kept)
	}
}

// maskedMove is AVX's: the mask is the second operand, and its signs select.
func (m *machine) maskedMove(ops []operand.Op) {
	size := vectorSize(ops[0], ops[2])
	signs := m.words(ops[1], size/4)
	m.moveLanes(ops[0], ops[2], size/4, true, func(lane int) bool { return signs[lane]>>31 == 1 })
}

// maximum is the first operand where one of both is NaN, or where both are zeros.
func maximum(x []float32) float32 {
	if x[1] > x[0] {
		return x[1]
	}
	return x[0]
}

func minimum(x []float32) float32 {
	if x[1] < x[0] {
		return x[1]
	}
	return x[0]
}

func (m *machine) multiplyAdd(ops []operand.Op) {
	if !m.dots {
		numberwise(func(x []float32) float32 { return fused(x[1], x[0], x[2]) })(m, ops)
		return
	}
	wordwise(func(x []uint32) uint32 {
		sum := math.Float32frombits(x[2])
		sum = fused(upper(x[1]), upper(x[0]), sum)
		return math.Float32bits(fused(upper(x[1]<<16), upper(x[0]<<16), sum))
	})(m, ops)
}

// upper is the bf16 number in the upper half of a word.
func upper(word uint32) float32 { return math.Float32frombits(word &^ 0xffff) }

// roundToHalves is VCVTNEPS2BF16.
func (m *machine) roundToHalves(ops []operand.Op) {
	if !m.dots {
		panic("rounds float64, which no kernel has")
	}
	var data []byte
	for _, w := range m.words(ops[0], 16) {
		data = binary.LittleEndian.AppendUint16(data, nearestHalf(math.Float32frombits(w)))
	}
	m.set(ops[1], data)
}

func shift(f func(w uint32, by int) uint32) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) {
		by := int(ops[0].(operand.U8))
		wordwise(func(x []uint32) uint32 { return f(x[0], by) })(m, ops[1:])
	}
}

func blend(x []uint32) uint32 {
	if x[0]>>31 == 1 {
		return x[1]
	}
	return x[2]
}

// compare writes a mask register, or lanes of ones.
func (m *machine) compare(ops []operand.Op) {
	n := sizeOf(ops[2]) / 4
	right, left, mask, lanes := m.words(ops[1], n), m.words(ops[2], n), uint64(0), make([]uint32, n)
	for i := range n {
		a, b := math.Float32frombits(left[i]), math.Float32frombits(right[i])
		holds := map[operand.U8]bool{unordered: a != a || b != b, notLess: !(a < b), greater: a > b}[ops[0].(operand.U8)]
		if holds {
			mask, lanes[i] = mask|1<<i, math.MaxUint32
		}
	}
	if isMask(ops[3]) {
		m.setInteger(ops[3], mask, 8)
	} else {
		m.set(ops[3], bytesOf(lanes))
	}
}

func (m *machine) compareLowest(ops []operand.Op) {
	a, b := math.Float32frombits(m.words(ops[0], 1)[0]), math.Float32frombits(m.words(ops[1], 1)[0])
	m.flags = flags{parity: a != a || b != b}
}

func (m *machine) broadcast(ops []operand.Op) {
	word, all := m.get(ops[0], 4), []byte(nil)
	for range sizeOf(ops[1]) / 4 {
		all = append(all, word...)
	}
	m.set(ops[1], all)
}

// extract moves part number ops[0] of a vector.
func extract(size int) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) {
		m.set(ops[2], m.get(ops[1], sizeOf(ops[1]))[int(ops[0].(operand.U8))*size:][:size])
	}
}

// insert replaces part number ops[0] of a vector.
func insert(size int) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) {
		whole := m.get(ops[2], sizeOf(ops[3]))
		copy(whole[int(ops[0].(operand.U8))*size:], m.get(ops[1], size))
		m.set(ops[3], whole)
	}
}

// widen extends numbers of 16 bits; those that a mask leaves out are not read and become zero.
func widen(m *machine, ops []operand.Op) {
	to, selected := ops[len(ops)-1], uint64(math.MaxUint64)
	if len(ops) == 3 {
		selected = m.masks[number(ops[1])]
	}
	words := make([]uint32, sizeOf(to)/4)
	for i := range words {
		if selected>>i&1 == 0 {
			continue
		}
		if at, ok := ops[0].(operand.Mem); ok {
			words[i] = uint32(m.integer(at.Offset(2*i), 2))
		} else {
			words[i] = uint32(binary.LittleEndian.Uint16(m.get(ops[0], 2*len(words))[2*i:]))
		}
	}
	m.set(to, bytesOf(words))
}

// lowerHalves stores the lower halves of the lanes that a mask selects, or of all.
func (m *machine) lowerHalves(ops []operand.Op) {
	at, selected := ops[len(ops)-1].(operand.Mem), uint64(math.MaxUint64)
	if len(ops) == 3 {
		selected = m.masks[number(ops[1])]
	}
	for i, w := range m.words(ops[0], sizeOf(ops[0])/4) {
		if selected>>i&1 == 1 {
			m.set(at.Offset(2*i), binary.LittleEndian.AppendUint16(nil, uint16(w)))
		}
	}
}

// pack cuts signed numbers of size bytes to half as many, which hold those from low to high.
func pack(size int, low, high int64) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) {
		n := sizeOf(ops[2])
		second, first := m.get(ops[0], n), m.get(ops[1], n)
		var data []byte
		for at := 0; at < n; at += 16 {
			for _, part := range [][]byte{first[at:][:16], second[at:][:16]} {
				for ; len(part) > 0; part = part[size:] {
					value := min(max(signed(part[:size]), low), high)
					data = append(data, binary.LittleEndian.AppendUint64(nil, uint64(value))[:size/2]...)
				}
			}
		}
		m.set(ops[2], data)
	}
}

func (m *machine) permuteQuarters(ops []operand.Op) {
	from, order := m.get(ops[1], 32), byte(ops[0].(operand.U8))
	var data []byte
	for i := range 4 {
		data = append(data, from[int(order>>(2*i)&3)*8:][:8]...)
	}
	m.set(ops[2], data)
}

func (m *machine) permuteHalves(ops []operand.Op) {
	halves, order := append(m.get(ops[2], 32), m.get(ops[1], 32)...), byte(ops[0].(operand.U8))
	if order&0x88 != 0 {
		panic("zeroes halves, which no kernel does")
	}
	m.set(ops[3], append(halves[int(order&3)*16:][:16:16], halves[int(order>>4&3)*16:][:16]...))
}

// permuteNumbers takes, for each lane, the number whose place the lane of the second operand has in its lowest bits.
func (m *machine) permuteNumbers(ops []operand.Op) {
	lanes := sizeOf(ops[2]) / 4
	from, order := m.words(ops[0], lanes), m.words(ops[1], lanes)
	out := make([]uint32, lanes)
	for i, place := range order {
		out[i] = from[int(place)%lanes]
	}
	m.set(ops[2], bytesOf(out))
}

// within128 makes an instruction that works on each 128 bits by themselves; a is the first operand, b the last input.
func within128(f func(a, b []uint32) []uint32) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) {
		n := sizeOf(ops[len(ops)-1]) / 4
		a, b := m.words(ops[0], n), m.words(ops[len(ops)-2], n)
		var out []uint32
		for first := 0; first < n; first += 4 {
			out = append(out, f(a[first:first+4], b[first:first+4])...)
		}
		m.set(ops[len(ops)-1], bytesOf(out))
	}
}

func (m *machine) shuffle(ops []operand.Op) {
	order := byte(ops[0].(operand.U8))
	within128(func(a, b []uint32) []uint32 {
		return []uint32{b[order&3], b[order>>2&3], a[order>>4&3], a[order>>6&3]}
	})(m, ops[1:])
}

func (m *machine) swapDoubles(ops []operand.Op) {
	from, order := m.get(ops[1], 16), ops[0].(operand.U8)
	m.set(ops[2], append(from[8*(order&1):][:8:8], from[8*(order>>1&1):][:8]...))
}

// float64s reads a vector of float64.
func (m *machine) float64s(op operand.Op, n int) []float64 {
	data, all := m.get(op, 8*n), make([]float64, n)
	for i := range all {
		all[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
	}
	return all
}

func (m *machine) setFloat64s(op operand.Op, values []float64) {
	var data []byte
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
	}
	m.set(op, data)
}

func (m *machine) toDoubles(ops []operand.Op) {
	var out []float64
	for _, w := range m.words(ops[0], sizeOf(ops[1])/8) {
		out = append(out, float64(math.Float32frombits(w)))
	}
	m.setFloat64s(ops[1], out)
}

// doubles is numberwise on float64.
func doubles(f func(x []float64) float64) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) {
		n := sizeOf(ops[2]) / 8
		a, b, c := m.float64s(ops[0], n), m.float64s(ops[1], n), m.float64s(ops[2], n)
		out := make([]float64, n)
		for i := range n {
			out[i] = f([]float64{a[i], b[i], c[i]})
		}
		m.setFloat64s(ops[2], out)
	}
}

func lowestDouble(f func(a, b float64) float64) func(*machine, []operand.Op) {
	return func(m *machine, ops []operand.Op) {
		a, b := m.float64s(ops[0], 1), m.float64s(ops[1], 2)
		m.setFloat64s(ops[2], []float64{f(a[0], b[0]), b[1]})
	}
}

func (m *machine) fromInteger(ops []operand.Op) {
	rest := m.words(ops[1], 4)
	rest[0] = math.Float32bits(float32(int64(m.integer(ops[0], 8))))
	m.set(ops[2], bytesOf(rest))
}

func (m *machine) divideLowest(ops []operand.Op) {
	divisor, rest := m.words(ops[0], 1), m.words(ops[1], 4)
	rest[0] = math.Float32bits(math.Float32frombits(rest[0]) / math.Float32frombits(divisor[0]))
	m.set(ops[2], bytesOf(rest))
}

// nearestHalf rounds to bf16, ties to even; NaN stays NaN.
func nearestHalf(x float32) uint16 {
	pattern := math.Float32bits(x)
	if x != x {
		return uint16(pattern>>16) | 0x40
	}
	return uint16((pattern + 0x7fff + pattern>>16&1) >> 16)
}
