package eval

import (
	"fmt"
	"testing"

	"pretrain/nn"
)

// TestGridAgainstCellsByHand: every number of a grid is the mean over its cell, in float64, of the backbone's own map,
// also where maps do not divide or are smaller than the grid.
func TestGridAgainstCellsByHand(t *testing.T) {
	const views = 2
	for _, name := range []string{"vit", "resnet18"} {
		m := newModel(t, name, views, 2)
		input := pixels(newMemory(views, 2, 1), 0, views)
		features, program := byHand(t, m, input)
		for _, cells := range []int{2, 3, MostCells} {
			t.Run(fmt.Sprint(name, cells), func(t *testing.T) {
				read, err := m.Grid(cells)
				if err != nil {
					t.Fatal(err)
				}
				got, err := read.Embed(input)
				if err != nil {
					t.Fatal(err)
				}
				for i, layer := range features.Layers {
					want := cellsByHand(layer, program.Value(layer.Node), min(cells, layer.Height))
					if len(want) != views*read.Dim(i+1) {
						t.Fatalf("layer %d has %d numbers a view, want %d", i+1, read.Dim(i+1), len(want)/views)
					}
					near(t, "grid", got[i], want, 1e-5)
				}
			})
		}
	}
}

// cellsByHand asks of every position which cells it lies in.
func cellsByHand(layer nn.Map, values []float32, cells int) []float32 {
	channels := layer.Channels()
	sums, counts := make([]float64, layer.Views*cells*cells*channels), make([]float64, layer.Views*cells*cells)
	for i := range layer.Views * layer.Height * layer.Width {
		view, y, x := i/(layer.Height*layer.Width), i/layer.Width%layer.Height, i%layer.Width
		for cell := range cells * cells {
			row, column := cell/cells, cell%cells
			if y < row*layer.Height/cells || y >= (row+1)*layer.Height/cells || x < column*layer.Width/cells || x >= (column+1)*layer.Width/cells {
				continue
			}
			counts[view*cells*cells+cell]++
			for c := range channels {
				sums[(view*cells*cells+cell)*channels+c] += float64(values[i*channels+c])
			}
		}
	}
	means := make([]float32, len(sums))
	for i := range sums {
		means[i] = float32(sums[i] / counts[i/channels])
	}
	return means
}

func TestGridOfOneCellIsTheModel(t *testing.T) {
	m := newModel(t, "vit", 1, 2)
	if read, err := m.Grid(1); err != nil || read != m {
		t.Errorf("got %v, %v", read, err)
	}
	for _, cells := range []int{-1, 0, MostCells + 1} {
		if _, err := m.Grid(cells); err == nil {
			t.Errorf("a grid of %d cells is not refused", cells)
		}
	}
}
