//go:build !linux

package nn

// adviseHugePages does nothing where we know of no such advice.
func adviseHugePages([]float32) {}
