package eval

import (
	"fmt"
	"math"

	"pretrain/backbone"
	"pretrain/nn"

	G "gorgonia.org/gorgonia"
)

// Pooling says how the map of a layer becomes the features of a picture.
type Pooling string

// The ways of pooling.
const (
	PoolOwn   Pooling = ""     // as evaluations read it: the mean, and of the last layer what backbone.Features.Pooled is
	PoolMean  Pooling = "mean" // the mean over positions, [channels]
	PoolClass Pooling = "cls"  // the class token, [channels]
	PoolMap   Pooling = "map"  // none: every position, [height·width, channels], rows from top to bottom
)

// Poolings lists the ways of pooling that have a name.
func Poolings() []Pooling { return []Pooling{PoolMean, PoolClass, PoolMap} }

// A Reading says what is read of a network, and how.
type Reading struct {
	Layers    []int // ascending, from 1; nil = all. What only later layers need is not computed.
	Pooling   Pooling
	Precision nn.Precision // empty = nn.Float32
	Batch     int          // pictures at once; 0 = as many as the model
}

// Read is the same network read otherwise. A layer that does not exist, and the class token of a backbone without one, are
// errors.
func (m *Model) Read(r Reading) (*Model, error) {
	for _, layer := range r.Layers {
		if err := m.CheckLayer(layer); err != nil {
			return nil, err
		}
	}
	read := &Model{
		Backbone: m.Backbone, Normalization: m.Normalization, store: m.store, engine: m.engine, batch: m.batch,
		numbers: r.Layers, pooling: r.Pooling,
	}
	if r.Batch > 0 {
		read.batch = r.Batch
	}
	if r.Precision == "" {
		r.Precision = nn.Float32
	}
	return read, read.compile(r.Precision)
}

// pooled is what is read of a layer.
func (m *Model) pooled(c *nn.Ctx, features backbone.Features, layer int) *G.Node {
	node := features.Layers[layer-1].Node
	switch {
	case m.cells > 0 || m.pooling == PoolMap:
		return node
	case m.pooling == PoolClass && len(features.Classes) == 0:
		c.Fail(fmt.Errorf("%s has no class token to read: read the mean or the map", m.Backbone.Name()))
		return nil
	case m.pooling == PoolClass:
		return features.Classes[layer-1]
	case m.pooling == PoolOwn && layer == m.Layers():
		return features.Pooled
	case m.pooling == PoolOwn || m.pooling == PoolMean:
		return nn.MeanPool(c, node, m.batch)
	}
	c.Fail(fmt.Errorf("pooling %q: must be among %v", m.pooling, Poolings()))
	return nil
}

// Shape is that of a picture's features in a layer that is read: [channels], or [positions, channels] of a map.
func (m *Model) Shape(layer int) []int {
	if m.pooling != PoolMap {
		return []int{m.Dim(layer)}
	}
	positions := m.Map(layer).Height * m.Map(layer).Width
	return []int{positions, m.Dim(layer) / positions}
}

// Map is the map that a layer's features are made of.
func (m *Model) Map(layer int) nn.Map { return m.maps[m.index(layer)] }

// ScaleRows scales every row of a matrix, of so many columns, to length one in place. Zero rows stay zero.
func ScaleRows(data []float32, columns int) {
	for ; len(data) > 0; data = data[columns:] {
		row := data[:columns]
		var squares float64
		for _, x := range row {
			squares += float64(x) * float64(x)
		}
		if squares == 0 {
			continue
		}
		length := math.Sqrt(squares)
		for j, x := range row {
			row[j] = float32(float64(x) / length) // in float64, where no length overflows or vanishes
		}
	}
}
