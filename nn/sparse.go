package nn

import (
	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
)

// SparseRows is the matrix of that many columns whose row i is the sum over k of values[i, k] in column columns[i, k],
// both [rows, k]; all other elements are 0. It makes distributions for SoftCrossEntropy out of the few classes that
// they cover. It has no gradient.
func SparseRows(c *Ctx, columns, values *G.Node, width int) *G.Node {
	if !c.sameShape("SparseRows", columns, values) {
		return nil
	}
	if width <= 0 {
		c.failf("SparseRows", "", "width is %d: it must be positive", width)
		return nil
	}
	m, k := rows(columns), cols(columns)
	return c.apply(definition{
		kind: "SparseRows", shape: matrix(m, width), inputs: []*G.Node{columns, values},
		run: call(func(_ *kernel.Engine, b *buffers) {
			clear(b.y())
			for i, column := range b.f(0) {
				b.y()[i/k*width+within(column, width, "column")] += b.f(1)[i]
			}
		}),
	})
}
