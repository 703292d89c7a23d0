package export

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// put writes a file into a folder of its own and returns its path.
func put(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadWeights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.safetensors")
	if err := WriteTensors(path, exampleTensors(), nil, false); err != nil {
		t.Fatal(err)
	}
	tensors, model, err := ReadWeights(path)
	if err != nil || len(tensors) != 3 || model != nil {
		t.Errorf("%d tensors, %v, %v", len(tensors), model, err)
	}
}

// TestReadWeightsFindsTheDescription: that of Save, that of a run's own export, and not that of another file.
func TestReadWeightsFindsTheDescription(t *testing.T) {
	weights := Weights{Model: Model{Name: "resnet18", KeyNames: "torchvision", Family: "resnet", InputSide: 48}, Tensors: exampleTensors()}
	dir := t.TempDir()
	own, err := Backbone(dir, weights)
	if err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(dir, "saved")
	if err := Save(saved, weights, SaveOptions{Format: FormatSafetensors}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{own, saved} {
		if _, model, err := ReadWeights(path); err != nil || model == nil || model.InputSide != 48 {
			t.Errorf("%s: %+v, %v", path, model, err)
		}
	}
	other := filepath.Join(dir, "other")
	if err := os.Link(own, other); err != nil {
		t.Fatal(err)
	}
	if _, model, err := ReadWeights(other); err != nil || model != nil {
		t.Errorf("a file that nothing describes: %+v, %v", model, err)
	}
	for content, want := range map[string]string{"{": "correct or remove it", `{"format_version": 2}`: "use the newer program"} {
		if err := os.WriteFile(DescriptionPath(other), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ReadWeights(other); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("description %s: %v", content, err)
		}
	}
}

// TestReadWeightsRefuses: the error names the file and what to do.
func TestReadWeightsRefuses(t *testing.T) {
	torch := filepath.Join(t.TempDir(), "model.pt")
	f, err := os.Create(torch)
	if err != nil {
		t.Fatal(err)
	}
	archive := zip.NewWriter(f)
	if _, err := archive.Create("model/data.pkl"); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for path, want := range map[string]string{
		torch: "safetensors.torch.save_file(model.state_dict(), FILE)",
		put(t, "old.pt", []byte("\x80\x02}q\x00.")):  "Python pickle",
		put(t, "w.h5", []byte("\x89HDF\r\n\x1a\n")):  "HDF5",
		put(t, "w.npy", []byte("\x93NUMPY\x01\x00")): "numpy.savez",
		put(t, "empty", nil):                         "file has 0 bytes",
		put(t, "text", []byte("weights of a model")): "not a safetensors file",
		t.TempDir(): "it is no file",
		torch + "x": "no such file",
	} {
		if _, _, err := ReadWeights(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want %q and the path in it", err, want)
		}
	}
}

func TestOHWIIsTheInverseOfOIHW(t *testing.T) {
	original := Tensor{Name: "w", Shape: []int{2, 3, 2, 2}, Data: make([]float32, 24)}
	for i := range original.Data {
		original.Data[i] = float32(i)
	}
	outside, err := OIHW(original)
	if err != nil {
		t.Fatal(err)
	}
	back, err := OHWI(outside)
	if diff := cmp.Diff(original, back); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := OHWI(Tensor{Name: "w", Shape: []int{2, 3}}); err == nil {
		t.Error("a matrix passes for filters")
	}
}
