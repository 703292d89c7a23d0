package nn

import (
	"math"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
)

// Add is a + b for two matrices, or two scalars, of one shape.
func Add(c *Ctx, a, b *G.Node) *G.Node {
	if !c.sameShape("Add", a, b) {
		return nil
	}
	return c.apply(definition{
		kind: "Add", shape: a.Shape(), inputs: []*G.Node{a, b}, wrt: 2, inPlace: []int{1, 0}, takesHalf: true, givesHalf: true, rowwise: true,
		run: call(func(e *kernel.Engine, b *buffers) { e.Add(b.out, b.in[0], b.in[1]) }),
		backward: func(_ *Ctx, _ []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{grad, grad}
		},
	})
}

// Multiply is the product of a and b element by element.
func Multiply(c *Ctx, a, b *G.Node) *G.Node {
	if !c.sameShape("Multiply", a, b) {
		return nil
	}
	return c.apply(definition{
		kind: "Multiply", shape: a.Shape(), inputs: []*G.Node{a, b}, wrt: 2, inPlace: []int{1, 0},
		run: elementwise(func(x, y float32) float32 { return x * y }),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{Multiply(c, grad, in[1]), Multiply(c, grad, in[0])}
		},
	})
}

// Exp is eˣ, for a few numbers such as learned task weights: it is not vectorised.
func Exp(c *Ctx, x *G.Node) *G.Node {
	if !c.ok("Exp", "", x) {
		return nil
	}
	return c.apply(definition{
		kind: "Exp", shape: x.Shape(), inputs: []*G.Node{x}, wrt: 1,
		run: elementwise(func(x, _ float32) float32 { return float32(math.Exp(float64(x))) }),
		backward: func(c *Ctx, _ []*G.Node, out, grad *G.Node) []*G.Node {
			return []*G.Node{Multiply(c, grad, out)}
		},
	})
}

// elementwise runs a function over the elements of the first input and, if there is one, the second.
func elementwise(f func(x, y float32) float32) launcher {
	return call(func(_ *kernel.Engine, b *buffers) {
		out := b.y()
		second := b.f(len(b.in) - 1)
		for i, x := range b.f(0) {
			out[i] = f(x, second[i])
		}
	})
}

// Scale is x times a constant.
func Scale(c *Ctx, x *G.Node, factor float64) *G.Node {
	if !c.ok("Scale", "", x) {
		return nil
	}
	return c.apply(definition{
		kind: "Scale", shape: x.Shape(), inputs: []*G.Node{x}, wrt: 1, inPlace: []int{0}, takesHalf: true, givesHalf: true, rowwise: true,
		run: call(func(e *kernel.Engine, b *buffers) { e.Scale(b.out, b.in[0], float32(factor)) }),
		backward: func(c *Ctx, _ []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{Scale(c, grad, factor)}
		},
	})
}

// GELU is x·Φ(x) with the exact normal distribution function (Hendrycks & Gimpel 2016).
func GELU(c *Ctx, x *G.Node) *G.Node {
	if !c.ok("GELU", "", x) {
		return nil
	}
	return c.apply(definition{
		kind: "GELU", shape: x.Shape(), inputs: []*G.Node{x}, wrt: 1, inPlace: []int{0}, takesHalf: true, givesHalf: true, cheap: true, rowwise: true,
		run: call(func(e *kernel.Engine, b *buffers) { e.GELUForward(b.out, b.in[0]) }),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{c.apply(definition{
				kind: "GELUBackward", shape: in[0].Shape(), inputs: []*G.Node{grad, in[0]}, inPlace: []int{0}, takesHalf: true, givesHalf: true, rowwise: true,
				run: call(func(e *kernel.Engine, b *buffers) { e.GELUBackward(b.out, b.in[0], b.in[1]) }),
			})}
		},
	})
}

// ReLU is max(x, 0). Its gradient is read off the output, so that the input need not be kept.
func ReLU(c *Ctx, x *G.Node) *G.Node {
	if !c.ok("ReLU", "", x) {
		return nil
	}
	return c.apply(definition{
		kind: "ReLU", shape: x.Shape(), inputs: []*G.Node{x}, wrt: 1, inPlace: []int{0}, takesHalf: true, givesHalf: true, rowwise: true,
		run: call(func(e *kernel.Engine, b *buffers) { e.ReLUForward(b.out, b.in[0]) }),
		backward: func(c *Ctx, _ []*G.Node, out, grad *G.Node) []*G.Node {
			return []*G.Node{c.apply(definition{
				kind: "ReLUBackward", shape: out.Shape(), inputs: []*G.Node{grad, out}, inPlace: []int{0}, takesHalf: true, givesHalf: true, rowwise: true,
				run: call(func(e *kernel.Engine, b *buffers) { e.ReLUBackward(b.out, b.in[0], b.in[1]) }),
			})}
		},
	})
}

// sameShape reports whether a and b exist and have one shape.
func (c *Ctx) sameShape(kind string, a, b *G.Node) bool {
	if !c.ok(kind, "", a, b) {
		return false
	}
	if !a.Shape().Eq(b.Shape()) {
		c.failf(kind, "", "shapes %v and %v: they must be equal", a.Shape(), b.Shape())
		return false
	}
	return true
}
