package kernel

import "math"

// LayerNormForward normalises each row of x [rows, cols] to mean 0 and variance 1 and scales it (Ba et al. 2016):
// y = gamma·(x − mean)·rstd + beta, rstd = 1/√(variance + eps), with the biased variance. gamma and beta are [cols];
// mean and rstd [rows] are kept for LayerNormBackward. y may be x.
func (e *Engine) LayerNormForward(y Array, mean, rstd []float32, x Array, gamma, beta []float32, rows, cols int, eps float32) {
	share(e, &e.jobs.layerNorm, layerNormJob{
		y: y, mean: mean[:rows], rstd: rstd[:rows], x: x,
		gamma: gamma[:cols], beta: beta[:cols], cols: cols, eps: eps,
	}, rows, rowsPerBlock(cols))
}

type layerNormJob struct {
	y, x                    Array
	mean, rstd, gamma, beta []float32
	cols                    int
	eps                     float32
}

func (j *layerNormJob) run(e *Engine, worker, from, to int) {
	v, a, b := &e.vector, from*j.cols, to*j.cols
	if allHalf(j.y, j.x) {
		v.half.layerNorm(j.y.bf16[a:b], j.mean[from:to], j.rstd[from:to], j.x.bf16[a:b], j.gamma, j.beta, to-from, j.cols, j.eps)
		return
	}
	y := v.room(worker, 0, j.y, a, b)
	v.layerNorm(y, j.mean[from:to], j.rstd[from:to], v.open(worker, 1, j.x, a, b), j.gamma, j.beta, to-from, j.cols, j.eps)
	v.shut(j.y, a, b, y)
}

// LayerNormBackward is the gradient of LayerNormForward: with h = (x − mean)·rstd and g = dy·gamma,
// dx = rstd·(g − ⟨g⟩ − h·⟨g·h⟩), ⟨·⟩ the mean of a row; dgamma = Σ dy·h and dbeta = Σ dy over rows. All three are
// overwritten. dx may be dy.
func (e *Engine) LayerNormBackward(dx Array, dgamma, dbeta []float32, dy, x Array, gamma, mean, rstd []float32, rows, cols int) {
	dgamma, dbeta = dgamma[:cols], dbeta[:cols]
	step := rowsPerBlock(cols)
	blocks := cut(rows, step)
	partials := e.vector.partials(blocks * 2 * cols)
	share(e, &e.jobs.layerNormBackward, layerNormBackwardJob{
		dx: dx, partials: partials, dy: dy, x: x,
		gamma: gamma[:cols], mean: mean[:rows], rstd: rstd[:rows], cols: cols, step: step,
	}, rows, step)
	e.joinPartials(dgamma, partials, blocks, 2*cols)
	e.joinPartials(dbeta, partials[min(cols, len(partials)):], blocks, 2*cols)
}

type layerNormBackwardJob struct {
	dx, dy, x                   Array
	partials, gamma, mean, rstd []float32
	cols, step                  int
}

func (j *layerNormBackwardJob) run(e *Engine, worker, from, to int) {
	v, cols, a, b := &e.vector, j.cols, from*j.cols, to*j.cols
	part := j.partials[from/j.step*2*cols:][:2*cols]
	clear(part)
	if allHalf(j.dx, j.dy, j.x) {
		v.half.layerNormBackward(j.dx.bf16[a:b], part[:cols], part[cols:], j.dy.bf16[a:b], j.x.bf16[a:b], j.gamma, j.mean[from:to], j.rstd[from:to], to-from, cols)
		return
	}
	dx := v.room(worker, 0, j.dx, a, b)
	v.layerNormBackward(dx, part[:cols], part[cols:], v.open(worker, 1, j.dy, a, b), v.open(worker, 2, j.x, a, b), j.gamma, j.mean[from:to], j.rstd[from:to], to-from, cols)
	v.shut(j.dx, a, b, dx)
}

func layerNormPortable[T storage](y []T, mean, rstd []float32, x []T, gamma, beta []float32, rows, cols int, eps float32) {
	for i := range rows {
		in, out := x[i*cols:(i+1)*cols], y[i*cols:(i+1)*cols]
		total := 0.0
		for _, v := range in {
			total += float64(value(v))
		}
		center := float32(total / float64(cols))
		squares := 0.0
		for _, v := range in {
			d := float64(value(v) - center)
			squares += d * d
		}
		inverse := float32(1 / math.Sqrt(squares/float64(cols)+float64(eps)))
		for j, v := range in {
			out[j] = stored[T]((value(v)-center)*inverse*gamma[j] + beta[j])
		}
		mean[i], rstd[i] = center, inverse
	}
}

// layerNormBackwardPortable adds to dgamma and dbeta, so that one call a block suffices.
func layerNormBackwardPortable[T storage](dx []T, dgamma, dbeta []float32, dy, x []T, gamma, mean, rstd []float32, rows, cols int) {
	for i := range rows {
		in, gradient, out := x[i*cols:(i+1)*cols], dy[i*cols:(i+1)*cols], dx[i*cols:(i+1)*cols]
		center, inverse := mean[i], rstd[i]
		sum, product := 0.0, 0.0
		for j, v := range gradient {
			h := (value(in[j]) - center) * inverse
			g := value(v) * gamma[j]
			sum += float64(g)
			product += float64(g) * float64(h)
			dgamma[j] += value(v) * h
			dbeta[j] += value(v)
		}
		meanGradient, meanProduct := float32(sum/float64(cols)), float32(product/float64(cols))
		for j, v := range gradient {
			h := (value(in[j]) - center) * inverse
			out[j] = stored[T](inverse * (value(v)*gamma[j] - meanGradient - h*meanProduct))
		}
	}
}
