package nn

import (
	"fmt"
	"unsafe"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
)

// Map is a feature map kept as rows: views·height·width rows in the order view, y, x, and one column a channel (NHWC).
type Map struct {
	Node                 *G.Node
	Views, Height, Width int
	// Groups lists the views of each batch-normalisation group, in row order; nil is one group of all views. Conv,
	// BatchNorm and MaxPool carry it along.
	Groups []int
}

// Channels is the number of columns; 0 for the map of a failed graph.
func (m Map) Channels() int {
	if m.Node == nil {
		return 0
	}
	return cols(m.Node)
}

// Positions is the number of rows of a view.
func (m Map) Positions() int { return m.Height * m.Width }

// with is the map with other contents and size.
func (m Map) with(node *G.Node, height, width int) Map {
	m.Node, m.Height, m.Width = node, height, width
	return m
}

// valid reports whether the map's node has the rows that the map claims.
func (c *Ctx) valid(kind, name string, x Map) bool {
	if !c.ok(kind, name, x.Node) {
		return false
	}
	if x.Views <= 0 || x.Positions() <= 0 || x.Views*x.Positions() != rows(x.Node) {
		c.failf(kind, name, "the map claims %d views of %d×%d and has %d rows: rows must be their product", x.Views, x.Height, x.Width, rows(x.Node))
		return false
	}
	return true
}

// Conv is a convolution without bias, of square kernels, with zero padding. Its weights are name.weight
// [filters, kernel, kernel, channels] (layout OHWI), He-initialised by fan-out.
func Conv(c *Ctx, name string, x Map, filters, size, stride, pad int) Map {
	return ConvInit(c, name, x, filters, size, stride, pad, KaimingNormal(filters*size*size))
}

// ConvInit is Conv with another initialisation of the weights.
func ConvInit(c *Ctx, name string, x Map, filters, size, stride, pad int, weights Initializer) Map {
	if !c.valid("Conv", name, x) || !c.windowed("Conv", name, x, size, stride, pad) {
		return x.with(nil, 0, 0)
	}
	k := &convolution{ctx: c, name: name, x: x.Node}
	k.shape = kernel.ConvShape{
		Images: x.Views, Height: x.Height, Width: x.Width, Channels: x.Channels(), Filters: filters, Kernel: size, Stride: stride, Pad: pad,
	}
	k.weights = c.Scope(name).stored("weight", []int{filters, size, size, x.Channels()}, Weight, OHWI, weights)
	return x.with(k.plain(), k.shape.OutHeight(), k.shape.OutWidth())
}

// convolution is what a Conv computes. A BatchNorm that follows it builds it anew, with its own work on results that are
// still in cache inside; nobody then needs the plain one.
type convolution struct {
	ctx        *Ctx
	name       string
	shape      kernel.ConvShape
	x, weights *G.Node
}

// convolutionOf is the convolution that a node is the result of; nil if it is none.
func convolutionOf(n *G.Node) *convolution {
	if op := operationOf(n); op != nil {
		return op.convolution
	}
	return nil
}

// define is the operation without what runs it; inputs follow x and weights.
func (k *convolution) define(inputs ...*G.Node) definition {
	s := k.shape
	return definition{
		kind: "Conv", name: k.name, shape: matrix(s.Images*s.OutHeight()*s.OutWidth(), s.Filters),
		inputs:    append([]*G.Node{k.x, k.weights}, inputs...),
		takesHalf: s.Channels%2 == 0, givesHalf: true, starts: true,
	}
}

func (k *convolution) plain() *G.Node {
	d := k.define()
	d.convolution, d.wrt, d.backward = k, 2, k.backward
	d.run = call(func(e *kernel.Engine, b *buffers) { e.ConvForward(k.shape, b.out, b.in[0], b.f(1)) })
	return k.ctx.apply(d)
}

// measured leaves the means and then the 1/σ of its columns, [groups, filters] each, in a side buffer.
func (k *convolution) measured(groups kernel.NormGroups) *G.Node {
	d, n := k.define(), len(groups)*k.shape.Filters
	d.side, d.wrt, d.backward = []int{2 * n}, 2, k.backward
	d.run = call(func(e *kernel.Engine, b *buffers) {
		statistics := b.side[0].Float32()
		e.ConvStatistics(k.shape, b.out, statistics[:n], statistics[n:], b.in[0], b.f(1), groups, BatchNormEpsilon)
	})
	return k.ctx.apply(d)
}

// normalized is followed by the normalisation of l; inputs are weight, bias, mean, variance and then the residual.
func (k *convolution) normalized(l *batchNormLayer, inputs []*G.Node) *G.Node {
	d := k.define(inputs...)
	d.fixed = true
	d.run = call(func(e *kernel.Engine, b *buffers) {
		residual := optional(b.in, 6)
		e.ConvNormalized(k.shape, b.out, b.in[0], b.f(1), residual, b.f(2), b.f(3), b.f(4), b.f(5), BatchNormEpsilon, l.relu)
	})
	return k.ctx.apply(d)
}

// backward builds the gradients of input and weights as two operations: that of the pictures is never needed.
func (k *convolution) backward(c *Ctx, in []*G.Node, _, dy *G.Node) []*G.Node {
	return []*G.Node{
		c.apply(definition{
			kind: "ConvBackwardInput", name: k.name, shape: in[0].Shape(), inputs: []*G.Node{dy, in[1]},
			takesHalf: true, givesHalf: true, like: in[0],
			run: call(func(e *kernel.Engine, b *buffers) { e.ConvBackwardInput(k.shape, b.out, b.in[0], b.f(1)) }),
		}),
		c.apply(definition{
			kind: "ConvBackwardWeights", name: k.name, shape: in[1].Shape(), inputs: []*G.Node{dy, in[0]}, takesHalf: true,
			run: call(func(e *kernel.Engine, b *buffers) { e.ConvBackwardWeights(k.shape, b.y(), b.in[0], b.in[1]) }),
		}),
	}
}

// windowed reports whether a window of that size fits the padded map at least once.
func (c *Ctx) windowed(kind, name string, x Map, size, stride, pad int) bool {
	err := func() error {
		switch {
		case size <= 0 || stride <= 0 || pad < 0:
			return fmt.Errorf("kernel %d, stride %d, pad %d: kernel and stride must be positive, pad not negative", size, stride, pad)
		case pad >= size:
			return fmt.Errorf("pad %d with kernel %d: windows would see padding only; lower pad", pad, size)
		case x.Height+2*pad < size || x.Width+2*pad < size:
			return fmt.Errorf("kernel %d on a map of %d×%d padded by %d: use larger views or fewer strides before it", size, x.Height, x.Width, pad)
		}
		return nil
	}()
	if err != nil {
		c.failf(kind, name, "%w", err)
	}
	return err == nil
}

// MaxPool takes the maximum over square windows; padding never wins.
func MaxPool(c *Ctx, x Map, size, stride, pad int) Map {
	if !c.valid("MaxPool", "", x) || !c.windowed("MaxPool", "", x, size, stride, pad) {
		return x.with(nil, 0, 0)
	}
	s := kernel.PoolShape{Images: x.Views, Height: x.Height, Width: x.Width, Channels: x.Channels(), Kernel: size, Stride: stride, Pad: pad}
	height, width := s.OutHeight(), s.OutWidth()
	shape := matrix(x.Views*height*width, s.Channels)
	return x.with(c.apply(definition{
		kind: "MaxPool", shape: shape, inputs: []*G.Node{x.Node}, wrt: 1, side: []int{shape.TotalSize()}, takesHalf: true, givesHalf: true,
		run: call(func(e *kernel.Engine, b *buffers) { e.MaxPoolForward(s, b.out, int32s(b.side[0].Float32()), b.in[0]) }),
		backward: func(c *Ctx, in []*G.Node, out, grad *G.Node) []*G.Node {
			return []*G.Node{c.apply(definition{
				kind: "MaxPoolBackward", shape: in[0].Shape(), inputs: []*G.Node{grad}, saved: out, takesHalf: true, givesHalf: true, like: in[0],
				run: call(func(e *kernel.Engine, b *buffers) { e.MaxPoolBackward(s, b.out, b.in[0], int32s(b.saved[0].Float32())) }),
			})}
		},
	}), height, width)
}

// int32s is the same memory read as integers: the arena knows float32 only.
func int32s(memory []float32) []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(memory))), len(memory))
}

// MeanPool averages the rows of each view: [views·positions, channels] to [views, channels].
func MeanPool(c *Ctx, x *G.Node, views int) *G.Node {
	positions, ok := c.perView("MeanPool", x, views)
	if !ok {
		return nil
	}
	width := cols(x)
	return c.apply(definition{
		kind: "MeanPool", shape: matrix(views, width), inputs: []*G.Node{x}, wrt: 1, takesHalf: true, givesHalf: true,
		run: call(func(e *kernel.Engine, b *buffers) { e.MeanPoolForward(b.out, b.in[0], views, positions, width) }),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{c.apply(definition{
				kind: "MeanPoolBackward", shape: in[0].Shape(), inputs: []*G.Node{grad}, takesHalf: true, givesHalf: true, like: in[0],
				run: call(func(e *kernel.Engine, b *buffers) { e.MeanPoolBackward(b.out, b.in[0], views, positions, width) }),
			})}
		},
	})
}

// perView is the number of rows a view has.
func (c *Ctx) perView(kind string, x *G.Node, views int) (int, bool) {
	if !c.ok(kind, "", x) {
		return 0, false
	}
	if views <= 0 || rows(x)%views != 0 {
		c.failf(kind, "", "%d rows for %d views: every view must have the same number of rows", rows(x), views)
		return 0, false
	}
	return rows(x) / views, true
}

// Upsample repeats every position factor times in both directions (nearest neighbour).
func Upsample(c *Ctx, x Map, factor int) Map {
	if !c.valid("Upsample", "", x) {
		return x.with(nil, 0, 0)
	}
	if factor <= 0 {
		c.failf("Upsample", "", "factor is %d: it must be positive", factor)
		return x.with(nil, 0, 0)
	}
	height, width, channels := x.Height*factor, x.Width*factor, x.Channels()
	g := upsampling{height: height, width: width, factor: factor, channels: channels}
	return x.with(c.apply(definition{
		kind: "Upsample", shape: matrix(x.Views*height*width, channels), inputs: []*G.Node{x.Node}, wrt: 1,
		run: perItem(x.Views*height, func(b *buffers, line int) { g.forward(b.y(), b.f(0), line) }),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{c.apply(definition{
				kind: "UpsampleBackward", shape: in[0].Shape(), inputs: []*G.Node{grad},
				run: perItem(x.Views*x.Height, func(b *buffers, line int) { g.backward(b.y(), b.f(0), line) }),
			})}
		},
	}), height, width)
}

// upsampling repeats positions; height and width are those of the larger map.
type upsampling struct{ height, width, factor, channels int }

// forward writes one line of the larger map.
func (u upsampling) forward(y, x []float32, line int) {
	view, top := line/u.height, line%u.height
	narrow := u.width / u.factor
	source := x[(view*(u.height/u.factor)+top/u.factor)*narrow*u.channels:]
	for i := range u.width {
		copy(y[(line*u.width+i)*u.channels:][:u.channels], source[i/u.factor*u.channels:])
	}
}

// backward writes one line of the gradient of the smaller map: the sum over the repetitions.
func (u upsampling) backward(dx, dy []float32, line int) {
	narrow := u.width / u.factor
	target := dx[line*narrow*u.channels:][:narrow*u.channels]
	clear(target)
	for top := line * u.factor; top < (line+1)*u.factor; top++ {
		for i := range u.width {
			sum := target[i/u.factor*u.channels:][:u.channels]
			for channel, d := range dy[(top*u.width+i)*u.channels:][:u.channels] {
				sum[channel] += d
			}
		}
	}
}
