package kernel

import "math"

// PairScoresForward scores every ordered pair of tokens of a view once per class (the bilinear head of Camporese et al.
// 2022): scores[(view, i, j), c] = q_c(i)·k_c(j)/√dim. q and k are [views·tokens, classes·dim], class after class;
// scores is [views·tokens·tokens, classes].
func (e *Engine) PairScoresForward(scores, q, k []float32, views, tokens, classes, dim int) {
	share(e, &e.jobs.pairs, pairsJob{pairShape{tokens, classes, dim}, scores, q, k}, views, 1)
}

type pairsJob struct {
	pairShape
	scores, q, k []float32
}

func (j *pairsJob) run(e *Engine, worker, view, _ int) {
	t := j.tokens
	plane := e.vector.scratch(worker, t*t)
	for c := range j.classes {
		e.smallProduct(worker, Product{M: t, N: t, K: j.dim, A: j.operand(j.q, view, c), B: j.operand(j.k, view, c).transposed(), C: F32(plane), CStride: t}, false, nil)
		e.vector.scale(plane, plane, j.scale())
		j.scatter(j.block(j.scores, view), plane, c)
	}
}

// PairScoresBackward sets dq and dk to the gradients of PairScoresForward; both are overwritten.
func (e *Engine) PairScoresBackward(dq, dk, dscores, q, k []float32, views, tokens, classes, dim int) {
	share(e, &e.jobs.pairsBackward, pairsBackwardJob{pairShape{tokens, classes, dim}, dq, dk, dscores, q, k}, views, 1)
}

type pairsBackwardJob struct {
	pairShape
	dq, dk, dscores, q, k []float32
}

func (j *pairsBackwardJob) run(e *Engine, worker, view, _ int) {
	t := j.tokens
	plane := e.vector.scratch(worker, t*t)
	gradient := rowMajor(plane, t)
	for c := range j.classes {
		j.gather(plane, j.block(j.dscores, view), c)
		e.vector.scale(plane, plane, j.scale())
		p := Product{M: t, N: j.dim, K: t, CStride: j.classes * j.dim}
		p.A, p.B, p.C = gradient, j.operand(j.k, view, c), j.operand(j.dq, view, c).Data
		e.smallProduct(worker, p, false, nil)
		p.A, p.B, p.C = gradient.transposed(), j.operand(j.q, view, c), j.operand(j.dk, view, c).Data
		e.smallProduct(worker, p, false, nil)
	}
}

// pairShape is the geometry of one view's pair scores.
type pairShape struct{ tokens, classes, dim int }

func (s pairShape) scale() float32 { return float32(1 / math.Sqrt(float64(s.dim))) }

// operand is the [tokens, dim] matrix of one view and class within queries or keys.
func (s pairShape) operand(x []float32, view, class int) Operand {
	cols := s.classes * s.dim
	return rowMajor(x[view*s.tokens*cols+class*s.dim:(view+1)*s.tokens*cols], cols)
}

// block is one view's scores.
func (s pairShape) block(scores []float32, view int) []float32 {
	size := s.tokens * s.tokens * s.classes
	return scores[view*size : (view+1)*size]
}

// scatter writes one class's plane [tokens·tokens] into a view's scores [tokens·tokens, classes].
func (s pairShape) scatter(scores, plane []float32, class int) {
	scores = scores[class:]
	for i, v := range plane {
		scores[i*s.classes] = v
	}
}

// gather is the inverse of scatter.
func (s pairShape) gather(plane, scores []float32, class int) {
	scores = scores[class:]
	for i := range plane {
		plane[i] = scores[i*s.classes]
	}
}
