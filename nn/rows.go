package nn

import (
	"cmp"
	"slices"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
)

// Rows is rows [from, to) of x: a view of the same memory, not a copy. When several slices of one x are
// differentiated, each writes its gradient into its own rows of the gradient of x.
func Rows(c *Ctx, x *G.Node, from, to int) *G.Node {
	if !c.ok("Rows", "", x) {
		return nil
	}
	if from < 0 || to > rows(x) || from >= to {
		c.failf("Rows", "", "rows [%d, %d) of %d: need 0 ≤ from < to ≤ rows", from, to, rows(x))
		return nil
	}
	if from == 0 && to == rows(x) {
		return x
	}
	width, height := cols(x), rows(x)
	return c.apply(definition{
		kind: "Rows", shape: matrix(to-from, width), inputs: []*G.Node{x}, wrt: 1,
		view: &view{row: from, side: -1}, takesHalf: true,
		run: call(func(_ *kernel.Engine, b *buffers) { kernel.Copy(b.out, b.in[0].Slice(from*width, to*width)) }),
		// Our reverse pass does not come here: it adds grad to the right rows of the total. Gorgonia's needs a
		// gradient of full size.
		backward: func(c *Ctx, _ []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{c.assemble("PadRows", height, width, false, []part{{grad, from}})}
		},
	})
}

// Reshape is x with another number of columns: the same numbers in the same order and memory, not a copy.
func Reshape(c *Ctx, x *G.Node, height, width int) *G.Node {
	if !c.ok("Reshape", "", x) {
		return nil
	}
	if height <= 0 || width <= 0 || height*width != rows(x)*cols(x) {
		c.failf("Reshape", "", "%d×%d of a matrix of %d×%d: both must hold as many numbers", height, width, rows(x), cols(x))
		return nil
	}
	return c.apply(definition{
		kind: "Reshape", shape: matrix(height, width), inputs: []*G.Node{x}, wrt: 1,
		view: &view{side: -1, reshapes: true}, takesHalf: true,
		run: call(func(_ *kernel.Engine, b *buffers) { kernel.Copy(b.out, b.in[0]) }),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{Reshape(c, grad, rows(in[0]), cols(in[0]))}
		},
	})
}

// ConcatRows stacks matrices of equal width, the first on top.
func ConcatRows(c *Ctx, xs ...*G.Node) *G.Node {
	if !c.ok("ConcatRows", "", xs...) {
		return nil
	}
	if len(xs) == 0 {
		c.failf("ConcatRows", "", "no matrices: pass at least one")
		return nil
	}
	height := 0
	parts := make([]part, len(xs))
	for i, x := range xs {
		if cols(x) != cols(xs[0]) {
			c.failf("ConcatRows", "", "matrix %d has %d columns and matrix 0 has %d: they must be equal", i, cols(x), cols(xs[0]))
			return nil
		}
		parts[i] = part{x, height}
		height += rows(x)
	}
	return c.assemble("ConcatRows", height, cols(xs[0]), false, parts)
}

// part is a matrix that is added to a larger one from some row on.
type part struct {
	node *G.Node
	row  int
}

// partition says, for each part of a sum, which rows it is the first to write and to which it adds.
type partition struct {
	rows      []int       // where each part starts
	segments  [][]segment // of each part
	unclaimed []segment   // rows that no part covers: zeros
}

// segment is a range of rows of the sum.
type segment struct {
	from, to int
	add      bool // others have written these rows before
}

// assemble is the sum of parts, in their order; rows that no part covers are zero. A sum of one part that covers
// everything is that part, unless forced to be a node of its own.
func (c *Ctx) assemble(kind string, height, width int, force bool, parts []part) *G.Node {
	if len(parts) == 1 && rows(parts[0].node) == height && !force {
		return parts[0].node
	}
	shape := matrix(height, width)
	if len(parts) > 0 && parts[0].node.IsScalar() {
		shape = nil
	}
	p := newPartition(height, parts)
	// The gradient of a parameter goes to the store, which is float32.
	d := definition{kind: kind, shape: shape, parts: p, wrt: len(parts), takesHalf: true, givesHalf: !force, aside: force}
	for _, part := range parts {
		d.inputs = append(d.inputs, part.node)
	}
	d.run = call(func(e *kernel.Engine, b *buffers) {
		for i := range p.rows {
			p.write(e, b.out, b.in[i], i, width)
		}
		p.clear(b.out, width)
	})
	d.backward = func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
		gradients := make([]*G.Node, len(in))
		for i := range in {
			gradients[i] = grad
			if !grad.IsScalar() {
				gradients[i] = Rows(c, grad, p.rows[i], p.rows[i]+rows(in[i]))
			}
		}
		return gradients
	}
	return c.apply(d)
}

// newPartition cuts the rows of a sum.
func newPartition(height int, parts []part) *partition {
	p := &partition{}
	var written []segment // ascending, with a gap between any two: no list of rows, of which there may be billions
	for _, part := range parts {
		from, to := part.row, part.row+rows(part.node)
		p.rows = append(p.rows, from)
		p.segments = append(p.segments, cutRows(written, from, to))
		written = cover(written, from, to)
	}
	for _, s := range cutRows(written, 0, height) {
		if !s.add {
			p.unclaimed = append(p.unclaimed, s)
		}
	}
	return p
}

// cutRows cuts rows [from, to) where written ranges begin and end.
func cutRows(written []segment, from, to int) []segment {
	var segments []segment
	for _, w := range written {
		if w.to <= from || w.from >= to {
			continue
		}
		if w.from > from {
			segments = append(segments, segment{from: from, to: w.from})
		}
		segments = append(segments, segment{from: max(from, w.from), to: min(to, w.to), add: true})
		from = min(to, w.to)
	}
	if from < to {
		segments = append(segments, segment{from: from, to: to})
	}
	return segments
}

// cover adds rows [from, to) to the written ranges.
func cover(written []segment, from, to int) []segment {
	var covered []segment
	for _, w := range written {
		if w.to < from || w.from > to {
			covered = append(covered, w)
			continue
		}
		from, to = min(from, w.from), max(to, w.to)
	}
	at, _ := slices.BinarySearchFunc(covered, from, func(s segment, from int) int { return cmp.Compare(s.from, from) })
	return slices.Insert(covered, at, segment{from: from, to: to})
}

// write adds part i to the sum.
func (p *partition) write(e *kernel.Engine, sum, data kernel.Array, i, width int) {
	for _, s := range p.segments[i] {
		target := sum.Slice(s.from*width, s.to*width)
		source := data.Slice((s.from-p.rows[i])*width, (s.to-p.rows[i])*width)
		if s.add {
			e.Accumulate(target, source)
		} else {
			e.Convert(target, source)
		}
	}
}

// clear zeroes the rows that no part covers.
func (p *partition) clear(sum kernel.Array, width int) {
	for _, s := range p.unclaimed {
		sum.Slice(s.from*width, s.to*width).Clear()
	}
}

// claims reports whether part i is the first on all of its rows, so that it may be computed in place.
func (p *partition) claims(i int) bool { return len(p.segments[i]) == 1 && !p.segments[i][0].add }

// overlaps reports whether later part j adds to rows of part i.
func (p *partition) overlaps(i, j int) bool {
	first, last := p.rows[i], p.segments[i][len(p.segments[i])-1].to
	for _, s := range p.segments[j] {
		if s.add && s.from < last && s.to > first {
			return true
		}
	}
	return false
}

// ConcatColumns puts matrices of equal height side by side, the first on the left.
func ConcatColumns(c *Ctx, xs ...*G.Node) *G.Node {
	if !c.ok("ConcatColumns", "", xs...) {
		return nil
	}
	if len(xs) == 0 {
		c.failf("ConcatColumns", "", "no matrices: pass at least one")
		return nil
	}
	width := 0
	starts, widths := make([]int, len(xs)), make([]int, len(xs))
	for i, x := range xs {
		if rows(x) != rows(xs[0]) {
			c.failf("ConcatColumns", "", "matrix %d has %d rows and matrix 0 has %d: they must be equal", i, rows(x), rows(xs[0]))
			return nil
		}
		starts[i], widths[i] = width, cols(x)
		width += widths[i]
	}
	return c.apply(definition{
		kind: "ConcatColumns", shape: matrix(rows(xs[0]), width), inputs: xs, wrt: len(xs), takesHalf: true, givesHalf: true,
		run: call(func(_ *kernel.Engine, b *buffers) {
			for i, start := range starts {
				copyColumns(b.out.From(start), b.in[i], width, widths[i], widths[i])
			}
		}),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			gradients := make([]*G.Node, len(in))
			for i := range in {
				gradients[i] = Columns(c, grad, starts[i], starts[i]+widths[i])
			}
			return gradients
		},
	})
}

// Columns is a copy of columns [from, to) of x.
func Columns(c *Ctx, x *G.Node, from, to int) *G.Node {
	if !c.ok("Columns", "", x) {
		return nil
	}
	if from < 0 || to > cols(x) || from >= to {
		c.failf("Columns", "", "columns [%d, %d) of %d: need 0 ≤ from < to ≤ columns", from, to, cols(x))
		return nil
	}
	width, all := to-from, cols(x)
	return c.apply(definition{
		kind: "Columns", shape: matrix(rows(x), width), inputs: []*G.Node{x}, wrt: 1, takesHalf: true, givesHalf: true,
		run: call(func(_ *kernel.Engine, b *buffers) { copyColumns(b.out, b.in[0].From(from), width, all, width) }),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{c.apply(definition{
				kind: "ColumnsBackward", shape: in[0].Shape(), inputs: []*G.Node{grad}, takesHalf: true, givesHalf: true, like: in[0],
				run: call(func(_ *kernel.Engine, b *buffers) {
					b.out.Clear()
					copyColumns(b.out.From(from), b.in[0], all, width, width)
				}),
			})}
		},
	})
}

// copyColumns copies the first width columns of every row, from rows of one stride to rows of another.
func copyColumns(to, from kernel.Array, toStride, fromStride, width int) {
	for t, f := 0, 0; t < to.Len() && f < from.Len(); t, f = t+toStride, f+fromStride {
		kernel.Copy(to.Slice(t, t+width), from.Slice(f, f+width))
	}
}
