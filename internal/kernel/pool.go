package kernel

import "math"

// PoolShape is the geometry of a max pooling over NHWC maps: Images maps of Height×Width×Channels, square windows of
// Kernel positions every Stride positions, with Pad positions on every side that never win.
type PoolShape struct{ Images, Height, Width, Channels, Kernel, Stride, Pad int }

// OutHeight is the height of the pooled map.
func (s PoolShape) OutHeight() int { return (s.Height+2*s.Pad-s.Kernel)/s.Stride + 1 }

// OutWidth is the width of the pooled map.
func (s PoolShape) OutWidth() int { return (s.Width+2*s.Pad-s.Kernel)/s.Stride + 1 }

// MaxPoolForward sets y [images, outHeight, outWidth, channels] to the largest value of each window of x
// [images, height, width, channels]; of equal values the first in reading order wins. argmax, shaped like y, keeps the
// winner's position y·width+x within its image for MaxPoolBackward. Pad is less than Kernel, so no window is empty.
func (e *Engine) MaxPoolForward(s PoolShape, y Array, argmax []int32, x Array) {
	share(e, &e.jobs.maxPool, maxPoolJob{s, y, argmax, x}, s.Images*s.OutHeight(), 1)
}

type maxPoolJob struct {
	PoolShape
	y      Array
	argmax []int32
	x      Array
}

func (j *maxPoolJob) run(e *Engine, worker, row, _ int) {
	v, image, outY, width, line := &e.vector, row/j.OutHeight(), row%j.OutHeight(), j.OutWidth()*j.Channels, j.Width*j.Channels
	from, to := max(outY*j.Stride-j.Pad, 0), min(outY*j.Stride-j.Pad+j.Kernel, j.Height)
	in := v.open(worker, 0, j.x, (image*j.Height+from)*line, (image*j.Height+to)*line)
	y := v.room(worker, 1, j.y, row*width, (row+1)*width)
	e.maxPoolRow(j.PoolShape, y, j.argmax[row*width:(row+1)*width], in, from, to)
	v.shut(j.y, row*width, (row+1)*width, y)
}

// maxPoolRow pools one row of windows, which see the lines [fromY, toY) of an image in x.
func (e *Engine) maxPoolRow(s PoolShape, y []float32, argmax []int32, x []float32, fromY, toY int) {
	fill(y, float32(math.Inf(-1)))
	fill(argmax, -1)
	for outX := range s.OutWidth() {
		left := outX*s.Stride - s.Pad
		best, index := y[outX*s.Channels:][:s.Channels], argmax[outX*s.Channels:][:s.Channels]
		for inY := fromY; inY < toY; inY++ {
			for inX := max(left, 0); inX < min(left+s.Kernel, s.Width); inX++ {
				e.vector.maximum(best, index, x[((inY-fromY)*s.Width+inX)*s.Channels:][:s.Channels], int32(inY*s.Width+inX))
			}
		}
	}
}

// fill sets all of x to a value, by copies that double: they move whole vectors.
func fill[T any](x []T, value T) {
	if len(x) > 0 {
		x[0] = value
	}
	for n := 1; n < len(x); n *= 2 {
		copy(x[n:], x[:n])
	}
}

// MaxPoolBackward sets dx to the gradient of MaxPoolForward: each dy goes to the position that won its window.
func (e *Engine) MaxPoolBackward(s PoolShape, dx, dy Array, argmax []int32) {
	share(e, &e.jobs.maxPoolBackward, maxPoolBackwardJob{s, dx, dy, argmax}, s.Images, 1)
}

type maxPoolBackwardJob struct {
	PoolShape
	dx, dy Array
	argmax []int32
}

func (j *maxPoolBackwardJob) run(e *Engine, worker, image, _ int) {
	v := &e.vector
	in, out := j.Height*j.Width*j.Channels, j.OutHeight()*j.OutWidth()*j.Channels
	target := v.room(worker, 0, j.dx, image*in, (image+1)*in)
	clear(target)
	gradient, winner := v.open(worker, 1, j.dy, image*out, (image+1)*out), j.argmax[image*out:(image+1)*out]
	for from := 0; from < out; from += j.Channels {
		for c, position := range winner[from : from+j.Channels] {
			if position >= 0 {
				target[int(position)*j.Channels+c] += gradient[from+c]
			}
		}
	}
	v.shut(j.dx, image*in, (image+1)*in, target)
}

// MeanPoolForward sets y [views, cols] to the mean over the positions of each view of x [views·positions, cols].
func (e *Engine) MeanPoolForward(y, x Array, views, positions, cols int) {
	share(e, &e.jobs.meanPool, meanPoolJob{y, x, positions, cols}, views, 1)
}

type meanPoolJob struct {
	y, x            Array
	positions, cols int
}

func (j *meanPoolJob) run(e *Engine, worker, view, _ int) {
	v, size := &e.vector, j.positions*j.cols
	mean := v.room(worker, 0, j.y, view*j.cols, (view+1)*j.cols)
	v.sumColumns(mean, j.x.Slice(view*size, (view+1)*size), j.positions, j.cols)
	v.scale(mean, mean, 1/float32(j.positions))
	v.shut(j.y, view*j.cols, (view+1)*j.cols, mean)
}

// MeanPoolBackward sets dx [views·positions, cols] to the gradient of MeanPoolForward: each position gets dy/positions.
func (e *Engine) MeanPoolBackward(dx, dy Array, views, positions, cols int) {
	share(e, &e.jobs.meanPoolBackward, meanPoolBackwardJob{dx, dy, positions, cols}, views*positions, rowsPerBlock(cols))
}

type meanPoolBackwardJob struct {
	dx, dy          Array
	positions, cols int
}

func (j *meanPoolBackwardJob) run(e *Engine, worker, from, to int) {
	v := &e.vector
	for i := from; i < to; i++ {
		view := i / j.positions
		dx := v.room(worker, 0, j.dx, i*j.cols, (i+1)*j.cols)
		v.scale(dx, v.open(worker, 1, j.dy, view*j.cols, (view+1)*j.cols), 1/float32(j.positions))
		v.shut(j.dx, i*j.cols, (i+1)*j.cols, dx)
	}
}

// maximumPortable raises y to x where x is larger or NaN, and notes index there.
func maximumPortable(y []float32, argmax []int32, x []float32, index int32) {
	argmax, x = argmax[:len(y)], x[:len(y)]
	for i, v := range x {
		if v > y[i] || v != v {
			y[i], argmax[i] = v, index
		}
	}
}
