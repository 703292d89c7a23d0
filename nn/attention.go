package nn

import (
	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
)

// Attention is softmax(q·kᵀ/√d)·v of every view and head (Vaswani et al. 2017, eq. 1). qkv is [views·tokens, 3·dim] in
// the order q, k, v with the heads inside each; the result is [views·tokens, dim]. For the backward pass only the
// logarithm of each softmax denominator is kept.
func Attention(c *Ctx, qkv *G.Node, tokens, heads int) *G.Node {
	return AttentionOfFirst(c, qkv, tokens, tokens, heads)
}

// AttentionOfFirst is Attention in which only the first tokens of each view ask, [views·first, dim]: what the class token
// alone makes of a picture, when nothing reads the others.
func AttentionOfFirst(c *Ctx, qkv *G.Node, tokens, first, heads int) *G.Node {
	s, ok := c.attentionShape(qkv, tokens, heads)
	if !ok {
		return nil
	}
	if first < 1 || first > tokens {
		c.failf("Attention", "", "the first %d of %d tokens ask: need 1 to all of them", first, tokens)
		return nil
	}
	s.Queries = first
	dim, asking := s.Heads*s.HeadDim, s.Views*first
	product := 2 * float64(asking) * float64(tokens) * float64(dim) // one of q·kᵀ and P·v
	return c.apply(definition{
		kind: "Attention", flops: 2 * product, shape: matrix(asking, dim), inputs: []*G.Node{qkv}, wrt: 1, side: []int{asking * s.Heads}, takesHalf: true, givesHalf: true,
		run: call(func(e *kernel.Engine, b *buffers) { e.AttentionForward(s, b.out, b.side[0].Float32(), b.in[0]) }),
		backward: func(c *Ctx, in []*G.Node, out, grad *G.Node) []*G.Node {
			return []*G.Node{c.apply(definition{
				// The gradients of q, k, P and v; P is computed again, see Cost.
				kind: "AttentionBackward", flops: 4 * product, shape: in[0].Shape(), inputs: []*G.Node{grad, in[0]}, saved: out, takesHalf: true, givesHalf: true, like: in[0],
				run: call(func(e *kernel.Engine, b *buffers) {
					e.AttentionBackward(s, b.out, b.in[0], b.saved[0].Float32(), b.in[1])
				}),
			})}
		},
	})
}

// AttentionWeights is the softmax inside Attention, for pictures of what a model looks at:
// [views·heads·tokens, tokens], without a gradient.
func AttentionWeights(c *Ctx, qkv *G.Node, tokens, heads int) *G.Node {
	s, ok := c.attentionShape(qkv, tokens, heads)
	if !ok {
		return nil
	}
	return c.apply(definition{
		kind: "AttentionWeights", flops: 2 * float64(rows(qkv)) * float64(tokens) * float64(s.Heads*s.HeadDim), shape: matrix(s.Views*s.Heads*s.Tokens, s.Tokens), inputs: []*G.Node{qkv}, takesHalf: true,
		run: call(func(e *kernel.Engine, b *buffers) { e.AttentionWeights(s, b.y(), b.in[0]) }),
	})
}

func (c *Ctx) attentionShape(qkv *G.Node, tokens, heads int) (kernel.AttentionShape, bool) {
	if !c.tokened("Attention", qkv, tokens) {
		return kernel.AttentionShape{}, false
	}
	if heads <= 0 || cols(qkv)%(3*heads) != 0 {
		c.failf("Attention", "", "%d columns for %d heads: columns must be a multiple of 3·heads", cols(qkv), heads)
		return kernel.AttentionShape{}, false
	}
	return kernel.AttentionShape{Views: rows(qkv) / tokens, Tokens: tokens, Heads: heads, HeadDim: cols(qkv) / (3 * heads)}, true
}

// PairScores scores every ordered pair of tokens of a view in each of several classes by a bilinear form:
// q and k are [views·tokens, classes·dim], and score c of tokens (i, j) is q_c(i)·k_c(j)/√dim. The result is
// [views·tokens·tokens, classes], i before j.
func PairScores(c *Ctx, q, k *G.Node, tokens, classes int) *G.Node {
	if !c.sameShape("PairScores", q, k) || !c.tokened("PairScores", q, tokens) {
		return nil
	}
	if classes <= 0 || cols(q)%classes != 0 {
		c.failf("PairScores", "", "%d columns for %d classes: columns must be a multiple of classes", cols(q), classes)
		return nil
	}
	views, dim := rows(q)/tokens, cols(q)/classes
	return c.apply(definition{
		kind: "PairScores", shape: matrix(views*tokens*tokens, classes), inputs: []*G.Node{q, k}, wrt: 2,
		run: call(func(e *kernel.Engine, b *buffers) {
			e.PairScoresForward(b.y(), b.f(0), b.f(1), views, tokens, classes, dim)
		}),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			dq := c.apply(definition{
				kind: "PairScoresBackward", shape: in[0].Shape(), inputs: []*G.Node{grad, in[0], in[1]}, side: []int{in[1].DataSize()},
				run: call(func(e *kernel.Engine, b *buffers) {
					e.PairScoresBackward(b.y(), b.side[0].Float32(), b.f(0), b.f(1), b.f(2), views, tokens, classes, dim)
				}),
			})
			return []*G.Node{dq, c.tap(dq, 0, rows(in[1]), cols(in[1]))}
		},
	})
}

// tokened reports whether x is whole views of that many tokens.
func (c *Ctx) tokened(kind string, x *G.Node, tokens int) bool {
	if !c.ok(kind, "", x) {
		return false
	}
	if tokens <= 0 || rows(x)%tokens != 0 {
		c.failf(kind, "", "%d rows for views of %d tokens: rows must be a multiple of tokens", rows(x), tokens)
		return false
	}
	return true
}
