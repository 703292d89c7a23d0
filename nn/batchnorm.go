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
	statistics     *G.Node    // means and then 1/σ, [2·groups, channels]
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
	affine := []*G.Node{layer.Parameter("weight", []int{l.width}, Norm, Ones()), layer.Parameter("bias", []int{l.width}, Norm, Zeros())}
	mean := layer.declare("running_mean", []int{l.width}, Statistic, "", Zeros())
	variance := layer.declare("running_var", []int{l.width}, Statistic, "", Ones())
	if c.Err() != nil {
		return nil
	}
	if !c.Training() {
		return l.inference(c, append(affine, c.node(mean), c.node(variance)))
	}
	statistics := l.statistics(c)
	c.graph.batchNorms = append(c.graph.batchNorms, &batchNorm{
		name: c.place(l.name), statistics: statistics, groups: l.groups, mean: mean, variance: variance,
	})
	return l.training(c, affine, statistics)
}

// inference normalises by the running statistics; inputs are weight, bias, mean, variance.
func (l *batchNormLayer) inference(c *Ctx, inputs []*G.Node) *G.Node {
	if l.residual != nil {
		inputs = append(inputs, l.residual)
	}
	if convolution := convolutionOf(l.x.Node); convolution != nil {
		return convolution.normalized(l, inputs)
	}
	height, inputs := rows(l.x.Node), append([]*G.Node{l.x.Node}, inputs...)
	return c.apply(definition{
		kind: "BatchNormInference", name: l.name, shape: l.x.Node.Shape(), inputs: inputs, fixed: true,
		inPlace: overwritable(5, inputs), takesHalf: true, givesHalf: true,
		run: call(func(e *kernel.Engine, b *buffers) {
			residual := optional(b.in, 5)
			e.BatchNormInference(b.out, b.in[0], residual, b.f(1), b.f(2), b.f(3), b.f(4), height, l.width, BatchNormEpsilon, l.relu)
		}),
	})
}

// statistics are the means and then the 1/σ of all groups, [2·groups, channels]. Where x is a convolution, it finds them.
func (l *batchNormLayer) statistics(c *Ctx) *G.Node {
	n := len(l.groups)
	if convolution := convolutionOf(l.x.Node); convolution != nil {
		l.x.Node = convolution.measured(l.groups)
		return c.tap(l.x.Node, 0, 2*n, l.width)
	}
	return c.apply(definition{
		kind: "BatchNormStatistics", name: l.name, shape: matrix(2*n, l.width), inputs: []*G.Node{l.x.Node}, takesHalf: true,
		run: call(func(e *kernel.Engine, b *buffers) {
			mean, rstd := l.halves(b.y())
			e.BatchNormStatistics(mean, rstd, b.in[0], l.groups, l.width, BatchNormEpsilon)
		}),
	})
}

// halves are the means and the 1/σ among statistics.
func (l *batchNormLayer) halves(statistics []float32) (mean, rstd []float32) {
	n := len(l.groups) * l.width
	return statistics[:n], statistics[n:]
}

// training normalises by the statistics of the batch; inputs are x, weight, bias, the residual if there is one, and the
// statistics, through which the gradient of x goes too.
func (l *batchNormLayer) training(c *Ctx, affine []*G.Node, statistics *G.Node) *G.Node {
	inputs := append([]*G.Node{l.x.Node}, affine...)
	if l.residual != nil {
		inputs = append(inputs, l.residual)
	}
	n := len(inputs)
	return c.apply(definition{
		kind: "BatchNorm", name: l.name, shape: l.x.Node.Shape(), inputs: append(inputs, statistics), wrt: n,
		inPlace: overwritable(3, inputs), takesHalf: true, givesHalf: true, cheap: true,
		run: call(func(e *kernel.Engine, b *buffers) {
			mean, rstd := l.halves(b.f(n))
			e.BatchNormApply(b.out, b.in[0], optional(b.in[:n], 3), b.f(1), b.f(2), mean, rstd, l.groups, l.width, l.relu)
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
	inputs := []*G.Node{grad, in[0], in[1], in[len(in)-1]}
	if l.relu {
		inputs = append(inputs, out)
	}
	dx := c.apply(definition{
		kind: "BatchNormBackward", name: l.name, shape: out.Shape(), inputs: inputs,
		side: side, sideLike: l.residual != nil, inPlace: inPlace, takesHalf: true, givesHalf: true, like: in[0],
		run: call(func(e *kernel.Engine, b *buffers) {
			mean, rstd := l.halves(b.f(3))
			dgamma, dbeta, y := b.side[0].Float32(), b.side[1].Float32(), optional(b.in, 4)
			e.BatchNormBackward(b.out, optional(b.side, 2), dgamma, dbeta, b.in[0], y, b.in[1], b.f(2), mean, rstd, l.groups, l.width, l.relu)
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
