package kernel

// Follower is a kernel call that works on the rows of a product as they become complete, before they leave the core's
// cache. It refers to the operands of the recorded call, and runs as often as products with it do.
type Follower struct {
	job job
	n   int // items of the whole call, a whole number a row of the product
}

// Follow records a call of this Engine instead of making it. The call must be one kernel each of whose rows depends on the
// same rows of its operands alone: of element-wise kernels, ReLU, GELU, Convert and the forward pass of layer
// normalisation. It panics if the call was none or several, or if the Engine is in use.
func (e *Engine) Follow(call func()) Follower {
	e.pool.claim()
	defer e.pool.busy.Store(false)
	var recorded []Follower
	e.recorded = &recorded
	defer func() { e.recorded = nil }()
	call()
	if len(recorded) != 1 {
		panic("kernel: what follows a product must be one kernel")
	}
	return recorded[0]
}

// runFollowers runs followers on rows [from, to) of the product's rows.
func runFollowers(e *Engine, followers []Follower, worker, from, to, rows int) {
	for _, f := range followers {
		f.job.run(e, worker, from*(f.n/rows), to*(f.n/rows))
	}
}
