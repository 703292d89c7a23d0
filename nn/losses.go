package nn

import (
	"slices"

	G "gorgonia.org/gorgonia"
	T "gorgonia.org/tensor"

	"pretrain/internal/kernel"
)

// CrossEntropy is the mean over rows of −log softmax(logits)[label]. labels [rows, 1] are class numbers; a row with a
// negative label does not count. Without any row that counts the loss is 0.
func CrossEntropy(c *Ctx, logits, labels *G.Node) *G.Node {
	if !c.labelled("CrossEntropy", logits, labels) {
		return nil
	}
	m, n := rows(logits), cols(logits)
	return c.apply(definition{
		kind: "CrossEntropy", inputs: []*G.Node{logits, labels}, wrt: 1, side: []int{m},
		run: call(func(e *kernel.Engine, b *buffers) {
			counted := countLabels(b.f(1), n)
			e.CrossEntropyForward(b.side[0].Float32(), b.f(0), b.f(1), m, n)
			b.y()[0] = ratio(float32(e.Sum(b.side[0].Float32())), counted)
		}),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{c.apply(definition{
				kind: "CrossEntropyBackward", shape: matrix(m, n), inputs: []*G.Node{in[0], in[1], grad}, inPlace: []int{0},
				run: call(func(e *kernel.Engine, b *buffers) {
					scale := ratio(b.f(2)[0], countLabels(b.f(1), n))
					e.CrossEntropyBackward(b.y(), b.f(0), b.f(1), scale, m, n)
				}),
			})}
		},
	})
}

// countLabels counts the labels that are not negative and checks that they are classes.
func countLabels(labels []float32, classes int) float32 {
	count := 0
	for _, label := range labels {
		if label >= 0 {
			within(label, classes, "label")
			count++
		}
	}
	return float32(count)
}

// ratio is a/b, and 0 when there is nothing to divide by.
func ratio(a, b float32) float32 {
	if b == 0 {
		return 0
	}
	return a / b
}

// SoftCrossEntropy is the weighted mean over rows of −Σ targets·log softmax(logits). targets [rows, classes] are
// distributions; weights [rows, 1] are not negative, and nil means equal ones. It divides by the sum of the weights;
// when that is 0 the loss is 0.
func SoftCrossEntropy(c *Ctx, logits, targets, weights *G.Node) *G.Node {
	if !c.sameShape("SoftCrossEntropy", logits, targets) {
		return nil
	}
	inputs := []*G.Node{logits, targets}
	if weights != nil {
		if !c.indexed("SoftCrossEntropy weights", weights, rows(logits)) {
			return nil
		}
		inputs = append(inputs, weights)
	}
	l := softLoss{rows: rows(logits), classes: cols(logits), weighted: weights != nil}
	return c.apply(definition{
		kind: "SoftCrossEntropy", inputs: inputs, wrt: 1, side: []int{l.rows}, run: call(l.forward),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{c.apply(definition{
				kind: "SoftCrossEntropyBackward", shape: matrix(l.rows, l.classes), inputs: append(slices.Clone(in), grad), inPlace: []int{0},
				run: call(l.backward),
			})}
		},
	})
}

// softLoss runs a SoftCrossEntropy, whose inputs are logits, targets and, if weighted, weights.
type softLoss struct {
	rows, classes int
	weighted      bool
}

// weights returns the weights of the rows, nil for equal ones, and their sum.
func (l softLoss) weights(e *kernel.Engine, b *buffers) ([]float32, float32) {
	if !l.weighted {
		return nil, float32(l.rows)
	}
	return b.f(2), float32(e.Sum(b.f(2)))
}

func (l softLoss) forward(e *kernel.Engine, b *buffers) {
	weights, total := l.weights(e, b)
	e.SoftCrossEntropyForward(b.side[0].Float32(), b.f(0), b.f(1), weights, l.rows, l.classes)
	b.y()[0] = ratio(float32(e.Sum(b.side[0].Float32())), total)
}

// backward has the gradient of the loss as its last input.
func (l softLoss) backward(e *kernel.Engine, b *buffers) {
	weights, total := l.weights(e, b)
	scale := ratio(b.f(len(b.in) - 1)[0], total)
	e.SoftCrossEntropyBackward(b.y(), b.f(0), b.f(1), weights, scale, l.rows, l.classes)
}

// Accuracy is the share of rows whose largest logit, the first of equals, is that of the label; rows with a negative
// label do not count. It has no gradient.
func Accuracy(c *Ctx, logits, labels *G.Node) *G.Node {
	if !c.labelled("Accuracy", logits, labels) {
		return nil
	}
	n := cols(logits)
	return c.apply(definition{
		kind: "Accuracy", inputs: []*G.Node{logits, labels},
		run: call(func(_ *kernel.Engine, b *buffers) {
			var right float32
			for i, label := range b.f(1) {
				if label >= 0 && largest(b.f(0)[i*n:(i+1)*n]) == int(label) {
					right++
				}
			}
			b.y()[0] = ratio(right, countLabels(b.f(1), n))
		}),
	})
}

// largest is the position of the first largest number.
func largest(x []float32) int {
	at := 0
	for i, v := range x {
		if v > x[at] {
			at = i
		}
	}
	return at
}

func (c *Ctx) labelled(kind string, logits, labels *G.Node) bool {
	return c.ok(kind, "", logits) && c.indexed(kind, labels, rows(logits))
}

// Measure is a scalar that host code computes from the values of nodes, for metrics. fn must not keep or change its
// arguments, and should not allocate: it runs every step. It has no gradient.
func Measure(c *Ctx, name string, fn func(inputs ...[]float32) float32, inputs ...*G.Node) *G.Node {
	if !c.ok("Measure", name, inputs...) {
		return nil
	}
	if len(inputs) == 0 {
		c.failf("Measure", name, "no inputs: pass the nodes to measure")
		return nil
	}
	return c.apply(definition{
		kind: "Measure", name: name, inputs: inputs,
		run: call(func(_ *kernel.Engine, b *buffers) { b.y()[0] = fn(b.all()...) }),
	})
}

// Sum is the sum of all elements, a scalar.
func Sum(c *Ctx, x *G.Node) *G.Node {
	if !c.ok("Sum", "", x) {
		return nil
	}
	return c.apply(definition{
		kind: "Sum", inputs: []*G.Node{x}, wrt: 1,
		run: call(func(e *kernel.Engine, b *buffers) { b.y()[0] = float32(e.Sum(b.f(0))) }),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{c.apply(definition{
				kind: "SumBackward", shape: in[0].Shape(), inputs: []*G.Node{grad},
				run: call(func(_ *kernel.Engine, b *buffers) {
					for i := range b.y() {
						b.y()[i] = b.f(0)[0]
					}
				}),
			})}
		},
	})
}

// WeightedSum is Σ weights[i]·losses[i], a scalar; weights is [1, number of losses], an input that is set each step or
// a function of parameters. Both have gradients.
func WeightedSum(c *Ctx, losses []*G.Node, weights *G.Node) *G.Node {
	if !c.ok("WeightedSum", "", losses...) || !c.oneRow("WeightedSum", weights, len(losses)) {
		return nil
	}
	for i, loss := range losses {
		if !loss.IsScalar() {
			c.failf("WeightedSum", "", "loss %d has shape %v: it must be a scalar", i, loss.Shape())
			return nil
		}
	}
	k := len(losses)
	return c.apply(definition{
		kind: "WeightedSum", inputs: append(slices.Clone(losses), weights), wrt: k + 1,
		run: call(func(_ *kernel.Engine, b *buffers) {
			b.y()[0] = 0
			for i, weight := range b.f(k) {
				b.y()[0] += weight * b.f(i)[0]
			}
		}),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			var gradients []*G.Node
			for i := range k {
				gradients = append(gradients, c.weighted(in[k], grad, i))
			}
			return append(gradients, c.scaledLosses(in[:k], grad))
		},
	})
}

// weighted is the gradient of one loss: its weight times grad.
func (c *Ctx) weighted(weights, grad *G.Node, i int) *G.Node {
	return c.apply(definition{
		kind: "WeightedSumBackward", inputs: []*G.Node{weights, grad},
		run: call(func(_ *kernel.Engine, b *buffers) { b.y()[0] = b.f(0)[i] * b.f(1)[0] }),
	})
}

// scaledLosses is the gradient of the weights: the losses times grad.
func (c *Ctx) scaledLosses(losses []*G.Node, grad *G.Node) *G.Node {
	k := len(losses)
	return c.apply(definition{
		kind: "WeightedSumBackward", shape: matrix(1, k), inputs: append(slices.Clone(losses), grad),
		run: call(func(_ *kernel.Engine, b *buffers) {
			for i := range k {
				b.y()[i] = b.f(i)[0] * b.f(k)[0]
			}
		}),
	})
}

// one is the gradient of the cost itself.
func (c *Ctx) one(cost *G.Node) *G.Node {
	node := G.NewScalar(cost.Graph(), T.Float32, G.WithName("gradient of the cost"))
	c.graph.leaves[node] = &leaf{name: "gradient of the cost", constant: []float32{1}}
	c.graph.hashes[node.Hashcode()] = true
	return node
}
