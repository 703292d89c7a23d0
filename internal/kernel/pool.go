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
func (e *Engine) MaxPoolForward(s PoolShape, y []float32, argmax []int32, x []float32) {
	share(e, &e.jobs.maxPool, maxPoolJob{s, y, argmax, x}, s.Images*s.OutHeight(), 1)
}

type maxPoolJob struct {
	PoolShape
	y      []float32
	argmax []int32
	x      []float32
}

func (j *maxPoolJob) run(e *Engine, _, row, _ int) {
	image, outY, width := row/j.OutHeight(), row%j.OutHeight(), j.OutWidth()*j.Channels
	in := j.x[image*j.Height*j.Width*j.Channels:][:j.Height*j.Width*j.Channels]
	e.maxPoolRow(j.PoolShape, j.y[row*width:(row+1)*width], j.argmax[row*width:(row+1)*width], in, outY)
}

// maxPoolRow pools one row of windows of one image.
func (e *Engine) maxPoolRow(s PoolShape, y []float32, argmax []int32, x []float32, outY int) {
	for i := range y {
		y[i], argmax[i] = float32(math.Inf(-1)), -1
	}
	top := outY*s.Stride - s.Pad
	for outX := range s.OutWidth() {
		left := outX*s.Stride - s.Pad
		best, index := y[outX*s.Channels:][:s.Channels], argmax[outX*s.Channels:][:s.Channels]
		for inY := max(top, 0); inY < min(top+s.Kernel, s.Height); inY++ {
			for inX := max(left, 0); inX < min(left+s.Kernel, s.Width); inX++ {
				position := inY*s.Width + inX
				e.vector.maximum(best, index, x[position*s.Channels:][:s.Channels], int32(position))
			}
		}
	}
}

// MaxPoolBackward sets dx to the gradient of MaxPoolForward: each dy goes to the position that won its window.
func (e *Engine) MaxPoolBackward(s PoolShape, dx, dy []float32, argmax []int32) {
	share(e, &e.jobs.maxPoolBackward, maxPoolBackwardJob{s, dx, dy, argmax}, s.Images, 1)
}

type maxPoolBackwardJob struct {
	PoolShape
	dx, dy []float32
	argmax []int32
}

func (j *maxPoolBackwardJob) run(_ *Engine, _, image, _ int) {
	in, out := j.Height*j.Width*j.Channels, j.OutHeight()*j.OutWidth()*j.Channels
	target := j.dx[image*in : (image+1)*in]
	clear(target)
	gradient, winner := j.dy[image*out:(image+1)*out], j.argmax[image*out:(image+1)*out]
	for from := 0; from < out; from += j.Channels {
		for c, position := range winner[from : from+j.Channels] {
			if position >= 0 {
				target[int(position)*j.Channels+c] += gradient[from+c]
			}
		}
	}
}

// MeanPoolForward sets y [views, cols] to the mean over the positions of each view of x [views·positions, cols].
func (e *Engine) MeanPoolForward(y, x []float32, views, positions, cols int) {
	share(e, &e.jobs.meanPool, meanPoolJob{y, x, positions, cols}, views, 1)
}

type meanPoolJob struct {
	y, x            []float32
	positions, cols int
}

func (j *meanPoolJob) run(e *Engine, _, view, _ int) {
	mean, size := j.y[view*j.cols:(view+1)*j.cols], j.positions*j.cols
	e.vector.columnSums(mean, j.x[view*size:(view+1)*size], j.positions, j.cols)
	e.vector.scale(mean, mean, 1/float32(j.positions))
}

// MeanPoolBackward sets dx [views·positions, cols] to the gradient of MeanPoolForward: each position gets dy/positions.
func (e *Engine) MeanPoolBackward(dx, dy []float32, views, positions, cols int) {
	share(e, &e.jobs.meanPoolBackward, meanPoolBackwardJob{dx, dy, positions, cols}, views*positions, rowsPerBlock(cols))
}

type meanPoolBackwardJob struct {
	dx, dy          []float32
	positions, cols int
}

func (j *meanPoolBackwardJob) run(e *Engine, _, from, to int) {
	for i := from; i < to; i++ {
		view := i / j.positions
		e.vector.scale(j.dx[i*j.cols:(i+1)*j.cols], j.dy[view*j.cols:(view+1)*j.cols], 1/float32(j.positions))
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
