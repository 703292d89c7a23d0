package kernel

import "math"

// A tile kernel multiplies words: a word is one float32, or a pair of bf16 numbers that follow each other in the sum,
// the first in the lower half. What is said of elements and of k holds for words.
//
// tileKernel computes a tile of rows×cols(family) elements C = start + A·B (+ C): element (i, p) of A is
// a[i*aRow+p*aCol], row p of B starts at b[p*bStride] and row i of C at c[i*cStride]. Every row of the tile begins as
// the vector start. Both strides of A are free, so that A is read in place, transposed or not. If half is not nil, which
// kernels of units with intoHalf take, C is read only, and what it would become is rounded to half[i*halfStride].
// ahead, unless nil, tells what memory to ask for meanwhile.
type tileKernel func(rows int, c []float32, cStride int, a []float32, aRow, aCol int, b []float32, bStride, k int, start []float32, accumulate bool, half []BFloat16, halfStride int, ahead *readAhead)

// microKernels are the inner loops of the matrix product of one family.
type microKernels struct {
	rows, cols int // largest tile, or stack of tiles that one call computes
	depth      int // terms of a sum that one visit of a tile adds: a panel of B this long stays in the first-level cache
	// rowUnit and depthUnit are what a tile kernel works in: rows and sums are cut at multiples of them.
	rowUnit, depthUnit int
	rowsOfA            bool // the tile kernel reads rows of A only: its aCol is 1
	intoHalf           bool // the tile kernel can round its results
	tile               tileKernel
	// copyMatrix copies a rows×cols matrix; srcStride may be 0, to repeat one row.
	copyMatrix func(dst []float32, dstStride int, src []float32, srcStride, rows, cols int)
	// transpose writes the transposed of a rows×cols matrix.
	transpose func(dst []float32, dstStride int, src []float32, srcStride, rows, cols int)
}

func portableMicroKernels(pairs bool) microKernels {
	m := microKernels{rows: 4, cols: portableCols, depth: 256, rowUnit: 1, depthUnit: 1, tile: tilePortable, copyMatrix: copyPortable, transpose: transposePortable}
	if pairs {
		m.tile = tilePairsPortable
	}
	return m
}

const portableCols = 8

func tilePortable(rows int, c []float32, cStride int, a []float32, aRow, aCol int, b []float32, bStride, k int, start []float32, accumulate bool, _ []BFloat16, _ int, _ *readAhead) {
	for i := range rows {
		sums := [portableCols]float32(start)
		for p := range k {
			element, row := a[i*aRow+p*aCol], (*[portableCols]float32)(b[p*bStride:])
			for j := range sums {
				sums[j] += element * row[j]
			}
		}
		out := (*[portableCols]float32)(c[i*cStride:])
		for j, sum := range sums {
			if accumulate {
				sum += out[j]
			}
			out[j] = sum
		}
	}
}

// tilePairsPortable is tilePortable on words that are pairs of bf16.
func tilePairsPortable(rows int, c []float32, cStride int, a []float32, aRow, aCol int, b []float32, bStride, k int, start []float32, accumulate bool, _ []BFloat16, _ int, _ *readAhead) {
	for i := range rows {
		sums := [portableCols]float32(start)
		for p := range k {
			low, high := halves(a[i*aRow+p*aCol])
			for j, pair := range (*[portableCols]float32)(b[p*bStride:]) {
				left, right := halves(pair)
				sums[j] += low * left
				sums[j] += high * right
			}
		}
		out := (*[portableCols]float32)(c[i*cStride:])
		for j, sum := range sums {
			if accumulate {
				sum += out[j]
			}
			out[j] = sum
		}
	}
}

// halves are the two numbers of a word.
func halves(word float32) (low, high float32) {
	bits := math.Float32bits(word)
	return math.Float32frombits(bits << 16), math.Float32frombits(bits &^ 0xffff)
}

func copyPortable(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	for i := range rows {
		copy(dst[i*dstStride:][:cols], src[i*srcStride:])
	}
}

func transposePortable(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	for i := range rows {
		for j, v := range src[i*srcStride:][:cols] {
			dst[j*dstStride+i] = v
		}
	}
}

// left is a block of A as the tile kernels read it: element (i, p) is data[i*rowStride+p*colStride].
type left struct {
	data                 []float32
	rowStride, colStride int
}

// panels is a block of B as the tile kernels read it: column panels as wide as a tile, panelStride apart, with rows
// stride apart. Panels side by side in one row-major matrix and panels packed one after the other both fit.
type panels struct {
	data                []float32
	stride, panelStride int
}

// block is a product small enough for one worker's caches.
type block struct {
	m, n, k    int
	a          left
	b          panels
	c          []float32
	cStride    int
	start      []float32 // first value of every row of C, readable up to a whole number of panels; nil for zeros
	accumulate bool
	half       []BFloat16 // where C is rounded to, by units with intoHalf; nil to write C
	halfStride int
	ahead      *readAhead // what to ask for meanwhile; may be nil
}

// multiply computes a block. Tiles of one panel follow each other, so that the panel stays in the first-level cache.
func (u *productUnit) multiply(worker int, b block) {
	for j := 0; j < b.n; j += u.cols {
		panel, start := b.b.data[min(j/u.cols*b.b.panelStride, len(b.b.data)):], u.zeros
		if b.start != nil {
			start = b.start[j:]
		}
		u.column(worker, &b, j, panel, start)
	}
}

// column computes one panel's columns of C from row tiles of nearly equal height.
func (u *productUnit) column(worker int, b *block, j int, panel, start []float32) {
	tiles := (b.m + u.rows - 1) / u.rows
	for t := range tiles {
		from, to := edge(b.m, t, tiles, u.rowUnit), edge(b.m, t+1, tiles, u.rowUnit)
		a, c := b.a.data[min(from*b.a.rowStride, len(b.a.data)):], b.c[from*b.cStride+j:]
		half := b.half
		if half != nil {
			half = half[from*b.halfStride+j:]
		}
		if b.n-j >= u.cols {
			u.tile(to-from, c, b.cStride, a, b.a.rowStride, b.a.colStride, panel, b.b.stride, b.k, start, b.accumulate, half, b.halfStride, b.ahead)
			continue
		}
		part := u.local[worker].edge
		u.tile(to-from, part, u.cols, a, b.a.rowStride, b.a.colStride, panel, b.b.stride, b.k, start, false, nil, 0, b.ahead)
		store(c, b.cStride, part, u.cols, to-from, b.n-j, b.accumulate)
		if half != nil {
			u.loops.narrowRows(half, b.halfStride, c, b.cStride, to-from, b.n-j)
		}
	}
}

// store moves or adds the columns of an edge tile that exist to C.
func store(c []float32, cStride int, edge []float32, edgeStride, rows, cols int, accumulate bool) {
	for i := range rows {
		row := c[i*cStride:][:cols]
		for j, v := range edge[i*edgeStride:][:cols] {
			if accumulate {
				v += row[j]
			}
			row[j] = v
		}
	}
}
