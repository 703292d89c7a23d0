package nn

import (
	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
)

// LayerNormEpsilon is added to the variance in LayerNorm, as in ViT.
const LayerNormEpsilon = 1e-6

// LayerNorm normalises every row to mean 0 and variance 1, then scales by name.weight and shifts by name.bias (Ba et
// al. 2016). Mean and 1/σ of each row are kept for the backward pass.
func LayerNorm(c *Ctx, name string, x *G.Node) *G.Node {
	if !c.ok("LayerNorm", name, x) {
		return nil
	}
	m, n, layer := rows(x), cols(x), c.Scope(name)
	gamma := layer.Parameter("weight", []int{n}, Norm, Ones())
	beta := layer.Parameter("bias", []int{n}, Norm, Zeros())
	return c.apply(definition{
		kind: "LayerNorm", name: name, shape: matrix(m, n), inputs: []*G.Node{x, gamma, beta}, wrt: 3, side: []int{m, m}, takesHalf: true, givesHalf: true, cheap: true, rowwise: true,
		run: call(func(e *kernel.Engine, b *buffers) {
			e.LayerNormForward(b.out, b.side[0].Float32(), b.side[1].Float32(), b.in[0], b.f(1), b.f(2), m, n, LayerNormEpsilon)
		}),
		backward: func(c *Ctx, in []*G.Node, out, grad *G.Node) []*G.Node {
			dx := c.apply(definition{
				kind: "LayerNormBackward", name: name, shape: matrix(m, n), inputs: []*G.Node{grad, in[0], in[1]},
				saved: out, side: []int{n, n}, takesHalf: true, givesHalf: true, like: in[0],
				run: call(func(e *kernel.Engine, b *buffers) {
					e.LayerNormBackward(b.out, b.side[0].Float32(), b.side[1].Float32(), b.in[0], b.in[1], b.f(2), b.saved[0].Float32(), b.saved[1].Float32(), m, n)
				}),
			})
			return []*G.Node{dx, c.tap(dx, 0, 1, n), c.tap(dx, 1, 1, n)}
		},
	})
}
