package kernel

import "math"

// NormGroups are the numbers of rows of the statistics groups of a batch norm: consecutive, none empty, adding up to
// all rows. Each group is normalised by its own mean and variance.
type NormGroups []int

// BatchNormStatistics sets mean and rstd = 1/√(variance + eps) [len(groups), cols] of each column of x [rows, cols] in
// each group of rows, with the biased variance; the unbiased one of a group of n rows is (1/rstd² − eps)·n/(n−1).
// Statistics are found in two passes over cache-sized blocks and joined in float64 (Chan, Golub & LeVeque 1979).
// ConvStatistics finds them while x is computed.
func (e *Engine) BatchNormStatistics(mean, rstd []float32, x Array, groups NormGroups, cols int, eps float32) {
	m := e.newMoments(x, groups, cols, rowBlocks(groups.rows(), cols))
	e.findMoments(m)
	e.joinMoments(mean, rstd, m, eps)
}

// rows is the number of rows of all groups.
func (g NormGroups) rows() (sum int) {
	for _, n := range g {
		sum += n
	}
	return sum
}

// BatchNormApply normalises each column of x [rows, cols] within each group of rows (Ioffe & Szegedy 2015) by the
// statistics mean and rstd [len(groups), cols]: y = gamma·(x − mean)·rstd + beta, plus residual [rows, cols] unless none,
// negative values cut to 0 if relu. y may be x or residual.
func (e *Engine) BatchNormApply(y, x, residual Array, gamma, beta, mean, rstd []float32, groups NormGroups, cols int, relu bool) {
	factor := e.vector.columns(cols)
	first := 0
	for k, rows := range groups {
		from, to := first*cols, (first+rows)*cols
		center, inverse := mean[k*cols:(k+1)*cols], rstd[k*cols:(k+1)*cols]
		for j, g := range gamma[:cols] {
			factor[j] = g * inverse[j]
		}
		out, in, skip := y.Slice(from, to), x.Slice(from, to), residual.Slice(from, to)
		e.normalize(newNormalize(out, in, skip, center, factor, beta[:cols], relu), rows)
		first += rows
	}
}

// BatchNormInference is BatchNormApply with given statistics [cols], which hold a variance instead of rstd, for all rows.
// y may be x or residual.
func (e *Engine) BatchNormInference(y, x, residual Array, gamma, beta, mean, variance []float32, rows, cols int, eps float32, relu bool) {
	factor := e.inferenceFactor(gamma[:cols], variance, eps)
	e.normalize(newNormalize(y, x, residual, mean[:cols], factor, beta[:cols], relu), rows)
}

// inferenceFactor is what each column is multiplied by, until another kernel needs the memory.
func (e *Engine) inferenceFactor(gamma, variance []float32, eps float32) []float32 {
	factor := e.vector.columns(len(gamma))
	for j, g := range gamma {
		factor[j] = float32(float64(g) / math.Sqrt(float64(variance[j])+float64(eps)))
	}
	return factor
}

// BatchNormBackward is the gradient of BatchNormApply through the statistics too. dz is dy where the output y was positive (all of dy without
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

// normalize runs the job over rows.
func (e *Engine) normalize(j normalizeJob, rows int) {
	share(e, &e.jobs.normalize, j, rows, rowsPerBlock(j.cols))
}

// newNormalize sets y = (x − mean)·factor + beta (+ residual) (cut at 0), row by row.
func newNormalize(y, x, residual Array, mean, factor, beta []float32, relu bool) normalizeJob {
	floor := float32(math.Inf(-1))
	if relu {
		floor = 0
	}
	return normalizeJob{y, x, residual, mean, factor, beta, len(factor), floor}
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
