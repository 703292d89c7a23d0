//go:build !amd64 || noasm

package kernel

// amxKernels are the kernels as this CPU runs them: here there are none.
var amxKernels [2]tileBlocks
