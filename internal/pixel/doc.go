// Package pixel holds the inner loops over pixels that decoding and resampling spend their time in: for amd64 with AVX2
// assembly, written by tools/kernelgen through go generate, and Go for everything else and for builds with the tag
// noasm. Both compute the same bits: products are rounded before they are added, everywhere.
package pixel
