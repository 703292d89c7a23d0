package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"
)

// NewSketch returns a store whose parameters have names and shapes but no numbers. A graph over it can be measured by
// SizeOf, whatever its size; it cannot be compiled.
func NewSketch() *Store { return &Store{byName: map[string]*Parameter{}, sketch: true} }

// Size is what a graph takes, known before any of it is allocated.
type Size struct {
	Arena      int64   // bytes of all intermediate results
	Parameters int64   // bytes of the values of the store's parameters; gradients and moments take as much each
	Buffers    int64   // bytes of what the store holds beside parameters
	Inputs     int64   // bytes of what Bind supplies
	FLOPs      float64 // of the products of one Run
}

// SizeOf plans a graph over a sketch as Compile would, and tells what the program would take. Its arena is that of the
// program to the byte.
func SizeOf(c *Ctx, cost *G.Node, keep ...*G.Node) (Size, error) {
	if err := c.Err(); err != nil {
		return Size{}, err
	}
	if !c.graph.store.sketch {
		return Size{}, fmt.Errorf("nn.SizeOf: the graph is over a store with numbers: build it over nn.NewSketch")
	}
	drawn, err := c.draw(planOptions{}, cost, keep)
	if err != nil {
		return Size{}, err
	}
	size := Size{Arena: int64(drawn.plan.arena) * floatBytes, FLOPs: drawn.plan.cost().FLOPs}
	for _, p := range c.graph.store.parameters {
		size.Parameters += int64(padded(p.size())) * floatBytes
	}
	for _, p := range c.graph.store.buffers {
		size.Buffers += int64(p.size()) * floatBytes
	}
	for _, node := range drawn.nodes {
		if l := c.graph.leaves[node]; l != nil && l.parameter == nil && l.constant == nil {
			size.Inputs += int64(l.size) * floatBytes
		}
	}
	return size, nil
}

// size is the number of elements of the parameter, which those of a sketch have in their shape only.
func (p *Parameter) size() int {
	size := 1
	for _, n := range p.Shape {
		size *= n
	}
	return size
}
