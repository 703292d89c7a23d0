package kernel

// Add sets dst = a + b. The slices are of one length; dst may be a or b.
func (e *Engine) Add(dst, a, b Array) { e.binary(e.vector.add, dst, a, b) }

// Accumulate sets dst += a. The slices are of one length.
func (e *Engine) Accumulate(dst, a Array) { e.Add(dst, dst, a) }

// Scale sets dst = factor·a. The slices are of one length; dst may be a.
func (e *Engine) Scale(dst, a Array, factor float32) {
	n := dst.Len()
	share(e, &e.jobs.scale, scaleJob{dst, a.Slice(0, n), factor}, n, elementChunk)
}

type scaleJob struct {
	dst, a Array
	factor float32
}

func (j *scaleJob) run(e *Engine, worker, from, to int) {
	v := &e.vector
	dst := v.room(worker, 0, j.dst, from, to)
	v.scale(dst, v.open(worker, 1, j.a, from, to), j.factor)
	v.shut(j.dst, from, to, dst)
}

// ReLUForward sets y = max(x, 0); NaN stays NaN. The slices are of one length; y may be x.
func (e *Engine) ReLUForward(y, x Array) { e.unary(e.vector.relu, y, x) }

// ReLUBackward sets dx = dy where y > 0 and 0 elsewhere, y being the output of ReLUForward. The slices are of one
// length; dx may be dy.
func (e *Engine) ReLUBackward(dx, dy, y Array) { e.binary(e.vector.reluBackward, dx, dy, y) }

// unary runs an inner loop of one operand over pieces.
func (e *Engine) unary(loop func(y, x []float32), y, x Array) {
	n := y.Len()
	share(e, &e.jobs.unary, unaryJob{loop, y, x.Slice(0, n)}, n, elementChunk)
}

type unaryJob struct {
	loop func(y, x []float32)
	y, x Array
}

func (j *unaryJob) run(e *Engine, worker, from, to int) {
	v := &e.vector
	y := v.room(worker, 0, j.y, from, to)
	j.loop(y, v.open(worker, 1, j.x, from, to))
	v.shut(j.y, from, to, y)
}

// binary runs an inner loop of two operands over pieces.
func (e *Engine) binary(loop func(dst, a, b []float32), dst, a, b Array) {
	n := dst.Len()
	share(e, &e.jobs.binary, binaryJob{loop, dst, a.Slice(0, n), b.Slice(0, n)}, n, elementChunk)
}

type binaryJob struct {
	loop      func(dst, a, b []float32)
	dst, a, b Array
}

func (j *binaryJob) run(e *Engine, worker, from, to int) {
	v := &e.vector
	dst := v.room(worker, 0, j.dst, from, to)
	j.loop(dst, v.open(worker, 1, j.a, from, to), v.open(worker, 2, j.b, from, to))
	v.shut(j.dst, from, to, dst)
}

func addPortable(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

func scalePortable(dst, a []float32, factor float32) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] = factor * a[i]
	}
}

func reluPortable(y, x []float32) {
	x = x[:len(y)]
	for i, v := range x {
		y[i] = max(v, 0)
	}
}

func reluBackwardPortable(dx, dy, y []float32) {
	dy, y = dy[:len(dx)], y[:len(dx)]
	for i, v := range y {
		if v > 0 {
			dx[i] = dy[i]
		} else {
			dx[i] = 0
		}
	}
}
