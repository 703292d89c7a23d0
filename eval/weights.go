package eval

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pretrain/backbone"
	"pretrain/export"
	"pretrain/nn"
)

// scope is the name under which the backbone's parameters stand in a store.
const scope = "backbone."

// Weights copies the backbone's parameters and statistics, under the names and in the layouts that timm and
// torchvision use, with the description of the network.
func (m *Model) Weights() (export.Weights, error) {
	weights := export.Weights{Model: m.describe()}
	parameters := m.backboneParameters()
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		tensor, err := publicTensor(name, parameters[name])
		if err != nil {
			return weights, fmt.Errorf("export: %w", err)
		}
		weights.Tensors = append(weights.Tensors, tensor)
	}
	return weights, nil
}

// backboneParameters are the parameters and statistics of the backbone, by their public names. What belongs to training
// is left out: the heads of tasks, and what stands for a hidden position.
func (m *Model) backboneParameters() map[string]*nn.Parameter {
	found := map[string]*nn.Parameter{}
	for _, parameter := range slices.Concat(m.store.Parameters(), m.store.Buffers()) {
		if name, ok := strings.CutPrefix(parameter.Name, scope); ok && name != backbone.UnknownPosition {
			found[name] = parameter
		}
	}
	return found
}

func publicTensor(name string, p *nn.Parameter) (export.Tensor, error) {
	tensor := export.Tensor{Name: name, Shape: p.Shape, Data: p.Value}
	if p.Layout == nn.OHWI {
		return export.OIHW(tensor)
	}
	return tensor, nil
}

func (m *Model) describe() export.Model {
	b := m.Backbone
	return export.Model{
		Name: b.Name(), Family: b.Family(), Parameters: b.Parameters(), InputSide: b.Side(),
		Dim: b.Dim(), Depth: b.Depth(), Stride: b.Stride(), Pooling: b.Pooling(), KeyNames: b.KeyNames(),
		Input: export.StandardPreprocessing(b.Side(), m.Normalization.Mean, m.Normalization.Std),
	}
}
