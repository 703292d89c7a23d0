//go:build !amd64 || noasm

package kernel

// loopsOf returns the inner loops of a family; this build has only the portable ones.
func loopsOf(Family) innerLoops { return portableLoops() }
