package kernel

import "math"

// NormGroups are the numbers of rows of the statistics groups of a batch norm: consecutive, none empty, adding up to
// all rows. Each group is normalised by its own mean and variance.
type NormGroups []int

// BatchNormForward normalises each column of x [rows, cols] within each group of rows (Ioffe & Szegedy 2015):
// y = gamma·(x − mean)·rstd + beta, plus residual [rows, cols] unless nil, negative values cut to 0 if relu.
// rstd = 1/√(variance + eps) with the biased variance. mean and rstd [len(groups), cols] are kept for
// BatchNormBackward; the unbiased variance of a group of n rows is (1/rstd² − eps)·n/(n−1). y may be x or residual.
// Statistics are found in two passes over cache-sized blocks and joined in float64 (Chan, Golub & LeVeque 1979).
func (e *Engine) BatchNormForward(y Array, mean, rstd []float32, x, residual Array, gamma, beta []float32, groups NormGroups, cols int, eps float32, relu bool) {
	factor := e.vector.columns(cols)
	first := 0
	for k, rows := range groups {
		from, to := first*cols, (first+rows)*cols
		center, inverse := mean[k*cols:(k+1)*cols], rstd[k*cols:(k+1)*cols]
		e.columnStatistics(center, inverse, x.Slice(from, to), rows, cols, eps)
		for j, g := range gamma[:cols] {
			factor[j] = g * inverse[j]
		}
		e.normalize(y.Slice(from, to), x.Slice(from, to), residual.Slice(from, to), center, factor, beta[:cols], rows, cols, relu)
		first += rows
	}
}

// BatchNormInference is BatchNormForward with given statistics [cols] instead of the batch's. y may be x or residual.
func (e *Engine) BatchNormInference(y, x, residual Array, gamma, beta, runningMean, runningVariance []float32, rows, cols int, eps float32, relu bool) {
	factor := e.vector.columns(cols)
	for j, g := range gamma[:cols] {
		factor[j] = float32(float64(g) / math.Sqrt(float64(runningVariance[j])+float64(eps)))
	}
	e.normalize(y, x, residual, runningMean[:cols], factor, beta[:cols], rows, cols, relu)
}

// BatchNormBackward is the gradient of BatchNormForward. dz is dy where the output y was positive (all of dy without
// relu) and also the gradient of the residual, written to dresidual unless nil. With h = (x − mean)·rstd and ⟨·⟩ the
// mean over a group, dx = gamma·rstd·(dz − ⟨dz⟩ − h·⟨dz·h⟩), dgamma = Σ dz·h, dbeta = Σ dz over all rows. All outputs
// are overwritten. y is read only with relu. dy may be dresidual, or dx if dresidual is nil.
func (e *Engine) BatchNormBackward(dx, dresidual Array, dgamma, dbeta []float32, dy, y, x Array, gamma, mean, rstd []float32, groups NormGroups, cols int, relu bool) {
	dgamma, dbeta = dgamma[:cols], dbeta[:cols]
	clear(dgamma)
	clear(dbeta)
	work := e.vector.columns(3 * cols)
	g := normGroup{cols: cols, x: x, dz: dy, dy: dy, sums: work[:cols], products: work[cols : 2*cols], factor: work[2*cols:]}
	switch {
	case !dresidual.None():
		g.dz, g.apart = dresidual, true
	case relu:
		g.dz = dx // replaced by dx in place once the sums are known
	}
	if relu {
		g.y = y
	}
	for k, rows := range groups {
		g.rows, g.mean, g.rstd = rows, mean[k*cols:(k+1)*cols], rstd[k*cols:(k+1)*cols]
		e.groupGradientSums(g)
		for j := range cols {
			dbeta[j] += g.sums[j]
			dgamma[j] += g.products[j]
		}
		e.groupGradient(g, dx, gamma)
		g.first += rows
	}
}

// normGroup is one statistics group of a batch norm's backward pass.
type normGroup struct {
	first, rows, cols      int
	x, dz, dy              Array     // all groups' rows
	y                      Array     // output of the relu; none without one
	apart                  bool      // dz is not in the place of dy
	mean, rstd             []float32 // of this group, [cols]
	sums, products, factor []float32 // scratch, [cols]
}

// groupGradientSums fills a group's rows of dz and sets its sums and products to Σ dz and Σ dz·h over them.
func (e *Engine) groupGradientSums(g normGroup) {
	step := rowsPerBlock(g.cols)
	blocks := cut(g.rows, step)
	partials := e.vector.partials(blocks * 2 * g.cols)
	share(e, &e.jobs.normSums, normSumsJob{g, partials, step}, g.rows, step)
	e.joinPartials(g.sums, partials, blocks, 2*g.cols)
	e.joinPartials(g.products, partials[g.cols:], blocks, 2*g.cols)
}

type normSumsJob struct {
	normGroup
	partials []float32
	step     int
}

func (j *normSumsJob) run(e *Engine, worker, from, to int) {
	v, n, cols, a, b := &e.vector, to-from, j.cols, (j.first+from)*j.cols, (j.first+to)*j.cols
	part := j.partials[from/j.step*2*cols:][:2*cols]
	sums, products := part[:cols], part[cols:]
	switch {
	case j.y.None():
		if j.apart {
			v.convert(j.dz, j.dy, a, b)
		}
		if allHalf(j.dy, j.x) {
			v.half.normGradientSums(sums, products, j.dy.bf16[a:b], j.x.bf16[a:b], j.mean, j.rstd, n, cols)
		} else {
			v.normGradientSums(sums, products, v.open(worker, 1, j.dy, a, b), v.open(worker, 3, j.x, a, b), j.mean, j.rstd, n, cols)
		}
	case allHalf(j.dz, j.dy, j.y, j.x):
		v.half.normGradientSumsReLU(sums, products, j.dz.bf16[a:b], j.dy.bf16[a:b], j.y.bf16[a:b], j.x.bf16[a:b], j.mean, j.rstd, n, cols)
	default:
		dz := v.room(worker, 0, j.dz, a, b)
		dy, y, x := v.open(worker, 1, j.dy, a, b), v.open(worker, 2, j.y, a, b), v.open(worker, 3, j.x, a, b)
		v.normGradientSumsReLU(sums, products, dz, dy, y, x, j.mean, j.rstd, n, cols)
		v.shut(j.dz, a, b, dz)
	}
}

// groupGradient writes a group's rows of dx and uses its sums and products up.
func (e *Engine) groupGradient(g normGroup, dx Array, gamma []float32) {
	for j := range g.cols {
		g.factor[j] = gamma[j] * g.rstd[j]
		g.sums[j] /= float32(g.rows)
		g.products[j] *= g.rstd[j] / float32(g.rows)
	}
	share(e, &e.jobs.normGradient, normGradientJob{g, dx}, g.rows, rowsPerBlock(g.cols))
}

type normGradientJob struct {
	normGroup
	dx Array
}

func (j *normGradientJob) run(e *Engine, worker, from, to int) {
	v, a, b := &e.vector, (j.first+from)*j.cols, (j.first+to)*j.cols
	if allHalf(j.dx, j.dz, j.x) {
		v.half.normGradientApply(j.dx.bf16[a:b], j.dz.bf16[a:b], j.x.bf16[a:b], j.mean, j.factor, j.sums, j.products, to-from, j.cols)
		return
	}
	dx := v.room(worker, 0, j.dx, a, b)
	v.normGradientApply(dx, v.open(worker, 1, j.dz, a, b), v.open(worker, 2, j.x, a, b), j.mean, j.factor, j.sums, j.products, to-from, j.cols)
	v.shut(j.dx, a, b, dx)
}

// columnStatistics sets mean and rstd = 1/√(variance + eps) of each column of x [rows, cols].
func (e *Engine) columnStatistics(mean, rstd []float32, x Array, rows, cols int, eps float32) {
	step := rowsPerBlock(cols)
	partials := e.vector.partials(cut(rows, step) * 3 * cols)
	share(e, &e.jobs.columnMoments, columnMomentsJob{partials, x, cols, step}, rows, step)
	share(e, &e.jobs.joinMoments, joinMomentsJob{mean, rstd, partials, rows, cols, step, eps}, cols, joinWidth)
}

// columnMomentsJob finds, of each column in blocks of step rows, a shift c near its mean and Σ d and Σ d², d = x − c.
type columnMomentsJob struct {
	partials   []float32
	x          Array
	cols, step int
}

func (j *columnMomentsJob) run(e *Engine, _, from, to int) {
	v, cols, x := &e.vector, j.cols, j.x.Slice(from*j.cols, to*j.cols)
	part := j.partials[from/j.step*3*cols:][:3*cols]
	center, sums, squares := part[:cols], part[cols:2*cols], part[2*cols:]
	v.sumColumns(center, x, to-from, cols)
	v.scale(center, center, 1/float32(to-from))
	if x.Half() {
		v.half.columnMoments(sums, squares, x.bf16, center, to-from, cols)
	} else {
		v.columnMoments(sums, squares, x.f32, center, to-from, cols)
	}
}

// joinMomentsJob turns what columnMomentsJob found into mean and rstd, in float64: Σ (x − mean)² = Σ over blocks of
// Σ d² + 2·(c − mean)·Σ d + n·(c − mean)² (after Chan, Golub & LeVeque 1979).
type joinMomentsJob struct {
	mean, rstd, partials []float32
	rows, cols, step     int
	eps                  float32
}

func (j *joinMomentsJob) run(_ *Engine, _, from, to int) {
	cols, rows := j.cols, j.rows
	var means, squares [joinWidth]float64
	for first := 0; first < rows; first += j.step {
		n, part := float64(min(j.step, rows-first)), j.partials[first/j.step*3*cols:]
		for c := from; c < to; c++ {
			means[c-from] += n*float64(part[c]) + float64(part[cols+c])
		}
	}
	for i := range means {
		means[i] /= float64(rows)
	}
	for first := 0; first < rows; first += j.step {
		n, part := float64(min(j.step, rows-first)), j.partials[first/j.step*3*cols:]
		for c := from; c < to; c++ {
			delta := float64(part[c]) - means[c-from]
			squares[c-from] += float64(part[2*cols+c]) + delta*(2*float64(part[cols+c])+n*delta)
		}
	}
	for c := from; c < to; c++ {
		variance := max(squares[c-from], 0) / float64(rows)
		j.mean[c], j.rstd[c] = float32(means[c-from]), float32(1/math.Sqrt(variance+float64(j.eps)))
	}
}

// normalize sets y = (x − mean)·factor + beta (+ residual) (cut at 0).
func (e *Engine) normalize(y, x, residual Array, mean, factor, beta []float32, rows, cols int, relu bool) {
	floor := float32(math.Inf(-1))
	if relu {
		floor = 0
	}
	share(e, &e.jobs.normalize, normalizeJob{y, x, residual, mean, factor, beta, cols, floor}, rows, rowsPerBlock(cols))
}

type normalizeJob struct {
	y, x, residual     Array
	mean, factor, beta []float32
	cols               int
	floor              float32
}

func (j *normalizeJob) run(e *Engine, worker, from, to int) {
	v, n, a, b := &e.vector, to-from, from*j.cols, to*j.cols
	switch {
	case !allHalf(j.y, j.x):
	case j.residual.None():
		v.half.normalize(j.y.bf16[a:b], j.x.bf16[a:b], j.mean, j.factor, j.beta, n, j.cols, j.floor)
		return
	case j.residual.Half():
		v.half.normalizeAdd(j.y.bf16[a:b], j.x.bf16[a:b], j.residual.bf16[a:b], j.mean, j.factor, j.beta, n, j.cols, j.floor)
		return
	}
	y, x := v.room(worker, 0, j.y, a, b), v.open(worker, 1, j.x, a, b)
	if j.residual.None() {
		v.normalize(y, x, j.mean, j.factor, j.beta, n, j.cols, j.floor)
	} else {
		v.normalizeAdd(y, x, v.open(worker, 2, j.residual, a, b), j.mean, j.factor, j.beta, n, j.cols, j.floor)
	}
	v.shut(j.y, a, b, y)
}

// section is x[from:to], or nil for nil.
func section(x []float32, from, to int) []float32 {
	if x == nil {
		return nil
	}
	return x[from:to]
}

func normalizePortable[T storage](y, x []T, mean, factor, beta []float32, rows, cols int, floor float32) {
	for i := range rows {
		out := y[i*cols : (i+1)*cols]
		for j, v := range x[i*cols : (i+1)*cols] {
			out[j] = stored[T](max((value(v)-mean[j])*factor[j]+beta[j], floor))
		}
	}
}

func normalizeAddPortable[T storage](y, x, residual []T, mean, factor, beta []float32, rows, cols int, floor float32) {
	for i := range rows {
		out, skip := y[i*cols:(i+1)*cols], residual[i*cols:(i+1)*cols]
		for j, v := range x[i*cols : (i+1)*cols] {
			out[j] = stored[T](max((value(v)-mean[j])*factor[j]+beta[j]+value(skip[j]), floor))
		}
	}
}

// normGradientSumsPortable overwrites sums and products [cols] with Σ dy and Σ dy·(x − mean)·rstd over rows.
func normGradientSumsPortable[T storage](sums, products []float32, dy, x []T, mean, rstd []float32, rows, cols int) {
	clear(sums[:cols])
	clear(products[:cols])
	for i := range rows {
		in := x[i*cols : (i+1)*cols]
		for j, v := range dy[i*cols : (i+1)*cols] {
			sums[j] += value(v)
			products[j] += value(v) * (value(in[j]) - mean[j])
		}
	}
	for j := range cols {
		products[j] *= rstd[j]
	}
}

// normGradientSumsReLUPortable sets dz to dy where y > 0 and to 0 elsewhere, and sums up dz as normGradientSums does dy.
func normGradientSumsReLUPortable[T storage](sums, products []float32, dz, dy, y, x []T, mean, rstd []float32, rows, cols int) {
	n := rows * cols
	reluBackwardPortable(dz[:n], dy[:n], y[:n])
	normGradientSumsPortable(sums, products, dz, x, mean, rstd, rows, cols)
}

// normGradientApplyPortable sets dx = factor·(dy − meanGradient − (x − mean)·slope).
func normGradientApplyPortable[T storage](dx, dy, x []T, mean, factor, meanGradient, slope []float32, rows, cols int) {
	for i := range rows {
		in, out := x[i*cols:(i+1)*cols], dx[i*cols:(i+1)*cols]
		for j, v := range dy[i*cols : (i+1)*cols] {
			out[j] = stored[T](factor[j] * (value(v) - meanGradient[j] - (value(in[j])-mean[j])*slope[j]))
		}
	}
}
