package export

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files of this package anew")

func exampleTensors() []Tensor {
	return []Tensor{
		{Name: "backbone.conv1.weight", Shape: []int{2, 1, 1, 2}, Data: []float32{1.5, -2, 3.25, 1e-40}},
		{Name: "backbone.bn1.bias", Shape: []int{2}, Data: []float32{0.1, 1e30}},
		{Name: "backbone.scale", Shape: []int{}, Data: []float32{7}},
	}
}

// golden compares got with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-update writes it anew): %s", path, diff)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestTensorsRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	metadata := map[string]string{"format": "pt"}
	if err := WriteTensors(path, exampleTensors(), metadata, false); err != nil {
		t.Fatal(err)
	}
	tensors, foundMetadata, err := ReadTensors(path)
	if err != nil {
		t.Fatal(err)
	}
	want := exampleTensors()
	want[0], want[1] = want[1], want[0] // by name
	if diff := cmp.Diff(want, tensors); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(metadata, foundMetadata); diff != "" {
		t.Error(diff)
	}
}

// TestWeightsDependOnNothingElse fixes the bytes: a hash that changes breaks users who compare files.
func TestWeightsDependOnNothingElse(t *testing.T) {
	const want = "db51b7fb152978ff7aca883b4b50e852f9634bd292beae4f241a6a15448446c0"
	tensors := exampleTensors()
	for range tensors {
		tensors = append(tensors[1:], tensors[0])
		path := filepath.Join(t.TempDir(), "some name")
		if err := WriteTensors(path, tensors, map[string]string{"b": "2", "a": "1"}, false); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(read(t, path))); got != want {
			t.Errorf("hash %s", got)
		}
	}
}

func TestTensorFilesAreNotOverwrittenUnasked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	for i, overwrite := range []bool{false, false, true} {
		err := WriteTensors(path, exampleTensors(), nil, overwrite)
		if exists := errors.Is(err, ErrExists); exists != (i == 1) || (err != nil) != exists {
			t.Errorf("attempt %d: %v", i, err)
		}
	}
	if err := WriteModel(path, Model{}, false); !errors.Is(err, ErrExists) {
		t.Errorf("WriteModel: %v", err)
	}
}

func TestReadTensorsNamesFileAndTensor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if _, _, err := ReadTensors(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if err := WriteTensors(path, exampleTensors(), nil, false); err != nil {
		t.Fatal(err)
	}
	content := read(t, path)
	if err := os.WriteFile(path, content[:len(content)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadTensors(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("truncated: %v", err)
	}
}

// TestOIHWMovesEachWeight uses the definition: torch's [o][i][y][x] is our [o][y][x][i].
func TestOIHWMovesEachWeight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := rapid.SliceOfN(rapid.IntRange(0, 4), 4, 4).Draw(t, "shape")
		filters, height, width, channels := shape[0], shape[1], shape[2], shape[3]
		data := make([]float32, filters*height*width*channels)
		for i := range data {
			data[i] = float32(i)
		}
		from := Tensor{Name: "w", Shape: shape, Data: slices.Clone(data)}
		to, err := OIHW(from)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{filters, channels, height, width}, to.Shape); diff != "" || to.Name != "w" {
			t.Error(to.Name, diff)
		}
		if diff := cmp.Diff(data, from.Data); diff != "" {
			t.Error("the source changed: ", diff)
		}
		i := 0
		for o := range filters {
			for c := range channels {
				for y := range height {
					for x := range width {
						if want := data[((o*height+y)*width+x)*channels+c]; to.Data[i] != want {
							t.Fatalf("weight %d,%d,%d,%d is %v, want %v", o, c, y, x, to.Data[i], want)
						}
						i++
					}
				}
			}
		}
	})
}

func TestOIHWRefuses(t *testing.T) {
	for want, tensor := range map[string]Tensor{
		`"w" has shape [3]`: {Name: "w", Shape: []int{3}, Data: make([]float32, 3)},
		`"v" has 3 values`:  {Name: "v", Shape: []int{1, 2, 2, 1}, Data: make([]float32, 3)},
	} {
		if _, err := OIHW(tensor); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v: want %q in it", err, want)
		}
	}
}

func TestModelFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.json")
	model := Model{
		Name: "vit_tiny", Family: "vit", Parameters: map[string]any{"patch": 4, "heads": 3},
		InputSide: 32, Dim: 192, Depth: 12, Stride: 4, Pooling: "mean", KeyNames: "timm", Weights: "backbone.safetensors",
		Input: StandardPreprocessing(32, [3]float64{0.485, 0.456, 0.406}, [3]float64{0.229, 0.224, 0.225}),
	}
	if err := WriteModel(path, model, false); err != nil {
		t.Fatal(err)
	}
	golden(t, "model.json", read(t, path))
}

func TestModelThatIsNoJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.json")
	err := WriteModel(path, Model{Parameters: func() {}}, false)
	if unsupported := (*json.UnsupportedTypeError)(nil); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file is there")
	}
}
