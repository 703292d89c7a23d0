package nn

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
)

// Program is a compiled graph: a flat list of kernel calls over one arena. It is not safe for concurrent use, and as
// an Engine runs one kernel at a time, neither are two programs on one engine.
type Program struct {
	plan     *plan
	engine   *kernel.Engine
	arena    []float32
	calls    []kernelCall
	current  int                       // call that is running, for the message should it panic
	backward int                       // first call of the backward pass
	took     Durations                 // of the last Run
	inputs   []*input                  // that the program needs
	values   map[*G.Node]*kernel.Array // what Value may return
	wide     map[*G.Node][]float32     // float32 copies of those that are bf16, made by Value
	unused   [][]float32               // gradients of parameters that the cost does not depend on
	err      error                     // of Bind
	profile  *profile                  // nil unless enabled
}

// input is a matrix that Bind supplies.
type input struct {
	node   *G.Node
	name   string
	buffer []float32
	users  []user
}

// user is a slice that has to follow the buffer of an input.
type user struct {
	array        *kernel.Array
	offset, size int
}

// Compile plans the graph of c for the engine. With a cost, which must be a scalar, every Run also computes the
// gradient of each parameter of the store into its Gradient. Values of the nodes to keep can be read after a Run; what
// neither they nor the cost's gradient need is left out. The first Compile of a store freezes it.
//
// The engine must be idle meanwhile. Compile fails with the first error of building the graph, and when two nodes have
// one hash, which the tape machine could not tell apart.
func Compile(c *Ctx, engine *kernel.Engine, cost *G.Node, keep ...*G.Node) (*Program, error) {
	return compile(c, engine, planOptions{}, nil, cost, keep)
}

// CompileBeside is Compile for a program that is run now and then between the Runs of another one on the same engine. It
// computes in the other's arena where that is large enough, so a Run of one makes what Value returned of the other
// meaningless.
func CompileBeside(other *Program, c *Ctx, engine *kernel.Engine, cost *G.Node, keep ...*G.Node) (*Program, error) {
	return compile(c, engine, planOptions{}, other.arena, cost, keep)
}

func compile(c *Ctx, engine *kernel.Engine, options planOptions, arena []float32, cost *G.Node, keep []*G.Node) (*Program, error) {
	if err := c.Err(); err != nil {
		return nil, err
	}
	if engine == nil {
		return nil, errors.New("nn.Compile: the engine is nil: make one with kernel.New")
	}
	if slices.Contains(keep, nil) || (cost == nil && len(keep) == 0) {
		return nil, errors.New("nn.Compile: nothing to compute: pass a cost, or nodes to keep that are not nil")
	}
	if c.graph.store.sketch {
		return nil, errors.New("nn.Compile: the store is a sketch, without numbers: build the graph over nn.NewStore, or ask nn.SizeOf")
	}
	drawn, err := c.draw(options, cost, keep)
	if err != nil {
		return nil, err
	}
	c.graph.engine = engine
	p := &Program{engine: engine, plan: drawn.plan, arena: arena}
	if len(p.arena) < p.plan.arena {
		if cost != nil {
			// A graph to learn from is compiled once, for long. What preparing it left behind must not count beside its arena.
			debug.FreeOSMemory()
		}
		p.arena = arenaFloats(p.plan.arena)
	}
	p.link(drawn.nodes)
	p.backward = len(p.calls)
	if cost != nil {
		p.unused = c.graph.withoutGradient(drawn.gradients)
		p.backward = p.callsUntil(cost)
	}
	return p, nil
}

// drawing is a graph that is planned and takes no memory yet.
type drawing struct {
	plan      *plan
	nodes     []*G.Node           // all that is computed or read
	gradients map[*G.Node]*G.Node // of the parameters that the cost depends on
}

// draw differentiates the cost and decides what is computed when, and where it will live.
func (c *Ctx) draw(options planOptions, cost *G.Node, keep []*G.Node) (*drawing, error) {
	g := c.graph
	g.store.Freeze()
	gradients, err := c.gradients(cost)
	if err != nil {
		return nil, err
	}
	nodes, targets, err := g.needed(gradients, cost, keep)
	if err != nil {
		return nil, err
	}
	return &drawing{newPlan(g, nodes, keep, targets, options), nodes, gradients}, nil
}

// gradients differentiates the cost, if there is one.
func (c *Ctx) gradients(cost *G.Node) (map[*G.Node]*G.Node, error) {
	if cost == nil {
		return nil, nil
	}
	if !cost.IsScalar() {
		return nil, fmt.Errorf("nn.Compile: the cost %v has shape %v: it must be a scalar", cost, cost.Shape())
	}
	return c.differentiate(cost)
}

// needed lists the nodes that must be computed, and where gradients go.
func (g *graph) needed(gradients map[*G.Node]*G.Node, cost *G.Node, keep []*G.Node) ([]*G.Node, map[*G.Node][]float32, error) {
	targets := map[*G.Node][]float32{}
	roots := slices.Clone(keep)
	if cost != nil {
		roots = append(roots, cost)
	}
	for parameter, gradient := range gradients {
		targets[gradient] = g.leaves[parameter].parameter.Gradient
		roots = append(roots, gradient)
	}
	nodes, err := g.ancestors(roots...)
	if err != nil {
		return nil, nil, err
	}
	return nodes, targets, distinct(nodes)
}

// distinct reports two nodes of one hash.
func distinct(nodes []*G.Node) error {
	byHash := map[uint32]*G.Node{}
	for _, node := range nodes {
		if other := byHash[node.Hashcode()]; other != nil {
			return fmt.Errorf("nodes %v and %v have the same hash %#x: rename a layer or input", other, node, node.Hashcode())
		}
		byHash[node.Hashcode()] = node
	}
	return nil
}

// withoutGradient lists the gradients that no call writes.
func (g *graph) withoutGradient(gradients map[*G.Node]*G.Node) [][]float32 {
	written := map[*Parameter]bool{}
	for parameter := range gradients {
		written[g.leaves[parameter].parameter] = true
	}
	var unused [][]float32
	for _, p := range g.store.parameters {
		if !written[p] {
			unused = append(unused, p.Gradient)
		}
	}
	return unused
}

// link resolves every buffer of every step and prepares its call.
func (p *Program) link(nodes []*G.Node) {
	inputs := map[*leaf]*input{}
	for _, node := range nodes {
		if l := p.plan.graph.leaves[node]; l != nil && l.memory() == nil {
			inputs[l] = &input{node: node, name: l.name}
			p.inputs = append(p.inputs, inputs[l])
		}
	}
	l := linker{plan: p.plan, arena: p.arena, inputs: inputs}
	for i, s := range p.plan.steps {
		if at := p.plan.calls[i]; i == at.first && !s.skip {
			p.calls = append(p.calls, l.call(p.engine, p.plan.steps[at.first:at.last+1]))
		}
	}
	p.values, p.wide = map[*G.Node]*kernel.Array{}, map[*G.Node][]float32{}
	for node, at := range p.plan.locations {
		if p.plan.kept[node] || at.value.leaf != nil {
			p.values[node] = new(kernel.Array)
			l.resolve(p.values[node], at)
		}
	}
}

// memory is where a leaf lives; nil for inputs.
func (l *leaf) memory() []float32 {
	if l.parameter != nil {
		return l.parameter.Value
	}
	return l.constant
}

// linker resolves the buffers of steps.
type linker struct {
	plan   *plan
	arena  []float32
	inputs map[*leaf]*input
}

// kernelCall is one call of a program: a step and those that follow it.
type kernelCall struct {
	run   func()
	steps []step
}

// call prepares a step and those that follow it.
func (l *linker) call(e *kernel.Engine, steps []step) kernelCall {
	var followers []kernel.Follower
	for _, s := range steps[1:] {
		followers = append(followers, e.Follow(l.step(e, s, nil)))
	}
	return kernelCall{l.step(e, steps[0], followers), steps}
}

// step prepares one step, with those that follow it.
func (l *linker) step(e *kernel.Engine, s step, followers []kernel.Follower) func() {
	b := &buffers{followers: followers}
	l.resolve(&b.out, l.plan.locations[s.node])
	width := cols(s.node)
	switch {
	case s.part >= 0:
		b.in = make([]kernel.Array, 1)
		l.resolve(&b.in[0], l.plan.locations[s.op.inputs[s.part]])
		return func() { s.op.parts.write(e, b.out, b.in[0], s.part, width) }
	case s.part == clearing:
		return func() { s.op.parts.clear(b.out, width) }
	}
	b.in = make([]kernel.Array, len(s.op.inputs))
	for i, input := range s.op.data() {
		l.resolve(&b.in[i], l.plan.locations[input])
	}
	b.side = l.whole(l.plan.sides[s.node])
	if s.op.saved != nil {
		b.saved = l.whole(l.plan.sides[s.op.saved])
	}
	return s.op.run(e, b)
}

// whole resolves side buffers.
func (l *linker) whole(values []*value) []kernel.Array {
	arrays := make([]kernel.Array, len(values))
	for i, v := range values {
		l.resolve(&arrays[i], location{v, 0, v.size})
	}
	return arrays
}

// resolve points array at a location, now and whenever an input is bound.
func (l *linker) resolve(array *kernel.Array, at location) {
	root, offset := at.value.root()
	offset += at.offset
	var memory []float32
	switch {
	case root.leaf != nil:
		if in := l.inputs[root.leaf]; in != nil {
			in.users = append(in.users, user{array, offset, at.size})
			return
		}
		memory = root.leaf.memory()
	case root.target != nil:
		memory = root.target
	default:
		memory = l.arena[root.memory.offset:]
	}
	if root.half {
		*array = kernel.BF16(kernel.Halves(memory[:root.words()])).Slice(offset, offset+at.size)
		return
	}
	*array = kernel.F32(memory[offset : offset+at.size : offset+at.size])
}

// Bind gives an input its numbers, row-major. The program reads them at each Run until the input is bound again; the
// buffer remains the caller's. A buffer of the wrong size, or a node that is no input, is an error of the next Run;
// an input that the program does not need is ignored.
func (p *Program) Bind(node *G.Node, buffer []float32) {
	l := p.plan.graph.leaves[node]
	if l == nil || l.memory() != nil {
		p.err = errors.Join(p.err, fmt.Errorf("Bind: %v is not an input of this program", node))
		return
	}
	if len(buffer) != l.size {
		p.err = errors.Join(p.err, fmt.Errorf("Bind: input %s gets %d numbers: its shape %v has %d", l.name, len(buffer), node.Shape(), l.size))
		return
	}
	if in := p.input(l); in != nil {
		in.bind(buffer)
	}
}

// input is the input of a leaf, or nil if the leaf is none or the program does not need it.
func (p *Program) input(l *leaf) *input {
	for _, in := range p.inputs {
		if p.plan.graph.leaves[in.node] == l {
			return in
		}
	}
	return nil
}

func (in *input) bind(buffer []float32) {
	in.buffer = buffer
	for _, u := range in.users {
		*u.array = kernel.F32(buffer[u.offset : u.offset+u.size])
	}
}

// Run computes the graph. It fails if an input is not bound, or if an operation cannot go on, for instance at a label
// beyond the number of classes; the error names the operation and its shapes. After an error of Bind it returns that
// error, once.
func (p *Program) Run() (err error) {
	if err := p.ready(); err != nil {
		return err
	}
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%v: %v", p.calls[p.current], reason)
		}
	}()
	for _, gradient := range p.unused {
		clear(gradient)
	}
	if p.profile != nil {
		p.runProfiled()
		return nil
	}
	started := time.Now()
	p.runCalls(0, p.backward)
	turned := time.Now()
	p.runCalls(p.backward, len(p.calls))
	p.took = Durations{Forward: turned.Sub(started), Backward: time.Since(turned)}
	return nil
}

func (p *Program) runCalls(from, to int) {
	for i, call := range p.calls[from:to] {
		p.current = from + i
		call.run()
	}
}

// Durations are the wall-clock times of the two passes of a Run. What the backward pass computes a second time counts
// as backward.
type Durations struct{ Forward, Backward time.Duration }

// Took tells the times of the last Run that was not profiled.
func (p *Program) Took() Durations { return p.took }

// callsUntil counts the calls up to the one that computes a node. A graph is built forwards first, and what is built
// later is called later.
func (p *Program) callsUntil(cost *G.Node) int {
	if i := slices.IndexFunc(p.calls, func(c kernelCall) bool { return c.steps[0].node.ID() > cost.ID() }); i >= 0 {
		return i
	}
	return len(p.calls)
}

// ready reports errors of Bind and inputs that have no buffer.
func (p *Program) ready() error {
	if err := p.err; err != nil {
		p.err = nil
		return err
	}
	for _, in := range p.inputs {
		if in.buffer == nil {
			return fmt.Errorf("input %s is not bound: call Bind before Run", in.name)
		}
	}
	return nil
}

// Value returns the numbers of a kept node, an input or a parameter after a Run, or nil for any other node. The next
// Run overwrites them.
func (p *Program) Value(node *G.Node) []float32 {
	value := p.values[node]
	switch {
	case value == nil:
		return nil
	case !value.Half():
		return value.Float32()
	}
	if p.wide[node] == nil {
		p.wide[node] = make([]float32, value.Len())
	}
	p.engine.Convert(kernel.F32(p.wide[node]), *value)
	return p.wide[node]
}

// ArenaBytes is the memory of all intermediate results.
func (p *Program) ArenaBytes() int { return len(p.arena) * 4 }
