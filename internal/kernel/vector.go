package kernel

// elementChunk is the number of elements of one work item of an element-wise kernel: 64 KiB an operand, so that
// handing it out costs little and four operands still fit a core's second-level cache.
const elementChunk = 16 << 10

// blockElements bounds rows×columns of one work item of a row-wise kernel (128 KiB an operand).
const blockElements = 32 << 10

// maxBlockRows bounds how many rows one float32 partial sum covers. Partial sums are then joined in float64, so the
// rounding error of a sum over a column does not grow with the number of rows.
const maxBlockRows = 256

// rowLoops are the vector kernels over activations in one storage: single-threaded bodies over contiguous rows×cols
// pieces that the methods of Engine cut, hand out and join. They compute in float32, whatever the storage. The portable
// Go bodies stand beside the methods that use them and say what each entry computes; the generated assembly has the
// same names with BFloat16 for bf16, and with the width as suffix.
type rowLoops[T storage] struct {
	add          func(dst, a, b []T)
	scale        func(dst, a []T, factor float32)
	relu         func(y, x []T)
	reluBackward func(dx, dy, y []T)

	columnSums    func(sums []float32, x []T, rows, cols int)
	columnMoments func(sums, squares []float32, x []T, shift []float32, rows, cols int)

	layerNorm         func(y []T, mean, rstd []float32, x []T, gamma, beta []float32, rows, cols int, eps float32)
	layerNormBackward func(dx []T, dgamma, dbeta []float32, dy, x []T, gamma, mean, rstd []float32, rows, cols int)

	normalize            func(y, x []T, mean, factor, beta []float32, rows, cols int, floor float32)
	normalizeAdd         func(y, x, residual []T, mean, factor, beta []float32, rows, cols int, floor float32)
	normGradientSums     func(sums, products []float32, dy, x []T, mean, rstd []float32, rows, cols int)
	normGradientSumsReLU func(sums, products []float32, dz, dy, y, x []T, mean, rstd []float32, rows, cols int)
	normGradientApply    func(dx, dy, x []T, mean, factor, meanGradient, slope []float32, rows, cols int)
}

// innerLoops are the vector kernels of one family: those over float32, those over bf16 and those between the two.
type innerLoops struct {
	rowLoops[float32]
	half rowLoops[BFloat16]

	widen  func(dst []float32, src []BFloat16)
	narrow func(dst []BFloat16, src []float32)
	// narrowRows rounds a rows×cols matrix.
	narrowRows func(dst []BFloat16, dstStride int, src []float32, srcStride, rows, cols int)
	// pair and pairHalves make that many rows of words, each of two bf16: row i of row 2i of src in the lower halves and
	// of row 2i+1 above.
	pair       func(dst []float32, dstStride int, src []float32, srcStride, rows, cols int)
	pairHalves func(dst []float32, dstStride int, src []BFloat16, srcStride, rows, cols int)

	gelu         func(y, x []float32)
	geluBackward func(dx, dy, x []float32)
	lookUp       func(y, x []BFloat16, table *tableOf[BFloat16])
	weigh        func(dx, dy, x []BFloat16, table *tableOf[float32])

	sum        func(x []float32) float64
	sumSquares func(x []float32) float64
	finite     func(x []float32) bool
	dot        func(a, b []float32) float32
	combine    func(a, b []float32, factorA, factorB float32)

	softmaxRows     func(p, maxima, sums, x []float32, rows, cols, stride int, factor float32)
	exponentialRows func(p, x, shift []float32, rows, cols, stride int, factor float32)
	softmaxBackward func(dx, p, dp, delta []float32, rows, cols, stride int, factor float32)

	maximum func(y []float32, argmax []int32, x []float32, index int32)

	adamW func(p, g, m, v []float32, c *adamWFactors)
	sgd   func(p, g, momentum []float32, c *sgdFactors)
}

// portableLoops are the plain Go bodies: the family of CPUs without assembly, and what the assembly is tested beside.
func portableLoops() innerLoops {
	return innerLoops{
		rowLoops: portableRows[float32](), half: portableRows[BFloat16](),
		widen: widenPortable, narrow: narrowPortable, narrowRows: narrowRowsPortable, pair: pairPortable, pairHalves: pairHalvesPortable,
		gelu: geluPortable, geluBackward: geluBackwardPortable, lookUp: lookUpPortable, weigh: weighPortable,
		sum: sumPortable, sumSquares: sumSquaresPortable, finite: finitePortable, dot: dotPortable, combine: combinePortable,
		softmaxRows: softmaxRowsPortable, exponentialRows: exponentialRowsPortable, softmaxBackward: softmaxBackwardPortable,
		maximum: maximumPortable, adamW: adamWPortable, sgd: sgdPortable,
	}
}

func portableRows[T storage]() rowLoops[T] {
	return rowLoops[T]{
		add: addPortable[T], scale: scalePortable[T], relu: reluPortable[T], reluBackward: reluBackwardPortable[T],
		columnSums: columnSumsPortable[T], columnMoments: columnMomentsPortable[T],
		layerNorm: layerNormPortable[T], layerNormBackward: layerNormBackwardPortable[T],
		normalize: normalizePortable[T], normalizeAdd: normalizeAddPortable[T],
		normGradientSums: normGradientSumsPortable[T], normGradientSumsReLU: normGradientSumsReLUPortable[T],
		normGradientApply: normGradientApplyPortable[T],
	}
}

// vectorUnit is what the vector kernels keep on an Engine: the family's loops and the scratch memory, which grows to
// the largest call seen and is never given back. It is used by one kernel call at a time.
type vectorUnit struct {
	innerLoops
	shared []float32              // partial results of one call, addressed by work item
	slots  [][slotCount][]float32 // of each worker: bf16 operands as float32
	local  [][]float32            // one buffer a worker
	column []float32              // per-column numbers of one call
	sums   []float64              // partial results of scalar reductions
	tables *geluTables            // of the family, once needed
}

// newVectorUnit returns the unit of a family that this CPU runs.
func newVectorUnit(f Family, workers int) vectorUnit {
	return vectorUnit{innerLoops: loopsOf(f), local: make([][]float32, workers), slots: make([][slotCount][]float32, workers)}
}

// partials returns n floats shared by the work items of one call, with unspecified contents.
func (v *vectorUnit) partials(n int) []float32 {
	v.shared = grown(v.shared, n)
	return v.shared[:n]
}

// columns returns n floats for per-column numbers, with unspecified contents; each use ends the one before.
func (v *vectorUnit) columns(n int) []float32 {
	v.column = grown(v.column, n)
	return v.column[:n]
}

// scalars returns n numbers for the partial results of a scalar reduction, with unspecified contents.
func (v *vectorUnit) scalars(n int) []float64 {
	if cap(v.sums) < n {
		v.sums = make([]float64, n)
	}
	return v.sums[:n]
}

// scratch returns n floats of one worker, with unspecified contents.
func (v *vectorUnit) scratch(worker, n int) []float32 {
	v.local[worker] = grown(v.local[worker], n)
	return v.local[worker][:n]
}

// grown returns scratch memory of at least n floats: the buffer, or a larger one in whose favour it is given back. What
// either held is lost.
func grown(buffer []float32, n int) []float32 {
	if cap(buffer) >= n {
		return buffer[:cap(buffer)]
	}
	release(buffer)
	return make([]float32, n)
}

// rowsPerBlock is the number of rows of one work item over rows×cols matrices.
func rowsPerBlock(cols int) int {
	return min(maxBlockRows, max(1, blockElements/max(1, cols)))
}

// joinWidth is the number of columns whose partial sums one work item joins.
const joinWidth = 32

// joinPartials adds the blocks of a [blocks, cols] matrix of partial sums in float64, first block first.
func (e *Engine) joinPartials(dst, partials []float32, blocks, stride int) {
	share(e, &e.jobs.join, joinJob{dst, partials, blocks, stride}, len(dst), joinWidth)
}

type joinJob struct {
	dst, partials  []float32
	blocks, stride int
}

func (j *joinJob) run(_ *Engine, _, from, to int) {
	var sums [joinWidth]float64
	for b := range j.blocks {
		for i, v := range j.partials[b*j.stride+from : b*j.stride+to] {
			sums[i] += float64(v)
		}
	}
	for i := from; i < to; i++ {
		j.dst[i] = float32(sums[i-from])
	}
}
