package kernel

import "unsafe"

// cacheLine is the size in bytes of what memory is fetched in.
const cacheLine = 64

// readAhead is memory that will be needed soon: tile kernels ask for it a line at each step of their sums, so that it comes
// while they compute. It belongs to one worker and refers to the operands it was given.
type readAhead struct {
	regions [4]region
	count   int
	call    int // of a tile kernel since reset
}

// region is some columns of a matrix in memory. Rows are stride bytes apart.
type region struct {
	first               unsafe.Pointer
	rows, stride, lines int
}

func (a *readAhead) reset() { *a = readAhead{} }

// add appends rows [rowFrom, rowTo) and columns [colFrom, colTo) of a matrix whose rows are contiguous; others are left out,
// as nothing is gained by reading them so.
func (a *readAhead) add(o Operand, rowFrom, rowTo, colFrom, colTo int) {
	if o.ColStride != 1 || rowFrom >= rowTo || colFrom >= colTo {
		return
	}
	from, size := rowFrom*o.RowStride+colFrom, 4
	first := unsafe.Pointer(unsafe.SliceData(o.Data.f32))
	if o.Data.Half() {
		first, size = unsafe.Pointer(unsafe.SliceData(o.Data.bf16)), 2
	}
	a.regions[a.count] = region{
		first: unsafe.Add(first, from*size), rows: rowTo - rowFrom, stride: o.RowStride * size, lines: cut((colTo-colFrom)*size, cacheLine),
	}
	a.count++
}

// next returns where a tile kernel whose sums have k steps begins to read ahead, and how many bytes it goes on at each
// step: down a column of lines. When all is read, or a is nil, it is otherwise, without a step.
func (a *readAhead) next(k int, otherwise unsafe.Pointer) (unsafe.Pointer, int) {
	if a == nil || k == 0 {
		return otherwise, 0
	}
	call := a.call
	a.call++
	for i := range a.regions[:a.count] {
		r := &a.regions[i]
		pieces := cut(r.rows, k)
		if call < r.lines*pieces {
			return unsafe.Add(r.first, call/pieces*cacheLine+call%pieces*k*r.stride), r.stride
		}
		call -= r.lines * pieces
	}
	return otherwise, 0
}
