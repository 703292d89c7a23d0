package nn

import (
	"slices"

	G "gorgonia.org/gorgonia"
)

// Operations whose every row needs the same rows of their inputs alone may follow a product: they work on the rows of its
// output while those are in a core's cache, instead of waiting for the last one and reading all of them from memory. A
// leader and its followers are one call of the program. They keep their order on every row, but not between rows, so all
// that one of them reads or writes is alive during the whole call.

// following chooses the followers of all leaders, and returns the nodes in the order of steps: each leader with its followers
// behind it. Nodes are in topological order, as the result is. leaderOf tells the leader of each follower.
func (g *graph) following(nodes []*G.Node) (order []*G.Node, leaderOf map[*G.Node]*G.Node) {
	leaderOf = map[*G.Node]*G.Node{}
	for i, node := range nodes {
		if leaderOf[node] != nil {
			continue
		}
		if op := operationOf(node); op == nil || !op.leads {
			order = append(order, node)
			continue
		}
		party := party{graph: g, leader: node, members: []*G.Node{node}}
		party.gather(nodes[i+1:])
		// What the pass backwards computes again stands before the leader, and helps if a follower reads the same.
		if last := len(order) - 1; last >= 0 && leaderOf[order[last]] == nil && party.takesBefore(order[last]) {
			party.members = slices.Insert(party.members, 1, order[last])
			order = order[:last]
		}
		for _, follower := range party.members[1:] {
			leaderOf[follower] = node
		}
		order = append(order, party.members...)
	}
	return order, leaderOf
}

// party is a leader and its followers.
type party struct {
	graph   *graph
	leader  *G.Node
	members []*G.Node // the leader first, then the followers in their order
}

// gather takes the followers from the nodes behind the leader. Products for weights, which nobody waits for, let them pass.
func (p *party) gather(behind []*G.Node) {
	var passed []*G.Node
	for _, node := range behind {
		op := operationOf(node)
		switch {
		case op == nil || op.view != nil: // without a step
		case p.admits(node) && slices.ContainsFunc(op.data(), p.has) && !slices.ContainsFunc(op.inputs, in(passed)):
			p.members = append(p.members, node)
		case op.aside:
			passed = append(passed, node)
		default:
			return
		}
	}
}

// admits reports whether a node works on the leader's rows, and on none of another row of the party.
func (p *party) admits(node *G.Node) bool {
	op := operationOf(node)
	if op == nil || !op.rowwise || rows(node) != rows(p.leader) || slices.Contains(operationOf(p.leader).inputs, node) {
		return false
	}
	for _, input := range op.inputs {
		if p.graph.leaves[input].isInput() || !p.has(input) && p.has(origin(input)) {
			return false
		}
	}
	return true
}

func (p *party) has(node *G.Node) bool { return slices.Contains(p.members, node) }

// takesBefore reports whether a node that stands before the leader may be the first follower: it has an activation in common
// with another follower, and none reads it.
func (p *party) takesBefore(node *G.Node) bool {
	if !p.admits(node) {
		return false
	}
	shares := false
	for _, follower := range p.members[1:] {
		for _, input := range operationOf(follower).inputs {
			if origin(input) == node {
				return false
			}
			shares = shares || operationOf(input) != nil && slices.Contains(operationOf(node).data(), input)
		}
	}
	return shares
}

// origin is the node whose memory a node is a view of.
func origin(node *G.Node) *G.Node {
	for op := operationOf(node); op != nil && op.view != nil; op = operationOf(node) {
		node = op.inputs[0]
	}
	return node
}

// in is the question whether a node is one of some.
func in(nodes []*G.Node) func(*G.Node) bool {
	return func(node *G.Node) bool { return slices.Contains(nodes, node) }
}

// span is a range of steps, both ends included.
type span struct{ first, last int }

// callsOf finds which steps are one call: leaders and those of their followers that stand right behind them, which a part of a
// sum can prevent.
func callsOf(steps []step, leaderOf map[*G.Node]*G.Node) []span {
	calls := make([]span, len(steps))
	for first := 0; first < len(steps); {
		last := first
		for last+1 < len(steps) && steps[last+1].part == wholeOperation && leaderOf[steps[last+1].node] == steps[first].node {
			last++
		}
		for i := first; i <= last; i++ {
			calls[i] = span{first, last}
		}
		first = last + 1
	}
	return calls
}

// callOf is the call of a step; before the first and behind the last step, where values that outlive a run are used, there is
// none but itself.
func (p *plan) callOf(step int) span {
	if step < 0 || step >= len(p.calls) {
		return span{step, step}
	}
	return p.calls[step]
}
