package pixel

// Widen converts bytes to float32; dst has at least the length of src.
func Widen(dst []float32, src []uint8) {
	dst = dst[:len(src)]
	for i := widen(dst, src); i < len(src); i++ {
		dst[i] = float32(src[i])
	}
}

// FilterRow resamples a row of RGB pixels: pixel i of dst is the sum of the taps pixels of src from starts[i] on, times
// weights[i·taps:]. Starts rise or fall. src needs one number beyond the last pixel that is read; its value does not
// matter.
func FilterRow(dst, src []float32, starts []int, weights []float32, taps int) {
	n := len(starts)
	dst, weights = dst[:3*n], weights[:taps*n]
	_, _ = src[3*min(starts[0], starts[n-1])], src[3*(max(starts[0], starts[n-1])+taps)]
	done := filterRow(dst, src, starts, weights, taps)
	filterRowPortable(dst[3*done:], src, starts[done:], weights[taps*done:], taps)
}

// filterRowPortable computes two pixels at a time: the sums of one alone wait for each other.
func filterRowPortable(dst, src []float32, starts []int, weights []float32, taps int) {
	x := 0
	for ; x+1 < len(starts); x += 2 {
		pixels, more := src[starts[x]*3:][:3*taps], src[starts[x+1]*3:][:3*taps]
		mine, others := weights[x*taps:][:taps], weights[(x+1)*taps:][:taps]
		var r, g, b, r2, g2, b2 float32
		for k, w := range mine {
			p, q, v := pixels[3*k:][:3], more[3*k:][:3], others[k]
			r += float32(w * p[0])
			g += float32(w * p[1])
			b += float32(w * p[2])
			r2 += float32(v * q[0])
			g2 += float32(v * q[1])
			b2 += float32(v * q[2])
		}
		two := dst[3*x:][:6]
		two[0], two[1], two[2], two[3], two[4], two[5] = r, g, b, r2, g2, b2
	}
	for ; x < len(starts); x++ {
		var r, g, b float32
		for k, w := range weights[x*taps:][:taps] {
			p := src[(starts[x]+k)*3:][:3]
			r += float32(w * p[0])
			g += float32(w * p[1])
			b += float32(w * p[2])
		}
		dst[3*x], dst[3*x+1], dst[3*x+2] = r, g, b
	}
}

// CombineRows sets dst to the sum of the first len(weights) of the rows, which have its length, times their weights.
func CombineRows(dst, rows, weights []float32) {
	rows = rows[:len(weights)*len(dst)]
	combineRowsPortable(dst, rows, weights, combineRows(dst, rows, weights))
}

// combineRowsPortable computes the columns from the given one on.
func combineRowsPortable(dst, rows, weights []float32, from int) {
	clear(dst[from:])
	for k, w := range weights {
		for i := from; i < len(dst); i++ {
			dst[i] += float32(w * rows[k*len(dst)+i])
		}
	}
}
