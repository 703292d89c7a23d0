package nn

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of a large page in bytes on the systems we know; elsewhere the advice covers a little less.
const hugePage = 2 << 20

// adviseHugePages asks the kernel to back the whole large pages inside memory by such. It is advice: when the system
// refuses, the program is only slower.
func adviseHugePages(memory []float32) {
	if len(memory)*4 < 2*hugePage {
		return
	}
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&memory[0])), len(memory)*4)
	from := int(-uintptr(unsafe.Pointer(&bytes[0])) % hugePage)
	length := (len(bytes) - from) / hugePage * hugePage
	_ = unix.Madvise(bytes[from:from+length], unix.MADV_HUGEPAGE)
}
