package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
)

// SliceTokens keeps tokens [from, to) of every view of x [views·tokens, channels].
func SliceTokens(c *Ctx, x *G.Node, tokens, from, to int) *G.Node {
	if !c.tokened("SliceTokens", x, tokens) {
		return nil
	}
	if from < 0 || to > tokens || from >= to {
		c.failf("SliceTokens", "", "tokens [%d, %d) of %d: need 0 ≤ from < to ≤ tokens", from, to, tokens)
		return nil
	}
	if from == 0 && to == tokens {
		return x
	}
	views, width := rows(x)/tokens, cols(x)
	whole, kept := tokens*width, (to-from)*width
	return c.apply(definition{
		kind: "SliceTokens", shape: matrix(views*(to-from), width), inputs: []*G.Node{x}, wrt: 1, takesHalf: true, givesHalf: true,
		run: perItem(views, func(b *buffers, view int) {
			kernel.Copy(b.out.Slice(view*kept, (view+1)*kept), b.in[0].From(view*whole+from*width))
		}),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{c.apply(definition{
				kind: "SliceTokensBackward", shape: in[0].Shape(), inputs: []*G.Node{grad}, takesHalf: true, givesHalf: true, like: in[0],
				run: perItem(views, func(b *buffers, view int) {
					out := b.out.Slice(view*whole, (view+1)*whole)
					out.Slice(0, from*width).Clear()
					kernel.Copy(out.Slice(from*width, to*width), b.in[0].From(view*kept))
					out.From(to * width).Clear()
				}),
			})}
		},
	})
}

// PrependToken puts the learned token name [1, channels] in front of every view of x [views·tokens, channels]. The
// token starts truncated normal with standard deviation 0.02.
func PrependToken(c *Ctx, name string, x *G.Node, tokens int) *G.Node {
	if !c.ok("PrependToken", name, x) {
		return nil
	}
	return PrependRow(c, c.Parameter(name, []int{1, cols(x)}, Token, TruncatedNormal(0.02)), x, tokens)
}

// PrependRow puts row [1, channels] in front of every view of x; a view then has tokens+1 rows.
func PrependRow(c *Ctx, row, x *G.Node, tokens int) *G.Node {
	if !c.tokened("PrependRow", x, tokens) || !c.oneRow("PrependRow", row, cols(x)) {
		return nil
	}
	views, width := rows(x)/tokens, cols(x)
	before, after := tokens*width, (tokens+1)*width
	return c.apply(definition{
		kind: "PrependRow", shape: matrix(views*(tokens+1), width), inputs: []*G.Node{row, x}, wrt: 2, takesHalf: true, givesHalf: true,
		run: perItem(views, func(b *buffers, view int) {
			out := b.out.Slice(view*after, (view+1)*after)
			kernel.Copy(out.Slice(0, width), b.in[0])
			kernel.Copy(out.From(width), b.in[1].From(view*before))
		}),
		backward: func(c *Ctx, _ []*G.Node, _, grad *G.Node) []*G.Node {
			first := SliceTokens(c, grad, tokens+1, 0, 1)
			return []*G.Node{c.columnSums("", first), SliceTokens(c, grad, tokens+1, 1, tokens+1)}
		},
	})
}

// oneRow reports whether row is a matrix of one row of that many columns.
func (c *Ctx) oneRow(kind string, row *G.Node, width int) bool {
	if !c.ok(kind, "", row) {
		return false
	}
	if rows(row) != 1 || cols(row) != width {
		c.failf(kind, "", "a row of shape %v for %d columns: it must be 1×%d", row.Shape(), width, width)
		return false
	}
	return true
}

// AddBias adds the learned row name to every row of x, for layers without a bias of their own.
func AddBias(c *Ctx, name string, x *G.Node) *G.Node {
	if !c.ok("AddBias", name, x) {
		return nil
	}
	return AddPositions(c, c.Parameter(name, []int{cols(x)}, Bias, Zeros()), x, 1, nil)
}

// Positions of an index given to AddPositions that are not rows of the table.
const (
	NoPosition      = -1 // nothing is added
	UnknownPosition = -2 // the last row of the table is added: the learned vector for "somewhere"
)

// AddPositions adds rows of table [n, channels] to x [views·tokens, channels]. Without index, n is tokens and row t is
// added to token t of every view. With index [views·tokens, 1] each token names its own row, NoPosition or
// UnknownPosition; any other number fails the Run.
func AddPositions(c *Ctx, table, x *G.Node, tokens int, index *G.Node) *G.Node {
	if !c.tokened("AddPositions", x, tokens) || !c.ok("AddPositions", "", table) {
		return nil
	}
	if cols(table) != cols(x) {
		c.failf("AddPositions", "", "a table of %d columns for %d channels: they must be equal", cols(table), cols(x))
		return nil
	}
	if index != nil {
		return addIndexed(c, table, x, index)
	}
	if rows(table) != tokens {
		c.failf("AddPositions", "", "a table of %d rows for %d tokens: they must be equal unless an index is given", rows(table), tokens)
		return nil
	}
	views, size := rows(x)/tokens, tokens*cols(x)
	return c.apply(definition{
		kind: "AddPositions", shape: x.Shape(), inputs: []*G.Node{x, table}, wrt: 2, inPlace: []int{0}, takesHalf: true, givesHalf: true,
		run: call(func(e *kernel.Engine, b *buffers) {
			for at := 0; at < b.out.Len(); at += size {
				e.Add(b.out.Slice(at, at+size), b.in[0].Slice(at, at+size), b.in[1])
			}
		}),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			// One view is one row here: the gradient of the table is the sum over views.
			return []*G.Node{grad, c.apply(definition{
				kind: "AddPositionsBackward", shape: in[1].Shape(), inputs: []*G.Node{grad}, takesHalf: true,
				run: call(func(e *kernel.Engine, b *buffers) { e.ColumnSums(b.y(), b.in[0], views, size) }),
			})}
		},
	})
}

// addIndexed is AddPositions with an index.
func addIndexed(c *Ctx, table, x, index *G.Node) *G.Node {
	if !c.indexed("AddPositions", index, rows(x)) {
		return nil
	}
	width, height := cols(x), rows(table)
	return c.apply(definition{
		kind: "AddPositions", shape: x.Shape(), inputs: []*G.Node{x, table, index}, wrt: 2, inPlace: []int{0}, takesHalf: true, givesHalf: true,
		run: call(func(e *kernel.Engine, b *buffers) {
			for token, number := range b.f(2) {
				out, in := b.out.Slice(token*width, (token+1)*width), b.in[0].Slice(token*width, (token+1)*width)
				if row := tableRow(number, height); row >= 0 {
					e.Add(out, in, b.in[1].Slice(row*width, (row+1)*width))
				} else {
					kernel.Copy(out, in)
				}
			}
		}),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{grad, c.apply(definition{
				kind: "AddPositionsBackward", shape: in[1].Shape(), inputs: []*G.Node{grad, in[2]}, takesHalf: true,
				run: call(func(e *kernel.Engine, b *buffers) {
					b.out.Clear()
					for token, number := range b.f(1) {
						if row := tableRow(number, height); row >= 0 {
							e.Accumulate(b.out.Slice(row*width, (row+1)*width), b.in[0].Slice(token*width, (token+1)*width))
						}
					}
				}),
			})}
		},
	})
}

// tableRow is the row of a table that an index number means, or -1 for none.
func tableRow(number float32, height int) int {
	switch number {
	case NoPosition:
		return -1
	case UnknownPosition:
		return height - 1
	}
	return within(number, height, "position")
}

// within turns a number of an index into an int. Its panic becomes the error of Run.
func within(number float32, limit int, what string) int {
	if i := int(number); i >= 0 && i < limit && float32(i) == number {
		return i
	}
	panic(fmt.Sprintf("%s %v is outside 0 … %d", what, number, limit-1))
}

// indexed reports whether index is one column of that many rows.
func (c *Ctx) indexed(kind string, index *G.Node, height int) bool {
	if !c.ok(kind, "", index) {
		return false
	}
	if rows(index) != height || cols(index) != 1 {
		c.failf(kind, "", "an index of shape %v: it must be %d×1", index.Shape(), height)
		return false
	}
	return true
}

// GatherTokens picks kept tokens of every view of x [views·tokens, channels] by their numbers, index [views·kept, 1],
// in that order; a token may be picked more than once.
func GatherTokens(c *Ctx, x *G.Node, tokens int, index *G.Node, kept int) *G.Node {
	if !c.tokened("GatherTokens", x, tokens) {
		return nil
	}
	if kept <= 0 {
		c.failf("GatherTokens", "", "%d tokens kept: keep at least one", kept)
		return nil
	}
	views, width := rows(x)/tokens, cols(x)
	if !c.indexed("GatherTokens", index, views*kept) {
		return nil
	}
	// token is where row i of the picked ones stands in x.
	token := func(index []float32, i int) int {
		return (i/kept*tokens + within(index[i], tokens, "token")) * width
	}
	return c.apply(definition{
		kind: "GatherTokens", shape: matrix(views*kept, width), inputs: []*G.Node{x, index}, wrt: 1, takesHalf: true, givesHalf: true,
		run: perItem(views, func(b *buffers, view int) {
			for i := view * kept; i < (view+1)*kept; i++ {
				kernel.Copy(b.out.Slice(i*width, (i+1)*width), b.in[0].From(token(b.f(1), i)))
			}
		}),
		backward: func(c *Ctx, in []*G.Node, _, grad *G.Node) []*G.Node {
			return []*G.Node{c.apply(definition{
				kind: "GatherTokensBackward", shape: in[0].Shape(), inputs: []*G.Node{grad, in[1]}, takesHalf: true, givesHalf: true, like: in[0],
				run: perItem(views, func(b *buffers, view int) {
					b.out.Slice(view*tokens*width, (view+1)*tokens*width).Clear()
					for i := view * kept; i < (view+1)*kept; i++ {
						at := token(b.f(1), i)
						kernel.AddTo(b.out.Slice(at, at+width), b.in[0].Slice(i*width, (i+1)*width))
					}
				}),
			})}
		},
	})
}
