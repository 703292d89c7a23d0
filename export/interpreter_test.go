package export_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"pretrain/internal/onnx"
)

// array is a value of a graph, row-major, in float64 whatever its type in the file.
type array struct {
	shape []int
	data  []float64
}

func newArray(shape ...int) array { return array{shape, make([]float64, size(shape))} }

func size(shape []int) int {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return n
}

// evaluate computes the outputs of a graph from its only input, operator by operator as the specification of ONNX says, without
// a thought of speed. An operator that it does not know is an error.
func evaluate(g *onnx.GraphProto, input array) (map[string]array, error) {
	values := map[string]array{g.Input[0].GetName(): input}
	for _, t := range g.Initializer {
		values[t.GetName()] = constant(t)
	}
	for _, node := range g.Node {
		var inputs []array
		for _, name := range node.Input {
			value, ok := values[name]
			if !ok {
				return nil, fmt.Errorf("node %s reads %s, which nothing before it computes", node.GetName(), name)
			}
			inputs = append(inputs, value)
		}
		operator, ok := operators[node.GetOpType()]
		if !ok {
			return nil, fmt.Errorf("node %s: operator %s is unknown", node.GetName(), node.GetOpType())
		}
		values[node.Output[0]] = operator(attributesOf(node), inputs)
	}
	outputs := map[string]array{}
	for _, port := range g.Output {
		outputs[port.GetName()] = values[port.GetName()]
	}
	return outputs, nil
}

func constant(t *onnx.TensorProto) array {
	var a array
	for _, n := range t.Dims {
		a.shape = append(a.shape, int(n))
	}
	for raw := t.RawData; len(raw) > 0; {
		if t.GetDataType() == int32(onnx.TensorProto_INT64) {
			a.data, raw = append(a.data, float64(int64(binary.LittleEndian.Uint64(raw)))), raw[8:]
		} else {
			a.data, raw = append(a.data, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw)))), raw[4:]
		}
	}
	return a
}

// attributes are those of a node, with the defaults of the specification where a graph of ours leaves them out.
type attributes map[string]*onnx.AttributeProto

func attributesOf(node *onnx.NodeProto) attributes {
	found := attributes{}
	for _, a := range node.Attribute {
		found[a.GetName()] = a
	}
	return found
}

func (a attributes) list(name string, byDefault ...int) []int {
	if a[name] == nil {
		return byDefault
	}
	var list []int
	for _, n := range a[name].Ints {
		list = append(list, int(n))
	}
	return list
}

// axis is the attribute "axis" among so many, counted from 0.
func (a attributes) axis(dims int) int { return (int(a["axis"].GetI()) + dims) % dims }

var operators = map[string]func(attributes, []array) array{
	"Identity":           func(_ attributes, in []array) array { return in[0] },
	"Cast":               func(_ attributes, in []array) array { return in[0] },
	"Relu":               elementwise(func(x float64) float64 { return max(0, x) }),
	"Erf":                elementwise(math.Erf),
	"Add":                broadcast(func(x, y float64) float64 { return x + y }),
	"Mul":                broadcast(func(x, y float64) float64 { return x * y }),
	"Div":                broadcast(func(x, y float64) float64 { return x / y }),
	"Conv":               convolve,
	"MaxPool":            maxPool,
	"BatchNormalization": batchNormalize,
	"LayerNormalization": layerNormalize,
	"Softmax":            softmax,
	"MatMul":             matMul,
	"Reshape":            reshape,
	"Transpose":          transpose,
	"Slice":              slice,
	"Gather":             gather,
	"Concat":             concat,
	"Expand":             expand,
	"Shape": func(a attributes, in []array) array {
		part := in[0].shape[a["start"].GetI():a["end"].GetI()]
		out := newArray(len(part))
		for i, n := range part {
			out.data[i] = float64(n)
		}
		return out
	},
	"Flatten": func(_ attributes, in []array) array {
		return array{[]int{in[0].shape[0], size(in[0].shape[1:])}, in[0].data}
	},
	"GlobalAveragePool": func(_ attributes, in []array) array {
		s := in[0].shape
		out := newArray(s[0], s[1], 1, 1)
		cells := s[2] * s[3]
		for i, x := range in[0].data {
			out.data[i/cells] += x / float64(cells)
		}
		return out
	},
	"ReduceMean": func(a attributes, in []array) array { // of axis 1 of three
		s := in[0].shape
		if !slices.Equal(a.list("axes"), []int{1}) || a["keepdims"].GetI() != 0 || len(s) != 3 {
			panic("a mean of another axis")
		}
		out := newArray(s[0], s[2])
		for i, x := range in[0].data {
			out.data[i/(s[1]*s[2])*s[2]+i%s[2]] += x / float64(s[1])
		}
		return out
	},
}

func elementwise(f func(float64) float64) func(attributes, []array) array {
	return func(_ attributes, in []array) array {
		out := newArray(in[0].shape...)
		for i, x := range in[0].data {
			out.data[i] = f(x)
		}
		return out
	}
}

// at is the place in a of the element that an index of a larger shape names: trailing axes match, and those of size 1 repeat.
func (a array) at(index []int) int {
	place, index := 0, index[len(index)-len(a.shape):]
	for axis, n := range a.shape {
		place *= n
		if n > 1 {
			place += index[axis]
		}
	}
	return place
}

// indices visits all indices of a shape, in the order of its data.
func indices(shape []int, visit func(i int, index []int)) {
	index := make([]int, len(shape))
	for i := range size(shape) {
		rest := i
		for axis := len(shape) - 1; axis >= 0; axis-- {
			index[axis], rest = rest%shape[axis], rest/shape[axis]
		}
		visit(i, index)
	}
}

func broadcast(f func(x, y float64) float64) func(attributes, []array) array {
	return func(_ attributes, in []array) array {
		shape := slices.Clone(in[0].shape)
		if len(in[1].shape) > len(shape) {
			shape = slices.Clone(in[1].shape)
		}
		out := newArray(shape...)
		indices(shape, func(i int, index []int) { out.data[i] = f(in[0].data[in[0].at(index)], in[1].data[in[1].at(index)]) })
		return out
	}
}

// window visits, for each element of an output map, the elements of the input that its window covers; k counts inside it.
func window(a attributes, s []int, visit func(y, x, k, fromY, fromX int)) (height, width int) {
	kernel, stride, pad := a.list("kernel_shape"), a.list("strides", 1, 1), a.list("pads", 0, 0, 0, 0)
	height, width = (s[2]+pad[0]+pad[2]-kernel[0])/stride[0]+1, (s[3]+pad[1]+pad[3]-kernel[1])/stride[1]+1
	for y := range height {
		for x := range width {
			for k := range kernel[0] * kernel[1] {
				fromY, fromX := y*stride[0]-pad[0]+k/kernel[1], x*stride[1]-pad[1]+k%kernel[1]
				if fromY >= 0 && fromY < s[2] && fromX >= 0 && fromX < s[3] {
					visit(y, x, k, fromY, fromX)
				}
			}
		}
	}
	return height, width
}

func convolve(a attributes, in []array) array {
	x, w := in[0], in[1]
	height, width := window(a, x.shape, func(_, _, _, _, _ int) {})
	filters, channels, area := w.shape[0], w.shape[1], w.shape[2]*w.shape[3]
	out := newArray(x.shape[0], filters, height, width)
	for b := range x.shape[0] {
		for f := range filters {
			to := out.data[(b*filters+f)*height*width:][:height*width]
			if len(in) > 2 {
				for i := range to {
					to[i] = in[2].data[f]
				}
			}
			for c := range channels {
				from, weights := x.data[(b*channels+c)*x.shape[2]*x.shape[3]:], w.data[(f*channels+c)*area:]
				window(a, x.shape, func(y, column, k, fromY, fromX int) {
					to[y*width+column] += weights[k] * from[fromY*x.shape[3]+fromX]
				})
			}
		}
	}
	return out
}

func maxPool(a attributes, in []array) array {
	s := in[0].shape
	height, width := window(a, s, func(_, _, _, _, _ int) {})
	out := newArray(s[0], s[1], height, width)
	for i := range out.data {
		out.data[i] = math.Inf(-1)
	}
	for plane := range s[0] * s[1] {
		to, from := out.data[plane*height*width:], in[0].data[plane*s[2]*s[3]:]
		window(a, s, func(y, x, _, fromY, fromX int) { to[y*width+x] = max(to[y*width+x], from[fromY*s[3]+fromX]) })
	}
	return out
}

func batchNormalize(a attributes, in []array) array {
	out := newArray(in[0].shape...)
	cells := size(in[0].shape[2:])
	for i, x := range in[0].data {
		c := i / cells % in[0].shape[1]
		scale, shift, mean, variance := in[1].data[c], in[2].data[c], in[3].data[c], in[4].data[c]
		out.data[i] = (x-mean)/math.Sqrt(variance+float64(a["epsilon"].GetF()))*scale + shift
	}
	return out
}

// rows applies f to every row of the last axis.
func rows(in array, f func(to, from []float64)) array {
	out := newArray(in.shape...)
	n := in.shape[len(in.shape)-1]
	for i := 0; i < len(in.data); i += n {
		f(out.data[i:i+n], in.data[i:i+n])
	}
	return out
}

func layerNormalize(a attributes, in []array) array {
	return rows(in[0], func(to, from []float64) {
		var mean, square float64
		for _, x := range from {
			mean += x / float64(len(from))
		}
		for _, x := range from {
			square += (x - mean) * (x - mean) / float64(len(from))
		}
		for i, x := range from {
			to[i] = (x-mean)/math.Sqrt(square+float64(a["epsilon"].GetF()))*in[1].data[i] + in[2].data[i]
		}
	})
}

func softmax(_ attributes, in []array) array {
	return rows(in[0], func(to, from []float64) {
		var sum float64
		for i, x := range from {
			to[i] = math.Exp(x - slices.Max(from))
			sum += to[i]
		}
		for i := range to {
			to[i] /= sum
		}
	})
}

// matMul multiplies matrices of the last two axes; those of the second one are the same for all if it has no more axes.
func matMul(_ attributes, in []array) array {
	a, b := in[0], in[1]
	m, k, n := a.shape[len(a.shape)-2], a.shape[len(a.shape)-1], b.shape[len(b.shape)-1]
	out := newArray(append(slices.Clone(a.shape[:len(a.shape)-1]), n)...)
	for matrix := range size(a.shape[:len(a.shape)-2]) {
		right := b.data
		if len(b.shape) > 2 {
			right = b.data[matrix*k*n:]
		}
		for i := range m * n {
			for j := range k {
				out.data[matrix*m*n+i] += a.data[(matrix*m+i/n)*k+j] * right[j*n+i%n]
			}
		}
	}
	return out
}

func integers(a array) []int {
	var list []int
	for _, x := range a.data {
		list = append(list, int(x))
	}
	return list
}

func reshape(_ attributes, in []array) array {
	shape := integers(in[1])
	for axis, n := range shape {
		if n == 0 {
			shape[axis] = in[0].shape[axis]
		}
	}
	if size(shape) != len(in[0].data) {
		panic(fmt.Sprintf("%v cannot become %v", in[0].shape, shape))
	}
	return array{shape, in[0].data}
}

func transpose(a attributes, in []array) array {
	order := a.list("perm")
	shape := make([]int, len(order))
	for to, from := range order {
		shape[to] = in[0].shape[from]
	}
	out, source := newArray(shape...), make([]int, len(order))
	indices(shape, func(i int, index []int) {
		for to, from := range order {
			source[from] = index[to]
		}
		out.data[i] = in[0].data[in[0].at(source)]
	})
	return out
}

func slice(_ attributes, in []array) array {
	from, to, axis := integers(in[1])[0], integers(in[2])[0], integers(in[3])[0]
	shape := slices.Clone(in[0].shape)
	shape[axis] = to - from
	out := newArray(shape...)
	indices(shape, func(i int, index []int) {
		source := slices.Clone(index)
		source[axis] += from
		out.data[i] = in[0].data[in[0].at(source)]
	})
	return out
}

// gather takes one index of an axis, which disappears.
func gather(a attributes, in []array) array {
	axis := a.axis(len(in[0].shape))
	out := newArray(slices.Delete(slices.Clone(in[0].shape), axis, axis+1)...)
	indices(out.shape, func(i int, index []int) {
		out.data[i] = in[0].data[in[0].at(slices.Insert(slices.Clone(index), axis, int(in[1].data[0])))]
	})
	return out
}

func concat(a attributes, in []array) array {
	axis := a.axis(len(in[0].shape))
	shape := slices.Clone(in[0].shape)
	for _, other := range in[1:] {
		shape[axis] += other.shape[axis]
	}
	out := newArray(shape...)
	indices(shape, func(i int, index []int) {
		source, part := slices.Clone(index), 0
		for source[axis] >= in[part].shape[axis] {
			source[axis] -= in[part].shape[axis]
			part++
		}
		out.data[i] = in[part].data[in[part].at(source)]
	})
	return out
}

func expand(_ attributes, in []array) array {
	out := newArray(integers(in[1])...)
	indices(out.shape, func(i int, index []int) { out.data[i] = in[0].data[in[0].at(index)] })
	return out
}
