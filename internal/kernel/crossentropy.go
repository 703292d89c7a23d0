package kernel

import "math"

// CrossEntropyForward sets losses[i] = log Σ_c exp(logits[i,c]) − logits[i,label] for each of rows rows of logits
// [rows, classes]. labels are class numbers held as floats, below classes; a row with a negative label is ignored: its
// loss is 0.
func (e *Engine) CrossEntropyForward(losses, logits, labels []float32, rows, classes int) {
	share(e, &e.jobs.crossEntropy, crossEntropyJob{
		losses: losses[:rows], logits: logits[:rows*classes], labels: labels[:rows], classes: classes,
	}, rows, rowsPerBlock(classes))
}

type crossEntropyJob struct {
	losses, logits, labels []float32
	classes                int
}

func (j *crossEntropyJob) run(e *Engine, worker, from, to int) {
	classes, block := j.classes, j.logits[from*j.classes:to*j.classes]
	normalizers := e.logSumExp(worker, block, to-from, classes)
	for i, label := range j.labels[from:to] {
		j.losses[from+i] = 0
		if label >= 0 {
			j.losses[from+i] = normalizers[i] - block[i*classes : (i+1)*classes][int(label)]
		}
	}
}

// CrossEntropyBackward sets dlogits = scale·(softmax(logits) − onehot(labels)), and 0 in ignored rows. scale is the
// gradient of the total loss by each row's loss. dlogits may be logits.
func (e *Engine) CrossEntropyBackward(dlogits, logits, labels []float32, scale float32, rows, classes int) {
	share(e, &e.jobs.crossEntropyBackward, crossEntropyBackwardJob{
		dlogits: dlogits[:rows*classes], logits: logits[:rows*classes], labels: labels[:rows], scale: scale, classes: classes,
	}, rows, rowsPerBlock(classes))
}

type crossEntropyBackwardJob struct {
	dlogits, logits, labels []float32
	scale                   float32
	classes                 int
}

func (j *crossEntropyBackwardJob) run(e *Engine, worker, from, to int) {
	classes, block := j.classes, j.dlogits[from*j.classes:to*j.classes]
	e.softmax(worker, block, j.logits[from*classes:to*classes], to-from, classes)
	for i, label := range j.labels[from:to] {
		row := block[i*classes : (i+1)*classes]
		if label < 0 {
			clear(row)
			continue
		}
		row[int(label)]--
		e.vector.scale(row, row, j.scale)
	}
}

// SoftCrossEntropyForward sets losses[i] = weights[i]·Σ_c targets[i,c]·(log Σ exp(logits[i,·]) − logits[i,c]).
// logits and targets are [rows, classes], weights [rows] or nil for ones. Rows of targets need not add up to 1.
func (e *Engine) SoftCrossEntropyForward(losses, logits, targets, weights []float32, rows, classes int) {
	share(e, &e.jobs.softCrossEntropy, softCrossEntropyJob{
		losses: losses[:rows], logits: logits[:rows*classes], targets: targets[:rows*classes], weights: weights, classes: classes,
	}, rows, rowsPerBlock(classes))
}

type softCrossEntropyJob struct {
	losses, logits, targets, weights []float32
	classes                          int
}

func (j *softCrossEntropyJob) run(e *Engine, worker, from, to int) {
	classes, block := j.classes, j.logits[from*j.classes:to*j.classes]
	normalizers := e.logSumExp(worker, block, to-from, classes)
	for i := range to - from {
		target := j.targets[(from+i)*classes : (from+i+1)*classes]
		mass := float32(e.vector.sum(target))
		loss := mass*normalizers[i] - e.vector.dot(target, block[i*classes:(i+1)*classes])
		j.losses[from+i] = loss * weightOf(j.weights, from+i)
	}
}

// SoftCrossEntropyBackward sets dlogits = scale·weights[i]·(softmax(logits)·Σ_c targets − targets). scale is the
// gradient of the total loss by each row's loss. dlogits may be logits, but not targets.
func (e *Engine) SoftCrossEntropyBackward(dlogits, logits, targets, weights []float32, scale float32, rows, classes int) {
	share(e, &e.jobs.softCrossEntropyBackward, softCrossEntropyBackwardJob{
		dlogits: dlogits[:rows*classes], logits: logits[:rows*classes], targets: targets[:rows*classes], weights: weights,
		scale: scale, classes: classes,
	}, rows, rowsPerBlock(classes))
}

type softCrossEntropyBackwardJob struct {
	dlogits, logits, targets, weights []float32
	scale                             float32
	classes                           int
}

func (j *softCrossEntropyBackwardJob) run(e *Engine, worker, from, to int) {
	classes, block := j.classes, j.dlogits[from*j.classes:to*j.classes]
	e.softmax(worker, block, j.logits[from*classes:to*classes], to-from, classes)
	for i := range to - from {
		target := j.targets[(from+i)*classes : (from+i+1)*classes]
		factor := j.scale * weightOf(j.weights, from+i)
		e.vector.combine(block[i*classes:(i+1)*classes], target, factor*float32(e.vector.sum(target)), -factor)
	}
}

func weightOf(weights []float32, i int) float32 {
	if weights == nil {
		return 1
	}
	return weights[i]
}

// logSumExp returns log Σ_c exp(x[i,c]) of each row of x [rows, cols], in the worker's scratch.
func (e *Engine) logSumExp(worker int, x []float32, rows, cols int) []float32 {
	scratch := e.vector.scratch(worker, rows*(cols+2))
	maxima, sums, p := scratch[:rows], scratch[rows:2*rows], scratch[2*rows:]
	e.vector.softmaxRows(p, maxima, sums, x, rows, cols, cols, 1)
	addLogarithms(maxima, sums)
	return maxima
}

// addLogarithms sets lse = maxima + log(sums), in place of maxima.
func addLogarithms(maxima, sums []float32) {
	for i, s := range sums {
		maxima[i] += float32(math.Log(float64(s)))
	}
}

// softmax sets p to the softmax of each row of x [rows, cols]; p may be x.
func (e *Engine) softmax(worker int, p, x []float32, rows, cols int) {
	scratch := e.vector.scratch(worker, 2*rows)
	maxima, sums := scratch[:rows], scratch[rows:]
	e.vector.softmaxRows(p, maxima, sums, x, rows, cols, cols, 1)
	for i, s := range sums {
		row := p[i*cols : (i+1)*cols]
		e.vector.scale(row, row, 1/s)
	}
}

// combinePortable sets a = factorA·a + factorB·b.
func combinePortable(a, b []float32, factorA, factorB float32) {
	b = b[:len(a)]
	for i, v := range a {
		a[i] = factorA*v + factorB*b[i]
	}
}

// softmaxRowsPortable sets maxima = max factor·x, p = exp(factor·x − maxima) and sums = Σ p of each row: a softmax
// without its division. Rows of x and p start stride apart; p may be x.
func softmaxRowsPortable(p, maxima, sums, x []float32, rows, cols, stride int, factor float32) {
	for i := range rows {
		in, out := x[i*stride:][:cols], p[i*stride:][:cols]
		largest := float32(math.Inf(-1))
		for _, v := range in {
			largest = max(largest, factor*v)
		}
		sum := 0.0
		for j, v := range in {
			out[j] = float32(math.Exp(float64(factor*v - largest)))
			sum += float64(out[j])
		}
		maxima[i], sums[i] = largest, float32(sum)
	}
}

// exponentialRowsPortable sets p = exp(factor·x − shift), shift [rows]. Rows start stride apart; p may be x.
func exponentialRowsPortable(p, x, shift []float32, rows, cols, stride int, factor float32) {
	for i := range rows {
		out := p[i*stride:][:cols]
		for j, v := range x[i*stride:][:cols] {
			out[j] = float32(math.Exp(float64(factor*v - shift[i])))
		}
	}
}

// softmaxBackwardPortable sets dx = factor·p·(dp − delta), delta [rows]. Rows start stride apart; dx may be p or dp.
func softmaxBackwardPortable(dx, p, dp, delta []float32, rows, cols, stride int, factor float32) {
	for i := range rows {
		probability, gradient, out := p[i*stride:][:cols], dp[i*stride:][:cols], dx[i*stride:][:cols]
		for j, v := range gradient {
			out[j] = factor * probability[j] * (v - delta[i])
		}
	}
}
