//go:build linux || darwin

package metrics

import "golang.org/x/sys/unix"

// pageFaults are those of the process so far.
func pageFaults() (minor, major int64, ok bool) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0, 0, false
	}
	return int64(usage.Minflt), int64(usage.Majflt), true
}

// diskSpace is that of the file system that holds a directory, in bytes.
func diskSpace(directory string) (free, size uint64, ok bool) {
	var system unix.Statfs_t
	if err := unix.Statfs(directory, &system); err != nil {
		return 0, 0, false
	}
	block := uint64(system.Bsize)
	return system.Bavail * block, system.Blocks * block, true
}
