package kernel

import "unsafe"

// A product of bf16 is a product of words, each a pair of numbers that follow each other in the sum: A holds pairs of
// columns, B pairs of rows. Activations that are bf16 and contiguous along the sum already lie in memory as words. All
// else is brought into that order block by block, on the way into scratch memory: numbers are rounded where they are
// float32, rows are interleaved where the sum runs down the rows. An odd last term is paired with zero.

// wordsOf is the same memory read as words. It must begin at the first number of a pair.
func wordsOf(x []BFloat16) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(x))), len(x)/2)
}

// Halves is the same memory read as bf16 numbers: two a float32.
func Halves(words []float32) []BFloat16 {
	return unsafe.Slice((*BFloat16)(unsafe.Pointer(unsafe.SliceData(words))), 2*len(words))
}

// wordStride is the number of words between the rows of A.
func (u *productUnit) wordStride(a Operand) int {
	if u.isPairs {
		return a.RowStride / 2
	}
	return a.RowStride
}

// hasWords reports whether the k columns of A lie in memory as words.
func (u *productUnit) hasWords(a Operand, k int) bool {
	return !u.isPairs || a.Data.Half() && a.RowStride%2 == 0 && k%2 == 0
}

// wordsInPlace is the left operand from a row and a word on.
func (s *source) wordsInPlace(u *productUnit, row, word int) left {
	if !u.isPairs {
		return s.matrix.at(row, word).tiles()
	}
	words := wordsOf(s.matrix.Data.bf16)
	stride := s.matrix.RowStride / 2
	return left{words[min(row*stride+word, len(words)):], stride, 1}
}

// leftPairs writes rows [rowFrom, rowTo) and words [from, to) of the left operand to the worker's scratch.
func (s *source) leftPairs(u *productUnit, own *workerScratch, stride, rowFrom, rowTo, from, to int) left {
	rows, words := rowTo-rowFrom, to-from
	if s.kind == fromMatrix && s.matrix.ColStride != 1 {
		// The sum runs down the rows of the matrix in memory: as in a right operand.
		across, acrossStride := source{matrix: s.matrix.transposed(), k: s.k}, u.padded(rows)
		if !u.rowsOfA {
			own.a = grown(own.a, words*acrossStride)
			across.fillRight(u, own, own.a, acrossStride, from, to, rowFrom, rowTo)
			return left{own.a, 1, acrossStride}
		}
		own.across, own.a = grown(own.across, words*acrossStride), grown(own.a, rows*stride)
		across.fillRight(u, own, own.across, acrossStride, from, to, rowFrom, rowTo)
		u.transpose(own.a, stride, own.across, acrossStride, words, rows)
		return left{own.a, stride, 1}
	}
	own.a = grown(own.a, rows*stride)
	switch {
	case s.kind == fromMatrix && u.hasWords(s.matrix, s.k):
		at := s.wordsInPlace(u, rowFrom, from)
		u.copyMatrix(own.a, stride, at.data, at.rowStride, rows, words)
	case s.kind == fromPatches && s.patches.half:
		s.fill(u, own.a, stride, rowFrom, rowTo, from, to)
	default:
		s.roundRows(u, own, own.a, stride, rowFrom, rowTo, from, to)
	}
	return left{own.a, stride, 1}
}

// roundRows writes float32 rows as words of dst.
func (s *source) roundRows(u *productUnit, own *workerScratch, dst []float32, stride, rowFrom, rowTo, from, to int) {
	first, last := 2*from, min(2*to, s.k)
	rows, count, cols, target := s.rows(u, own, rowFrom, rowTo, first, last), rowTo-rowFrom, last-first, Halves(dst)
	if rows.data.Half() {
		for i := range count {
			copy(target[2*i*stride:][:cols], rows.row(i, cols).bf16)
		}
	} else {
		u.loops.narrowRows(target, 2*stride, rows.data.f32, rows.stride, count, cols)
	}
	if last < 2*to {
		for i := range count {
			target[2*i*stride+cols] = 0
		}
	}
}

// numbers are rows of float32 or of bf16.
type numbers struct {
	data   Array
	stride int
}

// row is the first n numbers of a row.
func (r numbers) row(i, n int) Array { return r.data.Slice(i*r.stride, i*r.stride+n) }

// rows returns rows [rowFrom, rowTo) and columns [colFrom, colTo) of a source, in elements: where they are, or gathered.
func (s *source) rows(u *productUnit, own *workerScratch, rowFrom, rowTo, colFrom, colTo int) numbers {
	if s.kind == fromMatrix && s.matrix.ColStride == 1 {
		return numbers{s.matrix.at(rowFrom, colFrom).Data, s.matrix.RowStride}
	}
	if s.kind == fromPatches && s.patches.half {
		stride := u.padded(cut(colTo-colFrom, 2))
		own.gathered = grown(own.gathered, max(1, rowTo-rowFrom)*stride)
		s.fill(u, own.gathered, stride, rowFrom, rowTo, colFrom/2, cut(colTo, 2))
		return numbers{BF16(Halves(own.gathered)), 2 * stride}
	}
	stride := u.padded(colTo - colFrom)
	own.gathered = grown(own.gathered, max(1, rowTo-rowFrom)*stride)
	s.fill(u, own.gathered, stride, rowFrom, rowTo, colFrom, colTo)
	return numbers{F32(own.gathered), stride}
}

// fillRight writes the words [from, to) of the sum and columns [colFrom, colTo) of a right operand to dst, row-major
// with the given stride.
func (s *source) fillRight(u *productUnit, own *workerScratch, dst []float32, stride, from, to, colFrom, colTo int) {
	switch {
	case !u.isPairs:
		s.fill(u, dst, stride, from, to, colFrom, colTo)
	case s.kind == fromMatrix && s.matrix.RowStride == 1 && s.matrix.ColStride != 1:
		s.turned(u, own, dst, stride, from, to, colFrom, colTo)
	default:
		s.interleave(u, own, dst, stride, from, to, colFrom, colTo)
	}
}

// turned serves a right operand whose columns lie in memory as rows, such as weights: the sum runs along them.
func (s *source) turned(u *productUnit, own *workerScratch, dst []float32, stride, from, to, colFrom, colTo int) {
	cols, words := colTo-colFrom, to-from
	along := u.leftSource(s.matrix.transposed(), s.k)
	if along.inPlace {
		rows := along.wordsInPlace(u, colFrom, from)
		u.transpose(dst, stride, rows.data, rows.rowStride, cols, words)
		return
	}
	room := u.padded(words)
	own.turned = grown(own.turned, cols*room)
	along.roundRows(u, own, own.turned, room, colFrom, colTo, from, to)
	u.transpose(dst, stride, own.turned, room, cols, words)
}

// interleave makes words of rows 2p and 2p+1.
func (s *source) interleave(u *productUnit, own *workerScratch, dst []float32, stride, from, to, colFrom, colTo int) {
	first, last, cols := 2*from, min(2*to, s.k), colTo-colFrom
	rows, whole := s.rows(u, own, first, last, colFrom, colTo), (last-first)/2
	if rows.data.Half() {
		u.loops.pairHalves(dst, stride, rows.data.bf16, rows.stride, whole, cols)
	} else {
		u.loops.pair(dst, stride, rows.data.f32, rows.stride, whole, cols)
	}
	if whole < to-from {
		alone(dst[whole*stride:][:cols], rows.row(2*whole, cols))
	}
}

// alone makes words of the last term of an odd sum, beside zeros.
func alone(dst []float32, row Array) {
	for i := range dst {
		dst[i] = word(RoundBFloat16(row.at(i)), 0)
	}
}
