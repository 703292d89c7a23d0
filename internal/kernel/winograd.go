package kernel

// Winograd's algorithm F(4×4, 3×3) (Lavin & Gray 2016) for convolutions with 3×3 kernels, stride 1 and a border of one.
// It computes y in tiles of 4×4 positions from tiles of 6×6 positions of x, both seen as the values of polynomials at the
// points 0, ±1, ±2 and ∞ of each direction: there a convolution is a product, so that 36 multiplications do the work of
// 144.
//
//	y = Aᵀ[(G·w·Gᵀ) ⊙ (Bᵀ·x·B)]A,  summed over channels before A;  dw = Gᵀ[(A·dy·Aᵀ) ⊙ (Bᵀ·x·B)]G,  summed over tiles
//
// The gradient of x is the convolution of dy with the weights turned by 180°. For each of the 36 points the products of
// all channels and filters are one small matrix product, which the tile kernels compute. A task transforms a block of
// tiles into its worker's scratch, multiplies there and transforms back, so that maps never pass through memory in their
// transformed form, 2.25 times as large. Weights do, once a call, 4 times as large: 36 MiB of scratch for
// 512 channels and filters.
//
// Rounding errors are larger than those of direct sums, because the transforms cancel: for numbers drawn from a normal
// distribution 1.7e-6 to 2.2e-6 of the norm of y and dx and 0.9e-6 to 1.4e-6 of that of dw, with 64 to 512 channels, where
// direct sums are off by 3.5e-7 (TestWinogradErrors). Which other pictures
// are in the batch changes no bit of a picture's y and dx.
//
// Maps may be bf16: transforms widen them as they load and round as they store, and all between is float32, so that
// results are those of float32 maps with the same numbers, rounded once. Weights and dw are always float32.
const (
	tileSide = 4     // of a tile of y
	points   = 6 * 6 // of a tile in its transformed form
	// winogradTiles bounds the tiles of a block, and winogradDepth the channels that are summed at a time: with 64
	// channels a block of x, one of y and a panel of weights stay in a second-level cache of 1 MiB.
	winogradTiles, winogradDepth = 28, 64
	// winogradWidth is the least number of outputs for which x is transformed anew, to have more tasks.
	winogradWidth = 64
	// winogradBlock bounds the filters and the channels of a block of weights, winogradSteps the tiles that are added
	// to its gradient at a time. A part of the sum has at least two steps.
	winogradBlock, winogradSteps = 128, 32
	// Winograd's algorithm is used from winogradLeast channels and filters on, since the transforms are too much of the
	// work for fewer; from winogradLeastTiles tiles on, since the weights are transformed for each call; and for maps
	// that fill a winogradCover-th of their tiles. Measured on two cores of Zen 4, in GFLOP/s of the direct sums (y, dx
	// and dw; direct sums 200 to 215): 32×32×64 540, 550, 450; 16×16×128 645, 645, 550; 8×8×256 670, 670, 565; 4×4×512 575,
	// 540, 570; 5×5×256 280, 280, 240; 2×2×512 110, 105, 170; with 16 tiles of 512 channels 197, 169, 470.
	winogradLeast, winogradLeastTiles, winogradCover = 32, 16, 3
	// pairsLeast is the least number of positions of a map for which it beats VDPBF16PS; also, maps have to fill three
	// quarters of their tiles. Measured on two cores of Zen 4, in GFLOP/s (direct sums of bf16 350 to 430; y, dx and
	// dw): 32×32×64 570, 570, 530; 16×16×128 690, 685, 595; 8×8×256 690, 685, 535; 4×4×512 500, 580, 555. In percent of
	// direct sums: 32×32×32 125, 114, 163; 7×7×512 95, 102, 137; 6×6×256 68, 84, 87; 9×9×128 83, 81, 81; with 1024
	// positions of 4×4×512 92, 89, 128, of 8×8×256 89, 85, 141; with 1568 of 7×7×512 83, 91, 100.
	pairsLeast = 2048
)

// winograd reports whether convolutions of this shape are computed by Winograd's algorithm.
func (s ConvShape) winograd() bool {
	m := tiledMap{images: s.Images, height: s.Height, width: s.Width}
	return s.Kernel == 3 && s.Stride == 1 && s.Pad == 1 && min(s.Channels, s.Filters) >= winogradLeast && m.tiles() >= winogradLeastTiles &&
		winogradCover*s.inputs() >= m.tiles()*tileSide*tileSide
}

// worthwhile reports whether Winograd's algorithm beats direct sums by VDPBF16PS as well, which do twice the work of those
// in float32.
func (s ConvShape) worthwhile() bool {
	m := tiledMap{images: s.Images, height: s.Height, width: s.Width}
	return s.inputs() >= pairsLeast && 4*s.inputs() >= 3*m.tiles()*tileSide*tileSide
}

// byWinograd reports whether a convolution of these maps is computed by Winograd's algorithm. Where families multiply
// bf16 no faster than float32, the storage does not matter; the tiles of AMX do 14 times the work of FMA, which leaves it
// no shape.
func (e *Engine) byWinograd(s ConvShape, x, y Array) bool {
	if !x.Half() && !y.Half() || !e.family.MultipliesBFloat16() {
		return s.winograd()
	}
	return e.family != AMX && s.winograd() && s.worthwhile()
}

// winogradUnit is what Winograd's algorithm keeps on a productUnit.
type winogradUnit struct {
	winogradLoops
	local []winogradScratch
}

func newWinogradUnit(f Family, workers int) winogradUnit {
	return winogradUnit{winogradLoopsOf(f), make([]winogradScratch, workers)}
}

// winogradScratch is one worker's blocks in their transformed form, and the places of one tile.
type winogradScratch struct {
	places                        [points]place
	input, gradient, sums, turned []float32
	outside                       []float32 // takes what lies beyond the edges of y
}

// tile and kernel are the places of a tile of y and of the weights of a kernel.
func (s *winogradScratch) tile() *[tileSide * tileSide]place {
	return (*[tileSide * tileSide]place)(s.places[:])
}
func (s *winogradScratch) kernel() *[9]place { return (*[9]place)(s.places[:]) }

// pointStride is the distance between two points of a block of n numbers: an odd number of cache lines, so that the 36
// lines that a transform writes lie in different sets of the caches.
func pointStride(n int) int {
	const line = 16
	return (cut(n, line) | 1) * line
}

// spread is the part of a transformed block that n numbers from one on take up, at all points.
func spread(block []float32, from, stride, n int) []float32 {
	return block[from:][:(points-1)*stride+n]
}

// tiledMap is an NHWC map that is read or written tile by tile. Tiles may reach beyond the lower and right edges.
type tiledMap struct {
	images, height, width, channels int
	data                            Array
}

func (s ConvShape) inputMap(x Array) tiledMap {
	return tiledMap{s.Images, s.Height, s.Width, s.Channels, x}
}

func (s ConvShape) outputMap(y Array) tiledMap {
	return tiledMap{s.Images, s.OutHeight(), s.OutWidth(), s.Filters, y}
}

func (m *tiledMap) tiles() int { return m.images * cut(m.height, tileSide) * cut(m.width, tileSide) }

// find sets places to one channel of the side×side positions that begin margin above and left of a tile, and to outside
// for positions beyond the map.
func (m *tiledMap) find(places []place, tile, side, margin, channel int, outside *float32) {
	if m.data.Half() {
		find(m, m.data.bf16, places, tile, side, margin, channel, place(outside))
	} else {
		find(m, m.data.f32, places, tile, side, margin, channel, place(outside))
	}
}

func find[T storage](m *tiledMap, data []T, places []place, tile, side, margin, channel int, outside place) {
	down, across := cut(m.height, tileSide), cut(m.width, tileSide)
	image, top, left := tile/across/down, tile/across%down*tileSide-margin, tile%across*tileSide-margin
	for row := range side {
		line := places[row*side:][:side]
		y, at := top+row, ((image*m.height+top+row)*m.width+left)*m.channels+channel
		for col := range line {
			if line[col] = outside; uint(y) < uint(m.height) && uint(left+col) < uint(m.width) {
				line[col] = place(&data[at])
			}
			at += m.channels
		}
	}
}

// winogradProduct is a convolution of x that gives y. Tasks compute blocks of tiles, and some of the outputs where
// blocks are few.
type winogradProduct struct {
	unit                *productUnit
	y, x                tiledMap
	w                   []float32 // [filters, 3, 3, channels]
	turned              bool      // y is the gradient of the input and x that of the output
	blocks, outs        int
	width               int // outputs of a task: whole panels, except in the last
	chunks, depth       int // of the sum over the channels of x, and the largest
	weightStride        int // between points
	inputStride, stride int // between points of x and of y
	sumStride           int // between tiles of y
}

func (e *Engine) winogradForward(s ConvShape, y, x Array, w []float32) {
	e.winograd(winogradProduct{y: s.outputMap(y), x: s.inputMap(x), w: w})
}

func (e *Engine) winogradBackwardInput(s ConvShape, dx, dy Array, w []float32) {
	e.winograd(winogradProduct{y: s.inputMap(dx), x: s.outputMap(dy), w: w, turned: true})
}

// winograd transforms all weights, and then computes block by block.
func (e *Engine) winograd(p winogradProduct) {
	u, tiles := &e.product, p.y.tiles()
	if tiles == 0 {
		return
	}
	p.unit, p.blocks, p.chunks = u, cut(tiles, winogradTiles), cut(p.x.channels, winogradDepth)
	p.outs = max(1, min(cut(gridTasks, p.blocks), p.y.channels/winogradWidth))
	p.width, p.depth = u.whole(cut(p.y.channels, p.outs)), cut(p.x.channels, p.chunks)
	p.outs = cut(p.y.channels, p.width)
	rows := cut(tiles, p.blocks)
	p.sumStride = u.padded(p.width)
	p.weightStride, p.inputStride, p.stride = pointStride(p.depth*p.width), pointStride(p.depth*rows), pointStride(p.sumStride*rows)
	u.zeros = grown(u.zeros, max(p.depth, u.cols))
	u.packed = grown(u.packed, p.outs*p.chunks*points*p.weightStride)
	share(e, &e.jobs.winogradWeights, winogradWeightsJob{p}, p.outs*p.chunks*p.width/u.cols, 1)
	share(e, &e.jobs.winograd, winogradJob{p}, p.blocks*p.outs, 1)
}

// chunk is the range of channels of x that are summed together.
func (p *winogradProduct) chunk(i int) (from, to int) {
	return i * p.x.channels / p.chunks, (i + 1) * p.x.channels / p.chunks
}

// weights are the transformed weights of some outputs and a chunk: at each point panels, one after the other.
func (p *winogradProduct) weights(out, chunk int) []float32 {
	size := points * p.weightStride
	return p.unit.packed[(out*p.chunks+chunk)*size:][:size]
}

// winogradWeightsJob transforms the weights, panel by panel.
type winogradWeightsJob struct{ winogradProduct }

func (j *winogradWeightsJob) run(_ *Engine, worker, i, _ int) {
	u, panels := j.unit, j.width/j.unit.cols
	out, chunk, panel := i/panels/j.chunks, i/panels%j.chunks, i%panels
	from, to := out*j.width+panel*u.cols, min(j.y.channels, out*j.width+(panel+1)*u.cols)
	if from >= to {
		return
	}
	kFrom, kTo := j.chunk(chunk)
	own, dst := &u.winograd.local[worker], j.weights(out, chunk)[panel*(kTo-kFrom)*u.cols:]
	if j.turned {
		j.turnedPanel(own, dst, kFrom, kTo, from, to)
	} else {
		j.panel(own, dst, kFrom, kTo, from, to)
	}
	clear(own.places[:])
}

// panel transforms the weights of the filters [from, to), which lie side by side in the panel and rows apart in memory.
func (p *winogradProduct) panel(own *winogradScratch, dst []float32, kFrom, kTo, from, to int) {
	u, taps, size := p.unit, own.kernel(), (kTo-kFrom)*p.unit.cols
	own.turned = grown(own.turned, len(taps)*size)
	for t := range taps {
		tap := own.turned[t*size:][:size]
		u.transpose(tap, u.cols, p.w[(from*len(taps)+t)*p.x.channels+kFrom:], len(taps)*p.x.channels, to-from, kTo-kFrom)
		taps[t] = place(&tap[0])
	}
	u.winograd.weights(spread(dst, 0, p.weightStride, size), p.weightStride, taps, size)
}

// turnedPanel transforms the weights of the channels [from, to), turned, filter by filter.
func (p *winogradProduct) turnedPanel(own *winogradScratch, dst []float32, kFrom, kTo, from, to int) {
	u, taps := p.unit, own.kernel()
	for k := kFrom; k < kTo; k++ {
		for t := range taps {
			taps[t] = place(&p.w[(k*len(taps)+len(taps)-1-t)*p.y.channels+from])
		}
		u.winograd.weights(spread(dst, (k-kFrom)*u.cols, p.weightStride, to-from), p.weightStride, taps, to-from)
	}
}

// winogradJob computes blocks of tiles.
type winogradJob struct{ winogradProduct }

func (j *winogradJob) run(_ *Engine, worker, i, _ int) {
	u, tiles, index, out := j.unit, j.y.tiles(), i/j.outs, i%j.outs
	own, from, to := &u.winograd.local[worker], index*tiles/j.blocks, (index+1)*tiles/j.blocks
	own.input, own.sums = grown(own.input, points*j.inputStride), grown(own.sums, points*j.stride)
	for chunk := range j.chunks {
		kFrom, kTo := j.chunk(chunk)
		b := block{m: to - from, n: u.whole(min(j.width, j.y.channels-out*j.width)), k: kTo - kFrom, cStride: j.sumStride, accumulate: chunk > 0}
		j.transform(own, from, to, kFrom, kTo)
		weights := j.weights(out, chunk)
		for point := range points {
			b.a = left{own.input[point*j.inputStride:], b.k, 1}
			b.b = panels{data: weights[point*j.weightStride:], stride: u.cols, panelStride: b.k * u.cols}
			b.c = own.sums[point*j.stride:]
			u.multiply(worker, b)
		}
	}
	j.finish(own, from, to, out*j.width, min(j.y.channels, (out+1)*j.width))
	clear(own.places[:])
}

// transform brings the channels [kFrom, kTo) of the tiles [from, to) of x into the worker's scratch: Bᵀ·x·B.
func (p *winogradProduct) transform(own *winogradScratch, from, to, kFrom, kTo int) {
	u, n := p.unit, kTo-kFrom
	input := u.winograd.of(&p.x).input
	for t := from; t < to; t++ {
		p.x.find(own.places[:], t, 6, 1, kFrom, &u.zeros[0])
		input(spread(own.input, (t-from)*n, p.inputStride, n), p.inputStride, &own.places, n)
	}
}

// finish writes the outputs [first, last) of the tiles [from, to) of y: Aᵀ·sums·A.
func (p *winogradProduct) finish(own *winogradScratch, from, to, first, last int) {
	own.outside = grown(own.outside, last-first)
	output := p.unit.winograd.of(&p.y).output
	for t := from; t < to; t++ {
		p.y.find(own.tile()[:], t, tileSide, 0, first, &own.outside[0])
		output(own.tile(), spread(own.sums, (t-from)*p.sumStride, p.stride, last-first), p.stride, last-first)
	}
}

// winogradGradient is the gradient dw of the weights. Tasks compute blocks of filters and channels; where those are few,
// the sum over tiles is cut into parts that are added in a fixed order.
type winogradGradient struct {
	unit                    *productUnit
	dy, x                   tiledMap
	dw                      []float32
	rows, cols, parts       int // numbers of blocks
	filterStride, sumStride int // between tiles of dy; between tiles of x and filters of sums
	tiles                   int // of a step at most
	xStride, dyStride       int // between points
	stride                  int // between points of sums
}

func (e *Engine) winogradBackwardWeights(s ConvShape, dw []float32, dy, x Array) {
	u := &e.product
	p := winogradGradient{unit: u, dy: s.outputMap(dy), x: s.inputMap(x), dw: dw}
	p.rows, p.cols = cut(s.Filters, winogradBlock), cut(s.Channels, winogradBlock)
	p.parts = max(1, min(cut(gridTasks, p.rows*p.cols), p.x.tiles()/(2*winogradSteps)))
	filters, channels := cut(s.Filters, p.rows), cut(s.Channels, p.cols)
	p.tiles = max(1, min(cut(p.x.tiles(), p.parts), winogradSteps))
	p.filterStride, p.sumStride = u.padded(filters), u.padded(channels)
	p.xStride, p.dyStride, p.stride = pointStride(p.tiles*p.sumStride), pointStride(p.tiles*p.filterStride), pointStride(filters*p.sumStride)
	if p.parts > 1 {
		u.partials = grown(u.partials, (p.parts-1)*len(dw))
	}
	u.zeros = grown(u.zeros, max(filters, channels, u.cols))
	share(e, &e.jobs.winogradGradient, winogradGradientJob{p}, p.rows*p.cols*p.parts, 1)
	e.finishGrid(gridProduct{unit: u, m: s.Filters, n: s.patch(), c: F32(dw), cStride: s.patch()}, p.parts)
}

type winogradGradientJob struct{ winogradGradient }

func (j *winogradGradientJob) run(_ *Engine, worker, i, _ int) {
	part, row, col := i/(j.rows*j.cols), i/j.cols%j.rows, i%j.cols
	g := gridBlock{
		rowFrom: row * j.dy.channels / j.rows, rowTo: (row + 1) * j.dy.channels / j.rows,
		colFrom: col * j.x.channels / j.cols, colTo: (col + 1) * j.x.channels / j.cols,
		kFrom: part * j.x.tiles() / j.parts, kTo: (part + 1) * j.x.tiles() / j.parts, part: part,
	}
	own := &j.unit.winograd.local[worker]
	j.sum(worker, own, g)
	j.finish(own, g)
	clear(own.places[:])
}

// sum adds the products of dy and x at each point, step by step of the tiles of a part.
func (p *winogradGradient) sum(worker int, own *winogradScratch, g gridBlock) {
	u := p.unit
	own.input, own.gradient, own.sums = grown(own.input, points*p.xStride), grown(own.gradient, points*p.dyStride), grown(own.sums, points*p.stride)
	steps := max(1, cut(g.kTo-g.kFrom, p.tiles))
	for step := range steps {
		from, to := g.kFrom+step*(g.kTo-g.kFrom)/steps, g.kFrom+(step+1)*(g.kTo-g.kFrom)/steps
		p.transform(own, from, to, g)
		b := block{m: g.rowTo - g.rowFrom, n: u.whole(g.colTo - g.colFrom), k: to - from, cStride: p.sumStride, accumulate: step > 0}
		for point := range points {
			b.a = left{own.gradient[point*p.dyStride:], 1, p.filterStride}
			b.b = panels{data: own.input[point*p.xStride:], stride: p.sumStride, panelStride: u.cols}
			b.c = own.sums[point*p.stride:]
			u.multiply(worker, b)
		}
	}
}

// transform brings a block's channels and filters of the tiles [from, to) into scratch: Bᵀ·x·B and A·dy·Aᵀ.
func (p *winogradGradient) transform(own *winogradScratch, from, to int, g gridBlock) {
	u, channels, filters := p.unit, g.colTo-g.colFrom, g.rowTo-g.rowFrom
	input, gradient := u.winograd.of(&p.x).input, u.winograd.of(&p.dy).gradient
	for t := from; t < to; t++ {
		p.x.find(own.places[:], t, 6, 1, g.colFrom, &u.zeros[0])
		input(spread(own.input, (t-from)*p.sumStride, p.xStride, channels), p.xStride, &own.places, channels)
		p.dy.find(own.tile()[:], t, tileSide, 0, g.rowFrom, &u.zeros[0])
		gradient(spread(own.gradient, (t-from)*p.filterStride, p.dyStride, filters), p.dyStride, own.tile(), filters)
	}
}

// finish writes a block of dw, or of the partial sums of a later part: Gᵀ·sums·G.
func (p *winogradGradient) finish(own *winogradScratch, g gridBlock) {
	dw, taps, n := p.dw, own.kernel(), g.colTo-g.colFrom
	if g.part > 0 {
		dw = p.unit.partials[(g.part-1)*len(p.dw):]
	}
	for f := g.rowFrom; f < g.rowTo; f++ {
		for t := range taps {
			taps[t] = place(&dw[(f*len(taps)+t)*p.x.channels+g.colFrom])
		}
		p.unit.winograd.weightsGradient(taps, spread(own.sums, (f-g.rowFrom)*p.sumStride, p.stride, n), p.stride, n)
	}
}
