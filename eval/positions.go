package eval

import (
	"fmt"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/nn"

	G "gorgonia.org/gorgonia"
)

// Positions reads layers position by position, for people to look at: their maps and, of backbones that have it, the
// attention of their blocks. It shares the model's parameters. One goroutine may use it.
type Positions struct {
	model   *Model
	views   int
	program *nn.Program
	images  *G.Node
	layers  []positionNodes
}

// positionNodes is what is computed of a layer.
type positionNodes struct {
	layer     int
	values    nn.Map
	attention *G.Node // nil if there is none
	read      Attention
}

// LayerPositions is a layer of some views. Its numbers belong to the Positions until the next reading.
type LayerPositions struct {
	Layer                   int
	Height, Width, Channels int
	Values                  []float32  // [views, height, width, channels]
	Attention               *Attention // nil if the backbone has none
}

// Attention is what the tokens of a block look at.
type Attention struct {
	Heads, Tokens int
	First         int       // first token that is a patch: 1 if token 0 is the class token
	Class         bool      // features are read from the class token
	Weights       []float32 // [views, heads, queries, keys], queries and keys being tokens
}

// Positions prepares to read layers of so many pictures at once.
func (m *Model) Positions(views int, layers ...int) (*Positions, error) {
	return m.PositionsBeside(nil, views, layers...)
}

// PositionsBeside is Positions in the memory of another program that runs on the same engine, between its runs. What was
// read holds until that program runs.
func (m *Model) PositionsBeside(other *nn.Program, views int, layers ...int) (*Positions, error) {
	p := &Positions{model: m, views: views}
	c, side := nn.NewCtx(m.store, false), m.Backbone.Side()
	p.images = c.Input("images", views*side*side, 3)
	features, err := m.Backbone.Forward(c.Scope("backbone"), backbone.Input{Images: p.images, Views: views, Side: side})
	if err != nil {
		return nil, fmt.Errorf("backbone %s: %w", m.Backbone.Name(), err)
	}
	var wanted []*G.Node
	for _, layer := range layers {
		if err := m.CheckLayer(layer); err != nil {
			return nil, err
		}
		nodes := p.nodes(c, features, layer)
		p.layers, wanted = append(p.layers, nodes), append(wanted, nodes.values.Node)
		if nodes.attention != nil {
			wanted = append(wanted, nodes.attention)
		}
	}
	if other != nil {
		p.program, err = nn.CompileBeside(other, c, m.engine, nil, wanted...)
		return p, err
	}
	p.program, err = nn.Compile(c, m.engine, nil, wanted...)
	return p, err
}

// LastLayers are the numbers of the last so many layers, or of all where there are fewer.
func (m *Model) LastLayers(count int) (layers []int) {
	for layer := max(1, m.Layers()-count+1); layer <= m.Layers(); layer++ {
		layers = append(layers, layer)
	}
	return layers
}

// Look reads pictures, preprocessed as for evaluation.
func (p *Positions) Look(pictures []data.Image) ([]LayerPositions, error) {
	side := p.model.Backbone.Side()
	pixels := make([]float32, 0, len(pictures)*side*side*3)
	for _, picture := range pictures {
		view := data.Preprocess(picture, side)
		p.model.Normalization.Apply(view.Data, view)
		pixels = append(pixels, view.Data...)
	}
	return p.Read(pixels)
}

func (p *Positions) nodes(c *nn.Ctx, features backbone.Features, layer int) positionNodes {
	nodes := positionNodes{layer: layer, values: features.Layers[layer-1]}
	if layer > len(features.Attention) {
		return nodes
	}
	in := features.Attention[layer-1]
	nodes.attention = nn.AttentionWeights(c, in.QKV, in.Tokens, in.Heads)
	nodes.read = Attention{Heads: in.Heads, Tokens: in.Tokens, Class: p.model.Backbone.Pooling() == "class"}
	if features.Class != nil {
		nodes.read.First = 1
	}
	return nodes
}

// Read runs one batch of normalised pixels, [views·side·side, 3].
func (p *Positions) Read(pixels []float32) ([]LayerPositions, error) {
	p.program.Bind(p.images, pixels)
	if err := p.program.Run(); err != nil {
		return nil, err
	}
	var read []LayerPositions
	for _, nodes := range p.layers {
		layer := LayerPositions{
			Layer: nodes.layer, Height: nodes.values.Height, Width: nodes.values.Width, Channels: nodes.values.Channels(),
			Values: p.program.Value(nodes.values.Node),
		}
		if nodes.attention != nil {
			attention := nodes.read
			attention.Weights = p.program.Value(nodes.attention)
			layer.Attention = &attention
		}
		read = append(read, layer)
	}
	return read, nil
}

// Received is what each patch of a view receives, on average over heads [from, to): from the class token if features are
// read from it, else from the patches, on average over them.
func (a Attention) Received(view, from, to int) []float32 {
	queries := []int{0}
	if !a.Class {
		queries = nil
		for q := a.First; q < a.Tokens; q++ {
			queries = append(queries, q)
		}
	}
	received := make([]float32, a.Tokens-a.First)
	for head := from; head < to; head++ {
		for _, query := range queries {
			keys := a.Weights[((view*a.Heads+head)*a.Tokens+query)*a.Tokens:][:a.Tokens]
			for i, weight := range keys[a.First:] {
				received[i] += weight / float32((to-from)*len(queries))
			}
		}
	}
	return received
}
