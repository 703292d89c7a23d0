package nn

import (
	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
)

// Linear is x·Wᵀ (+ b) with W [out, columns of x] as name.weight and b [out] as name.bias. W starts truncated normal
// with standard deviation 0.02, b at zero, as in ViT.
func Linear(c *Ctx, name string, x *G.Node, out int, bias bool) *G.Node {
	return LinearInit(c, name, x, out, bias, TruncatedNormal(0.02))
}

// LinearInit is Linear with another initialisation of the weights.
func LinearInit(c *Ctx, name string, x *G.Node, out int, bias bool, weights Initializer) *G.Node {
	if !c.ok("Linear", name, x) {
		return nil
	}
	layer := c.Scope(name)
	inputs := []*G.Node{x, layer.Parameter("weight", []int{out, cols(x)}, Weight, weights)}
	if bias {
		inputs = append(inputs, layer.Parameter("bias", []int{out}, Bias, Zeros()))
	}
	m, n, k := rows(x), out, cols(x)
	return c.apply(definition{
		kind: "Linear", name: name, shape: matrix(m, n), inputs: inputs, wrt: len(inputs), takesHalf: true, givesHalf: true, starts: true, leads: true,
		run: call(func(e *kernel.Engine, b *buffers) {
			p := kernel.Product{M: m, N: n, K: k, A: plain(b.in[0], k), B: transposed(b.in[1], k), C: b.out, CStride: n, Followers: b.followers}
			if bias {
				p.Bias = b.f(2)
			}
			e.MatMul(p)
		}),
		backward: linearBackward(name, m, n, k),
	})
}

// linearBackward builds, for y = x·Wᵀ + b with x [m, k] and W [n, k]: dx = dy·W, dW = dyᵀ·x, db = Σ rows of dy. dx and dW
// are two operations, so that dx of a first layer is never computed; db comes with dx, or alone where that is not needed.
func linearBackward(name string, m, n, k int) func(*Ctx, []*G.Node, *G.Node, *G.Node) []*G.Node {
	return func(c *Ctx, in []*G.Node, _, dy *G.Node) []*G.Node {
		withSums := len(in) == 3 && c.graph.active[in[0]]
		input := definition{
			kind: "LinearBackwardInput", name: name, shape: matrix(m, k), inputs: []*G.Node{dy, in[1]}, takesHalf: true, givesHalf: true, like: in[0], leads: true,
			run: product(kernel.Product{M: m, N: k, K: n}, plain, n, plain, k),
		}
		if withSums {
			input.side, input.run = []int{n}, call(func(e *kernel.Engine, b *buffers) {
				e.MatMul(kernel.Product{
					M: m, N: k, K: n, A: plain(b.in[0], n), B: plain(b.in[1], k), C: b.out, CStride: k, SumsOfA: b.side[0].Float32(), Followers: b.followers,
				})
			})
		}
		gradients := []*G.Node{
			c.apply(input),
			c.apply(definition{
				kind: "LinearBackwardWeights", name: name, shape: matrix(n, k), inputs: []*G.Node{dy, in[0]}, takesHalf: true, aside: true,
				run: product(kernel.Product{M: n, N: k, K: m}, transposed, n, plain, k),
			}),
		}
		switch {
		case withSums:
			gradients = append(gradients, c.tap(gradients[0], 0, 1, n))
		case len(in) == 3:
			gradients = append(gradients, c.columnSums(name, dy))
		}
		return gradients
	}
}

// MatMul is a·b for two matrices, for instance a constant interpolation times a learned table. Layers are Linear.
func MatMul(c *Ctx, a, b *G.Node) *G.Node {
	if !c.ok("MatMul", "", a, b) {
		return nil
	}
	if cols(a) != rows(b) {
		c.failf("MatMul", "", "shapes %v and %v: the columns of the first must be as many as the rows of the second", a.Shape(), b.Shape())
		return nil
	}
	m, n, k := rows(a), cols(b), cols(a)
	return c.apply(definition{
		kind: "MatMul", shape: matrix(m, n), inputs: []*G.Node{a, b}, wrt: 2,
		run: product(kernel.Product{M: m, N: n, K: k}, plain, k, plain, n),
		backward: func(c *Ctx, in []*G.Node, _, dy *G.Node) []*G.Node {
			return []*G.Node{
				c.apply(definition{
					kind: "MatMulBackwardLeft", shape: matrix(m, k), inputs: []*G.Node{dy, in[1]},
					run: product(kernel.Product{M: m, N: k, K: n}, plain, n, transposed, n),
				}),
				c.apply(definition{
					kind: "MatMulBackwardRight", shape: matrix(k, n), inputs: []*G.Node{in[0], dy},
					run: product(kernel.Product{M: k, N: n, K: m}, transposed, k, plain, n),
				}),
			}
		},
	})
}

// product is the launcher of a product of two inputs of given widths, each read plain or transposed.
func product(shape kernel.Product, readA func(kernel.Array, int) kernel.Operand, widthA int, readB func(kernel.Array, int) kernel.Operand, widthB int) launcher {
	return call(func(e *kernel.Engine, b *buffers) {
		p := shape
		p.A, p.B, p.C, p.CStride = readA(b.in[0], widthA), readB(b.in[1], widthB), b.out, shape.N
		p.Followers = b.followers
		e.MatMul(p)
	})
}

// columnSums is the gradient of a row that was added to every row.
func (c *Ctx) columnSums(name string, dy *G.Node) *G.Node {
	if !c.ok("ColumnSums", name, dy) {
		return nil
	}
	height, width := rows(dy), cols(dy)
	return c.apply(definition{
		kind: "ColumnSums", name: name, shape: matrix(1, width), inputs: []*G.Node{dy}, takesHalf: true,
		run: call(func(e *kernel.Engine, b *buffers) { e.ColumnSums(b.y(), b.in[0], height, width) }),
	})
}

// plain reads a row-major matrix of the given width; transposed reads it as its transpose.
func plain(data kernel.Array, width int) kernel.Operand {
	return kernel.Operand{Data: data, RowStride: width, ColStride: 1}
}

func transposed(data kernel.Array, width int) kernel.Operand {
	return kernel.Operand{Data: data, RowStride: 1, ColStride: width}
}
