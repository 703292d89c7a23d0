// Package memory tells how much memory a process may still take and how much it has taken.
package memory

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Limit is memory that a process may still take, and who says so.
type Limit struct {
	Bytes  int64  // 0 = not known
	Source string // for messages, such as "MemAvailable"
}

// Free is the least of what the system has available and what the control groups of the process leave it. Memory that
// holds files only counts as free, because the system gives it up when asked. Where neither is known, as outside
// Linux, Bytes is 0.
func Free() Limit { return free("/") }

// free reads the files below root.
func free(root string) Limit {
	least := Limit{}
	for _, limit := range append(groupLimits(root), Limit{available(root), "MemAvailable"}) {
		if limit.Bytes > 0 && (least.Bytes == 0 || limit.Bytes < least.Bytes) {
			least = limit
		}
	}
	return least
}

// available is MemAvailable in bytes; 0 if it is not known.
func available(root string) int64 {
	return kibibytes(read(root, "proc/meminfo"), "MemAvailable:")
}

// Peak is the largest resident memory of this process in bytes; 0 where it is not known. It is VmHWM and not
// getrusage's maximum, which a process inherits from the one that started it.
func Peak() int64 { return kibibytes(read("/", "proc/self/status"), "VmHWM:") }

// groupLimits are what the control groups of the process, and those above them, leave free.
func groupLimits(root string) []Limit {
	var limits []Limit
	for line := range strings.Lines(read(root, "proc/self/cgroup")) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		switch {
		case fields[1] == "": // version 2
			limits = append(limits, groupVersion{"", "memory.max", "memory.current", "inactive_file"}.limits(root, fields[2])...)
		case strings.Contains(","+fields[1]+",", ",memory,"):
			limits = append(limits, groupVersion{"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}.limits(root, fields[2])...)
		}
	}
	return limits
}

// groupVersion names the files of a version of control groups.
type groupVersion struct{ hierarchy, limit, usage, inactive string }

// limits walks from a group up to the root. Inside a container a group may not be visible; its root then is ours.
func (v groupVersion) limits(root, group string) []Limit {
	var limits []Limit
	for ; ; group = path.Dir(group) {
		folder := filepath.Join("sys/fs/cgroup", v.hierarchy, group)
		if most := number(read(root, filepath.Join(folder, v.limit))); most > 0 && most < 1<<60 { // larger ones mean none
			used := number(read(root, filepath.Join(folder, v.usage))) - field(read(root, filepath.Join(folder, "memory.stat")), v.inactive)
			limits = append(limits, Limit{max(1, most-used), fmt.Sprintf("cgroup limit of %s", Text(most))})
		}
		if group == "/" || group == "." || group == "" {
			return limits
		}
	}
}

// read returns the content of a file, empty if there is none: what is not there limits nobody.
func read(root, name string) string {
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return ""
	}
	return string(content)
}

// number is the number that a file consists of; 0 for others, such as "max".
func number(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// field is the number behind a name at the start of a line; 0 if there is none.
func field(text, name string) int64 {
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == name {
			return number(words[1])
		}
	}
	return 0
}

func kibibytes(text, name string) int64 { return field(text, name) << 10 }

// Text writes a number of bytes for people.
func Text(bytes int64) string {
	if bytes < 1024 {
		return fmt.Sprintf("%d bytes", bytes)
	}
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	value, unit := float64(bytes), 0
	for value >= 1023.995 && unit < len(units)-1 { // which two digits would show as 1024.00
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.2f %s", value, units[unit])
}
