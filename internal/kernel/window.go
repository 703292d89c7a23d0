package kernel

// window is the geometry of the patches that a convolution reads from NHWC maps. The patch of output (y, x) has
// tapsY×tapsX positions of channels values and begins at input (y·stride-padY, x·stride-padX); positions outside the
// map are zeros. Pads may be negative. As a matrix, patches are rows (image, then y, then x) and their values columns
// (tap y, then tap x, then channel).
type window struct {
	height, width, channels int // of the map read
	outHeight, outWidth     int
	tapsY, tapsX            int
	stride, padY, padX      int
}

// segments cuts the rows [from, to) into runs of count neighbours (y, x), (y, x+1), … of one image; row counts from 0.
func (w window) segments(from, to int, visit func(row, image, y, x, count int)) {
	for at := from; at < to; {
		line, x := at/w.outWidth, at%w.outWidth
		count := min(to-at, w.outWidth-x)
		visit(at-from, line/w.outHeight, line%w.outHeight, x, count)
		at += count
	}
}

// source is the matrix of patches of the maps in. Maps of bf16, whose channels must be even, are read as words.
func (w window) source(u *productUnit, in Array) source {
	s := source{kind: fromPatches, k: w.tapsY * w.tapsX * w.channels}
	s.patches = patches{window: w, in: in.f32, half: in.Half()}
	if in.Half() {
		s.patches.channels, s.patches.in = w.channels/2, wordsOf(in.bf16)
	}
	u.zeros = grown(u.zeros, max(w.tapsX*s.patches.channels, u.cols))
	return s
}

// patches is the matrix of patches of the maps in.
type patches struct {
	window
	in   []float32
	half bool // in holds words
}

// fill is that of source.
func (p *patches) fill(u *productUnit, dst []float32, stride, rowFrom, rowTo, colFrom, colTo int) {
	run := p.tapsX * p.channels
	p.segments(rowFrom, rowTo, func(row, image, y, x, count int) {
		for tap := range p.tapsY {
			from, to := max(colFrom, tap*run), min(colTo, (tap+1)*run)
			if from >= to {
				continue
			}
			g := gather{window: p.window, unit: u, dst: dst[row*stride+from-colFrom:], stride: stride, from: from - tap*run, to: to - tap*run}
			if inputY := y*p.stride - p.padY + tap; inputY >= 0 && inputY < p.height {
				g.line(p.in[(image*p.height+inputY)*p.width*p.channels:][:p.width*p.channels], x, count)
			} else {
				u.copyMatrix(g.dst, stride, u.zeros, 0, count, to-from)
			}
		}
	})
}

// gather copies the values [from, to) that patches have in one line of the map, patch after patch, to rows of dst.
type gather struct {
	window
	unit     *productUnit
	dst      []float32
	stride   int
	from, to int
}

// line serves the patches x, x+1, …, x+count-1: those that lie within the line all at once, the others singly.
func (g gather) line(in []float32, x, count int) {
	first := min(max(x, cut(max(0, g.padX), g.window.stride)), x+count)
	last := first
	if room := g.width - g.tapsX + g.padX; room >= 0 {
		last = max(first, min(x+count, room/g.window.stride+1))
	}
	for i := x; i < first; i++ {
		g.edge(in, i, i-x)
	}
	if last > first {
		src := in[(first*g.window.stride-g.padX)*g.channels+g.from:]
		g.unit.copyMatrix(g.dst[(first-x)*g.stride:], g.stride, src, g.window.stride*g.channels, last-first, g.to-g.from)
	}
	for i := last; i < x+count; i++ {
		g.edge(in, i, i-x)
	}
}

// edge serves patch x, which may reach beyond the line on both sides.
func (g gather) edge(in []float32, x, row int) {
	begin := (x*g.window.stride - g.padX) * g.channels // of the patch in the line
	from := min(max(g.from, -begin), g.to)
	to := max(from, min(g.to, len(in)-begin))
	dst := g.dst[row*g.stride:][:g.to-g.from]
	clear(dst[:from-g.from])
	if to > from {
		copy(dst[from-g.from:to-g.from], in[begin+from:])
	}
	clear(dst[to-g.from:])
}
