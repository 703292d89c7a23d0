package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	T "gorgonia.org/tensor"

	"pretrain/internal/kernel"
)

// Ctx is one graph under construction, seen from one scope of names. Its first error sticks: from then on operations
// return nil and take nil, and Err and Compile return that error. One goroutine may use a Ctx and its scopes.
type Ctx struct {
	graph *graph
	scope string // ends in "." unless empty
}

// graph is what all scopes of a Ctx share.
type graph struct {
	expressions *G.ExprGraph
	store       *Store
	training    bool
	err         error
	leaves      map[*G.Node]*leaf
	byName      map[string]*G.Node // leaves
	hashes      map[uint32]bool
	serial      uint32
	batchNorms  []*batchNorm
	precision   Precision
	recompute   bool
	half        map[*G.Node]bool    // stored as bf16
	wide        map[*G.Node]*G.Node // their float32 copies, where some operation needs one
	active      map[*G.Node]bool    // what needs a gradient, while one is built; nil otherwise
	engine      *kernel.Engine      // runs operations inside gorgonia's tape machine; see operation.Do
}

// leaf is a node without inputs: exactly one of its sources is set, or none for an input bound later.
type leaf struct {
	name      string
	size      int // of an input
	parameter *Parameter
	constant  []float32
}

// NewCtx starts a graph whose parameters live in store. In training mode batch normalisation takes the statistics of
// the batch, otherwise the running ones.
func NewCtx(store *Store, training bool) *Ctx {
	return &Ctx{graph: &graph{
		expressions: G.NewGraph(),
		store:       store,
		training:    training,
		leaves:      map[*G.Node]*leaf{},
		byName:      map[string]*G.Node{},
		hashes:      map[uint32]bool{},
		precision:   Float32,
		half:        map[*G.Node]bool{},
		wide:        map[*G.Node]*G.Node{},
	}}
}

// Scope returns a Ctx of the same graph whose parameter names start with name and a dot.
func (c *Ctx) Scope(name string) *Ctx { return &Ctx{graph: c.graph, scope: c.scope + name + "."} }

// Training reports whether the graph is built for training.
func (c *Ctx) Training() bool { return c.graph.training }

// Err returns the first error of the graph, or nil.
func (c *Ctx) Err() error { return c.graph.err }

// Fail records an error unless there is one already.
func (c *Ctx) Fail(err error) {
	if c.graph.err == nil {
		c.graph.err = err
	}
}

// failf records an error of an operation of this scope.
func (c *Ctx) failf(kind, name, format string, args ...any) {
	c.Fail(fmt.Errorf("%s %s: %w", kind, c.place(name), fmt.Errorf(format, args...)))
}

// place is the full name of something in this scope, for messages and for the nodes of the graph.
func (c *Ctx) place(name string) string {
	switch full := c.scope + name; {
	case full == "":
		return "(top level)"
	case name == "":
		return full[:len(full)-1]
	default:
		return full
	}
}

// ok reports whether an operation may go on: no error so far and no input missing.
func (c *Ctx) ok(kind, name string, inputs ...*G.Node) bool {
	for i, input := range inputs {
		if input == nil && c.graph.err == nil {
			c.failf(kind, name, "input %d is nil: pass the node that an earlier operation returned", i)
		}
	}
	return c.graph.err == nil
}

// Input declares a rows×cols matrix that Program.Bind supplies. Its name is taken as it is, without the scope, and
// must be its own in the graph.
func (c *Ctx) Input(name string, rows, cols int) *G.Node {
	if !c.ok("Input", name) {
		return nil
	}
	if rows <= 0 || cols <= 0 {
		c.Fail(fmt.Errorf("input %s is %d×%d: rows and columns must be positive", name, rows, cols))
		return nil
	}
	if c.graph.byName["input "+name] != nil {
		c.Fail(fmt.Errorf("input %s is declared twice: give each input its own name", name))
		return nil
	}
	return c.graph.addLeaf("input "+name, rows, cols, &leaf{name: name, size: rows * cols})
}

// Constant is a rows×cols matrix that never changes, such as fixed position embeddings. The graph keeps values.
func Constant(c *Ctx, values []float32, rows, cols int) *G.Node {
	if !c.ok("Constant", "") {
		return nil
	}
	if rows <= 0 || cols <= 0 || len(values) != rows*cols {
		c.failf("Constant", "", "%d values for a %d×%d matrix: pass rows·columns of them", len(values), rows, cols)
		return nil
	}
	name := fmt.Sprintf("constant %d", len(c.graph.leaves))
	return c.graph.addLeaf(name, rows, cols, &leaf{name: name, constant: values})
}

// Parameter declares, or finds, a parameter of this scope, or with kind Statistic a buffer. As a node it is a matrix: a
// vector of n is 1×n, [1, n, m] (as other frameworks shape a position table) is n×m, and any other tensor keeps its
// first dimension as rows. A second use in the same graph returns the same node, and the gradient is then the sum over
// its uses.
func (c *Ctx) Parameter(name string, shape []int, kind Kind, init Initializer) *G.Node {
	return c.stored(name, shape, kind, "", init)
}

func (c *Ctx) stored(name string, shape []int, kind Kind, layout string, init Initializer) *G.Node {
	return c.node(c.declare(name, shape, kind, layout, init))
}

// declare finds or creates a parameter or buffer of this scope; nil once the graph has failed.
func (c *Ctx) declare(name string, shape []int, kind Kind, layout string, init Initializer) *Parameter {
	if !c.ok("Parameter", name) {
		return nil
	}
	p, err := c.graph.store.declare(c.scope+name, shape, kind, layout, init)
	if err != nil {
		c.Fail(err)
	}
	return p
}

// node is the node of a parameter in this graph.
func (c *Ctx) node(p *Parameter) *G.Node {
	if p == nil {
		return nil
	}
	if node := c.graph.byName["parameter "+p.Name]; node != nil {
		return node
	}
	rows := 1
	switch {
	case len(p.Shape) == 3 && p.Shape[0] == 1:
		rows = p.Shape[1]
	case len(p.Shape) > 1:
		rows = p.Shape[0]
	}
	return c.graph.addLeaf("parameter "+p.Name, rows, p.size()/rows, &leaf{name: p.Name, parameter: p})
}

// addLeaf adds a node without inputs. Names differ by construction; should their 32-bit hashes meet, the node gets a
// longer name, because gorgonia's tape machine takes equal hashes for equal nodes.
func (g *graph) addLeaf(name string, rows, cols int, l *leaf) *G.Node {
	for label := name; ; label += "'" {
		shape := T.Shape{rows, cols}
		if g.hashes[hashOf(matrixType, shape, []byte(label), nil)] {
			continue
		}
		node := G.NewMatrix(g.expressions, T.Float32, G.WithShape(rows, cols), G.WithName(label))
		g.hashes[node.Hashcode()] = true
		g.leaves[node], g.byName[name] = l, node
		return node
	}
}

// rows and cols are the shape of a matrix node; a scalar is one by one.
func rows(n *G.Node) int { return dimension(n, 0) }
func cols(n *G.Node) int { return dimension(n, 1) }

func dimension(n *G.Node, axis int) int {
	if n.IsScalar() {
		return 1
	}
	return n.Shape()[axis]
}
