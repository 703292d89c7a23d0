package main

import (
	"context"
	"fmt"

	"pretrain/data"
	"pretrain/eval"
	pretrain "pretrain/run"
	"pretrain/view"
)

// lastBlocks bounds the blocks whose attention is shown.
const lastBlocks = 4

// attention shows a picture a row: the picture, the attention of the last blocks as a mean over heads, and each head of
// the last block. It is that of the class token if features are read from it, else the mean over the patches.
func attention(ctx context.Context, r *run, o options) (view.Sheet, error) {
	samples, err := r.samples(ctx, o.data, o.count)
	if err != nil {
		return nil, err
	}
	layers, err := r.attend(samples)
	if err != nil {
		return nil, err
	}
	var s view.Sheet
	for i, sample := range samples {
		picture := sample.Crop(centred, view.TileSide)
		tiles := []view.Tile{{Caption: "picture", Pixels: picture}}
		for _, layer := range layers {
			heat := layer.Attention.Received(i, 0, layer.Attention.Heads)
			tiles = append(tiles, view.HeatTile(fmt.Sprintf("block %d", layer.Layer), picture, heat))
		}
		last := layers[len(layers)-1]
		for head := range last.Attention.Heads {
			caption := fmt.Sprintf("block %d head %d", last.Layer, head+1)
			tiles = append(tiles, view.HeatTile(caption, picture, last.Attention.Received(i, head, head+1)))
		}
		s = append(s, view.Row{Tiles: tiles})
	}
	return s, nil
}

// attend runs the backbone over samples and returns the attention of its last blocks.
func (r *run) attend(samples []*data.Sample) ([]eval.LayerPositions, error) {
	var blocks []int
	for block := max(1, r.backbone.Depth()-lastBlocks+1); block <= r.backbone.Depth(); block++ {
		blocks = append(blocks, block)
	}
	opened, err := pretrain.Open(string(r.folder))
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	reader, err := opened.Model.Positions(len(samples), blocks...)
	if err != nil {
		return nil, err
	}
	layers, err := reader.Read(r.evaluated(samples))
	if err == nil && layers[0].Attention == nil {
		return nil, fmt.Errorf("%s has no attention: take a run of a vit", r.backbone.Name())
	}
	return layers, err
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
