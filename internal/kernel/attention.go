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

// headPlace is where one head of one view lies in an activation of the given number of columns: token t's numbers are
// [from+t·cols, from+t·cols+HeadDim).
type headPlace struct{ from, to, cols int }

// head finds the place of a head; part counts whole blocks of Heads·HeadDim columns: 0 queries, 1 keys, 2 values.
func (s AttentionShape) head(item, part, cols int) headPlace {
	view, head := item/s.Heads, item%s.Heads
	return headPlace{view*s.Tokens*cols + part*s.width() + head*s.HeadDim, (view + 1) * s.Tokens * cols, cols}
}

// openHead returns a head as a float32 operand: where it lies, or a dense copy in one of the worker's slots.
func (s AttentionShape) openHead(v *vectorUnit, worker, slot int, a Array, h headPlace) Operand {
	o := s.roomHead(v, worker, slot, a, h)
	if a.Half() {
		for t := range s.Tokens {
			v.widen(o.Data.f32[t*s.HeadDim:(t+1)*s.HeadDim], a.bf16[h.from+t*h.cols:][:s.HeadDim])
		}
	}
	return o
}

// roomHead returns where a head of a result is written, from which shutHead brings it into the Array.
func (s AttentionShape) roomHead(v *vectorUnit, worker, slot int, a Array, h headPlace) Operand {
	if !a.Half() {
		return rowMajor(a.f32[h.from:h.to], h.cols)
	}
	return rowMajor(v.room(worker, slot, a, 0, s.Tokens*s.HeadDim), s.HeadDim)
}

// shutHead ends the writing of a head that roomHead began.
func (s AttentionShape) shutHead(v *vectorUnit, a Array, h headPlace, o Operand) {
	if a.Half() {
		for t := range s.Tokens {
			v.narrow(a.bf16[h.from+t*h.cols:][:s.HeadDim], o.Data.f32[t*s.HeadDim:])
		}
	}
}

// AttentionForward sets out [Views·Tokens, Heads·HeadDim] to softmax(q·kᵀ/√HeadDim)·v, and lse [Views·Heads·Tokens] to
// the logarithm of each softmax's normaliser, from which AttentionBackward finds the probabilities again. A head of a
// view is one work item, whose score matrix never leaves the core's cache (as Dao et al. 2022 do by tiles).
func (e *Engine) AttentionForward(s AttentionShape, out Array, lse []float32, qkv Array) {
	share(e, &e.jobs.attention, attentionJob{s, out, lse, qkv}, s.Views*s.Heads, 1)
}

type attentionJob struct {
	AttentionShape
	out Array
	lse []float32
	qkv Array
}

func (j *attentionJob) run(e *Engine, worker, item, _ int) {
	t, stride, cols := j.Tokens, j.stride(), 3*j.width()
	u := &e.vector
	scratch := u.scratch(worker, t*(stride+1))
	scores, sums, lse := scratch[:t*stride], scratch[t*stride:], j.lse[item*t:(item+1)*t]
	q := j.openHead(u, worker, 0, j.qkv, j.head(item, 0, cols))
	k := j.openHead(u, worker, 1, j.qkv, j.head(item, 1, cols))
	v := j.openHead(u, worker, 2, j.qkv, j.head(item, 2, cols))
	e.smallProduct(worker, Product{M: t, N: t, K: j.HeadDim, A: q, B: k.transposed(), C: F32(scores), CStride: stride})
	e.vector.softmaxRows(scores, lse, sums, scores, t, t, stride, j.scale())
	place := j.head(item, 0, j.width())
	result := j.roomHead(u, worker, 3, j.out, place)
	e.smallProduct(worker, Product{M: t, N: j.HeadDim, K: t, A: rowMajor(scores, stride), B: v, C: result.Data, CStride: result.RowStride})
	for i, sum := range sums {
		row := result.Data.f32[i*result.RowStride:][:j.HeadDim]
		u.scale(row, row, 1/sum)
	}
	j.shutHead(u, j.out, place, result)
	addLogarithms(lse, sums)
}

// AttentionBackward sets dqkv to the gradient of AttentionForward, given its output and lse. Probabilities P are
// computed again; with D the row sums of dout∘out, the gradient of the scores is P∘(dout·vᵀ − D)/√HeadDim
// (Dao et al. 2022, appendix B.2). dqkv is overwritten and may not be qkv.
func (e *Engine) AttentionBackward(s AttentionShape, dqkv, dout, out Array, lse []float32, qkv Array) {
	share(e, &e.jobs.attentionBackward, attentionBackwardJob{s, dqkv, dout, out, qkv, lse}, s.Views*s.Heads, 1)
}

type attentionBackwardJob struct {
	AttentionShape
	dqkv, dout, out, qkv Array
	lse                  []float32
}

func (j *attentionBackwardJob) run(e *Engine, worker, item, _ int) {
	t, dim, stride, width := j.Tokens, j.HeadDim, j.stride(), j.width()
	u := &e.vector
	scratch := u.scratch(worker, t*(2*stride+1))
	p, ds, delta := scratch[:t*stride], scratch[t*stride:2*t*stride], scratch[2*t*stride:]
	var in, gradient [3]Operand // queries, keys, values
	for part := range in {
		in[part] = j.openHead(u, worker, part, j.qkv, j.head(item, part, 3*width))
		gradient[part] = j.roomHead(u, worker, 3+part, j.dqkv, j.head(item, part, 3*width))
	}
	q, k, v, dq, dk, dv := in[0], in[1], in[2], gradient[0], gradient[1], gradient[2]
	do := j.openHead(u, worker, 6, j.dout, j.head(item, 0, width))
	o := j.openHead(u, worker, 7, j.out, j.head(item, 0, width))

	e.smallProduct(worker, Product{M: t, N: t, K: dim, A: q, B: k.transposed(), C: F32(p), CStride: stride})
	e.vector.exponentialRows(p, p, j.lse[item*t:(item+1)*t], t, t, stride, j.scale())
	e.smallProduct(worker, Product{M: t, N: dim, K: t, A: rowMajor(p, stride).transposed(), B: do, C: dv.Data, CStride: dv.RowStride})
	e.smallProduct(worker, Product{M: t, N: t, K: dim, A: do, B: v.transposed(), C: F32(ds), CStride: stride})
	for i := range delta {
		delta[i] = u.dot(do.Data.f32[i*do.RowStride:][:dim], o.Data.f32[i*o.RowStride:][:dim])
	}
	e.vector.softmaxBackward(ds, p, ds, delta, t, t, stride, j.scale())
	e.smallProduct(worker, Product{M: t, N: dim, K: t, A: rowMajor(ds, stride), B: k, C: dq.Data, CStride: dq.RowStride})
	e.smallProduct(worker, Product{M: t, N: dim, K: t, A: rowMajor(ds, stride).transposed(), B: q, C: dk.Data, CStride: dk.RowStride})
	for part := range gradient {
		j.shutHead(u, j.dqkv, j.head(item, part, 3*width), gradient[part])
	}
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
	q := j.openHead(&e.vector, worker, 0, j.qkv, j.head(item, 0, cols))
	k := j.openHead(&e.vector, worker, 1, j.qkv, j.head(item, 1, cols))
	e.smallProduct(worker, Product{M: t, N: t, K: j.HeadDim, A: q, B: k.transposed(), C: F32(p), CStride: t})
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
