package run

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pretrain/configs"
	"pretrain/export"
	"pretrain/internal/tensorfile"
	"pretrain/train"
)

func set(key, value string) configs.Override {
	return configs.Override{Flag: "--set", Path: key, Value: value}
}

// testImport: weights that leave a run come back as a run, with and without their description, and give the same features.
func testImport(t *testing.T, opened *Run) {
	file := filepath.Join(string(opened.Directory), "exported", "backbone.safetensors")
	directory := filepath.Join(t.TempDir(), "run")
	imported, err := Import(ImportOptions{File: file, Directory: directory})
	if err != nil {
		t.Fatal(err)
	}
	if !imported.Described || imported.Backbone != "vit" || !slices.Contains(imported.Settings, "backbone.vit.heads=2") || len(imported.Resized) > 0 {
		t.Errorf("%+v", imported)
	}
	again := open(t, directory)
	if !bytes.Equal(weights(t, directory), weights(t, string(opened.Directory))) || again.Model.Backbone.Side() != 32 {
		t.Error("the imported run has other weights")
	}
	input := make([]float32, batch*32*32*3)
	for i := range input {
		input[i] = float32(i%7) - 3
	}
	want, err := opened.Model.Embed(input)
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.Model.Embed(input)
	if err != nil || !slices.Equal(got[1], want[1]) {
		t.Error("the imported run gives other features", err)
	}
	testImportAgain(t, file, directory)
	testImportUndescribed(t, file)
}

// testImportAgain: a run is replaced only when asked, and an imported one is not resumed.
func testImportAgain(t *testing.T, file, directory string) {
	var usage *train.UsageError
	if _, err := Import(ImportOptions{File: file, Directory: directory}); !errors.As(err, &usage) || !strings.Contains(err.Error(), "--overwrite") {
		t.Errorf("an existing run gives %v", err)
	}
	if _, err := Import(ImportOptions{File: file, Directory: directory, Overwrite: true}); err != nil {
		t.Error(err)
	}
	resolved := load(t, filepath.Join(samples, "train"))
	err := Train(t.Context(), resolved, TrainOptions{Directory: directory, Start: train.StartResume, Console: io.Discard})
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "--set backbone.weights="+filepath.Join(directory, "exported")) {
		t.Errorf("resuming gives %v", err)
	}
}

// testImportUndescribed: the shapes tell the sizes, the user the heads; settings and variables win, with words about what
// was interpolated.
func testImportUndescribed(t *testing.T, file string) {
	bare := filepath.Join(t.TempDir(), "bare")
	write(t, bare, read(t, file))
	heads := set("backbone.vit.heads", "2")
	for _, test := range []struct {
		name    string
		options ImportOptions
		side    int
		resized int
	}{
		{"as it is", ImportOptions{Overrides: []configs.Override{heads}}, 32, 0},
		{"settings", ImportOptions{Overrides: []configs.Override{heads, set("data.size", "48"), set("backbone.vit.patch", "16")}}, 48, 2},
		{"variables", ImportOptions{Overrides: []configs.Override{heads}, Environment: []string{"PRETRAIN_DATA_SIZE=64"}}, 64, 1},
	} {
		test.options.File, test.options.Backbone, test.options.Directory = bare, "vit", filepath.Join(t.TempDir(), "run")
		imported, err := Import(test.options)
		if err != nil {
			t.Fatal(test.name, err)
		}
		if imported.Described || imported.Config.Data.Size != test.side || len(imported.Resized) != test.resized {
			t.Errorf("%s: side %d, %+v", test.name, imported.Config.Data.Size, imported.Loaded)
		}
	}
}

// testImportMistakes: each is a usage error that names what is wrong, and nothing is written.
func testImportMistakes(t *testing.T, opened *Run) {
	file := filepath.Join(string(opened.Directory), "exported", "backbone.safetensors")
	bare, cut := filepath.Join(t.TempDir(), "bare"), filepath.Join(t.TempDir(), "cut")
	write(t, bare, read(t, file))
	write(t, cut, read(t, file)[:5000])
	for want, options := range map[string]ImportOptions{
		"add --backbone NAME":          {File: bare},
		`did you mean "vit_tiny"`:      {File: bare, Backbone: "vit_tinny"},
		"is described as vit":          {File: file, Backbone: "resnet18"},
		"the weights do not fit":       {File: bare, Backbone: "resnet18"},
		"blocks.2.norm1.bias [16]":     {File: file, Overrides: []configs.Override{set("backbone.vit.depth", "3")}},
		"truncated":                    {File: cut, Backbone: "vit"},
		"no such file":                 {File: bare + "x", Backbone: "vit"},
		"must divide backbone.vit.wid": {File: file, Overrides: []configs.Override{set("backbone.vit.heads", "3")}},
	} {
		options.Directory = filepath.Join(t.TempDir(), "run")
		_, err := Import(options)
		var usage *train.UsageError
		var config *configs.Error
		if !errors.As(err, &usage) && !errors.As(err, &config) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a usage error with %q", err, want)
		}
		if exists(options.Directory) {
			t.Errorf("%s: the directory was made", want)
		}
	}
}

// norm is the length of all weights of a file.
func norm(t *testing.T, path string) float64 {
	t.Helper()
	tensors, _, err := export.ReadWeights(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, tensor := range tensors {
		for _, value := range tensor.Data {
			sum += float64(value) * float64(value)
		}
	}
	return math.Sqrt(sum)
}

// TestTrainFromWeights: a run begins with the weights of its file, and goes on without it; weights that do not fit are
// found before anything is written.
func TestTrainFromWeights(t *testing.T) {
	data := filepath.Join(samples, "train")
	file := filepath.Join(t.TempDir(), "w.safetensors")
	write(t, file, read(t, filepath.Join(trained(t, data), "exported", "backbone.safetensors")))
	directory := filepath.Join(t.TempDir(), "run")
	// With a learning rate of almost nothing, the weights stay those of the file.
	settings := []string{"train.epochs=1", "train.max_steps=1", "optimizer.learning_rate=1e-12", "train.seed=5", "backbone.weights=" + file}
	if err := Train(t.Context(), load(t, data, settings...), TrainOptions{Directory: directory, Console: io.Discard}); err != nil {
		t.Fatal(err)
	}
	if got, want := norm(t, filepath.Join(directory, "exported", "backbone.safetensors")), norm(t, file); math.Abs(got-want) > 1e-6*want {
		t.Errorf("the weights have the norm %g, those of the file %g", got, want)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := Train(t.Context(), load(t, data, settings...), TrainOptions{Directory: directory, Start: train.StartResume, Console: io.Discard}); err != nil {
		t.Errorf("resuming without the file: %v", err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := export.WriteTensors(other, []tensorfile.Tensor{{Name: "w", Shape: []int{1}, Data: []float32{1}}}, nil, false); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{file: "no such file", other: "extra (1): w [1]"} {
		fresh := filepath.Join(t.TempDir(), "run")
		err := Train(t.Context(), load(t, data, "backbone.weights="+path), TrainOptions{Directory: fresh, Console: io.Discard})
		var usage *train.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || exists(fresh) {
			t.Errorf("got %v, want a usage error with %q and no directory", err, want)
		}
	}
}
