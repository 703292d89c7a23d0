//go:build !amd64 || noasm

package kernel

// haveAssembly says that this build holds the generated kernels.
const haveAssembly = false

// microKernelsOf returns the inner loops of a family that this CPU runs, for float32 or for pairs of bf16.
func microKernelsOf(_ Family, pairs bool) microKernels { return portableMicroKernels(pairs) }

// xcr0 is not known without assembly.
func xcr0() uint32 { return 0 }

// pause tells the processor that a loop waits.
func pause() {}
