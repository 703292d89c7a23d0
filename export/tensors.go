// Package export writes what leaves a run: weights, their description, and features, in files that other tools
// open as they are. Every file is written whole or not at all, and none is replaced unless the caller says so.
package export

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"pretrain/internal/atomicfile"
	"pretrain/internal/tensorfile"
)

// ErrExists is wrapped by errors about a file that is there already and may not be overwritten.
var ErrExists = atomicfile.ErrExists

// Tensor is a named float32 array.
type Tensor = tensorfile.Tensor

// WriteTensors writes the safetensors file path. Its bytes depend on the tensors and the metadata alone: not on the
// order of the slice, the time or the path. Put no time, path or run name into metadata where equal weights must
// give equal files. The tensors are only read. Unless overwrite is set, a file that exists is an error (ErrExists).
func WriteTensors(path string, tensors []Tensor, metadata map[string]string, overwrite bool, counters ...tensorfile.Counter) error {
	return atomicfile.Write(path, overwrite, func(w io.Writer) error {
		return tensorfile.Write(w, tensors, metadata, counters...)
	})
}

// ReadTensors reads a safetensors file of float32 tensors, in the order of their bytes in the file.
func ReadTensors(path string) ([]Tensor, map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read tensors: %w", err)
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("read tensors: %w", err)
	}
	r, err := tensorfile.NewReader(f, stat.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("read tensors %s: %w", path, err)
	}
	tensors, err := r.All()
	if err != nil {
		return nil, nil, fmt.Errorf("read tensors %s: %w", path, err)
	}
	return tensors, r.Metadata, nil
}

// OIHW reorders a convolution's weights from [filters, height, width, channels], as the kernels want them, to
// [filters, channels, height, width], as torchvision and timm have them. The result shares nothing with t.
func OIHW(t Tensor) (Tensor, error) {
	if err := checkFilters(t); err != nil {
		return Tensor{}, err
	}
	filters, height, width, channels := t.Shape[0], t.Shape[1], t.Shape[2], t.Shape[3]
	data := swapped(t.Data, filters, height*width, channels)
	return Tensor{Name: t.Name, Shape: []int{filters, channels, height, width}, Data: data}, nil
}

// checkFilters reports what cannot be a convolution's weights.
func checkFilters(t Tensor) error {
	if len(t.Shape) != 4 {
		return fmt.Errorf("tensor %q has shape %v: convolution weights have 4 dimensions", t.Name, t.Shape)
	}
	if n := t.Shape[0] * t.Shape[1] * t.Shape[2] * t.Shape[3]; n != len(t.Data) {
		return fmt.Errorf("tensor %q has %d values, but its shape %v needs %d", t.Name, len(t.Data), t.Shape, n)
	}
	return nil
}

// swapped is data [filters, rows, columns] as [filters, columns, rows].
func swapped(data []float32, filters, rows, columns int) []float32 {
	turned := make([]float32, len(data))
	for f := range filters {
		from, to := data[f*rows*columns:], turned[f*rows*columns:]
		for r := range rows {
			for c := range columns {
				to[c*rows+r] = from[r*columns+c]
			}
		}
	}
	return turned
}

// Model is the content of model.json: what a stranger must know to build the network that the exported weights fit,
// and to feed it. Like the weights it holds no time, path or run name.
type Model struct {
	FormatVersion int            `json:"format_version"` // 1
	Name          string         `json:"name"`           // architecture, such as "vit_tiny" or "resnet18"
	Family        string         `json:"family"`         // "vit" or "resnet"
	Parameters    any            `json:"parameters"`     // the family's configuration, as in the YAML
	InputSide     int            `json:"input_side"`     // pixels
	Dim           int            `json:"dim"`            // features of a picture
	Depth         int            `json:"depth"`          // layers: blocks of a ViT, stages of a ResNet
	Stride        int            `json:"stride"`         // pixels between two positions of the feature map
	Pooling       string         `json:"pooling"`        // how positions become one vector: "mean" or "class"
	KeyNames      string         `json:"key_names"`      // whose parameter names are used: "timm" or "torchvision"
	Weights       string         `json:"weights"`        // file name beside model.json
	Format        string         `json:"format"`         // of that file, see Formats
	Load          []string       `json:"load,omitempty"` // Python that builds the network and loads the weights strictly
	Graph         *Graph         `json:"graph,omitempty"`
	Input         Preprocessing  `json:"input"`
	Extra         map[string]any `json:"extra,omitempty"`
}

// Preprocessing says how a picture becomes the network's input.
type Preprocessing struct {
	Colour        string     `json:"colour"`        // "RGB"
	Range         [2]float64 `json:"range"`         // of a pixel before normalisation, [0, 1]
	Resize        string     `json:"resize"`        // which side becomes Size
	Size          int        `json:"size"`          // pixels
	Interpolation string     `json:"interpolation"` // filter of the resize
	Crop          string     `json:"crop"`          // what is cut out then
	Mean          [3]float64 `json:"mean"`          // subtracted, per channel
	Std           [3]float64 `json:"std"`           // divided by, per channel
}

// ModelVersion is the format version that WriteModel writes.
const ModelVersion = 1

// StandardPreprocessing is the one preprocessing of evaluation, extraction and export, to pictures of
// size pixels with the run's normalisation.
func StandardPreprocessing(size int, mean, std [3]float64) Preprocessing {
	return Preprocessing{
		Colour: "RGB", Range: [2]float64{0, 1},
		Resize: "short side", Size: size, Interpolation: "bicubic, antialiased", Crop: "centre square",
		Mean: mean, Std: std,
	}
}

// WriteModel writes model as indented JSON; FormatVersion is filled in. overwrite is as in WriteTensors.
func WriteModel(path string, model Model, overwrite bool) error {
	return atomicfile.Write(path, overwrite, func(w io.Writer) error { return encodeModel(w, model) })
}

func encodeModel(w io.Writer, model Model) error {
	model.FormatVersion = ModelVersion
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(model)
}
