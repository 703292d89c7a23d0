package main

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"

	"pretrain/configs"
	"pretrain/data"
	"pretrain/export"
	"pretrain/run"
)

const (
	tolerance = 1e-4
	batch     = 64 // pictures that the forward pass of a run reads at once
)

// difference is one row of the table.
type difference struct {
	network, computed, against string
	pictures                   int
	difference                 float64
}

// features are vectors by output, as the programs name them: pooled and layer_N, [pictures, channels] each.
type features map[string][]float32

// compareRun holds ONNX Runtime, for batches of 1, 3 and 64, and PyTorch against our forward pass.
func (o options) compareRun(directory string) ([]difference, error) {
	opened, err := run.Open(directory)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	scratch, err := o.folder(directory)
	if err != nil {
		return nil, err
	}
	side, name := opened.Model.Backbone.Side(), opened.Model.Backbone.Name()
	pixels := numbers(batch * side * side * 3)
	ours, err := embed(opened, pixels)
	if err != nil {
		return nil, err
	}
	network, weights := filepath.Join(scratch, "network.onnx"), filepath.Join(scratch, "weights")
	if err := opened.Export(run.ExportOptions{Out: network, Format: export.FormatONNX, Layers: []string{"all"}}); err != nil {
		return nil, err
	}
	if err := opened.Export(run.ExportOptions{Out: weights, Format: formatOf(opened)}); err != nil {
		return nil, err
	}
	var rows []difference
	for _, count := range []int{1, 3, batch} {
		theirs, err := o.onnxRuntime(network, planes(pixels, side, count), count)
		if err != nil {
			return nil, err
		}
		rows = append(rows, difference{name, "ONNX Runtime", "pretrain", count, theirs.against(ours, count)})
	}
	theirs, err := o.torch("tensor", weights, planes(pixels, side, batch), batch)
	if err != nil {
		return nil, err
	}
	rows = append(rows, difference{name, "pretrain", "PyTorch", batch, ours.against(theirs, batch)})
	row, err := o.compareBytes(opened, filepath.Join(scratch, "bytes.onnx"))
	return append(rows, row), err
}

// compareBytes lets ONNX Runtime normalise bytes inside the graph.
func (o options) compareBytes(opened *run.Run, network string) (difference, error) {
	side := opened.Model.Backbone.Side()
	row := difference{network: opened.Model.Backbone.Name(), computed: "ONNX Runtime, from bytes", against: "pretrain", pictures: batch}
	if err := opened.Export(run.ExportOptions{Out: network, Format: export.FormatONNX, UInt8: true}); err != nil {
		return row, err
	}
	views := data.NewPixels(side)
	bytes, pixels := make([]byte, batch*side*side*3), make([]float32, batch*side*side*3)
	for i, number := range numbers(len(bytes)) {
		bytes[i] = byte(128 + 30*number)
	}
	for picture := range batch {
		from, to := picture*len(views.Data), (picture+1)*len(views.Data)
		for i, value := range bytes[from:to] {
			views.Data[i] = float32(value) / 255
		}
		opened.Model.Normalization.Apply(pixels[from:to], views)
	}
	ours, err := embed(opened, pixels)
	if err != nil {
		return row, err
	}
	theirs, err := o.onnxRuntime(network, bytes, batch)
	row.difference = theirs.against(features{"pooled": ours["pooled"]}, batch)
	return row, err
}

// formatOf is the library's format that fits the network.
func formatOf(opened *run.Run) string { return opened.Model.Backbone.KeyNames() }

// compareImported lets PyTorch make a ResNet-18, imports its weights, and compares what both say.
func (o options) compareImported() (difference, error) {
	const side = 64
	row := difference{network: "resnet18 of torchvision, imported", computed: "pretrain", against: "PyTorch", pictures: batch}
	scratch, err := o.folder("imported")
	if err != nil {
		return row, err
	}
	pixels, weights, directory := numbers(batch*side*side*3), filepath.Join(scratch, "resnet18.safetensors"), filepath.Join(scratch, "run")
	theirs, err := o.torch("resnet18", weights, planes(pixels, side, batch), batch)
	if err != nil {
		return row, err
	}
	sized := configs.Override{Flag: "--set", Path: "data.size", Value: fmt.Sprint(side)}
	if _, err := run.Import(run.ImportOptions{File: weights, Backbone: "resnet18", Directory: directory, Overrides: []configs.Override{sized}}); err != nil {
		return row, err
	}
	opened, err := run.Open(directory)
	if err != nil {
		return row, err
	}
	defer opened.Close()
	ours, err := embed(opened, pixels)
	row.difference = ours.against(theirs, batch)
	return row, err
}

// embed is our own forward pass over a whole batch, [batch·side·side, 3].
func embed(opened *run.Run, pixels []float32) (features, error) {
	layers, err := opened.Model.Embed(pixels)
	if err != nil {
		return nil, err
	}
	f := features{"pooled": slices.Clone(layers[len(layers)-1])}
	for i, layer := range layers {
		f[fmt.Sprint("layer_", i+1)] = slices.Clone(layer)
	}
	return f, nil
}

// against is the largest relative difference of a picture's vector, of all outputs that g has, over the first pictures.
// An output that is missing, or of another size, differs infinitely.
func (f features) against(g features, count int) float64 {
	worst := 0.0
	for _, name := range slices.Sorted(maps.Keys(g)) {
		channels := len(g[name]) / batch
		if len(f[name]) < count*channels || len(g[name]) < count*channels || channels == 0 {
			return math.Inf(1)
		}
		for i := range count {
			worst = max(worst, relative(f[name][i*channels:(i+1)*channels], g[name][i*channels:(i+1)*channels]))
		}
	}
	return worst
}

// relative is ‖a − b‖ / ‖b‖. What is no number differs infinitely.
func relative(a, b []float32) float64 {
	distance, size := 0.0, 0.0
	for i := range b {
		d := float64(a[i]) - float64(b[i])
		distance, size = distance+d*d, size+float64(b[i])*float64(b[i])
	}
	if r := math.Sqrt(distance / size); !math.IsNaN(r) {
		return r
	}
	return math.Inf(1)
}

// cosine of the angle between two vectors.
func cosine(a, b []float32) float64 {
	product, first, second := 0.0, 0.0, 0.0
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		product, first, second = product+x*y, first+x*x, second+y*y
	}
	return product / math.Sqrt(first*second)
}

// numbers are like normalised pixels, and always the same: sums of four uniform ones.
func numbers(count int) []float32 {
	state, x := uint64(1), make([]float32, count)
	for i := range x {
		for range 4 {
			state = state*6364136223846793005 + 1442695040888963407
			x[i] += float32(state>>40)/(1<<23) - 1
		}
	}
	return x
}

// planes are the first pictures of [pictures·side·side, 3] as [pictures, 3, side, side].
func planes(pixels []float32, side, count int) []float32 {
	area := side * side
	turned := make([]float32, count*3*area)
	for i := range turned {
		picture, channel, position := i/(3*area), i/area%3, i%area
		turned[i] = pixels[(picture*area+position)*3+channel]
	}
	return turned
}
