package kernel

// Operand is a matrix in the caller's memory: element (i, j) is Data[i*RowStride+j*ColStride].
type Operand struct {
	Data                 Array
	RowStride, ColStride int
}

// at is the part of the operand that begins at element (i, j).
func (o Operand) at(i, j int) Operand {
	o.Data = o.Data.From(min(i*o.RowStride+j*o.ColStride, o.Data.Len()))
	return o
}

// tiles is a float32 operand as tile kernels read it.
func (o Operand) tiles() left { return left{o.Data.Float32(), o.RowStride, o.ColStride} }

// Product describes C = A·B (+ C) (+ Bias) for A [M, K], B [K, N] and C [M, N]. If one of the three is bf16, both
// factors are rounded to bf16; sums are float32 in any case.
type Product struct {
	M, N, K    int
	A, B       Operand
	C          Array // element (i, j) is C[i*CStride+j]; must overlap neither A nor B
	CStride    int
	Accumulate bool      // add to what C holds instead of overwriting it; C is then float32
	Bias       []float32 // [N], added to every row; nil for none
	// SumsOfA [K], if not nil, is set to the column sums of A while its rows are in cache. A is then row-major and dense.
	SumsOfA []float32
	// Followers work on the rows of C, in their order, as soon as some are complete and still in cache.
	Followers []Follower
}

// MatMul computes the product p. K may be 0: the sum over nothing is 0.
func (e *Engine) MatMul(p Product) {
	if p.M <= 0 || p.N <= 0 {
		if p.SumsOfA != nil {
			e.ColumnSums(p.SumsOfA, p.A.Data, p.M, p.K)
		}
		if p.M > 0 {
			runFollowers(e, p.Followers, 0, 0, p.M, p.M)
		}
		return
	}
	u := e.unitOf(p.A.Data, p.B.Data, p.C)
	p.leaveFactors()
	if inStrips(p.M, p.K) {
		e.strips(stripProduct{
			unit: u, m: p.M, n: p.N, k: p.K, a: u.leftSource(p.A, p.K), b: source{matrix: p.B, k: p.K}, c: p.C, cStride: p.CStride,
			accumulate: p.Accumulate, bias: p.Bias, followers: p.Followers, sumsOfA: p.SumsOfA,
		})
		return
	}
	if p.SumsOfA != nil {
		e.ColumnSums(p.SumsOfA, p.A.Data, p.M, p.K)
	}
	e.grid(gridProduct{
		unit: u, m: p.M, n: p.N, k: p.K, a: u.leftSource(p.A, p.K), b: u.rightSource(p.B, p.N, p.K), c: p.C, cStride: p.CStride,
		accumulate: p.Accumulate, bias: p.Bias, followers: p.Followers,
	})
}

// leaveFactors lets the factors of a sum over nothing, which may be empty, have no strides that lead out of them.
func (p *Product) leaveFactors() {
	if p.K == 0 {
		p.A, p.B = Operand{Data: p.A.Data}, Operand{Data: p.B.Data}
	}
}

// unitOf chooses how to multiply: in bf16 if something is.
func (e *Engine) unitOf(operands ...Array) *productUnit {
	for _, o := range operands {
		if o.Half() {
			return &e.pairs
		}
	}
	return &e.product
}

// words is the number of words of a sum over k terms.
func (u *productUnit) words(k int) int {
	if u.isPairs {
		return cut(k, 2)
	}
	return k
}

// smallProduct computes p on one worker inside a task of Parallel, for products that fit its second-level cache. It
// takes neither Bias nor Followers, and C is float32. A roomy C has space for whole panels in each row, and what lies
// there is overwritten: a tile that sticks out of C then needs no detour. ahead may be nil.
func (e *Engine) smallProduct(worker int, p Product, roomy bool, ahead *readAhead) {
	u := e.unitOf(p.A.Data, p.B.Data)
	p.leaveFactors()
	own, words := &u.local[worker], u.words(p.K)
	b := block{m: p.M, n: p.N, k: words, c: p.C.Float32(), cStride: p.CStride, accumulate: p.Accumulate, ahead: ahead}
	if roomy {
		b.n = u.whole(p.N)
	}
	if u.isPairs {
		a := u.leftSource(p.A, p.K)
		b.a = a.left(u, own, u.padded(words), 0, p.M, 0, words)
	} else {
		b.a = p.A.tiles()
	}
	right := u.rightSource(p.B, p.N, p.K)
	b.b = right.right(u, own, 0, words, 0, p.N)
	u.multiply(worker, b)
}

// whole is n rounded up to whole panels.
func (u *productUnit) whole(n int) int { return cut(n, u.cols) * u.cols }

// wholePanels reports whether tiles can read B [K, n] in place: rows are contiguous and fill whole panels, since tiles
// read no less, and do not meet in a few sets of the first-level cache.
func (u *productUnit) wholePanels(b Operand, n int) bool {
	return b.ColStride == 1 && n%u.cols == 0 && b.RowStride%page != 0
}

// page is a stride in floats at multiples of which elements meet in one or two sets of a first-level cache, whose sets
// repeat every 4 KiB.
const page = 512

// source is an operand on its way to the tile kernels: a matrix in memory, patches of images, or reordered weights.
// It is one struct and no interface, so that it lies within the job and not in memory of its own.
type source struct {
	kind    sourceKind
	inPlace bool // tiles read the matrix where it is; otherwise blocks are copied into scratch memory
	matrix  Operand
	patches patches
	weights classWeights
	k       int // terms of the sum, along which pairs are made
}

type sourceKind int

const (
	fromMatrix sourceKind = iota
	fromPatches
	fromWeights
)

// fill writes the rows [rowFrom, rowTo) and columns [colFrom, colTo) of a float32 source to dst, row-major with the
// given stride; patches of bf16 are counted and written in words.
func (s *source) fill(u *productUnit, dst []float32, stride, rowFrom, rowTo, colFrom, colTo int) {
	switch s.kind {
	case fromMatrix:
		u.copyBlock(dst, stride, s.matrix.at(rowFrom, colFrom), rowTo-rowFrom, colTo-colFrom)
	case fromPatches:
		s.patches.fill(u, dst, stride, rowFrom, rowTo, colFrom, colTo)
	case fromWeights:
		s.weights.fill(u, dst, stride, rowFrom, rowTo, colFrom, colTo)
	}
}

// copyBlock writes rows×cols elements of a float32 operand to dst, row-major with the given stride.
func (u *productUnit) copyBlock(dst []float32, stride int, o Operand, rows, cols int) {
	switch {
	case rows == 0 || cols == 0: // there may be no data at all
	case o.ColStride == 1:
		u.copyMatrix(dst, stride, o.Data.Float32(), o.RowStride, rows, cols)
	case o.RowStride == 1:
		u.transpose(dst, stride, o.Data.Float32(), o.ColStride, cols, rows)
	default:
		for i := range rows {
			for j := range cols {
				dst[i*stride+j] = o.Data.Float32()[i*o.RowStride+j*o.ColStride]
			}
		}
	}
}

// productUnit is what the products keep on an Engine: the family's inner loops and scratch memory, which grows to the
// largest call seen and is never given back. It is used by one call at a time; each worker has its own part of local.
type productUnit struct {
	microKernels
	loops     innerLoops
	isPairs   bool      // multiplies bf16
	packed    []float32 // B in panels
	start     []float32 // the bias up to a whole number of panels
	partials  []float32 // sums over parts of K
	unrounded []float32 // C of a grid before it is rounded
	zeros     []float32
	local     []workerScratch
	winograd  winogradUnit // of float32
}

// workerScratch is one worker's copies of blocks of A, B and C.
type workerScratch struct {
	a, b, c, edge, gathered, turned, across []float32
	ahead                                   readAhead
}

func newProductUnit(kernels microKernels, loops innerLoops, workers int, pairs bool) productUnit {
	u := productUnit{microKernels: kernels, loops: loops, isPairs: pairs, local: make([]workerScratch, workers)}
	u.zeros = make([]float32, u.cols)
	for i := range u.local {
		u.local[i].edge = make([]float32, u.rows*u.cols)
	}
	return u
}

// padded is a row stride in scratch memory for rows of n columns: whole panels, and an odd number of cache lines, so
// that the rows of a panel spread over all sets of the caches.
func (u *productUnit) padded(n int) int {
	const line = 16
	return (cut(u.whole(n), line) | 1) * line
}

// startRow returns the bias as the tile kernels read it, or nil for none.
func (u *productUnit) startRow(bias []float32, n int) []float32 {
	if bias == nil {
		return nil
	}
	u.start = grown(u.start, n+u.cols)
	copy(u.start, bias[:n])
	return u.start
}
