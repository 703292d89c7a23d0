package kernel

// ConvShape is the geometry of a convolution over NHWC maps with square kernels: x is [Images, Height, Width,
// Channels], y is [Images, OutHeight, OutWidth, Filters] and the weights w are [Filters, Kernel, Kernel, Channels].
// Pad positions of zeros surround x on every side.
type ConvShape struct{ Images, Height, Width, Channels, Filters, Kernel, Stride, Pad int }

// OutHeight is the height of y.
func (s ConvShape) OutHeight() int { return (s.Height+2*s.Pad-s.Kernel)/s.Stride + 1 }

// OutWidth is the width of y.
func (s ConvShape) OutWidth() int { return (s.Width+2*s.Pad-s.Kernel)/s.Stride + 1 }

// patch is the number of weights of a filter: one for each input of an output.
func (s ConvShape) patch() int { return s.Kernel * s.Kernel * s.Channels }

// inputs and outputs are the numbers of positions of x and y.
func (s ConvShape) inputs() int  { return s.Images * s.Height * s.Width }
func (s ConvShape) outputs() int { return s.Images * s.OutHeight() * s.OutWidth() }

// pointwise reports whether the convolution is a matrix product of x itself.
func (s ConvShape) pointwise() bool { return s.Kernel == 1 && s.Stride == 1 && s.Pad == 0 }

// patches is the matrix of the patches of x, one row an output position and one column a weight.
func (s ConvShape) patches(u *productUnit, x Array) source {
	w := window{
		height: s.Height, width: s.Width, channels: s.Channels, outHeight: s.OutHeight(), outWidth: s.OutWidth(),
		tapsY: s.Kernel, tapsX: s.Kernel, stride: s.Stride, padY: s.Pad, padX: s.Pad,
	}
	return w.source(u, x)
}

// ConvForward sets y to the convolution of x with w: patches(x)·wᵀ, whose rows are gathered block by block and never
// exist as a whole (implicit GEMM; Chetlur et al. 2014). Kernels of 3×3 with stride 1 on many channels take Winograd's
// algorithm (winograd.go) instead, here and in the gradients; for bf16 only where families do not multiply that faster still.
func (e *Engine) ConvForward(s ConvShape, y, x Array, w []float32) { e.convolve(s, y, x, w, tail{}) }

// ConvStatistics is ConvForward and BatchNormStatistics of y in groups of its rows, found while y is in cache.
func (e *Engine) ConvStatistics(s ConvShape, y Array, mean, rstd []float32, x Array, w []float32, groups NormGroups, eps float32) {
	b := rowBlocks(s.outputs(), s.Filters)
	if e.convolvesStrips(s, y, x) {
		b = e.unitOf(y, x).stripBlocks(s.outputs())
	}
	m := e.newMoments(y.Slice(0, s.outputs()*s.Filters), groups, s.Filters, b)
	e.convolve(s, y, x, w, tail{moments: m})
	e.joinMoments(mean, rstd, m, eps)
}

// ConvNormalized is ConvForward and BatchNormInference of y in place, in the same bits, while y is in cache.
func (e *Engine) ConvNormalized(
	s ConvShape, y, x Array, w []float32, residual Array, gamma, beta, mean, variance []float32, eps float32, relu bool,
) {
	y = y.Slice(0, s.outputs()*s.Filters)
	factor := e.inferenceFactor(gamma[:s.Filters], variance, eps)
	e.convolve(s, y, x, w, tail{normalize: newNormalize(y, y, residual, mean[:s.Filters], factor, beta[:s.Filters], relu)})
}

// tail is what is done to the rows of a convolution while they are in cache: nothing, if it is empty.
type tail struct {
	moments   moments
	normalize normalizeJob
}

// block does it to block i, the rows [from, to).
func (t *tail) block(e *Engine, worker, i, from, to int) {
	if !t.moments.x.None() {
		t.moments.find(&e.vector, i)
	}
	if !t.normalize.y.None() {
		t.normalize.run(e, worker, from, to)
	}
}

// finish does it in a further pass over all rows.
func (e *Engine) finish(t tail, rows int) {
	if !t.moments.x.None() {
		e.findMoments(t.moments)
	}
	if !t.normalize.y.None() {
		e.normalize(t.normalize, rows)
	}
}

// convolvesStrips reports whether a convolution is computed strip by strip.
func (e *Engine) convolvesStrips(s ConvShape, y, x Array) bool {
	return !e.byWinograd(s, x, y) && (!s.pointwise() || inStrips(s.inputs(), s.Channels))
}

// convolve computes a convolution and its tail.
func (e *Engine) convolve(s ConvShape, y, x Array, w []float32, t tail) {
	y, x, w = y.Slice(0, s.outputs()*s.Filters), x.Slice(0, s.inputs()*s.Channels), w[:s.Filters*s.patch()]
	weights := Operand{Data: F32(w), RowStride: 1, ColStride: s.patch()}
	if e.convolvesStrips(s, y, x) {
		u := e.unitOf(y, x)
		p := stripProduct{unit: u, m: s.outputs(), n: s.Filters, k: s.patch(), c: y, cStride: s.Filters, tail: t}
		p.b = source{matrix: weights, k: s.patch()}
		if p.a = u.leftSource(rowsOf(x, s.Channels), s.Channels); !s.pointwise() {
			p.a = s.patches(u, x)
		}
		e.strips(p)
		return
	}
	if s.pointwise() {
		e.MatMul(Product{M: s.inputs(), N: s.Filters, K: s.Channels, A: rowsOf(x, s.Channels), B: weights, C: y, CStride: s.Filters})
	} else {
		e.winogradForward(s, y, x, w)
	}
	e.finish(t, s.outputs())
}

// ConvBackwardWeights sets dw to the gradient of ConvForward with respect to w: dyᵀ·patches(x).
func (e *Engine) ConvBackwardWeights(s ConvShape, dw []float32, dy, x Array) {
	dw, dy, x = dw[:s.Filters*s.patch()], dy.Slice(0, s.outputs()*s.Filters), x.Slice(0, s.inputs()*s.Channels)
	if e.byWinograd(s, x, dy) {
		e.winogradBackwardWeights(s, dw, dy, x)
		return
	}
	u := e.unitOf(dy, x)
	b := u.rightSource(rowsOf(x, s.Channels), s.Channels, s.outputs())
	if !s.pointwise() {
		b = s.patches(u, x)
		b.k = s.outputs()
	}
	e.grid(gridProduct{
		unit: u, m: s.Filters, n: s.patch(), k: s.outputs(), b: b,
		a: u.leftSource(rowsOf(dy, s.Filters).transposed(), s.outputs()),
		c: F32(dw), cStride: s.patch(),
	})
}

// ConvBackwardInput sets dx to the gradient of ConvForward with respect to x.
//
// With stride 1 it is the convolution of dy with the weights turned by 180°. With stride s the positions of x fall into
// s·s classes by their coordinates modulo s, each reached by its own kernel taps only; each class is a convolution of
// dy by those taps with stride 1, so that no tap multiplies a zero.
func (e *Engine) ConvBackwardInput(s ConvShape, dx, dy Array, w []float32) {
	dx, dy, w = dx.Slice(0, s.inputs()*s.Channels), dy.Slice(0, s.outputs()*s.Filters), w[:s.Filters*s.patch()]
	if s.pointwise() {
		e.MatMul(Product{M: s.inputs(), N: s.Channels, K: s.Filters, A: rowsOf(dy, s.Filters), B: rowMajor(w, s.Channels), C: dx, CStride: s.Channels})
		return
	}
	if e.byWinograd(s, dx, dy) {
		e.winogradBackwardInput(s, dx, dy, w)
		return
	}
	for y := range min(s.Stride, s.Height) {
		for x := range min(s.Stride, s.Width) {
			e.backwardClass(s, s.class(y, x), dx, dy, w)
		}
	}
}

// inputClass is the positions of x with y ≡ offsetY and x ≡ offsetX modulo the stride, and the convolution of dy that
// gives their gradient.
type inputClass struct {
	window
	offsetY, offsetX int
	lastY, lastX     int // the largest taps that reach the class; the others lie multiples of the stride below
}

// class describes one class. Output o reaches input i through tap i+pad-o·stride, so the taps of a class are equal
// modulo the stride and, taken from the largest down, read outputs in rising order.
func (s ConvShape) class(y, x int) inputClass {
	c := inputClass{offsetY: y, offsetX: x}
	c.height, c.width, c.channels, c.stride = s.OutHeight(), s.OutWidth(), s.Filters, 1
	c.outHeight, c.outWidth = cut(s.Height-y, s.Stride), cut(s.Width-x, s.Stride)
	c.tapsY, c.lastY = s.taps(y)
	c.tapsX, c.lastX = s.taps(x)
	c.padY, c.padX = (c.lastY-y-s.Pad)/s.Stride, (c.lastX-x-s.Pad)/s.Stride
	return c
}

// taps counts the taps of the kernel that reach inputs congruent to offset, and returns the largest.
func (s ConvShape) taps(offset int) (count, last int) {
	first := (offset + s.Pad) % s.Stride
	if first >= s.Kernel {
		return 0, 0
	}
	count = cut(s.Kernel-first, s.Stride)
	return count, first + (count-1)*s.Stride
}

// backwardClass computes the gradient of one class of positions.
func (e *Engine) backwardClass(s ConvShape, c inputClass, dx, dy Array, w []float32) {
	u := e.unitOf(dx, dy)
	p := stripProduct{unit: u, m: s.Images * c.outHeight * c.outWidth, n: s.Channels, k: c.tapsY * c.tapsX * s.Filters}
	p.a, p.b = c.source(u, dy), source{kind: fromWeights, weights: classWeights{s, c, w}, k: p.k}
	if s.Stride == 1 {
		p.c, p.cStride = dx, s.Channels
	} else {
		p.scatter = scatter{s, c, dx}
	}
	e.strips(p)
}

// classWeights is the matrix of the weights w of a class: one row for each tap and filter, one column a channel.
type classWeights struct {
	shape ConvShape
	class inputClass
	w     []float32
}

// fill is that of source.
func (m *classWeights) fill(u *productUnit, dst []float32, stride, rowFrom, rowTo, colFrom, colTo int) {
	s, c := &m.shape, &m.class
	for row := rowFrom; row < rowTo; {
		tap, filter := row/s.Filters, row%s.Filters
		count := min(rowTo-row, s.Filters-filter)
		y, x := c.lastY-tap/c.tapsX*s.Stride, c.lastX-tap%c.tapsX*s.Stride
		src := m.w[filter*s.patch()+(y*s.Kernel+x)*s.Channels+colFrom:]
		u.copyMatrix(dst[(row-rowFrom)*stride:], stride, src, s.patch(), count, colTo-colFrom)
		row += count
	}
}

// scatter says where the gradient of a class goes.
type scatter struct {
	shape ConvShape
	class inputClass
	dx    Array
}

// rows moves rows [from, to) of the gradient to their places in dx.
func (t *scatter) rows(u *productUnit, rows []float32, from, to int) {
	s, c := &t.shape, &t.class
	c.segments(from, to, func(row, image, y, x, count int) {
		position := (image*s.Height+y*s.Stride+c.offsetY)*s.Width + x*s.Stride + c.offsetX
		if t.dx.Half() {
			u.narrowRows(t.dx.From(position*s.Channels), s.Stride*s.Channels, rows[row*s.Channels:], s.Channels, count)
			return
		}
		u.copyMatrix(t.dx.f32[position*s.Channels:], s.Stride*s.Channels, rows[row*s.Channels:], s.Channels, count, s.Channels)
	})
}
