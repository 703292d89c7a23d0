package export

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"pretrain/internal/onnx"
)

// onnxGraph collects nodes in the order of computation. Values are called by name. The first error sticks and is told by
// finish, so that networks read as the list of their operations.
type onnxGraph struct {
	weights      map[string]Tensor
	nodes        []*onnx.NodeProto
	initializers []*onnx.TensorProto
	known        map[string]bool // names of values
	unused       map[string]bool // weights
	err          error
}

func newONNXGraph(tensors []Tensor) *onnxGraph {
	g := &onnxGraph{weights: map[string]Tensor{}, known: map[string]bool{}, unused: map[string]bool{}}
	for _, t := range tensors {
		g.weights[t.Name], g.unused[t.Name] = t, true
	}
	return g
}

func (g *onnxGraph) fail(err error) {
	if g.err == nil {
		g.err = err
	}
}

// finish reports the first error; weights that no operation reads are one, because the graph would then not be the network.
func (g *onnxGraph) finish() error {
	for _, name := range slices.Sorted(maps.Keys(g.unused)) {
		g.fail(fmt.Errorf("no operation reads tensor %s", name))
	}
	return g.err
}

// has reports whether the network has the weight.
func (g *onnxGraph) has(name string) bool { _, ok := g.weights[name]; return ok }

// take is the weight of that name, which must be there.
func (g *onnxGraph) take(name string) Tensor {
	t, ok := g.weights[name]
	if !ok {
		g.fail(fmt.Errorf("tensor %s is missing", name))
		return Tensor{Name: name, Shape: []int{1}, Data: []float32{0}}
	}
	delete(g.unused, name)
	return t
}

// weight makes a weight a value and returns its name, which stays what it was.
func (g *onnxGraph) weight(name string) string { return g.floats(g.take(name)) }

// transposed makes a matrix a value for MatMul, which wants [in, out] where PyTorch has [out, in].
func (g *onnxGraph) transposed(name string) string {
	t := g.take(name)
	if len(t.Shape) != 2 {
		g.fail(fmt.Errorf("tensor %s has shape %v: expected a matrix", name, t.Shape))
		return name
	}
	rows, columns := t.Shape[0], t.Shape[1]
	return g.floats(Tensor{Name: name + ".transposed", Shape: []int{columns, rows}, Data: swapped(t.Data, 1, rows, columns)})
}

// floats makes a tensor a value, once.
func (g *onnxGraph) floats(t Tensor) string {
	raw := make([]byte, 0, 4*len(t.Data))
	for _, value := range t.Data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(value))
	}
	return g.initialize(t.Name, onnx.TensorProto_FLOAT, t.Shape, raw)
}

// number is a constant without dimensions.
func (g *onnxGraph) number(value float64) string {
	return g.floats(Tensor{Name: fmt.Sprint("number_", value), Data: []float32{float32(value)}})
}

// integers is a constant list, such as a shape.
func (g *onnxGraph) integers(values ...int) string {
	name, raw := "integers", []byte(nil)
	for _, value := range values {
		name += fmt.Sprint("_", value)
		raw = binary.LittleEndian.AppendUint64(raw, uint64(value))
	}
	return g.initialize(name, onnx.TensorProto_INT64, []int{len(values)}, raw)
}

// index is a constant number for Gather, which then drops the axis.
func (g *onnxGraph) index(value int) string {
	raw := binary.LittleEndian.AppendUint64(nil, uint64(value))
	return g.initialize(fmt.Sprint("index_", value), onnx.TensorProto_INT64, nil, raw)
}

func (g *onnxGraph) initialize(name string, kind onnx.TensorProto_DataType, shape []int, raw []byte) string {
	if g.known[name] {
		return name
	}
	g.known[name] = true
	dims := make([]int64, len(shape))
	for i, size := range shape {
		dims[i] = int64(size)
	}
	g.initializers = append(g.initializers, &onnx.TensorProto{
		Name: proto.String(name), DataType: proto.Int32(int32(kind)), Dims: dims, RawData: raw,
	})
	return name
}

// add appends a node with one output, which gets the node's name, and returns it. Names must differ.
func (g *onnxGraph) add(operator, name string, inputs []string, attributes ...*onnx.AttributeProto) string {
	if g.known[name] {
		g.fail(fmt.Errorf("value %s is computed twice", name))
	}
	g.known[name] = true
	g.nodes = append(g.nodes, &onnx.NodeProto{
		OpType: proto.String(operator), Name: proto.String(name), Input: inputs, Output: []string{name}, Attribute: attributes,
	})
	return name
}

// reshape gives x another shape; a size of 0 is copied from x.
func (g *onnxGraph) reshape(name, x string, shape ...int) string {
	return g.add("Reshape", name, []string{x, g.integers(shape...)})
}

// slice is x with the indices [from, to) of an axis.
func (g *onnxGraph) slice(name, x string, axis, from, to int) string {
	return g.add("Slice", name, []string{x, g.integers(from), g.integers(to), g.integers(axis)})
}

// prune drops what no output needs: layers that nobody asked for. Every node has one output.
func (g *onnxGraph) prune(outputs []Port) {
	needed := map[string]bool{}
	for _, port := range outputs {
		needed[port.Name] = true
	}
	for i := len(g.nodes) - 1; i >= 0; i-- {
		if !needed[g.nodes[i].Output[0]] {
			g.nodes = slices.Delete(g.nodes, i, i+1)
			continue
		}
		for _, input := range g.nodes[i].Input {
			needed[input] = true
		}
	}
	g.initializers = slices.DeleteFunc(g.initializers, func(t *onnx.TensorProto) bool { return !needed[t.GetName()] })
}

// output gives a value a public name.
func (g *onnxGraph) output(value, name string, sizes ...int) Port {
	g.add("Identity", name, []string{value})
	port := Port{Name: name, Type: "float32", Shape: []any{"batch"}}
	for _, size := range sizes {
		port.Shape = append(port.Shape, size)
	}
	return port
}

// input is the value of the pixels as [batch, 3, side, side], normalised.
func (g *onnxGraph) input(m Model, bytes bool) string {
	g.known[onnxPixels] = true
	if !bytes {
		return onnxPixels
	}
	scale, shift := Tensor{Name: "input.scale", Shape: []int{3}}, Tensor{Name: "input.shift", Shape: []int{3}}
	for i, std := range m.Input.Std {
		scale.Data = append(scale.Data, float32(1/(255*std)))
		shift.Data = append(shift.Data, float32(-m.Input.Mean[i]/std))
	}
	x := g.add("Cast", "input.float", []string{onnxPixels}, integer("to", int(onnx.TensorProto_FLOAT)))
	x = g.add("Mul", "input.scaled", []string{x, g.floats(scale)})
	x = g.add("Add", "input.normalised", []string{x, g.floats(shift)})
	return g.add("Transpose", "input.planes", []string{x}, list("perm", 0, 3, 1, 2))
}

func integer(name string, value int) *onnx.AttributeProto {
	return &onnx.AttributeProto{Name: proto.String(name), Type: onnx.AttributeProto_INT.Enum(), I: proto.Int64(int64(value))}
}

func list(name string, values ...int) *onnx.AttributeProto {
	a := &onnx.AttributeProto{Name: proto.String(name), Type: onnx.AttributeProto_INTS.Enum()}
	for _, value := range values {
		a.Ints = append(a.Ints, int64(value))
	}
	return a
}

func float(name string, value float64) *onnx.AttributeProto {
	return &onnx.AttributeProto{Name: proto.String(name), Type: onnx.AttributeProto_FLOAT.Enum(), F: proto.Float32(float32(value))}
}
