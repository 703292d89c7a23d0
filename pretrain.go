// Package pretrain makes features of pictures with a trained run, inside another program: Open a run, Embed pictures. The
// features are those that the command `pretrain extract` writes.
package pretrain

import (
	"context"
	"fmt"
	"image"
	"runtime"
	"sync"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/run"
)

// Options say which features Embed makes. The zero value is those of the last layer, as evaluations read them.
type Options struct {
	// Layer is a number from 1, "last" or "best": the one that `pretrain eval` chose and keeps in the run. Empty is "last".
	Layer string
	// Pool is how the layer's map becomes features: "mean" over its positions, "cls" for the class token, "map" for every
	// position, one after another from top left, row by row. Empty is the mean or, in the last layer, what the backbone
	// pools by.
	Pool string
	// Normalize scales every vector, or every position of a map, to length one.
	Normalize bool
	// Precision is "fp32", "bf16", or "auto" for bf16 where the processor is faster in it. Empty is "fp32".
	Precision string
}

// A Network is a trained backbone that makes features. It is safe for concurrent use, in handlers of an HTTP server for
// instance: pictures are prepared concurrently, and one batch at a time goes through the network, on all cores.
type Network struct {
	options Options
	layer   int
	reading eval.Reading
	shape   []int

	turn   chan struct{} // holds a token while nobody computes
	run    *run.Run
	models map[int]*eval.Model // by batch size, made when first needed
	pixels []float32           // of a batch
	closed bool
}

// Open loads the newest checkpoint of a run directory, as `pretrain train --out` made it. Close frees it.
func Open(directory string) (*Network, error) { return OpenWith(directory, Options{}) }

// OpenWith is Open for other features than those of the last layer. A layer, pooling or precision that the run does not
// have is an error.
func OpenWith(directory string, options Options) (*Network, error) {
	opened, err := run.Open(directory)
	if err != nil {
		return nil, err
	}
	n := &Network{options: options, run: opened, turn: make(chan struct{}, 1), models: map[int]*eval.Model{}}
	if err := n.prepare(); err != nil {
		opened.Close()
		return nil, err
	}
	n.turn <- struct{}{}
	return n, nil
}

func (n *Network) prepare() (err error) {
	if n.reading, err = n.run.ReadingOf(n.options.Layer, n.options.Pool, n.options.Precision); err != nil {
		return err
	}
	n.layer = n.reading.Layers[0]
	model, err := n.model(1)
	if err != nil {
		return err
	}
	n.shape = model.Shape(n.layer)
	return nil
}

// Shape is that of a picture's features: [dim], or [positions, dim] with the pool "map".
func (n *Network) Shape() []int { return append([]int{}, n.shape...) }

// Close frees the network, after an Embed that is under way. Embed fails from then on.
func (n *Network) Close() {
	<-n.turn
	if !n.closed {
		n.run.Close()
	}
	n.closed, n.models = true, nil
	n.turn <- struct{}{}
}

// batches are the numbers of pictures that the network computes at once. A single picture does not pay for a batch, and
// many pictures are faster together.
var batches = []int{64, 16, 4, 1}

// Embed returns the features of each image, in order, as slices that are the caller's: of length dim or, with the pool
// "map", positions·dim. The short side of an image is scaled to the network's input and the middle square is kept.
// Orientation by EXIF is the caller's business, as packages image/… ignore it; transparent pixels are laid over white. An
// image without pixels is an error that names its index, and so is the end of the context.
func (n *Network) Embed(ctx context.Context, images []image.Image) ([][]float32, error) {
	vectors := make([][]float32, 0, len(images))
	for _, size := range batches {
		for len(images)-len(vectors) >= size {
			from := len(vectors)
			views, err := n.views(ctx, images[from:from+size], from)
			if err != nil {
				return nil, err
			}
			made, err := n.embed(ctx, views)
			if err != nil {
				return nil, err
			}
			vectors = append(vectors, made...)
		}
	}
	return vectors, nil
}

// views scales images to the network's input, on all cores; first is the index of the first one.
func (n *Network) views(ctx context.Context, images []image.Image, first int) ([]*data.Pixels, error) {
	side := n.run.Model.Backbone.Side()
	views, failures := make([]*data.Pixels, len(images)), make([]error, len(images))
	var workers sync.WaitGroup
	for worker := range min(len(images), runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := worker; i < len(images) && ctx.Err() == nil; i += runtime.GOMAXPROCS(0) {
				picture, err := data.FromImage(images[i])
				if failures[i] = err; err == nil {
					views[i] = data.Preprocess(picture, side)
				}
			}
		})
	}
	workers.Wait()
	for i, err := range failures {
		if err != nil {
			return nil, fmt.Errorf("image %d: %w", first+i, err)
		}
	}
	return views, ctx.Err()
}

// embed waits for its turn and computes one batch.
func (n *Network) embed(ctx context.Context, views []*data.Pixels) ([][]float32, error) {
	select {
	case <-n.turn:
		defer func() { n.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	model, err := n.model(len(views))
	if err != nil {
		return nil, err
	}
	n.pixels = n.pixels[:0]
	for _, view := range views {
		n.run.Model.Normalization.Apply(view.Data, view)
		n.pixels = append(n.pixels, view.Data...)
	}
	layers, err := model.Embed(n.pixels)
	if err != nil {
		return nil, err
	}
	if n.options.Normalize {
		eval.ScaleRows(layers[0], n.shape[len(n.shape)-1])
	}
	vectors, dim := make([][]float32, len(views)), model.Dim(n.layer)
	for i := range vectors {
		vectors[i] = append([]float32{}, layers[0][i*dim:(i+1)*dim]...)
	}
	return vectors, nil
}

// model is the network for batches of that size.
func (n *Network) model(batch int) (*eval.Model, error) {
	if n.closed {
		return nil, fmt.Errorf("the network of %s is closed", n.run.Directory)
	}
	if model := n.models[batch]; model != nil {
		return model, nil
	}
	reading := n.reading
	reading.Batch = batch
	model, err := n.run.Model.Read(reading)
	if err == nil {
		n.models[batch] = model
	}
	return model, err
}
