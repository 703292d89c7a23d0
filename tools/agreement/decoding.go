package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/run"
)

// decoding compares the features of picture files: ours, decoded and resized here, with PyTorch's, by PIL.
func (o options) decoding(ctx context.Context, runs []string) error {
	fmt.Fprintf(o.out, "\nThe same files, cosine similarity of the pooled vectors:\n\n"+
		"| network | decoded and resized by | against | pictures | median | lowest |\n| --- | --- | --- | ---: | ---: | ---: |\n")
	for _, directory := range runs {
		if err := o.decodeFor(ctx, directory); err != nil {
			return fmt.Errorf("%s: %w", directory, err)
		}
	}
	return nil
}

func (o options) decodeFor(ctx context.Context, directory string) error {
	opened, err := run.Open(directory)
	if err != nil {
		return err
	}
	defer opened.Close()
	scratch, err := o.folder("decoding")
	if err != nil {
		return err
	}
	weights := filepath.Join(scratch, "weights")
	if err := opened.Export(run.ExportOptions{Out: weights, Format: formatOf(opened)}); err != nil {
		return err
	}
	files, err := data.Open(ctx, o.pictures, opened.Config.Data)
	if err != nil {
		return err
	}
	ours, paths, err := o.walk(ctx, opened, eval.Spread(files, o.count))
	if err != nil {
		return err
	}
	list := filepath.Join(scratch, "list")
	if err := os.WriteFile(list, []byte(strings.Join(paths, "\n")), 0o600); err != nil {
		return err
	}
	for _, by := range []struct{ mode, name string }{{"pictures", "Pillow"}, {"boxes", "Pillow in one step"}} {
		theirs, err := collect(o.python(by.mode, weights, list, len(paths), scratch), scratch)
		if err != nil {
			return err
		}
		similar := similarities(ours, theirs["pooled"])
		fmt.Fprintf(o.out, "| %s | pretrain, %s | %s | %d | %.6f | %.6f |\n",
			opened.Model.Backbone.Name(), data.JPEGDecoder, by.name, len(similar), similar[len(similar)/2], similar[0])
	}
	return nil
}

// walk is the features of the pictures that can be read, and their paths.
func (o options) walk(ctx context.Context, opened *run.Run, pictures data.Dataset) (vectors [][]float32, paths []string, err error) {
	_, err = opened.Model.Walk(ctx, pictures, func(v eval.Vectors) error {
		path := v.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(o.pictures, path)
		}
		vectors, paths = append(vectors, slices.Clone(v.Layers[len(v.Layers)-1])), append(paths, path)
		return nil
	})
	return vectors, paths, err
}

// similarities are the cosines of the rows, sorted.
func similarities(ours [][]float32, theirs []float32) []float64 {
	similar := make([]float64, len(ours))
	for i, vector := range ours {
		similar[i] = cosine(vector, theirs[i*len(vector):(i+1)*len(vector)])
	}
	slices.Sort(similar)
	return similar
}
