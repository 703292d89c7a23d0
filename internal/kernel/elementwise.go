package kernel

// Add sets dst = a + b. The slices are of one length; dst may be a or b.
func (e *Engine) Add(dst, a, b Array) { e.binary(e.vector.add, e.vector.half.add, dst, a, b) }

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
	if allHalf(j.dst, j.a) {
		v.half.scale(j.dst.bf16[from:to], j.a.bf16[from:to], j.factor)
		return
	}
	dst := v.room(worker, 0, j.dst, from, to)
	v.scale(dst, v.open(worker, 1, j.a, from, to), j.factor)
	v.shut(j.dst, from, to, dst)
}

// ReLUForward sets y = max(x, 0); NaN stays NaN. The slices are of one length; y may be x.
func (e *Engine) ReLUForward(y, x Array) { e.unary(e.vector.relu, e.vector.half.relu, y, x) }

// ReLUBackward sets dx = dy where y > 0 and 0 elsewhere, y being the output of ReLUForward. The slices are of one
// length; dx may be dy.
func (e *Engine) ReLUBackward(dx, dy, y Array) {
	e.binary(e.vector.reluBackward, e.vector.half.reluBackward, dx, dy, y)
}

// unary runs an inner loop of one operand over pieces; half is for bf16.
func (e *Engine) unary(loop func(y, x []float32), half func(y, x []BFloat16), y, x Array) {
	n := y.Len()
	share(e, &e.jobs.unary, unaryJob{loop, half, y, x.Slice(0, n)}, n, elementChunk)
}

type unaryJob struct {
	loop func(y, x []float32)
	half func(y, x []BFloat16)
	y, x Array
}

func (j *unaryJob) run(e *Engine, worker, from, to int) {
	if allHalf(j.y, j.x) {
		j.half(j.y.bf16[from:to], j.x.bf16[from:to])
		return
	}
	v := &e.vector
	y := v.room(worker, 0, j.y, from, to)
	j.loop(y, v.open(worker, 1, j.x, from, to))
	v.shut(j.y, from, to, y)
}

// binary runs an inner loop of two operands over pieces; half is for bf16.
func (e *Engine) binary(loop func(dst, a, b []float32), half func(dst, a, b []BFloat16), dst, a, b Array) {
	n := dst.Len()
	share(e, &e.jobs.binary, binaryJob{loop, half, dst, a.Slice(0, n), b.Slice(0, n)}, n, elementChunk)
}

type binaryJob struct {
	loop      func(dst, a, b []float32)
	half      func(dst, a, b []BFloat16)
	dst, a, b Array
}

func (j *binaryJob) run(e *Engine, worker, from, to int) {
	if allHalf(j.dst, j.a, j.b) {
		j.half(j.dst.bf16[from:to], j.a.bf16[from:to], j.b.bf16[from:to])
		return
	}
	v := &e.vector
	dst := v.room(worker, 0, j.dst, from, to)
	j.loop(dst, v.open(worker, 1, j.a, from, to), v.open(worker, 2, j.b, from, to))
	v.shut(j.dst, from, to, dst)
}

func addPortable[T storage](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = stored[T](value(a[i]) + value(b[i]))
	}
}

func scalePortable[T storage](dst, a []T, factor float32) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] = stored[T](factor * value(a[i]))
	}
}

func reluPortable[T storage](y, x []T) {
	x = x[:len(y)]
	for i, v := range x {
		y[i] = stored[T](max(value(v), 0))
	}
}

func reluBackwardPortable[T storage](dx, dy, y []T) {
	dy, y = dy[:len(dx)], y[:len(dx)]
	for i, v := range y {
		if value(v) > 0 {
			dx[i] = dy[i]
		} else {
			dx[i] = 0
		}
	}
}
