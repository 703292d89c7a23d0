package eval

import (
	"context"
	"errors"
	"fmt"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/nn"

	G "gorgonia.org/gorgonia"
)

// Calibrate recomputes the running statistics of every batch normalisation over plain pictures, preprocessed as for
// evaluation: the mean of the batch means, and the variance about it ("precise batch norm", Wu & Johnson 2021, section
// 3.1). Training mixes rotated, grey and cut views, whose statistics are not those of the pictures that the backbone
// will be shown, and running averages would lag behind the weights. It looks at `count` pictures spread evenly over the
// data set, the readable ones in whole batches, so the result is a function of weights and data alone. A backbone
// without batch normalisation is left as it is.
func (m *Model) Calibrate(ctx context.Context, pictures data.Dataset, count int) error {
	if !m.Backbone.UsesBatchStatistics() {
		return nil
	}
	reader := m.reader(Spread(pictures, count))
	c, err := m.newCalibration(min(m.batch, reader.pictures.Len()))
	if err != nil {
		return err
	}
	err = reader.each(ctx, func(read *readBatch) error {
		for slot, picture := range read.pictures {
			if picture.Bad != nil {
				continue
			}
			if err := c.add(read.pixels[slot*c.size:][:c.size]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.finish()
}

// calibration is a training-mode graph of the backbone, whose normalisations tell the statistics of a batch.
type calibration struct {
	program    *nn.Program
	images     *G.Node
	statistics *statistics
	pixels     []float32 // of the batch that is being filled
	size       int       // numbers a picture
	filled     int       // numbers in pixels
}

func (m *Model) newCalibration(batch int) (*calibration, error) {
	side := m.Backbone.Side()
	graph := nn.NewCtx(m.store, true)
	c := &calibration{images: graph.Input("images", batch*side*side, 3), size: side * side * 3}
	features, err := m.Backbone.Forward(graph.Scope("backbone"), backbone.Input{Images: c.images, Views: batch, Side: side})
	if err != nil {
		return nil, fmt.Errorf("backbone %s: %w", m.Backbone.Name(), err)
	}
	if c.program, err = nn.Compile(graph, m.engine, nil, features.Map.Node); err != nil {
		return nil, err
	}
	c.statistics, c.pixels = newStatistics(c.program.BatchNorms()), make([]float32, batch*c.size)
	return c, nil
}

// add takes one picture and measures the batch when it is full.
func (c *calibration) add(picture []float32) error {
	c.filled += copy(c.pixels[c.filled:], picture)
	if c.filled < len(c.pixels) {
		return nil
	}
	c.filled = 0
	c.program.Bind(c.images, c.pixels)
	if err := c.program.Run(); err != nil {
		return err
	}
	c.statistics.add()
	return nil
}

// finish stores the statistics. Where the readable pictures do not fill a single batch, they are repeated to do so; an
// incomplete batch after complete ones is left out.
func (c *calibration) finish() error {
	if readable := c.filled; c.statistics.count == 0 && readable > 0 {
		for from := 0; c.statistics.count == 0; from = (from + c.size) % readable {
			if err := c.add(c.pixels[from : from+c.size]); err != nil {
				return err
			}
		}
	}
	return c.statistics.store()
}

// Spread is a subset of count pictures at even distances; all of them when there are fewer.
func Spread(pictures data.Dataset, count int) data.Dataset {
	if pictures.Len() <= count {
		return pictures
	}
	return spread{pictures, count}
}

type spread struct {
	all   data.Dataset
	count int
}

func (s spread) Len() int { return s.count }

func (s spread) At(ctx context.Context, i int) (data.Example, error) {
	return s.all.At(ctx, i*s.all.Len()/s.count)
}

// statistics adds up the batch statistics of every batch normalisation over several runs of a program.
type statistics struct {
	norms   []nn.BatchNormStatistics
	means   [][]float64 // [norm][channel], sums
	squares [][]float64 // sums of the mean squares
	scratch []float32
	count   int
}

func newStatistics(norms []nn.BatchNormStatistics) *statistics {
	s := &statistics{norms: norms}
	for _, norm := range norms {
		channels := len(norm.RunningMean.Value)
		s.means = append(s.means, make([]float64, channels))
		s.squares = append(s.squares, make([]float64, channels))
		s.scratch = make([]float32, max(channels, len(s.scratch)))
	}
	return s
}

// add takes the statistics of the last run.
func (s *statistics) add() {
	s.count++
	for i, norm := range s.norms {
		variance := s.scratch[:len(s.means[i])]
		norm.Variance(variance, 0)
		for c, mean := range norm.Mean(0) {
			s.means[i][c] += float64(mean)
			s.squares[i][c] += float64(variance[c]) + float64(mean)*float64(mean)
		}
	}
}

// store writes the mean E[μ] and the variance E[σ²+μ²] − E[μ]² over the batches to the running buffers.
func (s *statistics) store() error {
	if s.count == 0 {
		return errors.New("batch-norm statistics: none of the training pictures can be read; check the folder of pictures")
	}
	for i, norm := range s.norms {
		for c := range norm.RunningMean.Value {
			mean := s.means[i][c] / float64(s.count)
			norm.RunningMean.Value[c] = float32(mean)
			norm.RunningVariance.Value[c] = float32(max(0, s.squares[i][c]/float64(s.count)-mean*mean))
		}
	}
	return nil
}
