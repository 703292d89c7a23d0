package nn

import "unsafe"

// lineFloats is the number of float32 in a cache line. Every buffer starts on one, so that no two buffers share a
// line and vector loads of whole lines never straddle two.
const lineFloats = 16

// padded rounds a number of floats up to whole cache lines.
func padded(floats int) int { return (floats + lineFloats - 1) / lineFloats * lineFloats }

// alignedFloats allocates zeroed floats that start on a cache line.
func alignedFloats(floats int) []float32 {
	if floats == 0 {
		return nil
	}
	memory := make([]float32, floats+lineFloats-1)
	misaligned := int(uintptr(unsafe.Pointer(&memory[0])) / 4 % lineFloats)
	from := (lineFloats - misaligned) % lineFloats
	return memory[from : from+floats : from+floats]
}

// arenaFloats allocates the arena of a program: on large pages where the system grants them, and touched now, so that
// the first step is no slower than the others.
func arenaFloats(floats int) []float32 {
	arena := alignedFloats(floats)
	adviseHugePages(arena)
	clear(arena)
	return arena
}
