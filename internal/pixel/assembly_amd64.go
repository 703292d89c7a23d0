//go:build amd64 && !noasm

package pixel

import "golang.org/x/sys/cpu"

//go:generate go -C ../../tools run ./kernelgen -dir ../internal/pixel

// haveAssembly says that this build holds the generated loops and this CPU runs them.
var haveAssembly = cpu.X86.HasAVX2

func inverseDCT(dst []uint8, stride int, b *Block) {
	if haveAssembly {
		inverseDCTAVX2(&dst[0], stride, &b[0])
		return
	}
	inversePortable(dst, stride, b)
}

// yCbCr converts pixels from the left and returns how many: all but some of the last ones.
func yCbCr(dst, luma, cb, cr []uint8, shared int) int {
	groups := (len(luma) - 2) / 8 // the loop writes beyond its last pixel
	if !haveAssembly || groups < 1 {
		return 0
	}
	switch shared {
	case 1:
		yCbCr1AVX2(&dst[0], &luma[0], &cb[0], &cr[0], groups)
	case 2:
		yCbCr2AVX2(&dst[0], &luma[0], &cb[0], &cr[0], groups)
	default:
		return 0
	}
	return 8 * groups
}

// widen converts bytes from the first on and returns how many: all but some of the last ones.
func widen(dst []float32, src []uint8) int {
	vectors := len(src) / 8
	if !haveAssembly || vectors < 1 {
		return 0
	}
	widenAVX2(&dst[0], &src[0], vectors)
	return 8 * vectors
}

// filterRow computes pixels from the left and returns how many: all but some of the last ones.
func filterRow(dst, src []float32, starts []int, weights []float32, taps int) int {
	fours := (len(starts) - 1) / 4 // the loop writes beyond its last pixel
	if !haveAssembly || fours < 1 {
		return 0
	}
	filterRowAVX2(&dst[0], &src[0], &starts[0], &weights[0], fours, taps)
	return 4 * fours
}

// combineRows computes numbers from the first on and returns how many: all but some of the last ones.
func combineRows(dst, rows []float32, weights []float32) int {
	vectors := len(dst) / 8
	if !haveAssembly || vectors < 1 {
		return 0
	}
	combineRowsAVX2(&dst[0], &rows[0], len(dst), &weights[0], len(weights), vectors)
	return 8 * vectors
}
