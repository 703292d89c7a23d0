package kernel

// job is one call of a kernel that the pool shares: a struct of the operands, whose run computes the items [from, to).
type job interface {
	run(e *Engine, worker, from, to int)
}

// jobs has room for the running call of every kernel. An Engine runs one at a time, so a call takes its kernel's place
// here instead of memory of its own: a closure a call would leave thousands of them behind in a training step.
type jobs struct {
	pack    packJob
	strip   stripJob
	grid    gridJob
	gridEnd gridEndJob

	winograd         winogradJob
	winogradWeights  winogradWeightsJob
	winogradGradient winogradGradientJob

	convert  convertJob
	unary    unaryJob
	binary   binaryJob
	scale    scaleJob
	reduce   reduceJob
	finite   finiteJob
	columns  columnSumsJob
	join     joinJob
	meanPool meanPoolJob
	maxPool  maxPoolJob

	meanPoolBackward meanPoolBackwardJob
	maxPoolBackward  maxPoolBackwardJob

	geluHalf         geluHalfJob
	geluHalfBackward geluHalfBackwardJob

	layerNorm         layerNormJob
	layerNormBackward layerNormBackwardJob

	columnMoments columnMomentsJob
	joinMoments   joinMomentsJob
	normalize     normalizeJob
	normSums      normSumsJob
	normGradient  normGradientJob

	attention         attentionJob
	attentionBackward attentionBackwardJob
	attentionWeights  attentionWeightsJob
	pairs             pairsJob
	pairsBackward     pairsBackwardJob

	crossEntropy             crossEntropyJob
	crossEntropyBackward     crossEntropyBackwardJob
	softCrossEntropy         softCrossEntropyJob
	softCrossEntropyBackward softCrossEntropyBackwardJob

	adamW adamWJob
	sgd   sgdJob
}

// division is a job cut into pieces of size items.
type division struct {
	job     job
	n, size int
}

// share runs a job over [0, n) on the pool, cut into pieces of size items. The cut depends on the problem only, which
// is what keeps results independent of the number of workers. place is where the job's kind has its room among jobs;
// it is emptied again, so that an idle Engine keeps nobody's memory alive.
func share[J any, P interface {
	*J
	job
}](e *Engine, place *J, j J, n, size int) {
	if e.recorded != nil {
		own := j
		*e.recorded = append(*e.recorded, Follower{P(&own), n})
		return
	}
	var none J
	*place = j
	e.running = division{P(place), n, size}
	e.pool.run(cut(n, size), e.piece)
	*place = none
}

// runPiece computes piece i of the running job.
func (e *Engine) runPiece(worker, i int) {
	d := e.running
	d.job.run(e, worker, i*d.size, min(d.n, (i+1)*d.size))
}
