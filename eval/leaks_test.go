package eval

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pretrain/data"
	"pretrain/internal/perceptual"
)

// brightened is a picture of other numbers that looks the same.
func brightened(example data.Example, path string) data.Example {
	image := data.NewImage(example.Image.Width, example.Image.Height)
	for i, v := range example.Image.Pix {
		image.Pix[i] = uint8(min(255, int(v)+3))
	}
	return data.Example{Image: image, Path: path, Label: example.Label}
}

// measureModel measures a network with random weights by what the evaluation asks for besides probes.
func measureModel(t *testing.T, e Evaluation, workers int) (report Report) {
	t.Helper()
	e.Probes = nil
	if err := e.Model(t.Context(), "random", newModel(t, "vit", 8, workers), &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// TestLeaksAreFound: two test pictures are training pictures, one of them brightened; every other pair is none.
func TestLeaksAreFound(t *testing.T) {
	e := newEvaluation(t)
	check := DefaultLeakCheck()
	check.Cosine = 0.999 // a network with random weights hardly tells noise pictures of one tint apart
	e.Leaks, e.Layers = &check, []int{1, 2}
	train, test := newMemory(30, 3, 1), newMemory(12, 3, 2)
	test.examples[3] = data.Example{Image: train.examples[9].Image, Path: "copy", Label: "class0"}
	test.examples[7] = brightened(train.examples[4], "brightened")
	train.bad[2], test.bad[0] = true, true // rows of features and numbers of pictures differ
	e.Train, e.Test = train, test
	leaks := measureModel(t, e, 2).Leaks
	if leaks == nil || leaks.ByHash != 2 || leaks.TestPictures < 2 || leaks.ByFeatures < 1 {
		t.Fatalf("%+v", leaks)
	}
	first := leaks.Pairs[0]
	if first.Train != "picture09" || first.Test != "copy" || first.Distance != 0 || first.Cosine < 0.9999 {
		t.Errorf("the nearest pair is %+v", first)
	}
	if second := leaks.Pairs[1]; second.Train != "picture04" || second.Test != "brightened" {
		t.Errorf("the second pair is %+v", second)
	}
	again := measureModel(t, e, 1).Leaks
	if !reflect.DeepEqual(again, leaks) {
		t.Errorf("%+v became %+v", leaks, again)
	}
}

// TestLeaksAreCounted by either sign, and by both.
func TestLeaksAreCounted(t *testing.T) {
	train := Matrix{Rows: 3, Cols: 2, Data: []float32{1, 0, 0, 1, -1, -1}} // mean 0
	test := Matrix{Rows: 2, Cols: 2, Data: []float32{2, 0, 1, 1}}
	of, with := []perceptual.Fingerprint{0, 1, 0xff}, []perceptual.Fingerprint{3, 0xff}
	leaks := Leaks{Cosine: 0.99, Distance: 2}
	found := LeakCheck{Cosine: leaks.Cosine, Distance: leaks.Distance}.find(newEngine(t, 1), train, test, of, with)
	for _, row := range found {
		for _, pair := range row {
			leaks.count(pair)
		}
	}
	if want := [][]alike{{{0, 1, 2}, {1, 0, 1}}, {{2, -1, 0}}}; len(found[0]) != 2 || found[0][0] != want[0][0] ||
		found[0][1] != want[0][1] || found[1][0].train != 2 {
		t.Errorf("found %v", found)
	}
	if leaks.ByHash != 3 || leaks.ByFeatures != 1 || leaks.ByBoth != 1 {
		t.Errorf("%+v", leaks)
	}
}

// TestNoLeaks: a clean split has an empty list and not none, so that scripts can loop over it.
func TestNoLeaks(t *testing.T) {
	e := newEvaluation(t)
	e.Leaks, e.Layers = &LeakCheck{Cosine: 1.1, Distance: -1}, []int{1}
	if leaks := measureModel(t, e, 2).Leaks; leaks.TestPictures != 0 || leaks.Pairs == nil || len(leaks.Pairs) > 0 {
		t.Errorf("%+v", leaks)
	}
}

// TestPicturesThatChangeDuringTheCheck are an error, as is any failure that is not a picture's fault.
func TestPicturesThatChangeDuringTheCheck(t *testing.T) {
	pictures := newMemory(4, 2, 1)
	pictures.bad[1] = true
	if found, err := hashes(t.Context(), pictures, 3); err != nil || len(found) != 3 || slices.Contains(found, 0) {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := hashes(t.Context(), pictures, 4); err == nil || !strings.Contains(err.Error(), "4 pictures could be read, then 3") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hashes(ctx, pictures, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
