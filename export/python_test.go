package export

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pretrain/internal/pythontest"
)

// python runs a script of testdata on path and decodes the JSON it prints.
func python(t *testing.T, script, path string, result any) {
	t.Helper()
	pythontest.Run(t, []string{"python3-numpy"}, filepath.Join("testdata", script), result, path)
}

func TestPythonReadsTensors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	if err := WriteTensors(path, exampleTensors(), map[string]string{"format": "pt"}, false); err != nil {
		t.Fatal(err)
	}
	type tensor struct {
		Shape []int
		Data  []float32
	}
	var found struct {
		Metadata map[string]string
		Tensors  map[string]tensor
	}
	python(t, "read_tensors.py", path, &found)
	want := map[string]tensor{}
	for _, x := range exampleTensors() {
		want[x.Name] = tensor{x.Shape, x.Data}
	}
	if diff := cmp.Diff(want, found.Tensors); diff != "" {
		t.Error(diff)
	}
	if found.Metadata["format"] != "pt" {
		t.Errorf("metadata %v", found.Metadata)
	}
}

func TestPythonReadsFeatures(t *testing.T) {
	for _, extension := range []string{".npy", ".csv", ".safetensors"} { // Debian has nothing that reads parquet
		for _, rows := range []int{0, 1, 5} {
			path := filepath.Join(t.TempDir(), "features"+extension)
			pictures := examplePictures(rows)
			writeFeatures(t, path, pictures)
			var found struct {
				Shape    []int
				Features []float32
				Header   []string
				Names    [][]string
			}
			python(t, "read_features.py", path, &found)
			if diff := cmp.Diff([]int{rows, 3}, found.Shape); diff != "" {
				t.Error(path, diff)
			}
			if diff := cmp.Diff([]string{"path", "label", "width", "height", "sha256"}, found.Header); diff != "" {
				t.Error(path, diff)
			}
			for i, p := range pictures {
				if diff := cmp.Diff(p.Vectors[0], found.Features[3*i:3*i+3]); diff != "" {
					t.Error(path, diff)
				}
				if diff := cmp.Diff([]string{p.Path, p.Label, strconv.Itoa(p.Width), "480", hash}, found.Names[i]); diff != "" {
					t.Error(path, diff)
				}
			}
		}
	}
}
