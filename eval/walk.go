package eval

import (
	"context"

	"pretrain/data"
)

// Vectors are the features of one picture, one vector a layer. The vectors belong to the walk and change after the
// visit.
type Vectors struct {
	Index       int // in the data set
	Path, Label string
	Layers      [][]float32 // index 0 is layer 1
}

// Bad is a picture that could not be read, with the reason.
type Bad struct {
	Path string
	Err  error
}

// Walk shows every readable picture of a data set to the model, in order, and calls visit with its features; reading
// overlaps with the network. It returns the pictures that could not be read.
func (m *Model) Walk(ctx context.Context, pictures data.Dataset, visit func(Vectors) error) ([]Bad, error) {
	var bad []Bad
	err := m.reader(pictures).each(ctx, func(batch *readBatch) error {
		bad = append(bad, batch.bad()...)
		return m.visit(batch, visit)
	})
	return bad, err
}

func (m *Model) reader(pictures data.Dataset) *reader {
	return &reader{pictures: pictures, norm: m.Normalization, side: m.Backbone.Side(), batch: m.batch}
}

func (m *Model) visit(batch *readBatch, visit func(Vectors) error) error {
	layers, err := m.Embed(batch.pixels)
	if err != nil {
		return err
	}
	for slot, picture := range batch.pictures {
		if picture.bad != nil {
			continue
		}
		vectors := Vectors{Index: batch.start + slot, Path: picture.path, Label: picture.label}
		for _, layer := range layers {
			dim := len(layer) / m.batch
			vectors.Layers = append(vectors.Layers, layer[slot*dim:(slot+1)*dim])
		}
		if err := visit(vectors); err != nil {
			return err
		}
	}
	return nil
}
