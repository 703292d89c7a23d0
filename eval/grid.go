package eval

import (
	"fmt"

	"pretrain/nn"
)

// MostCells bounds Model.Grid.
const MostCells = 32

// Grid is the same network with its maps read as grids: the vector of a layer is the means over at most cells×cells parts
// of its map, [row, column, channel], where that of the model itself is one mean. It tells where things are too, as the
// pixels do, and is cells² times as long. Probes of convolutional networks are usually read like that (Goyal et al. 2019,
// arXiv:1905.01235, pool every layer to about 9,000 numbers). Layers with smaller maps keep every position. The class
// token has no place in a grid and is left out.
func (m *Model) Grid(cells int) (*Model, error) {
	if cells < 1 || cells > MostCells {
		return nil, fmt.Errorf("grid is %d: must be 1 to %d cells along a side", cells, MostCells)
	}
	if cells == 1 {
		return m, nil
	}
	read := &Model{Backbone: m.Backbone, Normalization: m.Normalization, store: m.store, engine: m.engine, batch: m.batch, cells: cells}
	return read, read.compile(nn.Float32)
}

// gridShape is the rows and columns of the grid over a map.
func (m *Model) gridShape(layer nn.Map) (rows, columns int) {
	return min(m.cells, layer.Height), min(m.cells, layer.Width)
}

// gridOf averages a map, [batch·height·width, channels], over the cells of each view, and returns one vector a view. A
// map that does not divide has cells that differ by one position.
func (m *Model) gridOf(layer nn.Map, values []float32) []float32 {
	rows, columns := m.gridShape(layer)
	channels := layer.Channels()
	pooled := make([]float32, m.batch*rows*columns*channels)
	for cell := range m.batch * rows * columns {
		view, row, column := cell/(rows*columns), cell/columns%rows, cell%columns
		top, bottom := row*layer.Height/rows, (row+1)*layer.Height/rows
		left, right := column*layer.Width/columns, (column+1)*layer.Width/columns
		mean := pooled[cell*channels:][:channels]
		for y := top; y < bottom; y++ {
			line := (view*layer.Height + y) * layer.Width
			addRows(mean, values[(line+left)*channels:(line+right)*channels])
		}
		for c := range mean {
			mean[c] /= float32((bottom - top) * (right - left))
		}
	}
	return pooled
}

// addRows adds every row of a matrix as wide as sum.
func addRows(sum, matrix []float32) {
	for i, v := range matrix {
		sum[i%len(sum)] += v
	}
}
