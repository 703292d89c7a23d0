package eval

import (
	"context"
	"fmt"
	"math"
	"slices"

	"pretrain/data"
)

// Features are the vectors of a whole labelled set, a matrix a layer, with the labels of the rows.
type Features struct {
	Layers []Matrix // index 0 is layer 1
	Labels []string
	Paths  []string
	Bad    []Bad // pictures that could not be read and have no row
}

// Extract reads a whole data set into memory: 4 bytes a number, so for evaluation, not for a million pictures.
func (m *Model) Extract(ctx context.Context, pictures data.Dataset) (Features, error) {
	features := Features{Layers: make([]Matrix, m.Layers())}
	for i := range features.Layers {
		features.Layers[i].Cols = m.Dim(i + 1)
	}
	bad, err := m.Walk(ctx, pictures, func(v Vectors) error {
		for i, vector := range v.Layers {
			layer := &features.Layers[i]
			layer.Data = append(layer.Data, vector...)
			layer.Rows++
		}
		features.Labels = append(features.Labels, v.Label)
		features.Paths = append(features.Paths, v.Path)
		return nil
	})
	features.Bad = bad
	return features, err
}

// pixelSide is the side of the pixel baseline: 32×32 RGB.
const pixelSide = 32

// Pixels are the features of no network at all: the preprocessed picture itself, 32×32 RGB, as a single layer.
func Pixels(ctx context.Context, pictures data.Dataset, norm data.Normalization) (Features, error) {
	features := Features{Layers: []Matrix{{Cols: pixelSide * pixelSide * 3}}}
	layer := &features.Layers[0]
	reader := &reader{pictures: pictures, norm: norm, side: pixelSide, batch: 64}
	err := reader.each(ctx, func(batch *readBatch) error {
		features.Bad = append(features.Bad, batch.bad()...)
		for slot, picture := range batch.pictures {
			if picture.Bad != nil {
				continue
			}
			layer.Data = append(layer.Data, batch.pixels[slot*layer.Cols:(slot+1)*layer.Cols]...)
			layer.Rows++
			features.Labels = append(features.Labels, picture.Label)
			features.Paths = append(features.Paths, picture.Path)
		}
		return nil
	})
	return features, err
}

// Classes numbers the labels of a training part in sorted order.
type Classes struct {
	Names []string
}

// NewClasses collects the labels. Fewer than two are an error, since there is nothing to tell apart.
func NewClasses(where string, labels []string) (Classes, error) {
	names := slices.Compact(slices.Sorted(slices.Values(labels)))
	if len(names) < 2 {
		return Classes{}, fmt.Errorf("%s: found %d class(es) %q, evaluation needs at least 2; "+
			"the label of a picture is the first folder below the given one", where, len(names), names)
	}
	return Classes{names}, nil
}

// Numbers turns labels into classes. A label that training did not have is an error.
func (c Classes) Numbers(where string, labels []string) ([]int, error) {
	numbers := make([]int, len(labels))
	for i, label := range labels {
		class, ok := slices.BinarySearch(c.Names, label)
		if !ok {
			return nil, fmt.Errorf("%s: class %q does not occur in the training part, which has %q", where, label, c.Names)
		}
		numbers[i] = class
	}
	return numbers, nil
}

// Open finds labelled pictures and keeps them in memory, as they are, within the budget of the cache, because an
// evaluation looks at them several times. Unlike training it never reduces them to the cache's side first: features
// must not depend on how a run kept its training pictures.
func Open(ctx context.Context, path string, config data.Config) (data.Dataset, error) {
	files, err := data.Open(ctx, path, config)
	if err != nil {
		return nil, err
	}
	const asTheyAre = math.MaxInt32
	return labelled{data.NewCache(files, asTheyAre, config.CacheBytes()), files}, nil
}

// labelled are pictures whose labels are known before any of them is read.
type labelled struct {
	*data.Cache
	files *data.Files
}

// labelsOf are the labels of pictures that Open has found; known is false for other data sets.
func labelsOf(pictures data.Dataset) (labels []string, known bool) {
	found, known := pictures.(labelled)
	if !known {
		return nil, false
	}
	for i := range found.Len() {
		labels = append(labels, found.files.Label(i))
	}
	return labels, true
}
