package eval

import (
	"fmt"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/internal/kernel"
	"pretrain/nn"

	G "gorgonia.org/gorgonia"
)

// A Model is a backbone that is read and not trained: pictures go in, one vector a layer comes out. It shares the
// store's parameters, so a model over a store in training always shows the present weights. One goroutine may use it.
type Model struct {
	Backbone      backbone.Backbone
	Normalization data.Normalization

	store   *nn.Store
	engine  *kernel.Engine
	batch   int
	program *nn.Program
	images  *G.Node
	layers  []*G.Node // [batch, channels of the layer]
}

// NewModel compiles the forward graph of a backbone for batches of the given number of pictures. Parameters that the
// store does not know yet are declared and initialised, which makes the model a random network.
func NewModel(b backbone.Backbone, store *nn.Store, engine *kernel.Engine, norm data.Normalization, batch int) (*Model, error) {
	m := &Model{Backbone: b, Normalization: norm, store: store, engine: engine, batch: batch}
	c := nn.NewCtx(store, false)
	m.images = c.Input("images", batch*b.Side()*b.Side(), 3)
	features, err := b.Forward(c.Scope("backbone"), backbone.Input{Images: m.images, Views: batch, Side: b.Side()})
	if err != nil {
		return nil, fmt.Errorf("backbone %s: %w", b.Name(), err)
	}
	for _, layer := range features.Layers {
		m.layers = append(m.layers, nn.MeanPool(c, layer.Node, batch))
	}
	m.layers[len(m.layers)-1] = features.Pooled
	m.program, err = nn.Compile(c, engine, nil, m.layers...)
	return m, err
}

// Layers is the number of layers, which count from 1.
func (m *Model) Layers() int { return len(m.layers) }

// Dim is the length of the vectors of a layer.
func (m *Model) Dim(layer int) int { return m.layers[layer-1].Shape()[1] }

// CheckLayer reports a layer that the backbone does not have.
func (m *Model) CheckLayer(layer int) error {
	if layer < 1 || layer > m.Layers() {
		return fmt.Errorf("layer %d: %s has layers 1 to %d", layer, m.Backbone.Name(), m.Layers())
	}
	return nil
}

// embed runs one batch of normalised pixels. The vectors of the layers belong to the model until the next call.
func (m *Model) embed(pixels []float32) ([][]float32, error) {
	m.program.Bind(m.images, pixels)
	if err := m.program.Run(); err != nil {
		return nil, err
	}
	var vectors [][]float32
	for _, layer := range m.layers {
		vectors = append(vectors, m.program.Value(layer))
	}
	return vectors, nil
}

// Random returns the same backbone over the given seed's initial weights, the baseline that tells what training
// added to the architecture.
func (m *Model) Random(seed uint64) (*Model, error) {
	return NewModel(m.Backbone, nn.NewStore(seed), m.engine, m.Normalization, m.batch)
}

// AllLayers lists the layers of the model, 1 to Layers.
func (m *Model) AllLayers() []int {
	layers := make([]int, m.Layers())
	for i := range layers {
		layers[i] = i + 1
	}
	return layers
}
