package kernel

import "math"

// AttentionShape is the geometry of multi-head self-attention (Vaswani et al. 2017) over Views sequences of Tokens
// tokens. qkv is [Views·Tokens, 3·Heads·HeadDim]: the queries of all heads, then the keys, then the values.
type AttentionShape struct{ Views, Tokens, Heads, HeadDim int }

// width is the number of channels of the output.
func (s AttentionShape) width() int { return s.Heads * s.HeadDim }

// scale is the factor 1/√HeadDim of the scores.
func (s AttentionShape) scale() float32 { return float32(1 / math.Sqrt(float64(s.HeadDim))) }

// head is one head of one view in an activation of the given number of columns; part counts whole blocks of
// Heads·HeadDim columns: 0 queries, 1 keys, 2 values.
func (s AttentionShape) head(a Array, item, part, cols int) Operand {
	view, head := item/s.Heads, item%s.Heads
	from := view*s.Tokens*cols + part*s.width() + head*s.HeadDim
	return rowsOf(a.Slice(from, (view+1)*s.Tokens*cols), cols)
}

// headWork is where one head's matrices are while they are worked on: a worker's scratch.
type headWork struct {
	AttentionShape
	engine *Engine
	worker int
	free   []float32
	stride int // between the rows of a [Tokens, Tokens] matrix
	dim    int // between the rows of a [Tokens, HeadDim] matrix
	ahead  *readAhead
}

// lookAhead asks, while this item is computed, for the queries, keys and values of the one that this worker will probably
// have next: the rows of a head lie far apart, and short sums leave no time to wait for them.
func (w *headWork) lookAhead(item int, qkv Array) {
	w.ahead = &w.engine.unitOf(qkv).local[w.worker].ahead
	w.ahead.reset()
	for part := range 3 {
		w.look(item, qkv, part, 3*w.width())
	}
}

// look adds a block of an activation to what is asked for.
func (w *headWork) look(item int, a Array, part, cols int) {
	if next := item + w.engine.Workers(); next < w.Views*w.Heads {
		w.ahead.add(w.head(a, next, part, cols), 0, w.Tokens, 0, w.HeadDim)
	}
}

// work takes a worker's scratch for that many matrices of either kind and as many vectors of Tokens.
func (s AttentionShape) work(e *Engine, worker, scores, results, vectors int) headWork {
	w := headWork{AttentionShape: s, engine: e, worker: worker, stride: e.product.padded(s.Tokens), dim: e.product.padded(s.HeadDim)}
	w.free = e.vector.scratch(worker, s.Tokens*(scores*w.stride+results*w.dim+vectors))
	return w
}

func (w *headWork) take(n int) []float32 {
	taken := w.free[:n]
	w.free = w.free[n:]
	return taken
}

// product sets a [Tokens, n] matrix in scratch, whose rows start stride apart, to a·b with k terms a sum.
func (w *headWork) product(c []float32, stride int, a, b Operand, n, k int) {
	w.engine.smallProduct(w.worker, Product{M: w.Tokens, N: n, K: k, A: a, B: b, C: F32(c), CStride: stride}, true, w.ahead)
}

// result moves a [Tokens, HeadDim] matrix from scratch to where it belongs.
func (w *headWork) result(to Operand, from []float32) {
	if to.Data.Half() {
		w.engine.vector.narrowRows(to.Data.bf16, to.RowStride, from, w.dim, w.Tokens, w.HeadDim)
	} else {
		w.engine.product.copyMatrix(to.Data.f32, to.RowStride, from, w.dim, w.Tokens, w.HeadDim)
	}
}

// square is a [Tokens, Tokens] matrix in scratch as a factor.
func (w *headWork) square(m []float32) Operand { return rowMajor(m, w.stride) }

// AttentionForward sets out [Views·Tokens, Heads·HeadDim] to softmax(q·kᵀ/√HeadDim)·v, and lse [Views·Heads·Tokens] to
// the logarithm of each softmax's normaliser, from which AttentionBackward finds the probabilities again. A head of a
// view is one work item, whose score matrix never leaves the core's cache (as Dao et al. 2022 do by tiles). With qkv in
// bf16 the products are of bf16, and scores and probabilities are rounded only as their factors.
func (e *Engine) AttentionForward(s AttentionShape, out Array, lse []float32, qkv Array) {
	share(e, &e.jobs.attention, attentionJob{s, out, qkv, lse}, s.Views*s.Heads, 1)
}

type attentionJob struct {
	AttentionShape
	out, qkv Array
	lse      []float32
}

func (j *attentionJob) run(e *Engine, worker, item, _ int) {
	t, cols := j.Tokens, 3*j.width()
	w, v := j.work(e, worker, 1, 1, 1), &e.vector
	w.lookAhead(item, j.qkv)
	scores, result, sums, lse := w.take(t*w.stride), w.take(t*w.dim), w.take(t), j.lse[item*t:(item+1)*t]
	queries, keys, values := j.head(j.qkv, item, 0, cols), j.head(j.qkv, item, 1, cols), j.head(j.qkv, item, 2, cols)
	w.product(scores, w.stride, queries, keys.transposed(), t, j.HeadDim)
	v.softmaxRows(scores, lse, sums, scores, t, t, w.stride, j.scale())
	w.product(result, w.dim, w.square(scores), values, j.HeadDim, t)
	for i, sum := range sums {
		row := result[i*w.dim:][:j.HeadDim]
		v.scale(row, row, 1/sum)
	}
	w.result(j.head(j.out, item, 0, j.width()), result)
	addLogarithms(lse, sums)
}

// AttentionBackward sets dqkv to the gradient of AttentionForward, given its lse. Probabilities P are computed again;
// with dP = dout·vᵀ and D the row sums of P∘dP, the gradient of the scores is P∘(dP − D)/√HeadDim (Dao et al. 2022,
// appendix B.2). dqkv is overwritten and may not be qkv.
func (e *Engine) AttentionBackward(s AttentionShape, dqkv, dout Array, lse []float32, qkv Array) {
	share(e, &e.jobs.attentionBackward, attentionBackwardJob{s, dqkv, dout, qkv, lse}, s.Views*s.Heads, 1)
}

type attentionBackwardJob struct {
	AttentionShape
	dqkv, dout, qkv Array
	lse             []float32
}

func (j *attentionBackwardJob) run(e *Engine, worker, item, _ int) {
	t, dim, cols := j.Tokens, j.HeadDim, 3*j.width()
	w, v := j.work(e, worker, 2, 1, 1), &e.vector
	w.lookAhead(item, j.qkv)
	w.look(item, j.dout, 0, j.width())
	p, ds, result, delta := w.take(t*w.stride), w.take(t*w.stride), w.take(t*w.dim), w.take(t)
	queries, keys, values := j.head(j.qkv, item, 0, cols), j.head(j.qkv, item, 1, cols), j.head(j.qkv, item, 2, cols)
	gradient := j.head(j.dout, item, 0, j.width())

	w.product(p, w.stride, queries, keys.transposed(), t, dim)
	v.exponentialRows(p, p, j.lse[item*t:(item+1)*t], t, t, w.stride, j.scale())
	w.product(ds, w.stride, gradient, values.transposed(), t, dim)
	for i := range delta {
		delta[i] = v.dot(p[i*w.stride:][:t], ds[i*w.stride:][:t])
	}
	w.product(result, w.dim, w.square(p).transposed(), gradient, dim, t)
	w.result(j.head(j.dqkv, item, 2, cols), result)
	v.softmaxBackward(ds, p, ds, delta, t, t, w.stride, j.scale())
	w.product(result, w.dim, w.square(ds), keys, dim, t)
	w.result(j.head(j.dqkv, item, 0, cols), result)
	w.product(result, w.dim, w.square(ds).transposed(), queries, dim, t)
	w.result(j.head(j.dqkv, item, 1, cols), result)
}

// AttentionWeights sets weights [Views, Heads, Tokens, Tokens] to the softmax probabilities, for pictures of what a
// token attends to.
func (e *Engine) AttentionWeights(s AttentionShape, weights []float32, qkv Array) {
	share(e, &e.jobs.attentionWeights, attentionWeightsJob{s, weights, qkv}, s.Views*s.Heads, 1)
}

type attentionWeightsJob struct {
	AttentionShape
	weights []float32
	qkv     Array
}

func (j *attentionWeightsJob) run(e *Engine, worker, item, _ int) {
	t, cols := j.Tokens, 3*j.width()
	p := j.weights[item*t*t : (item+1)*t*t]
	q, k := j.head(j.qkv, item, 0, cols), j.head(j.qkv, item, 1, cols)
	e.smallProduct(worker, Product{M: t, N: t, K: j.HeadDim, A: q, B: k.transposed(), C: F32(p), CStride: t}, false, nil)
	e.vector.scale(p, p, j.scale())
	e.softmax(worker, p, p, t, t)
}

// rowMajor is a float32 matrix whose rows start stride apart.
func rowMajor(data []float32, stride int) Operand { return rowsOf(F32(data), stride) }

// rowsOf is a matrix whose rows start stride apart.
func rowsOf(data Array, stride int) Operand {
	return Operand{Data: data, RowStride: stride, ColStride: 1}
}

// transposed is the same matrix with rows and columns exchanged.
func (o Operand) transposed() Operand {
	return Operand{Data: o.Data, RowStride: o.ColStride, ColStride: o.RowStride}
}
