package nn

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"slices"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	T "gorgonia.org/tensor"

	"pretrain/internal/kernel"
)

// buffers are what an operation reads and writes. The executor fills them once and replaces only those of inputs that
// are bound again, so operations must read the fields at every run.
type buffers struct {
	out   kernel.Array   // arrives dirty: all of it is to be written
	in    []kernel.Array // one an input; none for inputs that are there for order only
	side  []kernel.Array // the operation's own further results, dirty too
	saved []kernel.Array // side buffers of definition.saved
	plain [][]float32    // scratch of all
	// followers are those of an operation that leads.
	followers []kernel.Follower
}

// f is input i, and y the output, of an operation on float32.
func (b *buffers) f(i int) []float32 { return b.in[i].Float32() }
func (b *buffers) y() []float32      { return b.out.Float32() }

// all are the inputs of an operation on float32, until the next call.
func (b *buffers) all() [][]float32 {
	b.plain = b.plain[:0]
	for i := range b.in {
		b.plain = append(b.plain, b.f(i))
	}
	return b.plain
}

// A launcher prepares an operation for its buffers and returns the function that runs it. Whatever a run needs to
// allocate is allocated here, once.
type launcher func(e *kernel.Engine, b *buffers) func()

// call is the launcher of a function that needs no preparation.
func call(run func(e *kernel.Engine, b *buffers)) launcher {
	return func(e *kernel.Engine, b *buffers) func() { return func() { run(e, b) } }
}

// perItem is the launcher of a function over items 0 … n-1 that the engine's workers share.
func perItem(n int, run func(b *buffers, item int)) launcher {
	return func(e *kernel.Engine, b *buffers) func() {
		task := func(_, item int) { run(b, item) }
		return func() { e.Parallel(n, task) }
	}
}

// definition is what makes one operation different from another.
type definition struct {
	kind   string
	name   string // of the layer; empty for operations without parameters
	shape  T.Shape
	inputs []*G.Node
	run    launcher
	// takesHalf says that inputs may be stored as bf16; an operation that does not say so gets them widened. givesHalf
	// says that the output may be, and is in a graph of that precision whenever an input is, or like, if that is set.
	takesHalf, givesHalf bool
	like                 *G.Node
	// starts says that pictures and other inputs of the graph, which are float32, make the output bf16 too.
	starts bool
	// side lists the lengths of further results: state for the backward operation, or outputs read through taps.
	// They are float32, but for the last one if sideLike is set: that is stored as the output.
	side     []int
	sideLike bool
	// saved is the forward node whose side buffers the operation reads. Unless it is one of the inputs anyway it
	// becomes a last input that only says "after": its output is not kept alive.
	saved *G.Node
	// inPlace lists inputs of the shape of the output whose buffer the output may take over.
	inPlace []int
	// view, if set, tells the planner where the result already is; run is then used by the tape machine only.
	view *view
	// flops counts the multiplications and additions of products whose geometry the shapes do not tell; see cost.go.
	flops float64
	// parts, if set, makes the operation a sum of row ranges, which the planner takes apart.
	parts *partition
	// rowwise says that every row of the output needs the same row of inputs of that height, and others as a whole, and that
	// run makes one kernel call, which may follow a product. leads says that it is a product that takes followers, and aside
	// that only the store waits for the output. See follow.go.
	rowwise, leads, aside bool
	// cheap says that the output costs less to compute again than to keep, for graphs that recompute.
	cheap bool
	// convolution says that the operation is one, and which.
	convolution *convolution
	// backward returns the gradients of the first inputs; the others are not differentiable. With fixed set, a path
	// of gradients through the operation is an error; with neither, gradients end here.
	backward func(c *Ctx, in []*G.Node, out, grad *G.Node) []*G.Node
	wrt      int
	fixed    bool
}

// view places a result inside something that exists: rows of input 0 from a row on, or one of its side buffers.
type view struct {
	row      int
	side     int  // -1 for rows of the output
	reshapes bool // the result has other rows than input 0: its gradient is no range of rows
}

// operation is the only gorgonia.Op of this package: the boilerplate around a definition.
type operation struct {
	definition
	ctx    *Ctx // where it was built; its backward operations are built there too
	serial uint32
	after  bool           // the last input is there for order only
	oracle []kernel.Array // side buffers of runs by the tape machine
}

var (
	_          G.SDOp = (*operation)(nil)
	matrixType        = G.TensorType{Dims: 2, Of: T.Float32}
)

func matrix(rows, cols int) T.Shape { return T.Shape{rows, cols} }

// apply adds an operation to the graph. It returns nil once the graph has failed.
func (c *Ctx) apply(d definition) *G.Node {
	if !c.ok(d.kind, d.name, d.inputs...) {
		return nil
	}
	if !d.takesHalf {
		d.inputs = c.widened(d.inputs)
	}
	op := &operation{definition: d, ctx: c}
	op.inputs = slices.Clone(d.inputs)
	if d.saved != nil && !slices.Contains(d.inputs, d.saved) {
		op.inputs, op.after = append(op.inputs, d.saved), true
	}
	c.graph.number(op)
	node, err := G.ApplyOp(op, op.inputs...)
	if err != nil {
		c.failf(d.kind, d.name, "%w", err)
		return nil
	}
	c.graph.hashes[node.Hashcode()] = true
	c.graph.half[node] = c.storesHalf(op, node)
	return node
}

// number gives an operation its serial number, passing over those whose 32-bit hash another node already has:
// gorgonia's tape machine would take the two for one.
func (g *graph) number(op *operation) {
	var children []byte
	for _, input := range op.inputs {
		children = binary.LittleEndian.AppendUint32(children, input.Hashcode())
	}
	for {
		g.serial++
		op.serial = g.serial
		if !g.hashes[hashOf(typeOf(op.shape), op.shape, op.identity(), children)] {
			return
		}
	}
}

// hashOf predicts gorgonia's Node.Hashcode from a node's type, shape, identity and the hashes of its children.
func hashOf(of hm.Type, shape T.Shape, identity, children []byte) uint32 {
	h := fnv.New32a()
	fmt.Fprintf(h, "%v%v", of, shape)
	h.Write(identity)
	h.Write([]byte{byte(len(children) / 4)})
	h.Write(children)
	return h.Sum32()
}

func typeOf(shape T.Shape) hm.Type {
	if shape.IsScalar() {
		return T.Float32
	}
	return matrixType
}

// identity tells the operation from all others of its graph.
func (op *operation) identity() []byte { return fmt.Appendf(nil, "%s#%d", op.kind, op.serial) }

// WriteHash writes the identity of the operation.
func (op *operation) WriteHash(h hash.Hash) { h.Write(op.identity()) }

// Hashcode is the serial number, so that the graph never merges two operations.
func (op *operation) Hashcode() uint32 { return op.serial }

// String is the kind and the place in the model, for messages.
func (op *operation) String() string { return op.kind + " " + op.ctx.place(op.name) }

// Arity is the number of inputs.
func (op *operation) Arity() int { return len(op.inputs) }

// Type is made anew each time, because gorgonia returns it to a pool.
func (op *operation) Type() hm.Type {
	types := make([]hm.Type, 0, len(op.inputs)+1)
	for _, input := range op.inputs {
		types = append(types, typeOf(input.Shape()))
	}
	return hm.NewFnType(append(types, typeOf(op.shape))...)
}

// InferShape checks the shapes of the inputs and returns that of the output.
func (op *operation) InferShape(in ...G.DimSizer) (T.Shape, error) {
	shapes, err := G.DimSizersToShapes(in)
	if err != nil {
		return nil, err
	}
	for i, shape := range shapes {
		if want := op.inputs[i].Shape(); !shape.Eq(want) {
			return nil, fmt.Errorf("%v: input %d has shape %v: it was built for %v", op, i, shape, want)
		}
	}
	return op.shape.Clone(), nil
}

// DiffWRT tells which inputs have a gradient.
func (op *operation) DiffWRT(inputs int) []bool {
	wrt := make([]bool, inputs)
	for i := range op.wrt {
		wrt[i] = true
	}
	return wrt
}

// SymDiff adds the operations that compute the gradients of the inputs from that of the output.
func (op *operation) SymDiff(inputs G.Nodes, output, grad *G.Node) (G.Nodes, error) {
	gradients := make(G.Nodes, len(inputs))
	if op.backward == nil {
		return gradients, nil
	}
	copy(gradients, op.backward(op.ctx, inputs, output, grad))
	return gradients, op.ctx.Err()
}

// ReturnsPtr, CallsExtern and OverwritesInput tell the tape machine that every result has a buffer of its own.
func (op *operation) ReturnsPtr() bool     { return false }
func (op *operation) CallsExtern() bool    { return false }
func (op *operation) OverwritesInput() int { return -1 }

// operationOf returns the operation of a node, or nil for a leaf.
func operationOf(n *G.Node) *operation {
	op, _ := n.Op().(*operation)
	return op
}

// tap makes a node of a side buffer of main.
func (c *Ctx) tap(main *G.Node, side, rows, cols int) *G.Node {
	if !c.ok("Tap", "", main) {
		return nil
	}
	source := operationOf(main)
	run := func(_ *kernel.Engine, b *buffers) { kernel.Copy(b.out, source.oracle[side]) }
	return c.apply(definition{kind: "Tap", takesHalf: true, shape: matrix(rows, cols), inputs: []*G.Node{main}, run: call(run), view: &view{side: side}})
}
