package kernel

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// release gives the whole pages of memory back to the system; they read as zeros from then on. The garbage collector
// would do so too, but long after a larger buffer has taken this one's place, and both would count until then.
func release(memory []float32) {
	bytes, page := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(memory))), 4*cap(memory)), unix.Getpagesize()
	from := int(-uintptr(unsafe.Pointer(unsafe.SliceData(memory))) % uintptr(page))
	if whole := (len(bytes) - from) / page * page; whole > 0 {
		_ = unix.Madvise(bytes[from:from+whole], unix.MADV_DONTNEED)
	}
}
