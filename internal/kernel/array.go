package kernel

import (
	"math"
	"unsafe"
)

// BFloat16 is a float32 cut to its upper 16 bits: the range of float32 with 8 bits of precision (Kalamkar et al. 2019).
type BFloat16 uint16

// storage is how one number is kept in memory.
type storage interface{ float32 | BFloat16 }

// isHalf reports whether T is BFloat16; the compiler knows.
func isHalf[T storage]() bool {
	var none T
	return unsafe.Sizeof(none) == 2
}

// value is a stored number.
func value[T storage](x T) float32 {
	if isHalf[T]() {
		return math.Float32frombits(uint32(x) << 16)
	}
	return float32(x)
}

// stored is v as it is kept, rounded to the nearest, ties to even.
func stored[T storage](v float32) T {
	if isHalf[T]() {
		return T(RoundBFloat16(v))
	}
	return T(v)
}

// Array is a run of numbers in one of two storage formats. Kernels take either for activations: they compute in
// float32 and round results to the nearest, ties to even. Vector kernels read and write bf16 as it is where all their
// activations are bf16; otherwise they widen it block by block in a worker's cache.
// The zero Array stands for none. An Array refers to its maker's memory, as a slice does.
type Array struct {
	f32  []float32
	bf16 []BFloat16
}

// F32 is an Array of float32 numbers.
func F32(x []float32) Array { return Array{f32: x} }

// BF16 is an Array of bf16 numbers.
func BF16(x []BFloat16) Array { return Array{bf16: x} }

// None reports whether the Array is the zero Array.
func (a Array) None() bool { return a.f32 == nil && a.bf16 == nil }

// Half reports whether the numbers are bf16.
func (a Array) Half() bool { return a.bf16 != nil }

// Len counts the numbers.
func (a Array) Len() int { return len(a.f32) + len(a.bf16) }

// Float32 returns float32 numbers as a slice of the same memory. It panics for bf16: only operations that asked for
// float32 may call it.
func (a Array) Float32() []float32 {
	if a.bf16 != nil {
		panic("kernel: an operation that computes on float32 was given bf16")
	}
	return a.f32
}

// Slice is the numbers [from, to); none for none.
func (a Array) Slice(from, to int) Array {
	switch {
	case a.bf16 != nil:
		return Array{bf16: a.bf16[from:to]}
	case a.f32 != nil:
		return Array{f32: a.f32[from:to]}
	}
	return a
}

// From is the numbers from one on.
func (a Array) From(from int) Array { return a.Slice(from, a.Len()) }

// Clear sets all numbers to 0.
func (a Array) Clear() {
	clear(a.f32)
	clear(a.bf16)
}

// Copy sets dst to the first numbers of src, which holds at least as many, converting them if the storage differs. It
// runs on the calling goroutine.
func Copy(dst, src Array) {
	switch {
	case dst.bf16 != nil && src.bf16 != nil:
		copy(dst.bf16, src.bf16[:len(dst.bf16)])
	case dst.bf16 != nil:
		narrowPortable(dst.bf16, src.f32[:len(dst.bf16)])
	case src.bf16 != nil:
		widenPortable(dst.f32, src.bf16[:len(dst.f32)])
	default:
		copy(dst.f32, src.f32[:len(dst.f32)])
	}
}

// AddTo adds src to dst, number by number. It runs on the calling goroutine, for short rows.
func AddTo(dst, src Array) {
	for i := range dst.Len() {
		dst.set(i, dst.at(i)+src.at(i))
	}
}

func (a Array) at(i int) float32 {
	if a.bf16 != nil {
		return value(a.bf16[i])
	}
	return a.f32[i]
}

func (a Array) set(i int, v float32) {
	if a.bf16 != nil {
		a.bf16[i] = RoundBFloat16(v)
		return
	}
	a.f32[i] = v
}

// Convert sets dst to src in the storage of dst. Both hold as many numbers.
func (e *Engine) Convert(dst, src Array) {
	n := dst.Len()
	share(e, &e.jobs.convert, convertJob{dst, src.Slice(0, n)}, n, elementChunk)
}

type convertJob struct{ dst, src Array }

func (j *convertJob) run(e *Engine, _, from, to int) { e.vector.convert(j.dst, j.src, from, to) }

// convert sets the numbers [from, to) of dst to those of src.
func (v *vectorUnit) convert(dst, src Array, from, to int) {
	switch {
	case allHalf(dst, src):
		copy(dst.bf16[from:to], src.bf16[from:to])
	case dst.Half():
		v.narrow(dst.bf16[from:to], src.f32[from:to])
	case src.Half():
		v.widen(dst.f32[from:to], src.bf16[from:to])
	default:
		copy(dst.f32[from:to], src.f32[from:to])
	}
}

// allHalf reports whether all Arrays are bf16.
func allHalf(arrays ...Array) bool {
	for _, a := range arrays {
		if !a.Half() {
			return false
		}
	}
	return true
}

// open returns the numbers [from, to) of an operand as float32: the memory itself, or a copy in one of the worker's
// slots; nil for none.
func (v *vectorUnit) open(worker, slot int, a Array, from, to int) []float32 {
	if a.bf16 == nil {
		return section(a.f32, from, to)
	}
	room := v.room(worker, slot, a, from, to)
	v.widen(room, a.bf16[from:to])
	return room
}

// room returns where a kernel writes the numbers [from, to) of a result: the memory itself, or one of the worker's
// slots with unspecified contents, from which shut brings them into the Array; nil for none.
func (v *vectorUnit) room(worker, slot int, a Array, from, to int) []float32 {
	if a.bf16 == nil {
		return section(a.f32, from, to)
	}
	own := &v.slots[worker][slot]
	*own = grown(*own, to-from)
	return (*own)[:to-from]
}

// shut ends the writing of a result that room began.
func (v *vectorUnit) shut(a Array, from, to int, room []float32) {
	if a.bf16 != nil {
		v.narrow(a.bf16[from:to], room)
	}
}

// slotCount is the largest number of operands of one kernel that may be bf16.
const slotCount = 8

// widenPortable sets dst to the values of src.
func widenPortable(dst []float32, src []BFloat16) {
	for i, v := range src[:len(dst)] {
		dst[i] = value(v)
	}
}

// narrowPortable rounds src to the nearest bf16, ties to even. NaN stays NaN, large numbers become infinite.
func narrowPortable(dst []BFloat16, src []float32) {
	for i, v := range src[:len(dst)] {
		dst[i] = RoundBFloat16(v)
	}
}

// RoundBFloat16 is the bf16 number nearest to v, of two equally near ones the even one.
func RoundBFloat16(v float32) BFloat16 {
	bits := math.Float32bits(v)
	if v != v {
		return BFloat16(bits>>16 | 0x40) // a set top bit of the fraction keeps it a NaN
	}
	return BFloat16((bits + 0x7fff + bits>>16&1) >> 16)
}

func pairPortable(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	for i := range rows {
		low, high := src[2*i*srcStride:][:cols], src[(2*i+1)*srcStride:][:cols]
		for j, v := range low {
			dst[i*dstStride+j] = word(RoundBFloat16(v), RoundBFloat16(high[j]))
		}
	}
}

func pairHalvesPortable(dst []float32, dstStride int, src []BFloat16, srcStride, rows, cols int) {
	for i := range rows {
		low, high := src[2*i*srcStride:][:cols], src[(2*i+1)*srcStride:][:cols]
		for j, v := range low {
			dst[i*dstStride+j] = word(v, high[j])
		}
	}
}

func narrowRowsPortable(dst []BFloat16, dstStride int, src []float32, srcStride, rows, cols int) {
	for i := range rows {
		narrowPortable(dst[i*dstStride:][:cols], src[i*srcStride:])
	}
}

// word is two bf16 numbers in the place of one float32.
func word(low, high BFloat16) float32 {
	return math.Float32frombits(uint32(low) | uint32(high)<<16)
}
