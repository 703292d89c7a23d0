package nn

import (
	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
)

// InputNode finds an input by name.
func InputNode(c *Ctx, name string) *G.Node { return c.graph.byName["input "+name] }

// CompileSeparate compiles without sharing memory between values.
func CompileSeparate(c *Ctx, engine *kernel.Engine, cost *G.Node, keep ...*G.Node) (*Program, error) {
	return compile(c, engine, planOptions{separate: true}, nil, cost, keep)
}

// Dirty fills the arena with a number.
func (p *Program) Dirty(number float32) {
	for i := range p.arena {
		p.arena[i] = number
	}
}

// Kinds names the calls of a Run.
func (p *Program) Kinds() []string {
	var kinds []string
	for _, c := range p.calls {
		kinds = append(kinds, c.kind())
	}
	return kinds
}

// UseEngine lets gorgonia's tape machine run the graph without Compile.
func UseEngine(c *Ctx, engine *kernel.Engine) { c.graph.engine = engine }

// ParameterNodes lists the parameter nodes of the graph in the order of the store.
func ParameterNodes(c *Ctx) []*G.Node {
	var nodes []*G.Node
	for _, p := range c.graph.store.parameters {
		nodes = append(nodes, c.graph.byName["parameter "+p.Name])
	}
	return nodes
}

// Hashes returns the predicted and the real hashes of all nodes.
func Hashes(c *Ctx) (predicted map[uint32]bool, real []uint32) {
	for _, node := range c.graph.expressions.AllNodes() {
		real = append(real, node.Hashcode())
	}
	return c.graph.hashes, real
}

// Constants lists the constant nodes of the graph.
func Constants(c *Ctx) map[*G.Node][]float32 {
	constants := map[*G.Node][]float32{}
	for node, l := range c.graph.leaves {
		if l.constant != nil {
			constants[node] = l.constant
		}
	}
	return constants
}

// Turn is the number of calls of the forward pass.
func Turn(p *Program) int { return p.backward }
