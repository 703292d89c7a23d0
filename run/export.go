package run

import (
	"fmt"
	"strings"

	"pretrain/export"
	"pretrain/internal/atomicfile"
	"pretrain/train"
)

// ExportOptions say how the backbone's weights are written.
type ExportOptions struct {
	Out       string
	Format    string // one of export.Formats
	Overwrite bool
	// For ONNX alone.
	Layers []string // that get an output of their own: as Run.Layer has them, or "all"
	UInt8  bool     // the input is bytes, which the graph normalises
}

// Export writes the backbone's weights and, beside them, the description of the network. What does not fit together is a
// train.UsageError.
func (r *Run) Export(options ExportOptions) error {
	weights, err := r.Model.Weights()
	if err != nil {
		return err
	}
	if err := options.check(weights.Model); err != nil {
		return train.Usage(err)
	}
	for _, file := range []string{options.Out, export.DescriptionPath(options.Out)} {
		if err := atomicfile.Check(file, options.Overwrite); err != nil {
			return train.Usage(err)
		}
	}
	save := export.SaveOptions{Format: options.Format, Overwrite: options.Overwrite}
	save.ONNX.UInt8 = options.UInt8
	if save.ONNX.Layers, err = r.layers(options.Layers); err != nil {
		return err
	}
	return export.Save(options.Out, weights, save)
}

// check reports a format that does not fit the backbone, and options of another format.
func (o ExportOptions) check(m export.Model) error {
	if err := export.CheckFormat(m, o.Format); err != nil {
		return fmt.Errorf("--%w", err)
	}
	if o.Format != export.FormatONNX && (o.UInt8 || len(o.Layers) > 0) {
		return fmt.Errorf("--uint8 and --layers shape the graph of an ONNX file: --format %s holds weights only; leave them out, or take --format onnx", o.Format)
	}
	return nil
}

// layers reads a list of layers.
func (r *Run) layers(names []string) ([]int, error) {
	var layers []int
	for _, name := range names {
		if strings.TrimSpace(name) == "all" {
			layers = append(layers, r.Model.AllLayers()...)
			continue
		}
		layer, err := r.Layer(strings.TrimSpace(name))
		if err != nil {
			return nil, fmt.Errorf("--layers: %w", err)
		}
		layers = append(layers, layer)
	}
	return layers, nil
}
