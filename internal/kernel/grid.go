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
	unit       *productUnit
	m, n, k    int
	a, b       source
	c          Array
	cStride    int
	accumulate bool
	bias       []float32
	followers  []Follower
}

// rightSource reads B in place if tiles can, and copies it block by block otherwise.
func (u *productUnit) rightSource(b Operand, n, k int) source {
	return source{matrix: b, k: k, inPlace: !u.isPairs && u.wholePanels(b, n)}
}

// right returns the rows [rowFrom, rowTo) and columns [colFrom, colTo) of the right operand of a grid.
func (s *source) right(u *productUnit, own *workerScratch, rowFrom, rowTo, colFrom, colTo int) panels {
	if s.inPlace {
		return panels{data: s.matrix.at(rowFrom, colFrom).Data.Float32(), stride: s.matrix.RowStride, panelStride: u.cols}
	}
	stride := u.padded(colTo - colFrom)
	own.b = grown(own.b, max(1, rowTo-rowFrom)*stride)
	s.fillRight(u, own, own.b, stride, rowFrom, rowTo, colFrom, colTo)
	return panels{data: own.b, stride: stride, panelStride: u.cols}
}

// grid computes a product block by block.
func (e *Engine) grid(p gridProduct) {
	u := p.unit
	p.k = u.words(p.k)
	rows, cols := cut(p.m, gridHeight), cut(p.n, gridWidth)
	parts := max(1, min(cut(gridTasks, rows*cols), p.k/gridDepth))
	if parts > 1 {
		u.partials = grown(u.partials, (parts-1)*p.m*p.n)
	}
	share(e, &e.jobs.grid, gridJob{p, u.wholeOf(p), rows, cols, parts, u.startRow(p.bias, p.n)}, rows*cols*parts, 1)
	e.finishGrid(p, parts)
}

type gridJob struct {
	gridProduct
	sums              whole
	rows, cols, parts int
	start             []float32
}

func (j *gridJob) run(_ *Engine, worker, i, _ int) {
	u, part, row, col := j.unit, i/(j.rows*j.cols), i/j.cols%j.rows, i%j.cols
	u.gridTask(worker, j, gridBlock{
		rowFrom: edge(j.m, row, j.rows, u.rowUnit), rowTo: edge(j.m, row+1, j.rows, u.rowUnit),
		colFrom: edge(j.n, col, j.cols, u.cols), colTo: edge(j.n, col+1, j.cols, u.cols),
		kFrom: edge(j.k, part, j.parts, u.depthUnit), kTo: edge(j.k, part+1, j.parts, u.depthUnit), part: part,
	})
}

// whole is where the sums of a grid stand in float32: in C, or in scratch memory when C is bf16.
type whole struct {
	c       []float32
	cStride int
}

func (u *productUnit) wholeOf(p gridProduct) whole {
	if !p.c.Half() {
		return whole{p.c.f32, p.cStride}
	}
	u.unrounded = grown(u.unrounded, p.m*p.n)
	return whole{u.unrounded, p.n}
}

// cut is the number of pieces no larger than size that n is cut into.
func cut(n, size int) int { return (n + size - 1) / size }

// edge is where piece i of count pieces of n begins: at a multiple of unit.
func edge(n, i, count, unit int) int { return min(n, i*cut(n, unit)/count*unit) }

// gridBlock is the part of a product that one task computes.
type gridBlock struct{ rowFrom, rowTo, colFrom, colTo, kFrom, kTo, part int }

// gridTask computes one block: into C for the first part of K, into partial sums for the others.
func (u *productUnit) gridTask(worker int, p *gridJob, g gridBlock) {
	own := &u.local[worker]
	c, cStride, accumulate := p.sums.c, p.sums.cStride, p.accumulate
	if g.part > 0 {
		c, cStride, accumulate = u.partials[(g.part-1)*p.m*p.n:], p.n, false
	}
	b := block{m: g.rowTo - g.rowFrom, n: g.colTo - g.colFrom, c: c[g.rowFrom*cStride+g.colFrom:], cStride: cStride, accumulate: accumulate}
	if p.start != nil && g.part == 0 {
		b.start = p.start[g.colFrom:]
	}
	steps := max(1, cut(g.kTo-g.kFrom, gridDepth))
	for step := range steps {
		from := g.kFrom + edge(g.kTo-g.kFrom, step, steps, u.depthUnit)
		to := g.kFrom + edge(g.kTo-g.kFrom, step+1, steps, u.depthUnit)
		b.k = to - from
		b.a = p.a.spread(u, own, g.rowFrom, g.rowTo, from, to)
		b.b = p.b.right(u, own, from, to, g.colFrom, g.colTo)
		b.ahead = p.nextBlock(own, g, to, min(g.kTo, 2*to-from))
		u.multiply(worker, b)
		b.accumulate, b.start = true, nil
	}
}

// nextBlock reads ahead what the terms [from, to) of a block's sum take from memory to be interleaved: that goes too fast
// for any memory, but the product before it does not.
func (p *gridProduct) nextBlock(own *workerScratch, g gridBlock, from, to int) *readAhead {
	if !p.unit.isPairs || from >= to {
		return nil
	}
	own.ahead.reset()
	if p.a.kind == fromMatrix {
		own.ahead.add(p.a.matrix.transposed(), 2*from, min(2*to, p.a.k), g.rowFrom, g.rowTo)
	}
	if p.b.kind == fromMatrix {
		own.ahead.add(p.b.matrix, 2*from, min(2*to, p.b.k), g.colFrom, g.colTo)
	}
	return &own.ahead
}

// spread returns a block of A for the tiles, which take float32 in place with any strides, except that columns which
// would all meet in one set of the first-level cache are copied apart.
func (s *source) spread(u *productUnit, own *workerScratch, rowFrom, rowTo, from, to int) left {
	if u.isPairs {
		return s.left(u, own, u.padded(to-from), rowFrom, rowTo, from, to)
	}
	a, rows, cols := s.matrix.at(rowFrom, from), rowTo-rowFrom, to-from
	if a.RowStride != 1 || a.ColStride%(2*page) != 0 {
		return a.tiles()
	}
	stride := u.padded(rows)
	own.a = grown(own.a, cols*stride)
	u.copyBlock(own.a, stride, Operand{Data: a.Data, RowStride: a.ColStride, ColStride: 1}, cols, rows)
	return left{own.a, 1, stride}
}

// finishGrid adds the partial sums of each row of C, first part first, and runs what follows.
func (e *Engine) finishGrid(p gridProduct, parts int) {
	if parts == 1 && len(p.followers) == 0 && !p.c.Half() {
		return
	}
	share(e, &e.jobs.gridEnd, gridEndJob{p, p.unit.wholeOf(p), parts}, p.m, max(1, elementChunk/p.n))
}

type gridEndJob struct {
	gridProduct
	sums  whole
	parts int
}

func (j *gridEndJob) run(e *Engine, worker, from, to int) {
	for i := from; i < to; i++ {
		row := j.sums.c[i*j.sums.cStride:][:j.n] // holds the sum of the first part
		for part := range j.parts - 1 {
			e.vector.add(row, row, j.unit.partials[(part*j.m+i)*j.n:][:j.n])
		}
		if j.c.Half() {
			e.vector.narrow(j.c.bf16[i*j.cStride:][:j.n], row)
		}
	}
	runFollowers(e, j.followers, worker, from, to, j.m)
}
