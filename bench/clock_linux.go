package bench

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of /proc/stat on every architecture that Go runs on.
const ticksPerSecond = 100

// processorTimes are the seconds that all processes, and this one, have kept processors busy. Time that a hypervisor
// gave to others counts as theirs.
func processorTimes() (all, own float64) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0, 0
	}
	seconds := func(t unix.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return busySeconds(), seconds(usage.Utime) + seconds(usage.Stime)
}

// busySeconds is 0 if the system does not tell.
func busySeconds() float64 {
	content, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	return busyIn(string(content))
}

// busyIn adds up user, nice, system, irq, softirq and steal of the first line of /proc/stat; idle and iowait, fields 3
// and 4, are left out, and so is what guests took, which user has already.
func busyIn(content string) float64 {
	line, _, _ := strings.Cut(content, "\n")
	sum := 0.0
	for i, field := range strings.Fields(line) {
		ticks, err := strconv.ParseFloat(field, 64)
		if counted := i - 1; err == nil && counted >= 0 && counted < 8 && counted != 3 && counted != 4 {
			sum += ticks / ticksPerSecond
		}
	}
	return sum
}
