package eval

import (
	"fmt"
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
	for _, parameter := range slices.Concat(m.store.Parameters(), m.store.Buffers()) {
		name, ok := strings.CutPrefix(parameter.Name, scope)
		if !ok || name == backbone.UnknownPosition {
			continue // belongs to training: the head of a task, or what stands for a hidden position
		}
		tensor, err := publicTensor(name, parameter)
		if err != nil {
			return weights, fmt.Errorf("export: %w", err)
		}
		weights.Tensors = append(weights.Tensors, tensor)
	}
	return weights, nil
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
