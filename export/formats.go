package export

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"pretrain/internal/atomicfile"
	"pretrain/internal/tensorfile"
)

// Formats of weights.
const (
	FormatSafetensors = "safetensors" // the names of timm or torchvision, whatever the family's are
	FormatTimm        = "timm"        // safetensors that a timm model takes strictly
	FormatTorchvision = "torchvision" // safetensors that a torchvision model takes strictly
	FormatONNX        = "onnx"        // the network itself
)

// Formats lists the formats of weights.
func Formats() []string {
	return []string{FormatSafetensors, FormatTimm, FormatTorchvision, FormatONNX}
}

// SaveOptions say how weights are written.
type SaveOptions struct {
	Format    string // one of Formats
	ONNX      ONNXOptions
	Overwrite bool
}

// DescriptionPath is the file beside an exported one that says how to build the network and feed it: model.json of that
// file.
func DescriptionPath(path string) string { return path + ".json" }

// CheckFormat reports a format that does not fit the model, with the one that does.
func CheckFormat(m Model, format string) error {
	switch {
	case !slices.Contains(Formats(), format):
		return fmt.Errorf("format %q: must be one of %s", format, strings.Join(Formats(), ", "))
	case format != FormatTimm && format != FormatTorchvision:
		return nil
	case m.KeyNames != format:
		return fmt.Errorf("format %s does not know the backbone %s: its names are those of %s; use that format, safetensors or onnx", format, m.Name, m.KeyNames)
	case format == FormatTorchvision && m.widthOfStem() != torchvisionWidth:
		return fmt.Errorf("format torchvision: %s of torchvision is %d channels wide at its stem, this one (backbone.resnet.width) %d; use the format safetensors, whose names are the same, or onnx",
			m.Name, torchvisionWidth, m.widthOfStem())
	}
	return nil
}

// Save writes the weights to path, and their description to DescriptionPath. Both depend on the weights, the model, the
// options and the file's name alone. A format that does not fit is the error of CheckFormat; unless Overwrite is set, a
// file that exists is one that wraps ErrExists.
func Save(path string, weights Weights, options SaveOptions) error {
	if err := CheckFormat(weights.Model, options.Format); err != nil {
		return err
	}
	description, err := atomicfile.Create(DescriptionPath(path), options.Overwrite)
	if err != nil {
		return err
	}
	defer description.Abort()
	model := weights.Model
	model.Weights, model.Format = filepath.Base(path), options.Format
	if options.Format == FormatONNX {
		graph, err := WriteONNX(path, weights, options.ONNX, options.Overwrite)
		if err != nil {
			return err
		}
		model.Graph = &graph
	} else {
		model.Load = model.loading()
		if err := WriteTensors(path, weights.Tensors, weights.metadata(), options.Overwrite, weights.counters(options.Format)...); err != nil {
			return err
		}
	}
	if err := encodeModel(description, model); err != nil {
		return err
	}
	return description.Commit()
}

// counters are the numbers of batches that torchvision's normalisations have seen. Ours keep no running averages while
// they train, so there were none.
func (w Weights) counters(format string) []tensorfile.Counter {
	var counters []tensorfile.Counter
	for _, t := range w.Tensors {
		if norm, ok := strings.CutSuffix(t.Name, "running_var"); ok && format == FormatTorchvision {
			counters = append(counters, tensorfile.Counter{Name: norm + "num_batches_tracked"})
		}
	}
	return counters
}
