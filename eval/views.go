package eval

import (
	"context"
	"fmt"

	"pretrain/data"
)

// Views make the two views of a picture that alignment compares: a run's own augmentation, drawn twice.
type Views struct {
	Augmentation data.Augmentation
	CacheSide    int // short side to which training reduces pictures before views are cut
	Seed         uint64
}

// healthPictures bounds the pictures that health is measured on.
const healthPictures = 2048

// augmented is a data set of one random view of each picture, rounded to 8 bits, as Augmentation draws it in an epoch.
type augmented struct {
	pictures data.Dataset
	views    Views
	side     int
	epoch    uint64
}

func (a augmented) Len() int { return a.pictures.Len() }

func (a augmented) At(ctx context.Context, i int) (data.Example, error) {
	example, err := a.pictures.At(ctx, i)
	if err != nil {
		return example, err
	}
	reduced := data.Reduce(example.Image, a.views.CacheSide)
	sample := data.NewSample(reduced, a.views.Seed, a.epoch, uint64(i))
	example.Image = sample.Crop(a.views.Augmentation, a.side).Image()
	return example, nil
}

// health measures each layer on at most healthPictures of the training part, whose features are given: those of whole
// pictures for everything but the alignment, for which two views of each picture are shown to the model.
func (e Evaluation) health(ctx context.Context, name string, layers []int, m *Model, train part) ([]Health, error) {
	var views [2]Features
	for epoch := range views {
		var err error
		views[epoch], err = m.Extract(ctx, augmented{Spread(e.Train, healthPictures), *e.Health, m.Backbone.Side(), uint64(epoch)})
		if err != nil {
			return nil, err
		}
	}
	if len(views[0].Paths) != len(views[1].Paths) {
		return nil, fmt.Errorf("training part: %d pictures could be read, then %d; do not change it during an evaluation", len(views[0].Paths), len(views[1].Paths))
	}
	var found []Health
	for _, layer := range layers {
		rows := spreadRows(train.layer(layer), healthPictures)
		if err := e.checkFinite(name, layer, rows); err != nil {
			return nil, err
		}
		found = append(found, Health{
			Features: name, Layer: layer, Dim: rows.Cols, Pictures: rows.Rows,
			FeatureStd: FeatureStd(rows), Uniformity: Uniformity(e.Engine, rows),
			Alignment: Alignment(views[0].Layers[layer-1], views[1].Layers[layer-1]),
			RankMe:    RankMe(rows),
		})
	}
	return found, nil
}

// spreadRows selects count rows at even distances; all of them when there are fewer.
func spreadRows(m Matrix, count int) Matrix {
	if m.Rows <= count {
		return m
	}
	rows := make([]int, count)
	for i := range rows {
		rows[i] = i * m.Rows / count
	}
	return m.Select(rows)
}
