package eval

import (
	"context"

	"pretrain/data"
)

// Vectors are the features of one picture, one vector a layer. The vectors belong to the walk and change after the
// visit, which may use them as it likes.
type Vectors struct {
	Index         int // in the data set
	Path, Label   string
	Width, Height int         // pixels of the picture
	SHA256        string      // see data.Example
	Layers        [][]float32 // those that the model reads; index 0 is layer 1 unless it reads others
	Bad           error       // why the picture could not be read, with WalkFrom; then there are no vectors
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
	err := m.WalkFrom(ctx, pictures, 0, func(v Vectors) error {
		if v.Bad == nil {
			return visit(v)
		}
		bad = append(bad, Bad{v.Path, v.Bad})
		return nil
	})
	return bad, err
}

// WalkFrom is Walk from picture `from` on, and visits the pictures that could not be read too, each at its place.
func (m *Model) WalkFrom(ctx context.Context, pictures data.Dataset, from int, visit func(Vectors) error) error {
	reader := m.reader(pictures)
	reader.from = from
	return reader.each(ctx, func(batch *readBatch) error { return m.visit(batch, visit) })
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
		for _, layer := range layers {
			if dim := len(layer) / m.batch; picture.Bad == nil {
				picture.Layers = append(picture.Layers, layer[slot*dim:(slot+1)*dim])
			}
		}
		if err := visit(picture.Vectors); err != nil {
			return err
		}
	}
	return nil
}
