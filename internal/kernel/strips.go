package kernel

const (
	// stripMinimum is the number of rows from which a product is cut into strips of rows, unless K is more than
	// stripDepth times as large: then packing all of B costs more than it saves.
	stripMinimum, stripDepth = 512, 4
	// stripRows is about the height of a strip: a strip of A and of C stays in the second-level cache while all of B passes.
	stripRows = 112
	// stripTasks is the least number of strips, so that workers end at nearly the same time.
	stripTasks = 16
)

// leftSource reads A in place unless its columns are not contiguous, or its rows lie a multiple of the page size apart,
// where they would all meet in one set of the first-level cache.
func (u *productUnit) leftSource(a Operand, k int) source {
	return source{matrix: a, k: k, inPlace: a.ColStride == 1 && u.wordStride(a)%page != 0 && u.hasWords(a, k)}
}

// left returns the rows [rowFrom, rowTo) and words [from, to) of the left operand of a strip.
func (s *source) left(u *productUnit, own *workerScratch, stride, rowFrom, rowTo, from, to int) left {
	if s.inPlace {
		return s.wordsInPlace(u, rowFrom, from)
	}
	if u.isPairs {
		return s.leftPairs(u, own, stride, rowFrom, rowTo, from, to)
	}
	own.a = grown(own.a, (rowTo-rowFrom)*stride)
	s.fill(u, own.a, stride, rowFrom, rowTo, from, to)
	return left{own.a, stride, 1}
}

// stripProduct is a product with many rows. B is packed once; each task then computes a strip of rows of C.
type stripProduct struct {
	unit       *productUnit
	m, n, k    int
	a, b       source
	c          Array // none: strips go to the worker's scratch, and scatter takes them from there
	cStride    int
	accumulate bool
	bias       []float32
	scatter    scatter
	followers  []Follower // of every finished strip of c
	tail       tail       // likewise
	sumsOfA    []float32  // [k]; nil if the column sums of a, a dense matrix, are not wanted
}

// inStrips reports whether a product with m rows and k terms is computed strip by strip.
func inStrips(m, k int) bool { return m >= max(stripMinimum, k/stripDepth) }

// stripBlocks are the strips of m rows.
func (u *productUnit) stripBlocks(m int) blocks {
	return blocks{m, min(cut(m, u.rowUnit), max(stripTasks, cut(m, stripRows))), u.rowUnit}
}

// strips computes a product strip by strip.
func (e *Engine) strips(p stripProduct) {
	u, words := p.unit, p.unit.words(p.k)
	depths := max(1, cut(words, u.depth))
	e.pack(u, p.b, p.n, words, depths)
	b := u.stripBlocks(p.m)
	job := stripJob{stripProduct: p, blocks: b, words: words, depths: depths, start: u.startRow(p.bias, p.n)}
	if p.sumsOfA != nil {
		job.partials = e.vector.partials(b.count * p.k)
	}
	share(e, &e.jobs.strip, job, b.count, 1)
	if p.sumsOfA != nil {
		e.joinPartials(p.sumsOfA[:p.k], job.partials, b.count, p.k)
	}
}

type stripJob struct {
	stripProduct
	blocks        blocks
	words, depths int
	start         []float32
	partials      []float32 // [strips, k], of the column sums of a
}

func (j *stripJob) run(e *Engine, worker, i, _ int) {
	u, from, to := j.unit, j.blocks.edge(i), j.blocks.edge(i+1)
	u.strip(worker, j, from, to)
	switch {
	case j.c.None():
		j.scatter.rows(u, u.local[worker].c, from, to)
	case j.c.Half() && !u.intoHalf:
		u.narrowRows(j.c.From(from*j.cStride), j.cStride, u.local[worker].c, j.n, to-from)
	}
	if j.sumsOfA != nil { // before a follower writes over A
		e.vector.sumColumns(j.partials[i*j.k:(i+1)*j.k], j.a.matrix.Data.Slice(from*j.k, to*j.k), to-from, j.k)
	}
	runFollowers(e, j.followers, worker, from, to, j.m)
	j.tail.block(e, worker, i, from, to)
}

// narrowRows rounds dense rows of n float32 to the rows of a bf16 matrix.
func (u *productUnit) narrowRows(c Array, cStride int, rows []float32, n, count int) {
	u.loops.narrowRows(c.bf16, cStride, rows, n, count, n)
}

// pack brings all of B into panels: for each of depths ranges of rows, its panels one after the other.
func (e *Engine) pack(u *productUnit, b source, n, k, depths int) {
	count := cut(n, u.cols)
	u.packed = grown(u.packed, k*count*u.cols)
	share(e, &e.jobs.pack, packJob{u, b, n, k, depths, count}, count*depths, 1)
}

type packJob struct {
	unit                *productUnit
	b                   source
	n, k, depths, count int
}

func (j *packJob) run(_ *Engine, worker, i, _ int) {
	u, depth, col := j.unit, i/j.count, i%j.count*j.unit.cols
	from, to := edge(j.k, depth, j.depths, u.depthUnit), edge(j.k, depth+1, j.depths, u.depthUnit)
	j.b.fillRight(u, &u.local[worker], u.packed[from*j.count*u.cols+(to-from)*col:], u.cols, from, to, col, min(j.n, col+u.cols))
}

// strip computes rows [from, to) of C.
func (u *productUnit) strip(worker int, p *stripJob, from, to int) {
	own, width := &u.local[worker], cut(p.n, u.cols)*u.cols
	b := block{m: to - from, n: p.n, cStride: p.cStride, start: p.start, accumulate: p.accumulate}
	if p.c.None() || p.c.Half() {
		own.c = grown(own.c, b.m*p.n)
		b.c, b.cStride = own.c, p.n
	} else {
		b.c = p.c.f32[from*p.cStride:]
	}
	stride := u.padded(cut(cut(p.words, u.depthUnit), p.depths) * u.depthUnit)
	for depth := range p.depths {
		kFrom, kTo := edge(p.words, depth, p.depths, u.depthUnit), edge(p.words, depth+1, p.depths, u.depthUnit)
		b.k = kTo - kFrom
		b.a = p.a.left(u, own, stride, from, to, kFrom, kTo)
		b.b = panels{data: u.packed[kFrom*width:], stride: u.cols, panelStride: b.k * u.cols}
		if depth == p.depths-1 && p.c.Half() && u.intoHalf {
			b.half, b.halfStride = p.c.bf16[from*p.cStride:], p.cStride
		}
		u.multiply(worker, b)
		b.accumulate, b.start = true, nil
	}
}
