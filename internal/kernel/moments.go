package kernel

import "math"

// moments are what the statistics of the columns of x are joined from. The rows are cut into blocks, and blocks where
// groups meet; each piece has, of each column, a shift c near its mean and Σ d and Σ d² with d = x − c.
type moments struct {
	x        Array // [rows, cols]; none for no moments
	groups   NormGroups
	cols     int
	blocks   blocks
	partials []float32 // [pieces, 3, cols]; piece i+k is the part of block i that lies in group k
}

// blocks cut rows into count blocks at multiples of unit.
type blocks struct{ rows, count, unit int }

// edge is where block i begins.
func (b blocks) edge(i int) int { return edge(b.rows, i, b.count, b.unit) }

// rowBlocks are the blocks of kernels that pass over rows×cols matrices.
func rowBlocks(rows, cols int) blocks { return blocks{rows, cut(rows, rowsPerBlock(cols)), 1} }

// newMoments has room for the moments of x.
func (e *Engine) newMoments(x Array, groups NormGroups, cols int, b blocks) moments {
	pieces := b.count + len(groups) - 1
	return moments{x, groups, cols, b, e.vector.partials(pieces * 3 * cols)}
}

// piece is the part of block i that lies in group k, whose rows begin at first; to ≤ from if there is none.
func (m *moments) piece(i, k, first int) (from, to int, part []float32) {
	from, to = max(m.blocks.edge(i), first), min(m.blocks.edge(i+1), first+m.groups[k])
	return from, to, m.partials[(i+k)*3*m.cols:][:3*m.cols]
}

// find computes the pieces of block i.
func (m *moments) find(v *vectorUnit, i int) {
	first := 0
	for k, rows := range m.groups {
		if from, to, part := m.piece(i, k, first); from < to {
			m.sum(v, part, from, to)
		}
		first += rows
	}
}

// sum computes the piece of the rows [from, to).
func (m *moments) sum(v *vectorUnit, part []float32, from, to int) {
	cols, x := m.cols, m.x.Slice(from*m.cols, to*m.cols)
	center, sums, squares := part[:cols], part[cols:2*cols], part[2*cols:]
	v.sumColumns(center, x, to-from, cols)
	v.scale(center, center, 1/float32(to-from))
	if x.Half() {
		v.half.columnMoments(sums, squares, x.bf16, center, to-from, cols)
	} else {
		v.columnMoments(sums, squares, x.f32, center, to-from, cols)
	}
}

// findMoments computes all pieces in a pass over x.
func (e *Engine) findMoments(m moments) {
	share(e, &e.jobs.columnMoments, columnMomentsJob{m}, m.blocks.count, 1)
}

type columnMomentsJob struct{ moments }

func (j *columnMomentsJob) run(e *Engine, _, i, _ int) { j.find(&e.vector, i) }

// joinMoments sets mean and rstd = 1/√(variance + eps), [len(groups), cols], to the statistics of each column.
func (e *Engine) joinMoments(mean, rstd []float32, m moments, eps float32) {
	share(e, &e.jobs.joinMoments, joinMomentsJob{m, mean, rstd, eps}, m.cols, joinWidth)
}

type joinMomentsJob struct {
	moments
	mean, rstd []float32
	eps        float32
}

func (j *joinMomentsJob) run(_ *Engine, _, from, to int) {
	first := 0
	for k, rows := range j.groups {
		j.join(k, first, from, to)
		first += rows
	}
}

// join serves the columns [from, to) of group k, in float64: Σ (x − mean)² = Σ over pieces of
// Σ d² + 2·(c − mean)·Σ d + n·(c − mean)² (after Chan, Golub & LeVeque 1979).
func (j *joinMomentsJob) join(k, first, from, to int) {
	var means, squares [joinWidth]float64
	cols, rows := j.cols, float64(j.groups[k])
	j.each(k, first, func(n float64, part []float32) {
		for c := from; c < to; c++ {
			means[c-from] += n*float64(part[c]) + float64(part[cols+c])
		}
	})
	for i := range means {
		means[i] /= rows
	}
	j.each(k, first, func(n float64, part []float32) {
		for c := from; c < to; c++ {
			delta := float64(part[c]) - means[c-from]
			squares[c-from] += float64(part[2*cols+c]) + delta*(2*float64(part[cols+c])+n*delta)
		}
	})
	for c := from; c < to; c++ {
		variance := max(squares[c-from], 0) / rows
		j.mean[k*cols+c], j.rstd[k*cols+c] = float32(means[c-from]), float32(1/math.Sqrt(variance+float64(j.eps)))
	}
}

// each visits the pieces of group k, first to last, with their numbers of rows.
func (m *moments) each(k, first int, visit func(n float64, part []float32)) {
	for i := range m.blocks.count {
		if from, to, part := m.piece(i, k, first); from < to {
			visit(float64(to-from), part)
		}
	}
}
