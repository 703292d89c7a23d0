//go:build !amd64 || noasm

package kernel

// haveAssembly says that this build holds the generated kernels.
const haveAssembly = false

// microKernelsOf returns the inner loops of a family that this CPU runs.
func microKernelsOf(Family) microKernels { return portableMicroKernels() }

// pause tells the processor that a loop waits.
func pause() {}
