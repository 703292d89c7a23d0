package kernel

const (
	// gridHeight and gridWidth bound the block of C that one task of a grid computes, gridDepth the rows of K that pass
	// at a time: they and the block of C fit a second-level cache of 1 MiB.
	gridHeight, gridWidth, gridDepth = 196, 384, 256
	// gridTasks is the number of tasks below which K is cut as well, into parts of at least gridDepth.
	gridTasks = 16
)

// gridProduct is a product with few rows, such as the gradient of weights, where K counts the rows of activations.
// Tasks compute blocks of C; when there are too few, K is cut into parts whose sums are added in a fixed order.
type gridProduct struct {
	m, n, k    int
	a          Operand
	b          source
	c          []float32
	cStride    int
	accumulate bool
	bias       []float32
	epilogue   func(from, to int)
}

// rightSource reads B in place if tiles can, and copies it block by block otherwise.
func (u *productUnit) rightSource(b Operand, n int) source {
	return source{matrix: b, inPlace: u.wholePanels(b, n)}
}

// right returns the rows [rowFrom, rowTo) and columns [colFrom, colTo) of the right operand of a grid.
func (s *source) right(u *productUnit, own *workerScratch, rowFrom, rowTo, colFrom, colTo int) panels {
	if s.inPlace {
		return panels{data: s.matrix.at(rowFrom, colFrom).Data, stride: s.matrix.RowStride, panelStride: u.cols}
	}
	stride := u.padded(colTo - colFrom)
	own.b = grown(own.b, max(1, rowTo-rowFrom)*stride)
	s.fill(u, own.b, stride, rowFrom, rowTo, colFrom, colTo)
	return panels{data: own.b, stride: stride, panelStride: u.cols}
}

// grid computes a product block by block.
func (e *Engine) grid(p gridProduct) {
	u := &e.product
	rows, cols := cut(p.m, gridHeight), cut(p.n, gridWidth)
	parts := max(1, min(cut(gridTasks, rows*cols), p.k/gridDepth))
	if parts > 1 {
		u.partials = grown(u.partials, (parts-1)*p.m*p.n)
	}
	share(e, &e.jobs.grid, gridJob{p, rows, cols, parts, u.startRow(p.bias, p.n)}, rows*cols*parts, 1)
	e.finishGrid(p, parts)
}

type gridJob struct {
	gridProduct
	rows, cols, parts int
	start             []float32
}

func (j *gridJob) run(e *Engine, worker, i, _ int) {
	u, part, row, col := &e.product, i/(j.rows*j.cols), i/j.cols%j.rows, i%j.cols
	u.gridTask(worker, j, gridBlock{
		rowFrom: row * j.m / j.rows, rowTo: (row + 1) * j.m / j.rows,
		colFrom: u.panelEdge(j.n, col, j.cols), colTo: u.panelEdge(j.n, col+1, j.cols),
		kFrom: part * j.k / j.parts, kTo: (part + 1) * j.k / j.parts, part: part,
	})
}

// cut is the number of pieces no larger than size that n is cut into.
func cut(n, size int) int { return (n + size - 1) / size }

// panelEdge is where piece i of count of n columns begins: at a whole panel.
func (u *productUnit) panelEdge(n, i, count int) int {
	return min(n, i*cut(n, u.cols)/count*u.cols)
}

// gridBlock is the part of a product that one task computes.
type gridBlock struct{ rowFrom, rowTo, colFrom, colTo, kFrom, kTo, part int }

// gridTask computes one block: into C for the first part of K, into partial sums for the others.
func (u *productUnit) gridTask(worker int, p *gridJob, g gridBlock) {
	own := &u.local[worker]
	c, cStride, accumulate := p.c, p.cStride, p.accumulate
	if g.part > 0 {
		c, cStride, accumulate = u.partials[(g.part-1)*p.m*p.n:], p.n, false
	}
	b := block{m: g.rowTo - g.rowFrom, n: g.colTo - g.colFrom, c: c[g.rowFrom*cStride+g.colFrom:], cStride: cStride, accumulate: accumulate}
	if p.start != nil && g.part == 0 {
		b.start = p.start[g.colFrom:]
	}
	steps := max(1, cut(g.kTo-g.kFrom, gridDepth))
	for step := range steps {
		from, to := g.kFrom+step*(g.kTo-g.kFrom)/steps, g.kFrom+(step+1)*(g.kTo-g.kFrom)/steps
		b.k = to - from
		b.a = u.spread(own, p.a.at(g.rowFrom, from), b.m, b.k)
		b.b = p.b.right(u, own, from, to, g.colFrom, g.colTo)
		u.multiply(worker, b)
		b.accumulate, b.start = true, nil
	}
}

// spread returns a block of A for the tiles, which take it in place with any strides, except that columns which would
// all meet in one set of the first-level cache are copied apart.
func (u *productUnit) spread(own *workerScratch, a Operand, rows, cols int) Operand {
	if a.RowStride != 1 || a.ColStride%(2*page) != 0 {
		return a
	}
	stride := u.padded(rows)
	own.a = grown(own.a, cols*stride)
	u.copyBlock(own.a, stride, Operand{Data: a.Data, RowStride: a.ColStride, ColStride: 1}, cols, rows)
	return Operand{Data: own.a, RowStride: 1, ColStride: stride}
}

// finishGrid adds the partial sums of each row of C, first part first, and calls the epilogue.
func (e *Engine) finishGrid(p gridProduct, parts int) {
	if parts == 1 && p.epilogue == nil {
		return
	}
	share(e, &e.jobs.gridEnd, gridEndJob{p, parts}, p.m, max(1, elementChunk/p.n))
}

type gridEndJob struct {
	gridProduct
	parts int
}

func (j *gridEndJob) run(e *Engine, _, from, to int) {
	for i := from; i < to; i++ {
		row := j.c[i*j.cStride:][:j.n] // holds the sum of the first part
		for part := range j.parts - 1 {
			e.vector.add(row, row, e.product.partials[(part*j.m+i)*j.n:][:j.n])
		}
	}
	if j.epilogue != nil {
		j.epilogue(from, to)
	}
}
