package export

import (
	"fmt"
	"os"
	"path/filepath"
)

// Weights are a backbone as it leaves a run: its tensors under their public names and the description that a
// stranger needs to build the network around them.
type Weights struct {
	Model   Model
	Tensors []Tensor
}

// Names of the files that Backbone writes.
const (
	weightsName = "backbone.safetensors"
	modelName   = "model.json"
)

// Backbone writes backbone.safetensors and model.json to dir, replacing older ones, and returns the path of the
// weights. Both depend on the weights and the model alone, so equal weights give equal files.
func Backbone(dir string, weights Weights) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	path := filepath.Join(dir, weightsName)
	weights.Model.Weights, weights.Model.Format = weightsName, FormatSafetensors
	weights.Model.Load = weights.Model.loading()
	if err := WriteWeights(path, weights, true); err != nil {
		return "", err
	}
	return path, WriteModel(filepath.Join(dir, modelName), weights.Model, true)
}

// WriteWeights writes the tensors as a safetensors file.
func WriteWeights(path string, weights Weights, overwrite bool) error {
	return WriteTensors(path, weights.Tensors, weights.metadata(), overwrite)
}

// metadata names the architecture and whose key names are used, so that a safetensors file alone can be recognised.
func (w Weights) metadata() map[string]string {
	return map[string]string{"format": "pt", "architecture": w.Model.Name, "key_names": w.Model.KeyNames}
}
