package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
)

// Precision is how a graph stores activations and their gradients, and multiplies.
type Precision string

// The precisions. In both, parameters, their gradients, statistics and losses are float32, and sums are float32.
const (
	Float32  Precision = "fp32"
	BFloat16 Precision = "bf16" // rounded to the nearest, ties to even
)

// ChoosePrecision reads a precision as users name it: auto is bf16 where the kernels multiply it faster.
func ChoosePrecision(name string, family kernel.Family) Precision {
	switch {
	case name != "auto":
		return Precision(name)
	case family.MultipliesBFloat16():
		return BFloat16
	}
	return Float32
}

// SetPrecision chooses the precision of the whole graph, before the first operation. A new Ctx has Float32.
func (c *Ctx) SetPrecision(p Precision) {
	if p != Float32 && p != BFloat16 {
		c.Fail(fmt.Errorf("precision %q: it must be %s or %s", p, Float32, BFloat16))
	}
	c.graph.precision = p
}

// SetRecompute makes the backward pass compute the outputs of GELU, LayerNorm and BatchNorm again instead of keeping them:
// the same bits with less memory and a little more work. It is set before Compile.
func (c *Ctx) SetRecompute(on bool) { c.graph.recompute = on }

// storesHalf decides the storage of a new node. Matrices of odd width stay float32, because kernels of bf16 read pairs.
func (c *Ctx) storesHalf(op *operation, node *G.Node) bool {
	g := c.graph
	switch {
	case g.precision != BFloat16:
		return false
	case op.view != nil && op.view.side >= 0:
		main := operationOf(op.inputs[0])
		return main.sideLike && op.view.side == len(main.side)-1 && g.half[op.inputs[0]]
	case op.view != nil:
		return g.half[op.inputs[0]]
	case !op.givesHalf || node.IsScalar() || cols(node)%2 != 0:
		return false
	case op.like != nil:
		return g.half[op.like]
	}
	for _, input := range op.inputs {
		if g.half[input] || op.starts && g.leaves[input].isInput() {
			return true
		}
	}
	return false
}

// isInput reports whether the leaf is bound at each run.
func (l *leaf) isInput() bool { return l != nil && l.parameter == nil && l.constant == nil }

// widened replaces inputs that are stored as bf16.
func (c *Ctx) widened(inputs []*G.Node) []*G.Node {
	var replaced []*G.Node
	for i, input := range inputs {
		if !c.graph.half[input] {
			continue
		}
		if replaced == nil {
			replaced = append(replaced, inputs...)
		}
		replaced[i] = c.widen(input)
	}
	if replaced == nil {
		return inputs
	}
	return replaced
}

// widen is a node's float32 copy, made once.
func (c *Ctx) widen(x *G.Node) *G.Node {
	if wide := c.graph.wide[x]; wide != nil {
		return wide
	}
	convert := call(func(e *kernel.Engine, b *buffers) { e.Convert(b.out, b.in[0]) })
	wide := c.apply(definition{
		kind: "Widen", shape: x.Shape(), inputs: []*G.Node{x}, wrt: 1, takesHalf: true, run: convert,
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{c.apply(definition{
				kind: "WidenBackward", shape: in[0].Shape(), inputs: []*G.Node{grad}, takesHalf: true, givesHalf: true, like: in[0], run: convert,
			})}
		},
	})
	c.graph.wide[x] = wide
	return wide
}
