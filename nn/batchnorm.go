package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
)

// BatchNormEpsilon is added to the variance in BatchNorm, as in torchvision.
const BatchNormEpsilon = 1e-5

// batchNorm remembers a normalisation by batch statistics for Program.BatchNorms.
type batchNorm struct {
	name           string
	node           *G.Node
	mean, variance *Parameter // running
	groups         kernel.NormGroups
}

// BatchNorm normalises every channel, scales by name.weight, shifts by name.bias, adds residual unless it is nil, and
// applies ReLU if asked: the tail of a ResNet block in one pass (Ioffe & Szegedy 2015; He et al. 2016). A graph built
// for training takes mean and variance over the rows of each of x.Groups; otherwise the buffers name.running_mean and
// name.running_var count, and there is no gradient.
func BatchNorm(c *Ctx, name string, x Map, residual *Map, relu bool) Map {
	if !c.valid("BatchNorm", name, x) {
		return x.with(nil, 0, 0)
	}
	b := &batchNormLayer{name: name, x: x, relu: relu, width: x.Channels()}
	if residual != nil {
		if !c.sameShape("BatchNorm residual", x.Node, residual.Node) {
			return x.with(nil, 0, 0)
		}
		b.residual = residual.Node
	}
	if err := b.group(); err != nil {
		c.failf("BatchNorm", name, "%w", err)
		return x.with(nil, 0, 0)
	}
	return x.with(b.build(c), x.Height, x.Width)
}

// batchNormLayer is one BatchNorm under construction.
type batchNormLayer struct {
	name     string
	x        Map
	residual *G.Node
	relu     bool
	width    int
	groups   kernel.NormGroups // rows
}

// group turns views into rows.
func (l *batchNormLayer) group() error {
	views := l.x.Groups
	if views == nil {
		views = []int{l.x.Views}
	}
	sum := 0
	for _, n := range views {
		if n <= 0 {
			return fmt.Errorf("groups %v: every group must have a view", views)
		}
		sum += n
		l.groups = append(l.groups, n*l.x.Positions())
	}
	if sum != l.x.Views {
		return fmt.Errorf("groups %v hold %d views and the map has %d: they must be equal", views, sum, l.x.Views)
	}
	return nil
}

func (l *batchNormLayer) build(c *Ctx) *G.Node {
	layer := c.Scope(l.name)
	inputs := []*G.Node{
		l.x.Node,
		layer.Parameter("weight", []int{l.width}, Norm, Ones()),
		layer.Parameter("bias", []int{l.width}, Norm, Zeros()),
	}
	mean := layer.declare("running_mean", []int{l.width}, Statistic, "", Zeros())
	variance := layer.declare("running_var", []int{l.width}, Statistic, "", Ones())
	if !c.Training() {
		return l.inference(c, append(inputs, c.node(mean), c.node(variance)))
	}
	if l.residual != nil {
		inputs = append(inputs, l.residual)
	}
	node := l.training(c, inputs)
	c.graph.batchNorms = append(c.graph.batchNorms, &batchNorm{
		name: c.place(l.name), node: node, groups: l.groups, mean: mean, variance: variance,
	})
	return node
}

// inference normalises by the running statistics; inputs are x, weight, bias, mean, variance and then the residual.
func (l *batchNormLayer) inference(c *Ctx, inputs []*G.Node) *G.Node {
	if l.residual != nil {
		inputs = append(inputs, l.residual)
	}
	height := rows(l.x.Node)
	return c.apply(definition{
		kind: "BatchNormInference", name: l.name, shape: l.x.Node.Shape(), inputs: inputs, fixed: true, inPlace: overwritable(5, inputs), takesHalf: true, givesHalf: true,
		run: call(func(e *kernel.Engine, b *buffers) {
			e.BatchNormInference(b.out, b.in[0], optional(b.in, 5), b.f(1), b.f(2), b.f(3), b.f(4), height, l.width, BatchNormEpsilon, l.relu)
		}),
	})
}

// training normalises by the statistics of the batch; inputs are x, weight, bias and then the residual. The means and
// 1/σ of the groups, [groups, channels] each, are its side buffers.
func (l *batchNormLayer) training(c *Ctx, inputs []*G.Node) *G.Node {
	statistics := len(l.groups) * l.width
	return c.apply(definition{
		kind: "BatchNorm", name: l.name, shape: l.x.Node.Shape(), inputs: inputs, wrt: len(inputs), side: []int{statistics, statistics},
		inPlace: overwritable(3, inputs), takesHalf: true, givesHalf: true,
		run: call(func(e *kernel.Engine, b *buffers) {
			e.BatchNormForward(b.out, b.side[0].Float32(), b.side[1].Float32(), b.in[0], optional(b.in, 3), b.f(1), b.f(2), l.groups, l.width, BatchNormEpsilon, l.relu)
		}),
		backward: l.backward,
	})
}

// backward computes the gradients of x, weight, bias and residual together. The output is read only where ReLU cut it.
func (l *batchNormLayer) backward(c *Ctx, in []*G.Node, out, grad *G.Node) []*G.Node {
	side, inPlace := []int{l.width, l.width}, []int{0}
	if l.residual != nil {
		side, inPlace = append(side, out.DataSize()), nil
	}
	inputs := []*G.Node{grad, in[0], in[1]}
	if l.relu {
		inputs = append(inputs, out)
	}
	dx := c.apply(definition{
		kind: "BatchNormBackward", name: l.name, shape: out.Shape(), inputs: inputs, saved: out, side: side, sideLike: l.residual != nil, inPlace: inPlace,
		takesHalf: true, givesHalf: true, like: in[0],
		run: call(func(e *kernel.Engine, b *buffers) {
			e.BatchNormBackward(b.out, optional(b.side, 2), b.side[0].Float32(), b.side[1].Float32(), b.in[0], optional(b.in, 3), b.in[1], b.f(2), b.saved[0].Float32(), b.saved[1].Float32(), l.groups, l.width, l.relu)
		}),
	})
	gradients := []*G.Node{dx, c.tap(dx, 0, 1, l.width), c.tap(dx, 1, 1, l.width)}
	if l.residual != nil {
		gradients = append(gradients, c.tap(dx, 2, rows(out), l.width))
	}
	return gradients
}

// overwritable lists the inputs whose buffer the output may take over: x and the residual, if there is one.
func overwritable(residual int, inputs []*G.Node) []int {
	if residual < len(inputs) {
		return []int{residual, 0}
	}
	return []int{0}
}

// optional is buffer i, or none when there are fewer.
func optional(all []kernel.Array, i int) kernel.Array {
	if i < len(all) {
		return all[i]
	}
	return kernel.Array{}
}
