package eval

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/internal/kernel"
	"pretrain/nn"
)

// Attention reads where the last blocks of a transformer look. It shares the store's parameters, as a Model does. One
// goroutine may use it.
type Attention struct {
	model   *Model
	program *nn.Program
	images  *G.Node
	maps    []AttentionMap
	nodes   []*G.Node
}

// AttentionMap is the attention of one block to a batch of pictures.
type AttentionMap struct {
	Block   int // from 1
	Heads   int
	tokens  int
	first   int       // first token that is a patch
	class   bool      // features are read from the class token
	weights []float32 // [pictures, heads, tokens that ask, tokens that are asked]
}

// NewAttention compiles the reading of the last blocks of a model's backbone, as it evaluates, for so many pictures at
// once. It computes in the memory of another program that runs on the same engine, if one is given, between its runs. A
// backbone without attention is an error.
func NewAttention(m *Model, pictures, blocks int, beside *nn.Program) (*Attention, error) {
	a, side := &Attention{model: m}, m.Backbone.Side()
	c := nn.NewCtx(m.store, false)
	a.images = c.Input("images", pictures*side*side, 3)
	features, err := m.Backbone.Forward(c.Scope("backbone"), backbone.Input{Images: a.images, Views: pictures, Side: side})
	if err != nil {
		return nil, err
	}
	a.choose(c, features, blocks)
	if len(a.maps) == 0 {
		return nil, fmt.Errorf("%s has no attention: take a run of a vit", m.Backbone.Name())
	}
	a.program, err = compileBeside(beside, c, m.engine, a.nodes...)
	return a, err
}

func compileBeside(beside *nn.Program, c *nn.Ctx, engine *kernel.Engine, keep ...*G.Node) (*nn.Program, error) {
	if beside == nil {
		return nn.Compile(c, engine, nil, keep...)
	}
	return nn.CompileBeside(beside, c, engine, nil, keep...)
}

// choose adds the attention of the last blocks to the graph.
func (a *Attention) choose(c *nn.Ctx, features backbone.Features, blocks int) {
	for i := max(0, len(features.Attention)-blocks); i < len(features.Attention); i++ {
		in := features.Attention[i]
		m := AttentionMap{Block: i + 1, Heads: in.Heads, tokens: in.Tokens, class: a.model.Backbone.Pooling() == "class"}
		if features.Class != nil {
			m.first = 1
		}
		a.maps, a.nodes = append(a.maps, m), append(a.nodes, nn.AttentionWeights(c, in.QKV, in.Tokens, in.Heads))
	}
}

// Look shows the pictures, preprocessed as for evaluation. The maps, one a block, hold until the next Look and until the
// program that lends its memory runs.
func (a *Attention) Look(pictures []data.Image) ([]AttentionMap, error) {
	side := a.model.Backbone.Side()
	pixels := make([]float32, 0, len(pictures)*side*side*3)
	for _, picture := range pictures {
		p := data.Preprocess(picture, side)
		a.model.Normalization.Apply(p.Data, p)
		pixels = append(pixels, p.Data...)
	}
	a.program.Bind(a.images, pixels)
	if err := a.program.Run(); err != nil {
		return nil, err
	}
	for i := range a.maps {
		a.maps[i].weights = a.program.Value(a.nodes[i])
	}
	return a.maps, nil
}

// Mean is what each patch of a picture receives, row by row, on average over heads [from, to), and over the patches that
// look unless features are read from the class token, whose attention it is then.
func (m AttentionMap) Mean(picture, from, to int) []float32 {
	queries := []int{0}
	if !m.class {
		queries = nil
		for q := m.first; q < m.tokens; q++ {
			queries = append(queries, q)
		}
	}
	received := make([]float32, m.tokens-m.first)
	for head := from; head < to; head++ {
		for _, query := range queries {
			keys := m.weights[((picture*m.Heads+head)*m.tokens+query)*m.tokens:][:m.tokens]
			for i, weight := range keys[m.first:] {
				received[i] += weight / float32((to-from)*len(queries))
			}
		}
	}
	return received
}
