//go:build amd64 && !noasm

package kernel

// The generated loops between float32 and bf16, and those that look numbers up, take whole vectors; what is left of a
// row is done in Go.

func widenRowAVX512(dst []float32, src []BFloat16) {
	n := len(dst) &^ 15
	if src = src[:len(dst)]; n > 0 {
		widenAVX512(&dst[0], &src[0], n/16)
	}
	widenPortable(dst[n:], src[n:])
}

func widenRowAVX2(dst []float32, src []BFloat16) {
	n := len(dst) &^ 7
	if src = src[:len(dst)]; n > 0 {
		widenAVX2(&dst[0], &src[0], n/8)
	}
	widenPortable(dst[n:], src[n:])
}

func narrowRowAVX512(dst []BFloat16, src []float32) {
	n := len(dst) &^ 15
	if src = src[:len(dst)]; n > 0 {
		narrowAVX512(&dst[0], 0, &src[0], 0, 1, n/16)
	}
	narrowPortable(dst[n:], src[n:])
}

func narrowRowAVX2(dst []BFloat16, src []float32) {
	n := len(dst) &^ 7
	if src = src[:len(dst)]; n > 0 {
		narrowAVX2(&dst[0], 0, &src[0], 0, 1, n/8)
	}
	narrowPortable(dst[n:], src[n:])
}

func pairRowsAVX512(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	n := cols &^ 15
	if rows > 0 && n > 0 {
		_, _ = dst[(rows-1)*dstStride+n-1], src[(2*rows-1)*srcStride+n-1]
		pairAVX512(&dst[0], dstStride, &src[0], srcStride, rows, n/16)
	}
	if rows > 0 && n < cols {
		pairPortable(dst[n:], dstStride, src[n:], srcStride, rows, cols-n)
	}
}

func pairRowsAVX2(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	n := cols &^ 7
	if rows > 0 && n > 0 {
		_, _ = dst[(rows-1)*dstStride+n-1], src[(2*rows-1)*srcStride+n-1]
		pairAVX2(&dst[0], dstStride, &src[0], srcStride, rows, n/8)
	}
	if rows > 0 && n < cols {
		pairPortable(dst[n:], dstStride, src[n:], srcStride, rows, cols-n)
	}
}

func pairHalvesRowsAVX512(dst []float32, dstStride int, src []BFloat16, srcStride, rows, cols int) {
	n := cols &^ 15
	if rows > 0 && n > 0 {
		_, _ = dst[(rows-1)*dstStride+n-1], src[(2*rows-1)*srcStride+n-1]
		pairHalvesAVX512(&dst[0], dstStride, &src[0], srcStride, rows, n/16)
	}
	if rows > 0 && n < cols {
		pairHalvesPortable(dst[n:], dstStride, src[n:], srcStride, rows, cols-n)
	}
}

func pairHalvesRowsAVX2(dst []float32, dstStride int, src []BFloat16, srcStride, rows, cols int) {
	n := cols &^ 7
	if rows > 0 && n > 0 {
		_, _ = dst[(rows-1)*dstStride+n-1], src[(2*rows-1)*srcStride+n-1]
		pairHalvesAVX2(&dst[0], dstStride, &src[0], srcStride, rows, n/8)
	}
	if rows > 0 && n < cols {
		pairHalvesPortable(dst[n:], dstStride, src[n:], srcStride, rows, cols-n)
	}
}

func narrowRowsAVX512(dst []BFloat16, dstStride int, src []float32, srcStride, rows, cols int) {
	n := cols &^ 15
	if rows > 0 && n > 0 {
		_, _ = dst[(rows-1)*dstStride+n-1], src[(rows-1)*srcStride+n-1]
		narrowAVX512(&dst[0], dstStride, &src[0], srcStride, rows, n/16)
	}
	if rows > 0 && n < cols {
		narrowRowsPortable(dst[n:], dstStride, src[n:], srcStride, rows, cols-n)
	}
}

func narrowRowsAVX2(dst []BFloat16, dstStride int, src []float32, srcStride, rows, cols int) {
	n := cols &^ 7
	if rows > 0 && n > 0 {
		_, _ = dst[(rows-1)*dstStride+n-1], src[(rows-1)*srcStride+n-1]
		narrowAVX2(&dst[0], dstStride, &src[0], srcStride, rows, n/8)
	}
	if rows > 0 && n < cols {
		narrowRowsPortable(dst[n:], dstStride, src[n:], srcStride, rows, cols-n)
	}
}

func lookUpRowAVX512(y, x []BFloat16, table *tableOf[BFloat16]) {
	n := len(y) &^ 15
	if x = x[:len(y)]; n > 0 {
		lookUpAVX512(&y[0], &x[0], &table[0], n/16)
	}
	lookUpPortable(y[n:], x[n:], table)
}

func weighRowAVX512(dx, dy, x []BFloat16, table *tableOf[float32]) {
	n := len(dx) &^ 15
	if dy, x = dy[:len(dx)], x[:len(dx)]; n > 0 {
		weighAVX512(&dx[0], &dy[0], &x[0], &table[0], n/16)
	}
	weighPortable(dx[n:], dy[n:], x[n:], table)
}

func lookUpRowAVX2(y, x []BFloat16, table *tableOf[BFloat16]) {
	n := len(y) &^ 7
	if x = x[:len(y)]; n > 0 {
		lookUpAVX2(&y[0], &x[0], &table[0], n/8)
	}
	lookUpPortable(y[n:], x[n:], table)
}

func weighRowAVX2(dx, dy, x []BFloat16, table *tableOf[float32]) {
	n := len(dx) &^ 7
	if dy, x = dy[:len(dx)], x[:len(dx)]; n > 0 {
		weighAVX2(&dx[0], &dy[0], &x[0], &table[0], n/8)
	}
	weighPortable(dx[n:], dy[n:], x[n:], table)
}
