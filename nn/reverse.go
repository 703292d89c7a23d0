package nn

import (
	"cmp"
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"
)

// differentiate adds the gradient of cost to the graph and returns the node of each parameter's gradient. It walks
// from the cost backwards over SymDiff, as gorgonia's Grad does, but adds up the gradients of a node by our own sum:
// slices of a matrix contribute to their rows only, instead of a full-size matrix each. Every call adds new nodes, so
// that several costs of one graph can be differentiated one after the other.
func (c *Ctx) differentiate(cost *G.Node) (map[*G.Node]*G.Node, error) {
	nodes, err := c.graph.ancestors(cost)
	if err != nil {
		return nil, err
	}
	r := &reverse{ctx: c, active: c.graph.activeOf(nodes), parts: map[*G.Node][]part{}, gradients: map[*G.Node]*G.Node{}, copies: map[*G.Node]*G.Node{}}
	if !r.active[cost] {
		return nil, fmt.Errorf("the cost %v depends on no parameter: nothing can be learned", cost)
	}
	c.graph.active = r.active
	defer func() { c.graph.active = nil }()
	r.parts[cost] = []part{{c.one(cost), 0}}
	for _, node := range slices.Backward(nodes) {
		if err := r.visit(node); err != nil {
			return nil, err
		}
	}
	return r.gradients, c.Err()
}

// reverse is one walk backwards.
type reverse struct {
	ctx       *Ctx
	active    map[*G.Node]bool    // nodes that depend on a parameter in a differentiable way
	parts     map[*G.Node][]part  // contributions to the gradient of a node, in the order of their computation
	gradients map[*G.Node]*G.Node // of parameters
	copies    map[*G.Node]*G.Node // second computations
}

// visit adds up the gradient of a node, all of whose users have been visited, and passes it on.
func (r *reverse) visit(node *G.Node) error {
	parts := r.parts[node]
	if !r.active[node] || len(parts) == 0 {
		return nil
	}
	delete(r.parts, node)
	op := operationOf(node)
	if op == nil {
		// A node of its own, because the result goes to the store: the planner computes it there if it can.
		r.gradients[node] = r.ctx.assemble("Gradient", rows(node), cols(node), true, parts)
		return r.ctx.Err()
	}
	grad := r.ctx.assemble("GradientSum", rows(node), cols(node), false, parts)
	if op.view != nil && op.view.side < 0 && !op.view.reshapes {
		r.add(op.inputs[0], part{grad, op.view.row})
		return nil
	}
	if op.fixed {
		return fmt.Errorf("%v has no gradient, but the cost depends on parameters through it: build the graph for training", op)
	}
	gradients, err := op.SymDiff(r.inputs(op), r.again(node), grad)
	if err != nil {
		return fmt.Errorf("gradient of %v: %w", op, err)
	}
	for i := range op.wrt {
		r.add(op.inputs[i], part{gradients[i], 0})
	}
	return nil
}

// inputs are what the backward operations of op read.
func (r *reverse) inputs(op *operation) []*G.Node {
	inputs := make([]*G.Node, len(op.inputs))
	for i, input := range op.inputs {
		inputs[i] = r.again(input)
	}
	return inputs
}

// again is what backward operations read in place of a node: the node itself, or a second computation, shared by them
// all, so that nothing keeps the first alive between the two passes.
func (r *reverse) again(node *G.Node) *G.Node {
	if !r.repeats(node) {
		return node
	}
	if r.copies[node] == nil {
		op := operationOf(node)
		r.copies[node] = op.ctx.apply(op.definition)
		r.active[r.copies[node]] = r.active[node]
	}
	return r.copies[node]
}

// repeats reports whether a node is computed again: if the graph recomputes, and the node is cheap and made of what is
// kept. So of a chain of cheap nodes, as the blocks of a residual network are, every second one is kept.
func (r *reverse) repeats(node *G.Node) bool {
	op := operationOf(node)
	return r.ctx.graph.recompute && op != nil && op.cheap && !slices.ContainsFunc(op.inputs, r.repeats)
}

func (r *reverse) add(node *G.Node, p part) {
	if r.active[node] {
		r.parts[node] = append(r.parts[node], p)
	}
}

// activeOf finds the nodes that depend on a parameter through differentiable inputs.
func (g *graph) activeOf(nodes []*G.Node) map[*G.Node]bool {
	active := map[*G.Node]bool{}
	for _, node := range nodes {
		op := operationOf(node)
		if op == nil {
			p := g.leaves[node].parameter
			active[node] = p != nil && p.Kind != Statistic
			continue
		}
		differentiable := op.wrt
		if op.fixed {
			differentiable = len(op.inputs)
		}
		for _, input := range op.inputs[:differentiable] {
			active[node] = active[node] || active[input]
		}
	}
	return active
}

// ancestors lists the nodes that the targets need, the targets included, in the order in which they were built: every
// node comes after its inputs.
func (g *graph) ancestors(targets ...*G.Node) ([]*G.Node, error) {
	seen := map[*G.Node]bool{}
	open := slices.Clone(targets)
	var nodes []*G.Node
	for len(open) > 0 {
		node := open[len(open)-1]
		open = open[:len(open)-1]
		if seen[node] {
			continue
		}
		seen[node] = true
		nodes = append(nodes, node)
		op := operationOf(node)
		if op == nil {
			if g.leaves[node] == nil {
				return nil, fmt.Errorf("node %v was not made by this graph's Ctx: use the functions of package nn", node)
			}
			continue
		}
		if op.ctx.graph != g {
			return nil, fmt.Errorf("%v belongs to another graph: nodes cannot be shared between graphs", op)
		}
		open = append(open, op.inputs...)
	}
	slices.SortFunc(nodes, func(a, b *G.Node) int { return cmp.Compare(a.ID(), b.ID()) })
	return nodes, nil
}
