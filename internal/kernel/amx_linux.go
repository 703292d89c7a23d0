//go:build amd64

package kernel

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// requestTiles asks Linux to let this process use the tile registers, which it saves for those processes only that
// asked (Linux 5.16, Documentation/arch/x86/xstate.rst).
func requestTiles() error {
	const requestPermission, tileData = 0x1023, 18
	if _, _, errno := syscall.RawSyscall(unix.SYS_ARCH_PRCTL, requestPermission, tileData, 0); errno != 0 {
		return errno
	}
	return nil
}
