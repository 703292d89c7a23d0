package kernel

import (
	"math"
	"slices"
)

// Sum is Σ x in float64, in an order that depends on len(x) only.
func (e *Engine) Sum(x []float32) float64 { return e.reduce(x, e.vector.sum) }

// SumSquares is Σ x² in float64, in an order that depends on len(x) only.
func (e *Engine) SumSquares(x []float32) float64 { return e.reduce(x, e.vector.sumSquares) }

// AllFinite reports whether x holds neither infinities nor NaN.
func (e *Engine) AllFinite(x []float32) bool {
	bad := e.vector.scalars(cut(len(x), reduceChunk))
	share(e, &e.jobs.finite, finiteJob{bad, x}, len(x), reduceChunk)
	return !slices.Contains(bad, 1)
}

type finiteJob struct {
	bad []float64 // of each piece: 0 or 1
	x   []float32
}

func (j *finiteJob) run(e *Engine, _, from, to int) {
	piece := from / reduceChunk
	j.bad[piece] = 1
	if e.vector.finite(j.x[from:to]) {
		j.bad[piece] = 0
	}
}

// reduceChunk is the number of elements of one piece of a reduction to a scalar.
const reduceChunk = 4 * elementChunk

// reduce adds what loop returns of fixed pieces of x, first piece first.
func (e *Engine) reduce(x []float32, loop func([]float32) float64) float64 {
	sums := e.vector.scalars(cut(len(x), reduceChunk))
	share(e, &e.jobs.reduce, reduceJob{loop, sums, x}, len(x), reduceChunk)
	total := 0.0
	for _, s := range sums {
		total += s
	}
	return total
}

type reduceJob struct {
	loop func([]float32) float64
	sums []float64 // of each piece
	x    []float32
}

func (j *reduceJob) run(_ *Engine, _, from, to int) {
	j.sums[from/reduceChunk] = j.loop(j.x[from:to])
}

// ColumnSums sets dst[j] = Σ_i x[i,j] of a rows×cols matrix, in float32 over blocks of rows and in float64 over blocks.
func (e *Engine) ColumnSums(dst []float32, x Array, rows, cols int) {
	step := rowsPerBlock(cols)
	blocks := cut(rows, step)
	partials := e.vector.partials(blocks * cols)
	share(e, &e.jobs.columns, columnSumsJob{partials, x, cols, step}, rows, step)
	e.joinPartials(dst[:cols], partials, blocks, cols)
}

type columnSumsJob struct {
	partials   []float32
	x          Array
	cols, step int
}

func (j *columnSumsJob) run(e *Engine, _, from, to int) {
	b := from / j.step
	e.vector.sumColumns(j.partials[b*j.cols:(b+1)*j.cols], j.x.Slice(from*j.cols, to*j.cols), to-from, j.cols)
}

// sumColumns sets sums to the column sums of x [rows, cols].
func (v *vectorUnit) sumColumns(sums []float32, x Array, rows, cols int) {
	if x.Half() {
		v.half.columnSums(sums, x.bf16, rows, cols)
	} else {
		v.columnSums(sums, x.f32, rows, cols)
	}
}

func sumPortable(x []float32) float64 {
	total := 0.0
	for _, v := range x {
		total += float64(v)
	}
	return total
}

func sumSquaresPortable(x []float32) float64 {
	total := 0.0
	for _, v := range x {
		total += float64(v) * float64(v)
	}
	return total
}

func finitePortable(x []float32) bool {
	const exponent = 0x7f800000 // all ones in infinities and NaN only
	for _, v := range x {
		if math.Float32bits(v)&exponent == exponent {
			return false
		}
	}
	return true
}

func dotPortable(a, b []float32) float32 {
	b = b[:len(a)]
	total := float32(0)
	for i, v := range a {
		total += v * b[i]
	}
	return total
}

// columnSumsPortable overwrites sums [cols] with the column sums of x [rows, cols]. Four rows are added together before
// they meet the running sum, which loses less to rounding.
func columnSumsPortable[T storage](sums []float32, x []T, rows, cols int) {
	sums = sums[:cols]
	clear(sums)
	for ; rows >= 4; rows -= 4 {
		a, b, c, d := x[:cols], x[cols:][:cols], x[2*cols:][:cols], x[3*cols:][:cols]
		for j := range sums {
			sums[j] += (value(a[j]) + value(b[j])) + (value(c[j]) + value(d[j]))
		}
		x = x[4*cols:]
	}
	for i := range rows {
		for j, v := range x[i*cols : (i+1)*cols] {
			sums[j] += value(v)
		}
	}
}

// columnMomentsPortable overwrites sums and squares [cols] with Σ d and Σ d², d = x − shift, over the rows of x.
func columnMomentsPortable[T storage](sums, squares []float32, x []T, shift []float32, rows, cols int) {
	clear(sums[:cols])
	clear(squares[:cols])
	for i := range rows {
		for j, v := range x[i*cols : (i+1)*cols] {
			d := value(v) - shift[j]
			sums[j] += d
			squares[j] += d * d
		}
	}
}
