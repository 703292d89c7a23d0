package main

import (
	"context"
	"fmt"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/look"
	"pretrain/nn"
	"pretrain/train"
)

// lastBlocks bounds the blocks whose attention is shown.
const lastBlocks = 4

// attention shows a picture a row: the picture, the attention of the last blocks as a mean over heads, and each head of
// the last block. It is that of the class token if features are read from it, else the mean over the patches.
func attention(ctx context.Context, r *run, o options) (look.Sheet, error) {
	samples, err := r.samples(ctx, o.data, o.count)
	if err != nil {
		return look.Sheet{}, err
	}
	layers, err := r.attend(samples)
	if err != nil {
		return look.Sheet{}, err
	}
	var s look.Sheet
	for i, sample := range samples {
		picture := sample.Crop(look.Centred, look.TileSide)
		tiles := []look.Tile{{Caption: "picture", Pixels: picture}}
		for _, layer := range layers {
			heat := layer.Attention.Received(i, 0, layer.Attention.Heads)
			tiles = append(tiles, look.HeatTile(fmt.Sprintf("block %d", layer.Layer), picture, heat))
		}
		last := layers[len(layers)-1]
		for head := range last.Attention.Heads {
			caption := fmt.Sprintf("block %d head %d", last.Layer, head+1)
			tiles = append(tiles, look.HeatTile(caption, picture, last.Attention.Received(i, head, head+1)))
		}
		s.Rows = append(s.Rows, look.Row{Tiles: tiles})
	}
	return s, nil
}

// attend runs the backbone over samples and returns the attention of its last blocks.
func (r *run) attend(samples []*data.Sample) ([]eval.LayerPositions, error) {
	if !r.backbone.UsesTokens() {
		return nil, fmt.Errorf("%s has no attention: take a run of a vit", r.backbone.Name())
	}
	store := nn.NewStore(0)
	model, err := eval.NewModel(r.backbone, store, r.engine, r.config.Data.Normalization(), len(samples))
	if err != nil {
		return nil, err
	}
	seen, err := model.Positions(len(samples), model.LastLayers(lastBlocks)...)
	if err != nil {
		return nil, err
	}
	if err := train.LoadWeights(store, r.state); err != nil {
		return nil, err
	}
	var pictures []data.Image
	for _, sample := range samples {
		pictures = append(pictures, sample.Image())
	}
	return seen.Look(pictures)
}
