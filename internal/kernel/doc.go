// Package kernel computes on float32 matrices: products, convolutions, normalisations, attention, losses and optimizer
// steps. An Engine holds the threads, the scratch memory and one family of inner loops; its methods cut a problem by
// its size, hand the pieces to the threads and join results in a fixed order, so that the bits of a result depend on
// the family alone.
//
// # Products
//
// Every product ends in a tile kernel (tile.go), which keeps a tile of C in registers and adds outer products of a
// column of A and a row of B. Around it stand two plans. Strips (strips.go), for many rows of activations: B, which is
// weights, is packed once and every task computes a strip of rows of C, reading A where it lies. Grids (grid.go), for
// gradients of weights: tasks compute blocks of C, and parts of the long sum where blocks are too few. A convolution is
// a product with the patches of its input (window.go), gathered block by block into a worker's scratch,
// or, for most 3×3 kernels, many small products of float32 at the points of Winograd's algorithm (winograd.go).
//
// # Storage
//
// Activations are Arrays, of float32 or of bf16. The vector kernels (vector.go) are written once, in Go as generics and
// in the generator as bodies over values, and exist for both storages: the result over bf16 is that over the same
// numbers in float32, rounded.
//
// # Assembly
//
// The files *_amd64.s are written by tools/kernelgen through go generate. Builds for other architectures, or with the
// tag noasm, have the portable family only.
//
// Family AMX is tested on CPUs without AMX as well: its assembled bytes run in a model of the instructions.
package kernel
