package nn

import (
	"slices"

	G "gorgonia.org/gorgonia"
)

// floatBytes is the size of a float32 in memory.
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
		return Cost{Bytes: p.bytesOfPart(s)}
	}
	bytes := elements(s.node) * p.widthOf(s.node)
	for _, input := range s.op.data() {
		bytes += elements(input) * p.widthOf(input)
	}
	sides := p.sides[s.node]
	if s.op.saved != nil {
		sides = append(slices.Clone(sides), p.sides[s.op.saved]...)
	}
	for _, side := range sides {
		bytes += float64(side.words()) * floatBytes
	}
	return Cost{FLOPs: s.op.products(s.node), Bytes: bytes}
}

// widthOf is the bytes of a number of a node.
func (p *plan) widthOf(n *G.Node) float64 {
	if p.graph.half[n] {
		return floatBytes / 2
	}
	return floatBytes
}

// bytesOfPart is what writing, or adding, one part of a sum moves; for the part clearing, the zeros.
func (p *plan) bytesOfPart(s step) float64 {
	sum, bytes := float64(cols(s.node))*p.widthOf(s.node), 0.0
	if s.part == clearing {
		for _, rows := range s.op.parts.unclaimed {
			bytes += float64(rows.to-rows.from) * sum
		}
		return bytes
	}
	part := float64(cols(s.node)) * p.widthOf(s.op.inputs[s.part])
	for _, rows := range s.op.parts.segments[s.part] {
		moved := part + sum // read the part, write the sum
		if rows.add {
			moved += sum // and read it
		}
		bytes += float64(rows.to-rows.from) * moved
	}
	return bytes
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
