package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"
)

// value is one result of the graph: an output or a side buffer of an operation, or a leaf.
type value struct {
	size   int       // numbers
	half   bool      // stored as bf16
	leaf   *leaf     // memory outside the arena
	target []float32 // likewise: the gradient of a parameter

	host   *value // the value in whose memory this one lives, from offset on; nil for memory of its own
	offset int
	taken  bool // lives in host by overwriting all of it

	// Steps that write or read the value or one that lives in it.
	first, last int
	reads       []int // steps that read it directly
	guestLast   int   // last step that uses a value that lives in it
	memory      *interval
}

// words is the memory that the value needs, in float32 words.
func (v *value) words() int {
	if v.half {
		return (v.size + 1) / 2
	}
	return v.size
}

// whole reports whether the value has memory of its own in the arena.
func (v *value) whole() bool { return v.host == nil && v.leaf == nil && v.target == nil }

// root is the value whose memory v lives in, and where.
func (v *value) root() (*value, int) {
	offset := 0
	for v.host != nil {
		offset += v.offset
		v = v.host
	}
	return v, offset
}

func (v *value) wrote(step int) {
	if v.first < 0 || step < v.first {
		v.first = step
	}
	v.last = max(v.last, step)
}

func (v *value) read(step int) {
	v.reads = append(v.reads, step)
	v.last = max(v.last, step)
}

// moveInto lets v live in host.
func (v *value) moveInto(host *value, offset int) {
	v.host, v.offset = host, offset
	host.first, host.last = min(host.first, v.first), max(host.last, v.last)
	host.guestLast = max(host.guestLast, v.last)
}

// location is the part of a value that a node stands for.
type location struct {
	value        *value
	offset, size int
}

func (l location) all() bool { return l.offset == 0 && l.size == l.value.size }

// step is one call of the program: an operation, or one part of a sum (part ≥ 0), or the rows of a sum that no part
// covers (part = clearing).
type step struct {
	node *G.Node
	op   *operation
	part int
	skip bool // the part is computed in place
}

const (
	wholeOperation = -1
	clearing       = -2
)

// plan decides the order of calls and where every value lives.
type plan struct {
	graph     *graph
	steps     []step
	calls     []span // of each step: those that are one call
	locations map[*G.Node]location
	sides     map[*G.Node][]*value
	partSteps map[*G.Node][]int // steps of the parts of a sum
	values    []*value
	kept      map[*G.Node]bool
	arena     int // floats
}

// planOptions are there for tests.
type planOptions struct{ separate bool } // every value has its own memory, nothing is computed in place, or follows a product

// newPlan plans the nodes, which are all that is needed, in topological order. The values of kept nodes survive the
// run; targets maps the gradients of parameters to where they belong.
func newPlan(g *graph, nodes, kept []*G.Node, targets map[*G.Node][]float32, options planOptions) *plan {
	p := &plan{graph: g, locations: map[*G.Node]location{}, sides: map[*G.Node][]*value{}, partSteps: map[*G.Node][]int{}, kept: map[*G.Node]bool{}}
	var leaderOf map[*G.Node]*G.Node
	if !options.separate {
		nodes, leaderOf = g.following(nodes)
	}
	for _, node := range nodes {
		p.locate(node, targets[node])
	}
	p.schedule(nodes)
	p.calls = callsOf(p.steps, leaderOf)
	p.recordUses(kept)
	if !options.separate {
		for _, node := range nodes {
			p.adoptParts(node)
		}
		p.overwriteInputs()
	}
	p.pack(options)
	return p
}

// locate gives a node its value, or the part of another's that it is a view of.
func (p *plan) locate(node *G.Node, target []float32) {
	op, size := operationOf(node), node.Shape().TotalSize()
	switch {
	case op == nil:
		p.locations[node] = location{&value{size: size, leaf: p.graph.leaves[node]}, 0, size}
	case op.view != nil && op.view.side >= 0:
		p.locations[node] = location{p.sides[op.inputs[0]][op.view.side], 0, size}
	case op.view != nil:
		source := p.locations[op.inputs[0]]
		p.locations[node] = location{source.value, source.offset + op.view.row*cols(node), size}
	default:
		v := p.newValue(size)
		v.target, v.half = target, p.graph.half[node]
		p.locations[node] = location{v, 0, size}
		for i, side := range op.side {
			s := p.newValue(side)
			s.half = v.half && op.sideLike && i == len(op.side)-1
			p.sides[node] = append(p.sides[node], s)
		}
	}
}

func (p *plan) newValue(size int) *value {
	v := &value{size: size, first: -1, last: -1}
	p.values = append(p.values, v)
	return v
}

// schedule lists the steps in the order in which nodes were built, except that each part of a sum is added as soon
// as it and the parts before it exist, so that its memory is free again early.
func (p *plan) schedule(nodes []*G.Node) {
	due := map[*G.Node][]step{}
	position := map[*G.Node]int{}
	for i, node := range nodes {
		position[node] = i
		op := operationOf(node)
		if op == nil || op.parts == nil {
			continue
		}
		latest := op.inputs[0]
		for part, input := range op.inputs {
			if position[input] > position[latest] {
				latest = input
			}
			due[latest] = append(due[latest], step{node: node, op: op, part: part})
		}
	}
	for _, node := range nodes {
		op := operationOf(node)
		switch {
		case op == nil || op.view != nil:
		case op.parts == nil:
			p.steps = append(p.steps, step{node: node, op: op, part: wholeOperation})
		case op.parts.unclaimed != nil:
			p.steps = append(p.steps, step{node: node, op: op, part: clearing})
		}
		for _, s := range due[node] {
			p.partSteps[s.node] = append(p.partSteps[s.node], len(p.steps))
			p.steps = append(p.steps, s)
		}
	}
}

// recordUses tells every value which steps use it.
func (p *plan) recordUses(kept []*G.Node) {
	for i, s := range p.steps {
		p.locations[s.node].value.wrote(i)
		if s.part >= 0 {
			p.locations[s.op.inputs[s.part]].value.read(i)
		}
		if s.part != wholeOperation {
			continue
		}
		for _, side := range p.sides[s.node] {
			side.wrote(i)
		}
		for _, input := range s.op.data() {
			p.locations[input].value.read(i)
		}
		if s.op.saved != nil {
			for _, side := range p.sides[s.op.saved] {
				side.read(i)
			}
		}
	}
	for _, node := range kept {
		p.kept[node] = true
		p.locations[node].value.read(len(p.steps))
	}
	for _, norm := range p.graph.batchNorms {
		if at, computed := p.locations[norm.statistics]; computed {
			// Program.BatchNorms shows them after a run. Begun early, they lie side by side and not between activations.
			at.value.wrote(0)
			at.value.read(len(p.steps))
		}
	}
}

// data lists the inputs whose values the operation reads.
func (op *operation) data() []*G.Node {
	if op.after {
		return op.inputs[:len(op.inputs)-1]
	}
	return op.inputs
}

// adoptParts lets parts of a sum be computed where the sum wants them. Part i may live there if it is the first on
// all of its rows, and nobody reads it once a later part is added to them, not even that part: it may be a slice of
// part i that belongs to other rows.
func (p *plan) adoptParts(node *G.Node) {
	op := operationOf(node)
	if op == nil || op.parts == nil {
		return
	}
	sum, steps := p.locations[node].value, p.partSteps[node]
	for i, input := range op.inputs {
		part := p.locations[input]
		if !part.value.whole() || !part.all() || part.value.half != sum.half || !op.parts.claims(i) {
			continue
		}
		if part.value.lastBut(steps[i]) >= p.firstChange(op.parts, steps, i) {
			continue
		}
		part.value.moveInto(sum, op.parts.rows[i]*cols(node))
		p.steps[steps[i]].skip = true
	}
}

// lastBut is the last step other than the given one that reads the value or what lives in it.
func (v *value) lastBut(step int) int {
	last := v.guestLast
	for _, read := range v.reads {
		if read != step {
			last = max(last, read)
		}
	}
	return last
}

// firstChange is the first step that adds to rows of part i.
func (p *plan) firstChange(parts *partition, steps []int, i int) int {
	for j := i + 1; j < len(steps); j++ {
		if parts.overlaps(i, j) {
			return steps[j]
		}
	}
	return len(p.steps) + 1
}

// overwriteInputs lets operations that allow it write over an input that nobody reads afterwards.
func (p *plan) overwriteInputs() {
	for i, s := range p.steps {
		if s.part != wholeOperation {
			continue
		}
		out := p.locations[s.node].value
		for _, input := range s.op.inPlace {
			if out.whole() && p.mayOverwrite(s.op, input, i) && out.half == p.locations[s.op.inputs[input]].value.half {
				host, _ := p.locations[s.op.inputs[input]].value.root()
				out.moveInto(host, 0)
				out.taken = true
				break
			}
		}
	}
}

// mayOverwrite reports whether step i is the last to need the memory of the input, all of which the input fills.
func (p *plan) mayOverwrite(op *operation, input, i int) bool {
	from := p.locations[op.inputs[input]]
	host := from.value
	if host.taken {
		host, _ = host.root()
	}
	if !host.whole() || host.size != from.size || !from.all() || host.last != i {
		return false
	}
	for j, other := range op.data() {
		if root, _ := p.locations[other].value.root(); j != input && root == host {
			return false
		}
	}
	return true
}

// pack places the values that need memory of their own.
func (p *plan) pack(options planOptions) {
	var buffers []*interval
	for _, v := range p.values {
		if !v.whole() {
			continue
		}
		v.memory = &interval{size: v.words(), first: p.callOf(v.first).first, last: p.callOf(v.last).last}
		if options.separate {
			v.memory.first, v.memory.last = 0, len(p.steps)
		}
		buffers = append(buffers, v.memory)
	}
	p.arena = pack(buffers)
}

// String describes a call for messages: its steps.
func (c kernelCall) String() string {
	text := c.steps[0].String()
	for _, s := range c.steps[1:] {
		text += " + " + s.String()
	}
	return text
}

// String describes a step for messages: what it is and the shapes it works on.
func (s step) String() string {
	text := s.op.String()
	if s.part >= 0 {
		text += fmt.Sprintf(" (part %d)", s.part)
	}
	text += " ("
	for i, input := range s.op.inputs {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprint(input.Shape())
	}
	return fmt.Sprintf("%s → %v)", text, s.node.Shape())
}
