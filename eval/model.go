package eval

import (
	"fmt"
	"slices"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/internal/kernel"
	"pretrain/nn"

	G "gorgonia.org/gorgonia"
)

// A Model is a backbone that is read and not trained: pictures go in, one vector a layer comes out. It shares the
// store's parameters, so a model over a store in training always shows the present weights. One goroutine may use it.
// Grid and Read give models of the same network that read it otherwise.
type Model struct {
	Backbone      backbone.Backbone
	Normalization data.Normalization

	store   *nn.Store
	engine  *kernel.Engine
	batch   int
	program *nn.Program
	images  *G.Node
	numbers []int     // of the layers that are read, ascending
	layers  []*G.Node // [batch, channels of the layer]; the maps themselves if they are read as maps or grids
	maps    []nn.Map  // of those layers
	pooling Pooling
	cells   int // along a side of the grid, see Grid; 0 = none
}

// NewModel compiles the forward graph of a backbone for batches of the given number of pictures. Parameters that the
// store does not know yet are declared and initialised, which makes the model a random network.
func NewModel(b backbone.Backbone, store *nn.Store, engine *kernel.Engine, norm data.Normalization, batch int) (*Model, error) {
	return NewModelIn(nn.Float32, b, store, engine, norm, batch)
}

// NewModelIn is NewModel in another precision. The vectors are float32 in every one.
func NewModelIn(precision nn.Precision, b backbone.Backbone, store *nn.Store, engine *kernel.Engine, norm data.Normalization, batch int) (*Model, error) {
	m := &Model{Backbone: b, Normalization: norm, store: store, engine: engine, batch: batch}
	if err := m.compile(precision); err != nil {
		return nil, err
	}
	return m, nil
}

// compile makes the program.
func (m *Model) compile(precision nn.Precision) error {
	c := nn.NewCtx(m.store, false)
	c.SetPrecision(precision)
	if err := m.build(c); err != nil {
		return err
	}
	var err error
	m.program, err = nn.Compile(c, m.engine, nil, m.layers...)
	return err
}

// build adds the forward graph.
func (m *Model) build(c *nn.Ctx) error {
	side := m.Backbone.Side()
	m.images = c.Input("images", m.batch*side*side, 3)
	features, err := m.Backbone.Forward(c.Scope("backbone"), backbone.Input{Images: m.images, Views: m.batch, Side: side})
	if err != nil {
		return fmt.Errorf("backbone %s: %w", m.Backbone.Name(), err)
	}
	if m.numbers == nil {
		m.numbers = m.AllLayers()
	}
	for _, number := range m.numbers {
		m.maps = append(m.maps, features.Layers[number-1])
		m.layers = append(m.layers, m.pooled(c, features, number))
	}
	return nil
}

// SizeOf is what the model of a backbone takes for batches of that many pictures, found without allocating it.
func SizeOf(b backbone.Backbone, precision nn.Precision, batch int) (nn.Size, error) {
	m, c := &Model{Backbone: b, batch: batch}, nn.NewCtx(nn.NewSketch(), false)
	c.SetPrecision(precision)
	if err := m.build(c); err != nil {
		return nn.Size{}, err
	}
	return nn.SizeOf(c, nil, m.layers...)
}

// Program is the compiled graph, for profiling.
func (m *Model) Program() *nn.Program { return m.program }

// Layers is the number of layers, which count from 1.
func (m *Model) Layers() int { return m.Backbone.Depth() }

// Dim is the length of the vectors of a layer that is read.
func (m *Model) Dim(layer int) int {
	i := m.index(layer)
	if m.cells == 0 {
		return m.layers[i].Shape().TotalSize() / m.batch
	}
	rows, columns := m.gridShape(m.maps[i])
	return rows * columns * m.maps[i].Channels()
}

// index is the place of a layer among those that are read.
func (m *Model) index(layer int) int { return slices.Index(m.numbers, layer) }

// CheckLayer reports a layer that the backbone does not have.
func (m *Model) CheckLayer(layer int) error {
	if layer < 1 || layer > m.Layers() {
		return fmt.Errorf("layer %d: %s has layers 1 to %d", layer, m.Backbone.Name(), m.Layers())
	}
	return nil
}

// Embed runs one batch of normalised pixels, [batch·side·side, 3]. The vectors of the layers that are read, [batch,
// Dim(layer)] each, belong to the model until the next call.
func (m *Model) Embed(pixels []float32) ([][]float32, error) {
	m.program.Bind(m.images, pixels)
	if err := m.program.Run(); err != nil {
		return nil, err
	}
	var vectors [][]float32
	for i, layer := range m.layers {
		value := m.program.Value(layer)
		if m.cells > 0 {
			value = m.gridOf(m.maps[i], value)
		}
		vectors = append(vectors, value)
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
