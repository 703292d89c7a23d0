package kernel

// Family AMX multiplies pairs of bf16 in tile registers: TDPBF16PS adds the product of a tile of 16×16 words of A and
// one of B to a tile of C, numbers below the smallest normal one counting as zero. A panel of B, 32 words wide, is in
// memory what two tiles of B are side by side (Intel calls it VNNI layout), and tiles of A are loaded where A lies, if its
// words are contiguous along the sum.
//
// No CPU with AMX was at hand when this was written: the assembled kernels have run in a model of the instructions
// only (amx_machine_test.go).

const (
	amxTile  = 16          // rows of a tile, and words of each
	amxBlock = 2 * amxTile // rows and columns of C that are in tile registers at a time
	// amxRows is the largest tile in the sense of tileKernel: enough rows for any block of strips and grids, so that
	// one call serves a panel.
	amxRows = 7 * amxBlock
	// amxDepth keeps a panel of B, 32 KiB, in a first-level cache of 48 KiB.
	amxDepth = 256
)

// tileBlocks computes blocks of up to 32×32 of C under each other: C = start + A·B, or C + A·B to accumulate. Element
// (i, p) of A is a[i*aRow+p], row p of B starts at b[p*bStride] and row i of C at c[i*cStride]; rows of B and C are 32
// long. Each of steps adds as many words of the sum as the tiles of the configuration are deep; it is the same for all
// blocks, so that every block but a single one has 16 or 32 rows, and steps is 1 unless a step is 16 words.
type tileBlocks func(c *float32, cStride int, a *float32, aRow int, b *float32, bStride, steps, blocks int, start *float32, accumulate bool, config *byte)

// tileUnit is a tile kernel made of blocks one tile high and blocks two tiles high.
type tileUnit struct {
	low, high tileBlocks
	configs   [amxBlock][amxTile]tileConfig // by rows of a block and words of a step, both less 1
}

// tileConfig is what LDTILECFG loads: the shapes of the eight tile registers (Intel SDM, vol. 1, 18.3).
type tileConfig [64]byte

// configOf gives tiles 0 to 3 to C, 4 and 5 to A, 6 and 7 to B.
func configOf(rows, depth int) (c tileConfig) {
	c[0] = 1 // palette
	shape := func(tile, rows, words int) {
		if rows > 0 {
			c[16+2*tile], c[48+tile] = byte(4*words), byte(rows)
		}
	}
	upper := min(rows, amxTile)
	for i, height := range []int{upper, rows - upper} {
		shape(2*i, height, amxTile)
		shape(2*i+1, height, amxTile)
		shape(4+i, height, depth)
		shape(6+i, depth, amxTile)
	}
	return c
}

// amxMicroKernels are the inner loops of products of bf16 in tile registers.
func amxMicroKernels(low, high tileBlocks) microKernels {
	u := &tileUnit{low: low, high: high}
	for rows := range amxBlock {
		for depth := range amxTile {
			u.configs[rows][depth] = configOf(rows+1, depth+1)
		}
	}
	return microKernels{
		rows: amxRows, cols: amxBlock, depth: amxDepth, rowUnit: amxBlock, depthUnit: amxTile, rowsOfA: true,
		tile: u.tile, copyMatrix: copyPortable, transpose: transposePortable,
	}
}

// tile is a tileKernel that takes A by rows only.
func (u *tileUnit) tile(rows int, c []float32, cStride int, a []float32, aRow, aCol int, b []float32, bStride, k int, start []float32, accumulate bool, _ []BFloat16, _ int, _ *readAhead) {
	if aCol != 1 {
		panic("kernel: tile registers take rows of A only")
	}
	_, _ = c[(rows-1)*cStride+amxBlock-1], start[amxBlock-1]
	switch {
	case k == 0:
		startRows(rows, c, cStride, start[:amxBlock], accumulate)
		return
	case accumulate:
		startRows(rows, c, cStride, start[:amxBlock], true)
	}
	_, _ = a[(rows-1)*aRow+k-1], b[(k-1)*bStride+amxBlock-1]
	whole := rows / amxBlock * amxBlock
	if whole > 0 {
		u.blocks(amxBlock, whole/amxBlock, c, cStride, a, aRow, b, bStride, k, start, accumulate)
	}
	if whole < rows {
		u.blocks(rows-whole, 1, c[whole*cStride:], cStride, a[whole*aRow:], aRow, b, bStride, k, start, accumulate)
	}
}

// startRows adds the start row to C, or sets C to it. A start row of zeros, the usual one, changes nothing.
func startRows(rows int, c []float32, cStride int, start []float32, accumulate bool) {
	if accumulate && allZero(start) {
		return
	}
	for i := range rows {
		row := c[i*cStride:][:len(start)]
		for j, v := range start {
			if accumulate {
				v += row[j]
			}
			row[j] = v
		}
	}
}

func allZero(x []float32) bool {
	for _, v := range x {
		if v != 0 {
			return false
		}
	}
	return true
}

// blocks computes count blocks of the same height, first the whole steps of the sum, then what is left of it: the
// shape of a tile cannot change without the contents of all.
func (u *tileUnit) blocks(height, count int, c []float32, cStride int, a []float32, aRow int, b []float32, bStride, k int, start []float32, accumulate bool) {
	run := u.high
	if height <= amxTile {
		run = u.low
	}
	configs, steps, rest := &u.configs[height-1], k/amxTile, k%amxTile
	if steps > 0 {
		run(&c[0], cStride, &a[0], aRow, &b[0], bStride, steps, count, &start[0], accumulate, &configs[amxTile-1][0])
		accumulate = true
	}
	if rest > 0 {
		run(&c[0], cStride, &a[k-rest], aRow, &b[(k-rest)*bStride], bStride, 1, count, &start[0], accumulate, &configs[rest-1][0])
	}
}
