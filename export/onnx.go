package export

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"pretrain/internal/atomicfile"
	"pretrain/internal/onnx"
)

// What an ONNX file asks of its reader: the versions of onnx 1.12, the first with LayerNormalization among the operators.
const (
	onnxIRVersion = 8
	onnxOpset     = 17
)

// ONNXOptions say what the graph takes and gives.
type ONNXOptions struct {
	// Layers get an output layer_N each, [batch, channels of the layer]: the vectors that extraction writes. They count
	// from 1.
	Layers []int
	// UInt8 makes the input bytes, RGB [batch, side, side, 3], and puts the normalisation into the graph. Otherwise it is
	// normalised float32 [batch, 3, side, side], as PyTorch has it.
	UInt8 bool
}

// Graph describes the input and the outputs of an ONNX file, for model.json.
type Graph struct {
	Opset   int    `json:"opset"`
	Input   Port   `json:"input"`
	Outputs []Port `json:"outputs"`
}

// Port is an input or output; the first size of its shape is "batch", which is free.
type Port struct {
	Name  string `json:"name"`
	Type  string `json:"type"` // float32 or uint8
	Shape []any  `json:"shape"`
}

// Names of input and outputs.
const (
	onnxPixels = "pixels" // input
	onnxPooled = "pooled" // [batch, dim], one vector a picture
	onnxMap    = "map"    // [batch, dim, rows, columns], the last layer before it is pooled
	onnxLayer  = "layer_" // and the number
)

// onnxFamilies translate a network by its family: pixels are [batch, 3, side, side]. One file a family, as in package
// backbone.
var onnxFamilies = map[string]func(g *onnxGraph, m Model, pixels string) onnxFeatures{
	"resnet": onnxResNet,
	"vit":    onnxViT,
}

// onnxFeatures name the values that a network has computed.
type onnxFeatures struct {
	layers []string // [batch, dims[i]] each; the last one is the pooled vector
	dims   []int
	maps   string // [batch, dim, side, side]
	side   int
}

// WriteONNX writes the network as an ONNX file (IR version 8, opset 17) with a free batch size and returns its description.
// The bytes depend on weights, model and options alone. A family or a layer that there is not is an error; overwrite is as
// in WriteTensors.
func WriteONNX(path string, weights Weights, options ONNXOptions, overwrite bool) (Graph, error) {
	model, description, err := newONNX(weights, options)
	if err != nil {
		return description, fmt.Errorf("onnx: %w", err)
	}
	bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(model)
	if err != nil {
		return description, fmt.Errorf("onnx: %w", err)
	}
	return description, atomicfile.Write(path, overwrite, func(w io.Writer) error {
		_, err := w.Write(bytes)
		return err
	})
}

// newONNX translates the network.
func newONNX(weights Weights, options ONNXOptions) (*onnx.ModelProto, Graph, error) {
	m := weights.Model
	translate := onnxFamilies[m.Family]
	if translate == nil {
		return nil, Graph{}, fmt.Errorf("family %q: there are %v", m.Family, slices.Sorted(maps.Keys(onnxFamilies)))
	}
	if m.Depth < 1 || m.Stride < 1 {
		return nil, Graph{}, fmt.Errorf("depth %d and stride %d: both must be positive", m.Depth, m.Stride)
	}
	g := newONNXGraph(weights.Tensors)
	features := translate(g, m, g.input(m, options.UInt8))
	description := Graph{Opset: onnxOpset, Input: inputPort(m, options.UInt8)}
	description.Outputs = features.outputs(g, options.Layers)
	g.prune(description.Outputs)
	if err := g.finish(); err != nil {
		return nil, description, err
	}
	metadata, err := onnxMetadata(m)
	return &onnx.ModelProto{
		IrVersion: proto.Int64(onnxIRVersion), ProducerName: proto.String("pretrain"),
		OpsetImport:   []*onnx.OperatorSetIdProto{{Domain: proto.String(""), Version: proto.Int64(onnxOpset)}},
		MetadataProps: metadata,
		Graph: &onnx.GraphProto{
			Name: proto.String(m.Name), Node: g.nodes, Initializer: g.initializers,
			Input: []*onnx.ValueInfoProto{description.Input.proto()}, Output: protos(description.Outputs),
		},
	}, description, err
}

// outputs gives the features their public names.
func (f onnxFeatures) outputs(g *onnxGraph, layers []int) []Port {
	last := len(f.layers)
	ports := []Port{
		g.output(f.layers[last-1], onnxPooled, f.dims[last-1]),
		g.output(f.maps, onnxMap, f.dims[last-1], f.side, f.side),
	}
	for _, layer := range slices.Compact(slices.Sorted(slices.Values(layers))) {
		if layer < 1 || layer > last {
			g.fail(fmt.Errorf("layer %d: the network has layers 1 to %d", layer, last))
			break
		}
		ports = append(ports, g.output(f.layers[layer-1], fmt.Sprint(onnxLayer, layer), f.dims[layer-1]))
	}
	return ports
}

func inputPort(m Model, bytes bool) Port {
	if bytes {
		return Port{onnxPixels, "uint8", []any{"batch", m.InputSide, m.InputSide, 3}}
	}
	return Port{onnxPixels, "float32", []any{"batch", 3, m.InputSide, m.InputSide}}
}

// proto is the port as the file has it.
func (p Port) proto() *onnx.ValueInfoProto {
	kind := onnx.TensorProto_FLOAT
	if p.Type == "uint8" {
		kind = onnx.TensorProto_UINT8
	}
	shape := &onnx.TensorShapeProto{}
	for _, size := range p.Shape {
		d := &onnx.TensorShapeProto_Dimension{}
		if number, ok := size.(int); ok {
			d.Value = &onnx.TensorShapeProto_Dimension_DimValue{DimValue: int64(number)}
		} else {
			d.Value = &onnx.TensorShapeProto_Dimension_DimParam{DimParam: fmt.Sprint(size)}
		}
		shape.Dim = append(shape.Dim, d)
	}
	tensor := &onnx.TypeProto_Tensor{ElemType: proto.Int32(int32(kind)), Shape: shape}
	return &onnx.ValueInfoProto{Name: proto.String(p.Name), Type: &onnx.TypeProto{Value: &onnx.TypeProto_TensorType{TensorType: tensor}}}
}

func protos(ports []Port) []*onnx.ValueInfoProto {
	all := make([]*onnx.ValueInfoProto, len(ports))
	for i, port := range ports {
		all[i] = port.proto()
	}
	return all
}

// onnxMetadata is the model's description and how pictures are prepared for it, each as JSON.
func onnxMetadata(m Model) ([]*onnx.StringStringEntryProto, error) {
	var entries []*onnx.StringStringEntryProto
	m.FormatVersion, m.Format = ModelVersion, FormatONNX
	for _, entry := range []struct {
		key   string
		value any
	}{{"model", m}, {"preprocessing", m.Input}} {
		text, err := json.Marshal(entry.value)
		if err != nil {
			return nil, err
		}
		entries = append(entries, &onnx.StringStringEntryProto{Key: proto.String(entry.key), Value: proto.String(string(text))})
	}
	return entries, nil
}
