package nn

import G "gorgonia.org/gorgonia"

// floatBytes is the size of a number in memory.
const floatBytes = 4

// Cost is what an operation has to do at least, whatever the kernel that does it: the multiplications and additions of
// its products, and the bytes that it reads and writes once each. Products that a kernel computes a second time to save
// memory, as attention's backward pass does, are not counted twice, so that FLOPs over time compare programs; element-
// wise arithmetic is not counted at all, because memory bounds it.
type Cost struct{ FLOPs, Bytes float64 }

func (c *Cost) add(other Cost) {
	c.FLOPs += other.FLOPs
	c.Bytes += other.Bytes
}

// cost is that of one Run of the plan.
func (p *plan) cost() Cost {
	var sum Cost
	for _, s := range p.steps {
		if !s.skip {
			sum.add(p.costOf(s))
		}
	}
	return sum
}

// costOf is the cost of one call.
func (p *plan) costOf(s step) Cost {
	if s.part != wholeOperation {
		return Cost{Bytes: s.op.parts.bytes(s.part, cols(s.node))}
	}
	numbers := elements(s.node)
	for _, input := range s.op.data() {
		numbers += elements(input)
	}
	for _, side := range p.sides[s.node] {
		numbers += float64(side.size)
	}
	if s.op.saved != nil {
		for _, side := range p.sides[s.op.saved] {
			numbers += float64(side.size)
		}
	}
	return Cost{FLOPs: s.op.products(s.node), Bytes: numbers * floatBytes}
}

// bytes is what writing, or adding, one part of a sum moves; for the part clearing, the zeros.
func (p *partition) bytes(part, width int) float64 {
	moved := 0
	if part == clearing {
		for _, s := range p.unclaimed {
			moved += s.to - s.from
		}
		return float64(moved) * float64(width) * floatBytes
	}
	for _, s := range p.segments[part] {
		matrices := 2 // read the part, write the sum
		if s.add {
			matrices = 3 // and read the sum
		}
		moved += matrices * (s.to - s.from)
	}
	return float64(moved) * float64(width) * floatBytes
}

// products counts the multiplications and additions of an operation's products. For most kinds the shapes tell; the
// others say so in their definition.
func (op *operation) products(out *G.Node) float64 {
	switch op.kind {
	case "Linear", "MatMul": // [m, k]·[k, n]
		return 2 * elements(out) * float64(cols(op.inputs[0]))
	case "LinearBackwardInput", "MatMulBackwardLeft": // dy [m, n] by n×k
		return 2 * elements(out) * float64(cols(op.inputs[0]))
	case "LinearBackwardWeights", "MatMulBackwardRight": // both operands transposed or plain: m is their common height
		return 2 * elements(out) * float64(rows(op.inputs[0]))
	case "Conv": // every position by every weight
		return 2 * float64(rows(out)) * elements(op.inputs[1])
	case "ConvBackwardInput":
		return 2 * float64(rows(op.inputs[0])) * elements(op.inputs[1])
	case "ConvBackwardWeights":
		return 2 * float64(rows(op.inputs[0])) * elements(out)
	case "PairScores": // every pair of tokens, all channels
		return 2 * float64(rows(out)) * float64(cols(op.inputs[0]))
	case "PairScoresBackward":
		return 4 * float64(rows(op.inputs[0])) * float64(cols(op.inputs[1]))
	}
	return op.flops
}

// elements is the size of a node; that of a scalar is 1.
func elements(n *G.Node) float64 { return float64(n.Shape().TotalSize()) }

// Cost is what one Run has to do; see the type.
func (p *Program) Cost() Cost { return p.plan.cost() }
