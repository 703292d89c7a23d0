package main

import (
	"context"
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/nn"
	"pretrain/train"
)

// lastBlocks bounds the blocks whose attention is shown.
const lastBlocks = 4

// attention shows a picture a row: the picture, the attention of the last blocks as a mean over heads, and each head of
// the last block. It is that of the class token if features are read from it, else the mean over the patches.
func attention(ctx context.Context, r *run, o options) (sheet, error) {
	samples, err := r.samples(ctx, o.data, o.count)
	if err != nil {
		return nil, err
	}
	maps, err := r.attend(samples)
	if err != nil {
		return nil, err
	}
	var s sheet
	for i, sample := range samples {
		picture := sample.Crop(centred, tileSide)
		tiles := []tile{{"picture", picture}}
		for _, m := range maps {
			tiles = append(tiles, heatTile(fmt.Sprintf("block %d", m.block), picture, m.mean(i, 0, m.Heads)))
		}
		last := maps[len(maps)-1]
		for head := range last.Heads {
			caption := fmt.Sprintf("block %d head %d", last.block, head+1)
			tiles = append(tiles, heatTile(caption, picture, last.mean(i, head, head+1)))
		}
		s = append(s, row{tiles: tiles})
	}
	return s, nil
}

// attentionMap holds the attention weights of one block: [views, heads, queries, keys], queries and keys being tokens.
type attentionMap struct {
	backbone.AttentionInput
	block   int
	first   int // first token that is a patch
	class   bool
	weights []float32
}

// attend runs the backbone over samples and returns the attention of its last blocks.
func (r *run) attend(samples []*data.Sample) ([]attentionMap, error) {
	store, side := nn.NewStore(0), r.config.Data.Size
	c := nn.NewCtx(store, false)
	images := c.Input("images", len(samples)*side*side, 3)
	features, err := r.backbone.Forward(c.Scope("backbone"), backbone.Input{Images: images, Views: len(samples), Side: side})
	if err != nil {
		return nil, err
	}
	var maps []attentionMap
	var nodes []*G.Node
	for i := max(0, len(features.Attention)-lastBlocks); i < len(features.Attention); i++ {
		m := attentionMap{AttentionInput: features.Attention[i], block: i + 1, class: r.backbone.Pooling() == "class"}
		if features.Class != nil {
			m.first = 1
		}
		maps, nodes = append(maps, m), append(nodes, nn.AttentionWeights(c, m.QKV, m.Tokens, m.Heads))
	}
	if len(maps) == 0 {
		return nil, fmt.Errorf("%s has no attention: take a run of a vit", r.backbone.Name())
	}
	program, err := nn.Compile(c, r.engine, nil, nodes...)
	if err != nil {
		return nil, err
	}
	if err := train.LoadWeights(store, r.state); err != nil {
		return nil, err
	}
	program.Bind(images, r.evaluated(samples))
	if err := program.Run(); err != nil {
		return nil, err
	}
	for i := range maps {
		maps[i].weights = program.Value(nodes[i])
	}
	return maps, nil
}

// evaluated is one normalised batch of samples, preprocessed as for evaluation.
func (r *run) evaluated(samples []*data.Sample) []float32 {
	side := r.config.Data.Size
	var pixels []float32
	for _, sample := range samples {
		p := data.Preprocess(sample.Image(), side)
		r.config.Data.Normalization().Apply(p.Data, p)
		pixels = append(pixels, p.Data...)
	}
	return pixels
}

// mean is what each patch of a view receives, on average over heads [from, to) and over the queries that are shown.
func (m attentionMap) mean(view, from, to int) []float32 {
	queries := []int{0}
	if !m.class {
		queries = nil
		for q := m.first; q < m.Tokens; q++ {
			queries = append(queries, q)
		}
	}
	received := make([]float32, m.Tokens-m.first)
	for head := from; head < to; head++ {
		for _, query := range queries {
			keys := m.weights[((view*m.Heads+head)*m.Tokens+query)*m.Tokens:][:m.Tokens]
			for i, weight := range keys[m.first:] {
				received[i] += weight / float32((to-from)*len(queries))
			}
		}
	}
	return received
}

// heatTile is a heat map over a picture. It stretches small differences, so the caption tells how far the greatest value
// exceeds the mean one.
func heatTile(caption string, picture *data.Pixels, values []float32) tile {
	var sum float32
	for _, value := range values {
		sum += value
	}
	peak := slices.Max(values) / sum * float32(len(values))
	return tile{fmt.Sprintf("%s\npeak %.1f x mean", caption, peak), overlay(picture, values)}
}

// overlay lays a heat map of a square grid of values, from its least to its greatest, over a picture.
func overlay(picture *data.Pixels, values []float32) *data.Pixels {
	grid := 1
	for grid*grid < len(values) {
		grid++
	}
	small := data.NewPixels(grid)
	least, most := slices.Min(values), slices.Max(values)
	for i := range small.Data {
		small.Data[i] = (values[i/3] - least) / max(most-least, 1e-9)
	}
	painted := data.NewPixels(picture.Side)
	data.ResamplePixels(painted, small, data.Window{Width: float64(grid), Height: float64(grid)})
	for i := 0; i < len(painted.Data); i += 3 {
		lightness, _, _ := data.RGBToLab(picture.Data[i], picture.Data[i+1], picture.Data[i+2])
		for channel, v := range heat(painted.Data[i]) {
			painted.Data[i+channel] = 0.4*lightness/100 + 0.6*v
		}
	}
	return painted
}

// heat is the colour of a value between 0 and 1: black, red, yellow, white.
func heat(value float32) [3]float32 {
	return [3]float32{min(1, 3*value), min(1, max(0, 3*value-1)), min(1, max(0, 3*value-2))}
}
