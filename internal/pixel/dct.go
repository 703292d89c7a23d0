package pixel

// Block holds the 8×8 coefficients of a block, transposed: column x begins at 8·x.
type Block [64]int32

// The inverse transform is Loeffler's (Practical Fast 1-D DCT Algorithms with 11 Multiplications, ICASSP 1989), run
// backward over rows and then over columns in the fixed-point steps of image/jpeg since Go 1.26, so that every pixel
// comes out as it does there. The names say what is multiplied, the numbers by how many bits it is shifted.
const (
	halfSine18, halfCosine18 = 171254, 70936 // sin and cos of 6π/16 over √2
	halfSine12, halfCosine12 = 2676, 1108
	cosine1, sine1           = 4017, 799 // of π/16, 12 bits
	cosine3, sine3           = 3406, 2276
	root8, root14            = 181, 11585 // 1/√2
)

// rotate turns (a, b) by an angle of the given cosine and sine, times a scale, with three multiplications.
func rotate(a, b, cosine, sine int32) (int32, int32) {
	sum := cosine * (a + b)
	return sum + (sine-cosine)*b, sum - (cosine+sine)*a
}

func butterfly(a, b int32) (int32, int32) { return a + b, a - b }

// InverseDCT writes the 8×8 pixels of dequantised coefficients, shifted up by 128 and clipped to a byte, to rows of dst
// that are stride apart. Numbers wrap around in 32 bits as they do in image/jpeg.
func InverseDCT(dst []uint8, stride int, b *Block) {
	_ = dst[7*stride+7]
	inverseDCT(dst, stride, b)
}

// inversePortable is the reference of the assembly.
func inversePortable(dst []uint8, stride int, b *Block) {
	rows := *b
	for y := range 8 {
		inverseRow(&rows, y)
	}
	for x := range 8 {
		inverseColumn(dst[x:], stride, rows[8*x:8*x+8])
	}
}

// inverseRow transforms row y in place.
func inverseRow(b *Block, y int) {
	x0, x7, x2, x5 := b[y], b[8+y], b[16+y], b[24+y]
	x1, x6, x3, x4 := b[32+y], b[40+y], b[48+y], b[56+y]

	x0, x1 = butterfly(x0<<17, x1<<17)
	x2, x3 = rotate(x2, x3, halfCosine18, -halfSine18)
	x1, x2 = butterfly(x1, x2)
	x0, x3 = butterfly(x0, x3)

	x7, x4 = butterfly(x7<<7, x4<<7)
	x6, x5 = x6*root8, x5*root8
	x7, x5 = butterfly(x7, x5)
	x4, x6 = butterfly(x4, x6)
	x4, x7 = rotate(x4>>2, x7>>2, cosine3, -sine3)
	x5, x6 = rotate(x5>>2, x6>>2, cosine1, -sine1)

	b[y], b[56+y] = butterfly(x0, x7)
	b[8+y], b[48+y] = butterfly(x1, x6)
	b[16+y], b[40+y] = butterfly(x2, x5)
	b[24+y], b[32+y] = butterfly(x3, x4)
}

// inverseColumn transforms one column and writes its pixels.
func inverseColumn(dst []uint8, stride int, c []int32) {
	x0, x7, x2, x5, x1, x6, x3, x4 := c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]

	x0, x1 = butterfly(x0+1<<19, x1) // half a level, so that the last shift rounds
	x2, x3 = rotate(x2>>13, x3>>13, halfCosine12, -halfSine12)
	x1, x2 = butterfly(x1>>2, x2)
	x0, x3 = butterfly(x0>>2, x3)

	x7, x4 = butterfly(x7, x4)
	x5, x6 = (x5>>13)*root14, (x6>>13)*root14
	x7, x5 = butterfly(x7, x5)
	x4, x6 = butterfly(x4, x6)
	x4, x7 = rotate(x4>>14, x7>>14, cosine3, -sine3)
	x5, x6 = rotate(x5>>14, x6>>14, cosine1, -sine1)

	for y, v := range [8]int32{x0 + x7, x1 + x6, x2 + x5, x3 + x4, x3 - x4, x2 - x5, x1 - x6, x0 - x7} {
		dst[y*stride] = level(v >> 18)
	}
}

// InverseFlat is InverseDCT of a block whose only coefficient is the first one.
func InverseFlat(dst []uint8, stride int, first int32) {
	v := level((first<<17 + 1<<19) >> 20)
	for y := range 8 {
		row := dst[y*stride:][:8]
		for x := range row {
			row[x] = v
		}
	}
}

// level shifts a pixel up by 128 and clips it.
func level(v int32) uint8 { return uint8(max(-128, min(127, v)) + 128) }
