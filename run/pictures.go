package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/train"
)

// pictures are what a command reads besides training, with the names that it prints.
type pictures struct {
	data.Dataset
	paths, names, labels []string   // of each picture; a name is relative to the folder or list that the picture is from
	bad                  []eval.Bad // broken ones, which are not among them
}

// listEndings are those of list files; a file of any other name is taken for a picture.
var listEndings = []string{".txt", ".csv", ".tsv", ".lst"}

// openFolder finds the pictures of a folder or list file: all of them, whatever limits training had.
func (r *Run) openFolder(ctx context.Context, path string) (pictures, error) {
	config := r.Config.Data
	config.MaxPictures, config.MaxBadRatio = 0, 1
	files, err := data.Open(ctx, path, config)
	if err != nil {
		return pictures{}, train.UsageUnlessCancelled(ctx, err)
	}
	root := path
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		root = filepath.Dir(path)
	}
	p := pictures{Dataset: files}
	for i := range files.Len() {
		p.add(files.Path(i), below(root, files.Path(i)), files.Label(i))
	}
	for _, bad := range files.Report().Bad {
		p.bad = append(p.bad, eval.Bad{Path: bad.Path, Err: bad.Err})
	}
	return p, nil
}

func (p *pictures) add(path, name, label string) {
	p.paths, p.names, p.labels = append(p.paths, path), append(p.names, name), append(p.labels, label)
}

// below is a path relative to a folder, with forward slashes; a path elsewhere stays as it is.
func below(root, path string) string {
	relative, err := filepath.Rel(root, path)
	if err != nil || relative == ".." || strings.HasPrefix(relative, ".."+string(filepath.Separator)) {
		relative = path
	}
	return filepath.ToSlash(relative)
}

// openNamed finds the pictures that arguments name: picture files, folders and list files. A picture is named as its
// argument, those of a folder relative to it. No such file is a train.UsageError.
func (r *Run) openNamed(ctx context.Context, arguments []string) (pictures, error) {
	var all pictures
	var parts joined
	for _, argument := range arguments {
		info, err := os.Stat(argument)
		if err != nil {
			return all, train.Usage(fmt.Errorf("%s: %w: name a picture, a folder or a list file", argument, errors.Unwrap(err)))
		}
		if !info.IsDir() && !slices.Contains(listEndings, strings.ToLower(filepath.Ext(argument))) {
			all.add(argument, filepath.ToSlash(argument), "")
			parts = append(parts, lone(argument))
			continue
		}
		part, err := r.openFolder(ctx, argument)
		if err != nil {
			return all, err
		}
		for i := range part.paths {
			all.add(part.paths[i], part.names[i], part.labels[i])
		}
		all.bad, parts = append(all.bad, part.bad...), append(parts, part.Dataset)
	}
	all.Dataset = parts
	return all, nil
}

// lone is a data set of one picture file.
type lone string

func (lone) Len() int { return 1 }

func (path lone) At(ctx context.Context, _ int) (data.Example, error) {
	if err := ctx.Err(); err != nil {
		return data.Example{}, err
	}
	contents, err := os.ReadFile(string(path))
	if err != nil {
		return data.Example{}, &data.PictureError{Path: string(path), Err: err}
	}
	image, err := data.Decode(contents)
	if err != nil {
		return data.Example{}, &data.PictureError{Path: string(path), Err: err}
	}
	return data.Example{Image: image, Path: string(path)}, nil
}

// joined is data sets one after another.
type joined []data.Dataset

func (j joined) Len() int {
	n := 0
	for _, part := range j {
		n += part.Len()
	}
	return n
}

func (j joined) At(ctx context.Context, i int) (data.Example, error) {
	for _, part := range j {
		if i < part.Len() {
			return part.At(ctx, i)
		}
		i -= part.Len()
	}
	return data.Example{}, fmt.Errorf("picture %d: there are fewer", i)
}

// observed shows every picture that is read to a function too, concurrently and by its number.
type observed struct {
	data.Dataset
	see func(i int, image data.Image)
}

func (o observed) At(ctx context.Context, i int) (data.Example, error) {
	example, err := o.Dataset.At(ctx, i)
	if err == nil {
		o.see(i, example.Image)
	}
	return example, err
}

// features are the unit vectors of the readable ones of some pictures, one a row.
type features struct {
	eval.Matrix
	numbers []int // of the pictures of the rows
	bad     []eval.Bad
}

func (r *Run) progress(done, total int) {
	if r.Progress != nil {
		r.Progress(done, total)
	}
}

// features reads a layer of all pictures; see, if it is given, gets every picture as observed says. That no picture can be
// read is an error.
func (r *Run) features(ctx context.Context, p pictures, layer int, see func(int, data.Image)) (features, error) {
	f := features{Matrix: eval.Matrix{Cols: r.Model.Dim(layer)}}
	dataset := p.Dataset
	if see != nil {
		dataset = observed{dataset, see}
	}
	r.progress(0, p.Len())
	bad, err := r.Model.Walk(ctx, dataset, func(v eval.Vectors) error {
		r.progress(v.Index, p.Len())
		f.Data = append(f.Data, v.Layers[layer-1]...)
		f.numbers = append(f.numbers, v.Index)
		f.Rows++
		return nil
	})
	if err == nil {
		r.progress(p.Len(), p.Len())
	}
	f.bad = append(slices.Clone(p.bad), bad...)
	if err == nil && f.Rows == 0 && len(f.bad) > 0 {
		err = train.Usage(fmt.Errorf("none of %d pictures can be read; the first one, %s: %w", len(f.bad), f.bad[0].Path, f.bad[0].Err))
	}
	f.Matrix = f.Matrix.Unit()
	return f, err
}
