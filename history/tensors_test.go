package history

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pretrain/internal/atomicfile"
	"pretrain/internal/tensorfile"
)

// putTensors writes tensors of one number each, by their names.
func putTensors(t *testing.T, path string, values map[string]float32) {
	t.Helper()
	var tensors []tensorfile.Tensor
	for _, name := range sortedNames(values) {
		tensors = append(tensors, tensorfile.Tensor{Name: name, Shape: []int{1}, Data: []float32{values[name]}})
	}
	if err := atomicfile.Write(path, true, func(w io.Writer) error { return tensorfile.Write(w, tensors, nil) }); err != nil {
		t.Fatal(err)
	}
}

// TestTensorsAreCountedBothWays: of any two files, tensors that one lacks and those with other values are counted, once each,
// whichever comes first.
func TestTensorsAreCountedBothWays(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	file := rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "b.1", "c", "d", "zz"}), rapid.Float32Range(1, 3), 0, 6)
	rapid.Check(t, func(rt *rapid.T) {
		a, b := file.Draw(rt, "first"), file.Draw(rt, "second")
		putTensors(t, first, a)
		putTensors(t, second, b)
		different, all := 0, map[string]bool{}
		for _, values := range []map[string]float32{a, b} {
			for name := range values {
				x, inFirst := a[name]
				y, inSecond := b[name]
				if !all[name] && (!inFirst || !inSecond || x != y) {
					different++
				}
				all[name] = true
			}
		}
		for _, paths := range [][2]string{{first, second}, {second, first}} {
			same := compareFiles("files", paths[0], paths[1])
			if !same.Compared || same.Tensors != len(all) || same.Different != different || same.Equal != (different == 0) {
				rt.Fatalf("%v and %v: %+v, want %d of %d different", a, b, same, different, len(all))
			}
		}
	})
}

// TestShapesCount: the same numbers in another shape are another tensor.
func TestShapesCount(t *testing.T) {
	a := tensorfile.Tensor{Name: "a", Shape: []int{2, 3}, Data: make([]float32, 6)}
	b := a
	b.Shape = []int{3, 2}
	if sameTensor(&a, &b) || !sameTensor(&a, &a) {
		t.Error("shapes are not compared")
	}
}

// TestFilesThatCannotBeCompared are named, with what is wrong with which of them.
func TestFilesThatCannotBeCompared(t *testing.T) {
	dir := t.TempDir()
	whole, cut, folder := filepath.Join(dir, "whole"), filepath.Join(dir, "cut"), filepath.Join(dir, "folder")
	putTensors(t, whole, map[string]float32{"a": 1, "b": 2})
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	put(t, cut, string(content[:len(content)-2]))
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for bad, fault := range map[string]string{cut: "truncated", folder: "directory", filepath.Join(dir, "nowhere"): "no such file"} {
		for _, paths := range [][2]string{{whole, bad}, {bad, whole}} {
			same := compareFiles("exported backbones", paths[0], paths[1])
			if same.Compared || same.Equal || !strings.Contains(same.Note, bad) || !strings.Contains(same.Note, fault) || !strings.HasPrefix(same.Note, "the exported backbones cannot be compared") {
				t.Errorf("%q: %+v", paths, same)
			}
		}
	}
}

// TestWhichWeightsAreCompared: checkpoints of the same step before exported backbones, and these where the steps differ.
func TestWhichWeightsAreCompared(t *testing.T) {
	now := time.Now()
	make2 := func(stepA, stepB int64, exported bool) SameWeight {
		var runs []*Run
		for _, step := range []int64{stepA, stepB} {
			dir := fake{ended: now, step: step, weight: 1}.make(t, t.TempDir())
			if exported {
				put(t, filepath.Join(dir, "exported", "model.json"), "{}")
				putTensors(t, filepath.Join(dir, "exported", "backbone.safetensors"), map[string]float32{"w": float32(step)})
			}
			runs = append(runs, read(t, dir))
		}
		return Compare([]string{"A", "B"}, runs).Weights[0]
	}
	for _, test := range []struct {
		a, b     int64
		exported bool
		what     string
		equal    bool
	}{
		{20, 20, true, "checkpoints of step 20", true}, {20, 30, true, "exported backbones", false}, {0, 20, true, "exported backbones", false},
		{20, 30, false, "", false}, {0, 0, true, "exported backbones", true}, {0, 0, false, "", false},
	} {
		same := make2(test.a, test.b, test.exported)
		if same.What != test.what || same.Compared != (test.what != "") || same.Equal != test.equal || same.Compared == (same.Note != "") {
			t.Errorf("steps %d and %d, exported %v: %+v", test.a, test.b, test.exported, same)
		}
	}
}

// TestSettingsAlone are the same as those of a comparison, and no weights are read for them.
func TestSettingsAlone(t *testing.T) {
	now := time.Now()
	var runs []*Run
	for i := range 3 {
		dir := fake{ended: now, settings: with("seed: 1", fmt.Sprintf("seed: %d", i/2))}.make(t, t.TempDir())
		runs = append(runs, read(t, dir))
	}
	got := Settings(runs)
	if len(got) != 1 || got[0].Name != "train.seed" || !got[0].Explains || !slices.Equal(got[0].Values, []string{"0", "0", "1"}) {
		t.Errorf("got %+v", got)
	}
	for path, want := range map[string]bool{
		"train.seed": true, "data.path": false, "data.size": true, "data.workers": false, "train.threads": false, "logging.level": false, "eval.test": false,
		"export.at_end": false, "metrics.address": false, "checkpoints.keep": false, "tasks.rotation.weight": true, "evaluation": true,
	} {
		if explainsWeights(path) != want {
			t.Errorf("%s explains other weights: %v", path, !want)
		}
	}
}
