package kernel

import (
	"cmp"
	"math"
)

// AttentionShape is the geometry of multi-head self-attention (Vaswani et al. 2017) over Views sequences of Tokens
// tokens. qkv is [Views·Tokens, 3·Heads·HeadDim]: the queries of all heads, then the keys, then the values. If Queries is
// not 0, only the first that many tokens of each view ask, and results have a row for each of them.
type AttentionShape struct{ Views, Tokens, Heads, HeadDim, Queries int }

// asking is the number of tokens of a view that have a result.
func (s AttentionShape) asking() int { return cmp.Or(s.Queries, s.Tokens) }

// width is the number of channels of the output.
func (s AttentionShape) width() int { return s.Heads * s.HeadDim }

// scale is the factor 1/√HeadDim of the scores.
func (s AttentionShape) scale() float32 { return float32(1 / math.Sqrt(float64(s.HeadDim))) }

// head is one head of one view in qkv or its gradient; part counts whole blocks of Heads·HeadDim columns: 0 queries, 1
// keys, 2 values.
func (s AttentionShape) head(qkv Array, item, part int) Operand {
	view, head, cols := item/s.Heads, item%s.Heads, 3*s.width()
	from := view*s.Tokens*cols + part*s.width() + head*s.HeadDim
	return rowsOf(qkv.Slice(from, (view+1)*s.Tokens*cols), cols)
}

// resultHead is one head of one view in the output or its gradient.
func (s AttentionShape) resultHead(a Array, item int) Operand {
	view, head, cols := item/s.Heads, item%s.Heads, s.width()
	return rowsOf(a.Slice(view*s.asking()*cols+head*s.HeadDim, (view+1)*s.asking()*cols), cols)
}

// headWork is where one head's matrices are while they are worked on: a worker's scratch.
type headWork struct {
	AttentionShape
	engine *Engine
	worker int
	free   []float32
	stride int // between the rows of an [asking, Tokens] matrix
	dim    int // between the rows of an [asking or Tokens, HeadDim] matrix
	ahead  *readAhead
}

// lookAhead asks, while this item is computed, for the queries, keys and values of the one that this worker will probably
// have next, and for the gradient of its result unless there is none: the rows of a head lie far apart, and short sums
// leave no time to wait for them.
func (w *headWork) lookAhead(item int, qkv, gradient Array) {
	w.ahead = &w.engine.unitOf(qkv).local[w.worker].ahead
	w.ahead.reset()
	next := item + 1
	if next >= w.Views*w.Heads {
		return
	}
	w.ahead.add(w.head(qkv, next, 0), 0, w.asking(), 0, w.HeadDim)
	w.ahead.add(w.head(qkv, next, 1), 0, w.Tokens, 0, w.HeadDim)
	w.ahead.add(w.head(qkv, next, 2), 0, w.Tokens, 0, w.HeadDim)
	if !gradient.None() {
		w.ahead.add(w.resultHead(gradient, next), 0, w.asking(), 0, w.HeadDim)
	}
}

// work takes a worker's scratch for that many [asking, Tokens] matrices, one of up to [Tokens, HeadDim] and a vector of
// one number for each token that asks.
func (s AttentionShape) work(e *Engine, worker, scores int) headWork {
	w := headWork{AttentionShape: s, engine: e, worker: worker, stride: e.product.padded(s.Tokens), dim: e.product.padded(s.HeadDim)}
	w.free = e.vector.scratch(worker, s.asking()*(scores*w.stride+1)+s.Tokens*w.dim)
	return w
}

func (w *headWork) take(n int) []float32 {
	taken := w.free[:n]
	w.free = w.free[n:]
	return taken
}

// product sets an [m, n] matrix in scratch, whose rows start stride apart, to a·b with k terms a sum.
func (w *headWork) product(c []float32, stride int, a, b Operand, m, n, k int) {
	w.engine.smallProduct(w.worker, Product{M: m, N: n, K: k, A: a, B: b, C: F32(c), CStride: stride}, true, w.ahead)
}

// result moves the first rows of a [rows, HeadDim] matrix from scratch to where they belong.
func (w *headWork) result(to Operand, from []float32, rows int) {
	if to.Data.Half() {
		w.engine.vector.narrowRows(to.Data.bf16, to.RowStride, from, w.dim, rows, w.HeadDim)
	} else {
		w.engine.product.copyMatrix(to.Data.f32, to.RowStride, from, w.dim, rows, w.HeadDim)
	}
}

// scores is an [asking, Tokens] matrix in scratch as a factor.
func (w *headWork) scores(m []float32) Operand { return rowMajor(m, w.stride) }

// AttentionForward sets out [Views·asking, Heads·HeadDim] to softmax(q·kᵀ/√HeadDim)·v, where asking is Queries or, if that
// is 0, Tokens, and lse [Views·Heads·asking] to the logarithm of each softmax's normaliser, from which AttentionBackward
// finds the probabilities again. A head of a view is one work item, whose score matrix never leaves the core's cache (as
// Dao et al. 2022 do by tiles). With qkv in bf16 the products are of bf16, and scores and probabilities are rounded only
// as their factors.
func (e *Engine) AttentionForward(s AttentionShape, out Array, lse []float32, qkv Array) {
	share(e, &e.jobs.attention, attentionJob{s, out, qkv, lse}, s.Views*s.Heads, 1)
}

type attentionJob struct {
	AttentionShape
	out, qkv Array
	lse      []float32
}

func (j *attentionJob) run(e *Engine, worker, item, _ int) {
	asking, t, dim := j.asking(), j.Tokens, j.HeadDim
	w, v := j.work(e, worker, 1), &e.vector
	w.lookAhead(item, j.qkv, Array{})
	scores, result, sums, lse := w.take(asking*w.stride), w.take(t*w.dim), w.take(asking), j.lse[item*asking:(item+1)*asking]
	queries, keys, values := j.head(j.qkv, item, 0), j.head(j.qkv, item, 1), j.head(j.qkv, item, 2)
	w.product(scores, w.stride, queries, keys.transposed(), asking, t, dim)
	v.softmaxRows(scores, lse, sums, scores, asking, t, w.stride, j.scale())
	w.product(result, w.dim, w.scores(scores), values, asking, dim, t)
	for i, sum := range sums {
		row := result[i*w.dim:][:dim]
		v.scale(row, row, 1/sum)
	}
	w.result(j.resultHead(j.out, item), result, asking)
	addLogarithms(lse, sums)
}

// AttentionBackward sets dqkv to the gradient of AttentionForward, given its lse. Probabilities P are computed again;
// with dP = dout·vᵀ and D the row sums of P∘dP, the gradient of the scores is P∘(dP − D)/√HeadDim (Dao et al. 2022,
// appendix B.2). dqkv is overwritten, with zeros for the queries of tokens that do not ask, and may not be qkv.
func (e *Engine) AttentionBackward(s AttentionShape, dqkv, dout Array, lse []float32, qkv Array) {
	share(e, &e.jobs.attentionBackward, attentionBackwardJob{s, dqkv, dout, qkv, lse}, s.Views*s.Heads, 1)
}

type attentionBackwardJob struct {
	AttentionShape
	dqkv, dout, qkv Array
	lse             []float32
}

func (j *attentionBackwardJob) run(e *Engine, worker, item, _ int) {
	asking, t, dim := j.asking(), j.Tokens, j.HeadDim
	w, v := j.work(e, worker, 2), &e.vector
	w.lookAhead(item, j.qkv, j.dout)
	p, ds, result, delta := w.take(asking*w.stride), w.take(asking*w.stride), w.take(t*w.dim), w.take(asking)
	queries, keys, values := j.head(j.qkv, item, 0), j.head(j.qkv, item, 1), j.head(j.qkv, item, 2)
	gradient := j.resultHead(j.dout, item)

	w.product(p, w.stride, queries, keys.transposed(), asking, t, dim)
	v.exponentialRows(p, p, j.lse[item*asking:(item+1)*asking], asking, t, w.stride, j.scale())
	w.product(ds, w.stride, gradient, values.transposed(), asking, t, dim)
	for i := range delta {
		delta[i] = v.dot(p[i*w.stride:][:t], ds[i*w.stride:][:t])
	}
	w.product(result, w.dim, w.scores(p).transposed(), gradient, t, dim, asking)
	w.result(j.head(j.dqkv, item, 2), result, t)
	v.softmaxBackward(ds, p, ds, delta, asking, t, w.stride, j.scale())
	w.product(result, w.dim, w.scores(ds), keys, asking, dim, t)
	dqueries := j.head(j.dqkv, item, 0)
	w.result(dqueries, result, asking)
	for i := asking; i < t; i++ {
		dqueries.Data.Slice(i*dqueries.RowStride, i*dqueries.RowStride+dim).Clear()
	}
	w.product(result, w.dim, w.scores(ds).transposed(), queries, t, dim, asking)
	w.result(j.head(j.dqkv, item, 1), result, t)
}

// AttentionWeights sets weights [Views, Heads, Tokens, Tokens] to the softmax probabilities of all tokens, for pictures of
// what a token attends to.
func (e *Engine) AttentionWeights(s AttentionShape, weights []float32, qkv Array) {
	share(e, &e.jobs.attentionWeights, attentionWeightsJob{s, weights, qkv}, s.Views*s.Heads, 1)
}

type attentionWeightsJob struct {
	AttentionShape
	weights []float32
	qkv     Array
}

func (j *attentionWeightsJob) run(e *Engine, worker, item, _ int) {
	t := j.Tokens
	p := j.weights[item*t*t : (item+1)*t*t]
	q, k := j.head(j.qkv, item, 0), j.head(j.qkv, item, 1)
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
