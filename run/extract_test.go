package run

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/export"
	"pretrain/train"
)

// TestExtracting goes through what extraction offers, on one trained run.
func TestExtracting(t *testing.T) {
	pictures := filepath.Join(samples, "train")
	opened := open(t, trained(t, pictures))
	t.Run("all formats agree", func(t *testing.T) { testFormats(t, opened) })
	t.Run("layers", func(t *testing.T) { testLayers(t, opened) })
	t.Run("shards", func(t *testing.T) { testShards(t, opened) })
	t.Run("resume", func(t *testing.T) { testResume(t, opened) })
	t.Run("resume otherwise", func(t *testing.T) { testResumeOtherwise(t, opened) })
	t.Run("progress", func(t *testing.T) { testProgress(t, opened) })
	t.Run("leftover", func(t *testing.T) { testLeftover(t, opened) })
}

// extract writes the features and returns the file's bytes.
func extract(t *testing.T, opened *Run, options ExtractOptions) ([]byte, Extraction) {
	t.Helper()
	result, err := opened.Extract(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if exists(export.PartialFolder(options.Out)) {
		t.Errorf("%s is left", export.PartialFolder(options.Out))
	}
	return read(t, result.Files[0]), result
}

// testFormats: as array, tensor and table the same numbers, of length one, with sizes and hashes of the pictures.
func testFormats(t *testing.T, opened *Run) {
	out := filepath.Join(t.TempDir(), "f")
	options := ExtractOptions{Data: few(t, filepath.Join(samples, "test"), 5), Normalize: true, SHA256: true, Overwrite: true}
	var numbers [][]byte
	for _, extension := range []string{".npy", ".safetensors"} {
		options.Out = out + extension
		content, result := extract(t, opened, options)
		numbers = append(numbers, content[len(content)-4*16*5:])
		if result.Rows != 5 || len(result.Bad) != 2 {
			t.Errorf("%+v", result)
		}
	}
	if !bytes.Equal(numbers[0], numbers[1]) {
		t.Error("the tensor has other numbers than the array")
	}
	options.Out = out + ".csv"
	table, _ := extract(t, opened, options)
	rows, err := csv.NewReader(bytes.NewReader(table)).ReadAll()
	if err != nil || !slices.Equal(rows[0][:6], []string{"path", "label", "width", "height", "sha256", "f0"}) {
		t.Fatal(rows[0], err)
	}
	for _, row := range rows[1:] {
		picture, err := data.Decode(read(t, row[0]))
		if err != nil || row[2] != strconv.Itoa(picture.Width) || row[3] != strconv.Itoa(picture.Height) || len(row[4]) != 64 {
			t.Errorf("row %v, %v", row[:5], err)
		}
		length := 0.0
		for _, text := range row[5:] {
			x, err := strconv.ParseFloat(text, 32)
			if err != nil {
				t.Fatal(err)
			}
			length += x * x
		}
		if math.Abs(length-1) > 1e-5 {
			t.Errorf("a vector of length %g", math.Sqrt(length))
		}
	}
}

// testLayers: a layer alone equals that layer among all; best is the stored one; the mean of a map is the vector.
func testLayers(t *testing.T, opened *Run) {
	if err := opened.StoreBestLayer(BestLayer{Layer: 1, Grid: 1}); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(opened.bestLayerFile())
	dir, pictures := t.TempDir(), few(t, filepath.Join(samples, "test"), 3)
	_, all := extract(t, opened, ExtractOptions{Data: pictures, Out: filepath.Join(dir, "all.npy"), Layer: "all"})
	if len(all.Files) != 3 || all.Columns[1].Name != "layer2" {
		t.Fatalf("%+v", all)
	}
	for i, layer := range []string{"best", "last"} {
		one, _ := extract(t, opened, ExtractOptions{Data: pictures, Out: filepath.Join(dir, layer+".npy"), Layer: layer})
		if !bytes.Equal(one, read(t, all.Files[i])) {
			t.Errorf("%s is not layer %d", layer, i+1)
		}
	}
	_, whole := extract(t, opened, ExtractOptions{Data: pictures, Out: filepath.Join(dir, "map.safetensors"), Pool: "map"})
	tensors, metadata, err := export.ReadTensors(whole.Files[0])
	if err != nil || !slices.Equal(tensors[0].Shape, []int{3, 16, 16}) {
		t.Fatal(tensors, err)
	}
	for key, want := range map[string]string{"layer": "2", "pooling": "map", "precision": "fp32", "run": "run", "input_side": "32", "step": "2"} {
		if metadata[key] != want {
			t.Errorf("metadata %s is %q, want %q", key, metadata[key], want)
		}
	}
}

// testShards: the parts, one after another, are the whole, byte for byte, and so are the lists of unreadable pictures.
func testShards(t *testing.T, opened *Run) {
	dir, pictures := t.TempDir(), few(t, filepath.Join(samples, "train"), 70) // more than a batch
	options := ExtractOptions{Data: pictures, Out: filepath.Join(dir, "whole.csv")}
	whole, result := extract(t, opened, options)
	if len(result.Bad) != 2 {
		t.Errorf("unreadable: %v", result.Bad)
	}
	header, rows, _ := bytes.Cut(whole, []byte("\n"))
	for _, count := range []int{1, 3, 7} {
		var joined []byte
		var bad []eval.Bad
		for i := range count {
			options.Shard = fmt.Sprintf("%d/%d", i, count)
			options.Out = filepath.Join(dir, fmt.Sprintf("%d-%d.csv", i, count))
			part, result := extract(t, opened, options)
			joined = append(joined, bytes.TrimPrefix(part, append(header, '\n'))...)
			bad = append(bad, result.Bad...)
		}
		if !bytes.Equal(joined, rows) || fmt.Sprint(bad) != fmt.Sprint(result.Bad) {
			t.Errorf("%d shards do not make the whole, or not its unreadable pictures: %v", count, bad)
		}
	}
}

// interrupted is a data set whose reading is stopped at one picture, or fails there.
type interrupted struct {
	data.Dataset
	at   int
	stop func() error
}

func (d interrupted) At(ctx context.Context, i int) (data.Example, error) {
	if i == d.at {
		if err := d.stop(); err != nil {
			return data.Example{}, err
		}
	}
	return d.Dataset.At(ctx, i)
}

// interrupt extracts until picture `at`, by Ctrl-C or by a failure, and returns the error.
func interrupt(t *testing.T, opened *Run, options ExtractOptions, at int, failure error) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	e, err := opened.newExtractor(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	e.source = interrupted{e.pictures, at, func() error {
		if failure == nil {
			cancel(errStop)
		}
		return failure
	}}
	if _, err = e.run(ctx); err == nil {
		t.Fatal("it was not interrupted")
	}
	if exists(options.Out) {
		t.Errorf("%s is there after %v", options.Out, err)
	}
	return err
}

// testResume: stopped and failed at several places and resumed, every format has the bytes of an extraction that was
// left alone, and pictures that were done are not read again.
func testResume(t *testing.T, opened *Run) {
	pictures := few(t, filepath.Join(samples, "train"), 200) // four batches
	failure := errors.New("disk on fire")
	for _, extension := range export.FeatureExtensions() {
		dir := t.TempDir()
		options := ExtractOptions{Data: pictures, Out: filepath.Join(dir, "whole"+extension), Layer: "all", SHA256: true}
		want, whole := extract(t, opened, options)
		options.Out, options.Resume = filepath.Join(dir, "parts"+extension), true
		if err := interrupt(t, opened, options, 5, nil); err != errStop {
			t.Errorf("stopped before the first batch: %v", err)
		}
		for _, at := range []int{70, 130} {
			cause := failure
			if at == 70 {
				cause = nil // by Ctrl-C
			}
			err := interrupt(t, opened, options, at, cause)
			if !strings.Contains(err.Error(), "of 201 pictures are done and kept in "+export.PartialFolder(options.Out)) || !strings.Contains(err.Error(), "--resume") {
				t.Errorf("stopped at %d: %v", at, err)
			}
		}
		_, parts := extract(t, opened, options)
		if parts.Resumed < 128 || len(parts.Bad) != len(whole.Bad) || !bytes.Equal(read(t, parts.BadFile), read(t, whole.BadFile)) {
			t.Errorf("%s: %d pictures were done, unreadable are %v", extension, parts.Resumed, parts.Bad)
		}
		for i := range parts.Files {
			if got := read(t, parts.Files[i]); !bytes.Equal(got, read(t, whole.Files[i])) {
				t.Errorf("%s: %d bytes, others than the %d of the whole", parts.Files[i], len(got), len(want))
			}
		}
	}
}

// testProgress: the count begins at what is done, goes on by one, readable or not, and ends at all pictures; a stopped
// extraction does not claim the rest. What else reads a folder counts too.
func testProgress(t *testing.T, opened *Run) {
	var counts []int
	opened.Progress = func(done, total int) {
		if total != 201 {
			t.Errorf("%d of %d pictures", done, total)
		}
		counts = append(counts, done)
	}
	defer func() { opened.Progress = nil }()
	pictures := few(t, filepath.Join(samples, "train"), 200)
	options := ExtractOptions{Data: pictures, Out: filepath.Join(t.TempDir(), "f.npy"), Resume: true}
	interrupt(t, opened, options, 130, nil)
	if want := numbers(0, 128); !slices.Equal(counts, want) {
		t.Errorf("stopped at 130, it told %v", counts)
	}
	counts = nil
	extract(t, opened, options)
	if want := numbers(128, 201); !slices.Equal(counts, want) {
		t.Errorf("gone on, it told %v", counts)
	}
	counts = nil
	folder, err := opened.openFolder(t.Context(), pictures)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened.features(t.Context(), folder, 1, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(counts) || counts[0] != 0 || counts[len(counts)-1] != 201 {
		t.Errorf("reading a layer told %v", counts)
	}
}

// numbers are those from the first to the last.
func numbers(first, last int) []int {
	var all []int
	for i := first; i <= last; i++ {
		all = append(all, i)
	}
	return all
}

// testResumeOtherwise: what was begun with other options, other pictures or other weights is refused and kept.
func testResumeOtherwise(t *testing.T, opened *Run) {
	pictures := few(t, filepath.Join(samples, "train"), 100)
	begun := ExtractOptions{Data: pictures, Out: filepath.Join(t.TempDir(), "f.npy"), Resume: true}
	interrupt(t, opened, begun, 90, nil)
	for want, change := range map[string]func(*ExtractOptions){
		"layer":           func(o *ExtractOptions) { o.Layer = "1" },
		"pooling":         func(o *ExtractOptions) { o.Pool = "map" },
		"normalized":      func(o *ExtractOptions) { o.Normalize = true },
		"precision":       func(o *ExtractOptions) { o.Precision = "bf16" },
		"shard":           func(o *ExtractOptions) { o.Shard = "0/1" },
		"pictures":        func(o *ExtractOptions) { o.Data = few(t, filepath.Join(samples, "test"), 9) },
		"hashes of files": func(o *ExtractOptions) { o.SHA256 = true },
		"--resume":        func(o *ExtractOptions) { o.Resume = false },
	} {
		options := begun
		change(&options)
		_, err := opened.Extract(t.Context(), options)
		var usage *train.UsageError
		if !errors.As(err, &usage) || !errors.Is(err, export.ErrPartial) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, result := extract(t, opened, begun); result.Resumed < 64 {
		t.Errorf("the refusals left %d pictures", result.Resumed)
	}
}

// testLeftover: --overwrite without --resume drops what is unfinished, with it goes on.
func testLeftover(t *testing.T, opened *Run) {
	options := ExtractOptions{Data: few(t, filepath.Join(samples, "train"), 100), Out: filepath.Join(t.TempDir(), "f.npy")}
	interrupt(t, opened, options, 90, nil)
	options.Overwrite, options.Resume = true, true
	if err := os.WriteFile(options.Out, []byte("older"), 0o644); err != nil {
		t.Fatal(err)
	}
	want, result := extract(t, opened, options)
	if result.Resumed < 64 {
		t.Errorf("%d pictures were done", result.Resumed)
	}
	os.Remove(options.Out)
	options.Resume = false
	interrupt(t, opened, options, 90, nil)
	if got, result := extract(t, opened, options); result.Resumed != 0 || !bytes.Equal(got, want) {
		t.Errorf("%d pictures of the dropped extraction were taken", result.Resumed)
	}
}
