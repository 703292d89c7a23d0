//go:build !amd64 || noasm

package kernel

// winogradLoopsOf returns the transforms of a family; this build has only the portable ones.
func winogradLoopsOf(Family) winogradLoops { return portableWinogradLoops() }
