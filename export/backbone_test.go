package export

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBackboneDependsOnWeightsAlone: written to two folders, and over older files, the bytes are the same.
func TestBackboneDependsOnWeightsAlone(t *testing.T) {
	weights := Weights{Model: Model{Name: "resnet18", KeyNames: "torchvision"}, Tensors: exampleTensors()}
	first, second := t.TempDir(), filepath.Join(t.TempDir(), "made")
	for _, folder := range []string{first, second, second} {
		path, err := Backbone(folder, weights)
		if err != nil {
			t.Fatal(err)
		}
		var model Model
		if err := json.Unmarshal(read(t, filepath.Join(folder, modelName)), &model); err != nil {
			t.Fatal(err)
		}
		if path != filepath.Join(folder, model.Weights) || model.FormatVersion != ModelVersion {
			t.Errorf("weights are at %s, model.json says %s, version %d", path, model.Weights, model.FormatVersion)
		}
	}
	for _, name := range []string{weightsName, modelName} {
		if diff := cmp.Diff(read(t, filepath.Join(first, name)), read(t, filepath.Join(second, name))); diff != "" {
			t.Error(name, diff)
		}
	}
	_, metadata, err := ReadTensors(filepath.Join(first, weightsName))
	want := map[string]string{"format": "pt", "architecture": "resnet18", "key_names": "torchvision"}
	if diff := cmp.Diff(want, metadata); err != nil || diff != "" {
		t.Error(err, diff)
	}
}
