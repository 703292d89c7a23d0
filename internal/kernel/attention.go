package kernel

import "math"

// AttentionShape is the geometry of multi-head self-attention (Vaswani et al. 2017) over Views sequences of Tokens
// tokens. qkv is [Views·Tokens, 3·Heads·HeadDim]: the queries of all heads, then the keys, then the values.
type AttentionShape struct{ Views, Tokens, Heads, HeadDim int }

// width is the number of channels of the output.
func (s AttentionShape) width() int { return s.Heads * s.HeadDim }

// scale is the factor 1/√HeadDim of the scores.
func (s AttentionShape) scale() float32 { return float32(1 / math.Sqrt(float64(s.HeadDim))) }

// stride is the row stride of a [Tokens, Tokens] matrix in scratch: whole vectors, so that rows start aligned.
func (s AttentionShape) stride() int { return (s.Tokens + 15) / 16 * 16 }

// head is where one head of one view lies in an activation of the given number of columns; part counts whole blocks
// of Heads·HeadDim columns: 0 queries, 1 keys, 2 values.
func (s AttentionShape) head(data []float32, item, part, cols int) Operand {
	view, head := item/s.Heads, item%s.Heads
	from := view*s.Tokens*cols + part*s.width() + head*s.HeadDim
	return Operand{Data: data[from : (view+1)*s.Tokens*cols], RowStride: cols, ColStride: 1}
}

// AttentionForward sets out [Views·Tokens, Heads·HeadDim] to softmax(q·kᵀ/√HeadDim)·v, and lse [Views·Heads·Tokens] to
// the logarithm of each softmax's normaliser, from which AttentionBackward finds the probabilities again. A head of a
// view is one work item, whose score matrix never leaves the core's cache (as Dao et al. 2022 do by tiles).
func (e *Engine) AttentionForward(s AttentionShape, out, lse, qkv []float32) {
	share(e, &e.jobs.attention, attentionJob{s, out, lse, qkv}, s.Views*s.Heads, 1)
}

type attentionJob struct {
	AttentionShape
	out, lse, qkv []float32
}

func (j *attentionJob) run(e *Engine, worker, item, _ int) {
	t, stride, cols := j.Tokens, j.stride(), 3*j.width()
	scratch := e.vector.scratch(worker, t*(stride+1))
	scores, sums, lse := scratch[:t*stride], scratch[t*stride:], j.lse[item*t:(item+1)*t]
	q, k, v := j.head(j.qkv, item, 0, cols), j.head(j.qkv, item, 1, cols), j.head(j.qkv, item, 2, cols)
	e.smallProduct(worker, Product{M: t, N: t, K: j.HeadDim, A: q, B: k.transposed(), C: scores, CStride: stride})
	e.vector.softmaxRows(scores, lse, sums, scores, t, t, stride, j.scale())
	result := j.head(j.out, item, 0, j.width())
	e.smallProduct(worker, Product{M: t, N: j.HeadDim, K: t, A: rowMajor(scores, stride), B: v, C: result.Data, CStride: result.RowStride})
	for i, sum := range sums {
		row := result.Data[i*result.RowStride:][:j.HeadDim]
		e.vector.scale(row, row, 1/sum)
	}
	addLogarithms(lse, sums)
}

// AttentionBackward sets dqkv to the gradient of AttentionForward, given its output and lse. Probabilities P are
// computed again; with D the row sums of dout∘out, the gradient of the scores is P∘(dout·vᵀ − D)/√HeadDim
// (Dao et al. 2022, appendix B.2). dqkv is overwritten and may not be qkv.
func (e *Engine) AttentionBackward(s AttentionShape, dqkv, dout, out, lse, qkv []float32) {
	share(e, &e.jobs.attentionBackward, attentionBackwardJob{s, dqkv, dout, out, lse, qkv}, s.Views*s.Heads, 1)
}

type attentionBackwardJob struct {
	AttentionShape
	dqkv, dout, out, lse, qkv []float32
}

func (j *attentionBackwardJob) run(e *Engine, worker, item, _ int) {
	t, dim, stride, width := j.Tokens, j.HeadDim, j.stride(), j.width()
	scratch := e.vector.scratch(worker, t*(2*stride+1))
	p, ds, delta := scratch[:t*stride], scratch[t*stride:2*t*stride], scratch[2*t*stride:]
	q, k, v := j.head(j.qkv, item, 0, 3*width), j.head(j.qkv, item, 1, 3*width), j.head(j.qkv, item, 2, 3*width)
	dq, dk, dv := j.head(j.dqkv, item, 0, 3*width), j.head(j.dqkv, item, 1, 3*width), j.head(j.dqkv, item, 2, 3*width)
	do, o := j.head(j.dout, item, 0, width), j.head(j.out, item, 0, width)

	e.smallProduct(worker, Product{M: t, N: t, K: dim, A: q, B: k.transposed(), C: p, CStride: stride})
	e.vector.exponentialRows(p, p, j.lse[item*t:(item+1)*t], t, t, stride, j.scale())
	e.smallProduct(worker, Product{M: t, N: dim, K: t, A: rowMajor(p, stride).transposed(), B: do, C: dv.Data, CStride: dv.RowStride})
	e.smallProduct(worker, Product{M: t, N: t, K: dim, A: do, B: v.transposed(), C: ds, CStride: stride})
	for i := range delta {
		delta[i] = e.vector.dot(do.Data[i*width:][:dim], o.Data[i*width:][:dim])
	}
	e.vector.softmaxBackward(ds, p, ds, delta, t, t, stride, j.scale())
	e.smallProduct(worker, Product{M: t, N: dim, K: t, A: rowMajor(ds, stride), B: k, C: dq.Data, CStride: dq.RowStride})
	e.smallProduct(worker, Product{M: t, N: dim, K: t, A: rowMajor(ds, stride).transposed(), B: q, C: dk.Data, CStride: dk.RowStride})
}

// AttentionWeights sets weights [Views, Heads, Tokens, Tokens] to the softmax probabilities, for pictures of what a
// token attends to.
func (e *Engine) AttentionWeights(s AttentionShape, weights, qkv []float32) {
	share(e, &e.jobs.attentionWeights, attentionWeightsJob{s, weights, qkv}, s.Views*s.Heads, 1)
}

type attentionWeightsJob struct {
	AttentionShape
	weights, qkv []float32
}

func (j *attentionWeightsJob) run(e *Engine, worker, item, _ int) {
	t, cols := j.Tokens, 3*j.width()
	p := j.weights[item*t*t : (item+1)*t*t]
	q, k := j.head(j.qkv, item, 0, cols), j.head(j.qkv, item, 1, cols)
	e.smallProduct(worker, Product{M: t, N: t, K: j.HeadDim, A: q, B: k.transposed(), C: p, CStride: t})
	e.vector.scale(p, p, j.scale())
	e.softmax(worker, p, p, t, t)
}

// rowMajor is a matrix whose rows start stride apart.
func rowMajor(data []float32, stride int) Operand {
	return Operand{Data: data, RowStride: stride, ColStride: 1}
}

// transposed is the same matrix with rows and columns exchanged.
func (o Operand) transposed() Operand {
	return Operand{Data: o.Data, RowStride: o.ColStride, ColStride: o.RowStride}
}
