package export

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// python runs a script of testdata on path and decodes the JSON it prints. Without python3 and NumPy (Debian
// python3-numpy) the test is skipped, or fails if REQUIRE_TOOLS is set, as in .ci/run.
func python(t *testing.T, script, path string, result any) {
	t.Helper()
	const interpreter = "/usr/bin/python3" // Debian's, not one that happens to be first in PATH without NumPy
	if output, err := exec.Command(interpreter, "-c", "import numpy").CombinedOutput(); err != nil {
		if os.Getenv("REQUIRE_TOOLS") != "" {
			t.Fatalf("REQUIRE_TOOLS is set, but this test needs Debian's python3-numpy: %v %s", err, output)
		}
		t.Skipf("SKIPPED: needs Debian's python3-numpy: %v %s", err, output)
	}
	command := exec.Command(interpreter, filepath.Join("testdata", script), path)
	output, err := command.Output()
	if err != nil {
		stderr := ""
		if exit, ok := err.(*exec.ExitError); ok {
			stderr = string(exit.Stderr)
		}
		t.Fatalf("%v: %s", err, stderr)
	}
	if err := json.Unmarshal(output, result); err != nil {
		t.Fatalf("%v in %s", err, output)
	}
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
