//go:build amd64 && !noasm

package kernel

import "unsafe"

//go:generate go -C ../../tools run ./kernelgen -dir ../internal/kernel

// haveAssembly says that this build holds the generated kernels.
const haveAssembly = true

// generatedTile is the signature of the generated tile kernels, one for each number of rows; see tileKernel.
type generatedTile func(c *float32, cStride int, a *float32, aRow, aCol int, b *float32, bStride, k int, start *float32, accumulate bool, half *BFloat16, halfStride int, ahead *byte, aheadStep int)

var tilesAVX2 = [...]generatedTile{tile1AVX2, tile2AVX2, tile3AVX2, tile4AVX2, tile5AVX2, tile6AVX2}

var tilesAVX512 = [...]generatedTile{
	tile1AVX512, tile2AVX512, tile3AVX512, tile4AVX512, tile5AVX512, tile6AVX512, tile7AVX512,
	tile8AVX512, tile9AVX512, tile10AVX512, tile11AVX512, tile12AVX512, tile13AVX512, tile14AVX512,
}

// The tile kernels of words that are pairs of bf16.
var (
	tilesSplitAVX2   = [...]generatedTile{tile1SplitAVX2, tile2SplitAVX2, tile3SplitAVX2, tile4SplitAVX2}
	tilesSplitAVX512 = [...]generatedTile{
		tile1SplitAVX512, tile2SplitAVX512, tile3SplitAVX512, tile4SplitAVX512, tile5SplitAVX512, tile6SplitAVX512,
		tile7SplitAVX512, tile8SplitAVX512, tile9SplitAVX512, tile10SplitAVX512, tile11SplitAVX512, tile12SplitAVX512,
	}
	tilesAVX512BF16 = [...]generatedTile{
		tile1AVX512BF16, tile2AVX512BF16, tile3AVX512BF16, tile4AVX512BF16, tile5AVX512BF16, tile6AVX512BF16, tile7AVX512BF16,
		tile8AVX512BF16, tile9AVX512BF16, tile10AVX512BF16, tile11AVX512BF16, tile12AVX512BF16, tile13AVX512BF16, tile14AVX512BF16,
	}
)

// microKernelsOf returns the inner loops of a family that this CPU runs, for float32 or for pairs of bf16.
func microKernelsOf(f Family, pairs bool) microKernels {
	var tiles []generatedTile
	switch {
	case f == Portable:
		return portableMicroKernels(pairs)
	case f == AVX2 && pairs:
		tiles = tilesSplitAVX2[:]
	case f == AVX2:
		tiles = tilesAVX2[:]
	case f == AVX512 && pairs:
		tiles = tilesSplitAVX512[:]
	case f == AMX && pairs:
		m := amxMicroKernels(blocks1AMX, blocks2AMX)
		m.copyMatrix, m.transpose = copyAVX512, transposeAVX2
		return m
	case f == AVX512BF16 && pairs:
		tiles = tilesAVX512BF16[:]
	default:
		tiles = tilesAVX512[:]
	}
	m := microKernels{rows: stackedRows * len(tiles), cols: 32, depth: 384, rowUnit: 1, depthUnit: 1, copyMatrix: copyAVX512, transpose: transposeAVX2}
	if f == AVX2 {
		m.cols, m.copyMatrix = 16, copyAVX2
	}
	m.intoHalf = pairs && f == AVX512BF16
	m.tile = generatedTiles(tiles, m.cols)
	return m
}

// stackedRows is about how many rows of tiles one call of a tile kernel computes.
const stackedRows = 16

// generatedTiles checks that all that a stack of tiles touches lies in the slices, and runs the kernels of nearly equal
// height, one below the other.
func generatedTiles(tiles []generatedTile, cols int) tileKernel {
	return func(rows int, c []float32, cStride int, a []float32, aRow, aCol int, b []float32, bStride, k int, start []float32, accumulate bool, half []BFloat16, halfStride int, ahead *readAhead) {
		_, _ = c[(rows-1)*cStride+cols-1], start[cols-1]
		if k > 0 {
			_, _ = a[(rows-1)*aRow+(k-1)*aCol], b[(k-1)*bStride+cols-1]
		} else {
			aRow = 0 // A may have no elements to walk over
		}
		if half != nil {
			_ = half[(rows-1)*halfStride+cols-1]
		}
		pc, pa, ph := unsafe.Pointer(&c[0]), unsafe.Pointer(unsafe.SliceData(a)), unsafe.Pointer(unsafe.SliceData(half))
		count := cut(rows, len(tiles))
		for i := range count {
			height := rows / count
			if i < rows%count {
				height++
			}
			line, lineStep := ahead.next(k, pa)
			tiles[height-1]((*float32)(pc), cStride, (*float32)(pa), aRow, aCol, unsafe.SliceData(b), bStride, k, &start[0], accumulate, (*BFloat16)(ph), halfStride, (*byte)(line), lineStep)
			if i == count-1 {
				break // what follows the last tile may lie outside
			}
			pc, pa = unsafe.Add(pc, 4*height*cStride), unsafe.Add(pa, 4*height*aRow)
			if ph != nil {
				ph = unsafe.Add(ph, 2*height*halfStride)
			}
		}
	}
}

// laneMasks holds a mask of n lanes at offset 16-n: n negative numbers, then zeros.
var laneMasks = func() (masks [32]int32) {
	for i := range 16 {
		masks[i] = -1
	}
	return masks
}()

func copyAVX512(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	if checkMove(dst, dstStride, src, srcStride, rows, cols) {
		copyMatrixAVX512(&dst[0], dstStride, &src[0], srcStride, rows, cols/16, &laneMasks[16-cols%16])
	}
}

func copyAVX2(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	if checkMove(dst, dstStride, src, srcStride, rows, cols) {
		copyMatrixAVX2(&dst[0], dstStride, &src[0], srcStride, rows, cols/8, &laneMasks[16-cols%8])
	}
}

// checkMove panics unless both matrices lie in their slices, and reports whether there is anything to move.
func checkMove(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) bool {
	if rows <= 0 || cols <= 0 {
		return false
	}
	_, _ = dst[(rows-1)*dstStride+cols-1], src[(rows-1)*srcStride+cols-1]
	return true
}

// transposeAVX2 moves 8×8 blocks and leaves the edges to portable Go.
func transposeAVX2(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	blocks := cols / 8
	row := 0
	for ; row+8 <= rows && blocks > 0; row += 8 {
		_, _ = dst[(8*blocks-1)*dstStride+row+7], src[(row+7)*srcStride+8*blocks-1]
		transpose8AVX2(&dst[row], dstStride, &src[row*srcStride], srcStride, blocks)
	}
	if row > 0 && cols > 8*blocks {
		transposePortable(dst[8*blocks*dstStride:], dstStride, src[8*blocks:], srcStride, row, cols-8*blocks)
	}
	if row < rows {
		transposePortable(dst[row:], dstStride, src[row*srcStride:], srcStride, rows-row, cols)
	}
}
