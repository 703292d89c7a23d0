package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/export"
	"pretrain/internal/atomicfile"
	"pretrain/train"
)

// ExtractOptions say of which pictures which features go where.
type ExtractOptions struct {
	Data      string // folder or list file
	Out       string // file; its extension chooses the format
	Layer     string // see Run.Layer, or "all"
	Pool      string // mean, cls or map; empty = as evaluations read the layer, see eval.PoolOwn
	Normalize bool   // every vector, or every position of a map, has length one
	Precision string // fp32, bf16 or auto; empty = fp32
	Shard     string // i/n, the part i of n of the pictures, from 0; empty = all
	SHA256    bool   // write the hash of every file
	Resume    bool   // go on with an extraction to Out that was not finished, if there is one
	Overwrite bool
}

// Extraction tells what Extract wrote.
type Extraction struct {
	Rows    int
	Columns []export.FeatureColumn
	Files   []string
	Bad     []eval.Bad
	BadFile string // lists the unreadable pictures; empty when there are none
	Resumed int    // pictures that an earlier extraction had done
}

// Extract writes one row a picture, in the order of the paths. Memory does not grow with the number of pictures but for
// the list of their names. An unreadable picture has no row; it is listed in a file beside the output.
//
// Features gather in the folder Out.partial first (see export.Partial), so that an extraction that was stopped or killed
// can be resumed, with the same bytes in the end; Out appears when it is whole.
func (r *Run) Extract(ctx context.Context, options ExtractOptions) (Extraction, error) {
	e, err := r.newExtractor(ctx, options)
	if err != nil {
		return Extraction{}, err
	}
	return e.run(ctx)
}

func (e *extractor) run(ctx context.Context) (Extraction, error) {
	defer e.partial.Close()
	if err := e.compute(ctx); err != nil {
		return e.result, e.unfinished(ctx, err)
	}
	if err := e.write(ctx); err != nil {
		return e.result, e.unfinished(ctx, err)
	}
	return e.result, e.partial.Remove()
}

// extractor is one extraction under way.
type extractor struct {
	progress func(done, total int)
	options  ExtractOptions
	model    *eval.Model
	layers   []int
	pictures *data.Files
	source   data.Dataset // what is read: the pictures
	features export.FeatureOptions
	partial  *export.Partial
	result   Extraction
}

// newExtractor finds all mistakes in what is asked for, before any feature is computed.
func (r *Run) newExtractor(ctx context.Context, options ExtractOptions) (*extractor, error) {
	e := &extractor{options: options, progress: r.progress}
	reading, err := r.reading(options)
	if err != nil {
		return nil, err
	}
	shard, err := parseShard(options.Shard)
	if err != nil {
		return nil, train.Usage(err)
	}
	if e.model, err = r.Model.Read(reading); err != nil {
		return nil, train.Usage(err)
	}
	e.layers = reading.Layers
	e.features = export.FeatureOptions{Columns: e.columns(), SHA256: options.SHA256, Overwrite: options.Overwrite}
	e.result = Extraction{Columns: e.features.Columns, Files: export.FeatureFiles(options.Out, e.features.Columns)}
	if err := export.CheckFeatures(options.Out, e.features); err != nil {
		return nil, train.Usage(err)
	}
	if e.pictures, err = data.OpenShard(ctx, options.Data, r.Config.Data, shard); err != nil {
		return nil, train.UsageUnlessCancelled(ctx, err)
	}
	if e.options.SHA256 {
		e.pictures = e.pictures.Hashed()
	}
	e.source = e.pictures
	if e.features.Metadata, err = r.describe(options, reading); err != nil {
		return nil, err
	}
	return e, e.openPartial()
}

// reading is what the options ask of the network.
func (r *Run) reading(options ExtractOptions) (eval.Reading, error) {
	reading, err := r.ReadingOf(options.Layer, options.Pool, options.Precision)
	if options.Layer == "all" {
		reading.Layers = r.Model.AllLayers()
	}
	return reading, err
}

// columns are one a layer, which have names if all are asked for.
func (e *extractor) columns() []export.FeatureColumn {
	var columns []export.FeatureColumn
	for _, layer := range e.layers {
		column := export.FeatureColumn{Shape: e.model.Shape(layer)}
		if e.options.Layer == "all" {
			column.Name = "layer" + strconv.Itoa(layer)
		}
		columns = append(columns, column)
	}
	return columns
}

// parseShard reads i/n.
func parseShard(text string) (data.Shard, error) {
	if text == "" {
		return data.Shard{Index: 0, Count: 1}, nil
	}
	index, count, _ := strings.Cut(text, "/")
	i, err := strconv.Atoi(index)
	n, err2 := strconv.Atoi(count)
	if err != nil || err2 != nil || n < 1 || i < 0 || i >= n {
		return data.Shard{}, fmt.Errorf("--shard %q: must be i/n, the part i of n, which count from 0 to n-1: 0/4 to 3/4 are the quarters", text)
	}
	return data.Shard{Index: i, Count: n}, nil
}

// openPartial begins, or goes on with, the folder of what is done.
func (e *extractor) openPartial() (err error) {
	identity := e.identity()
	if e.options.Resume && export.HasPartial(e.options.Out) {
		e.partial, err = export.ResumePartial(e.options.Out, e.features.Columns, identity)
	} else {
		e.partial, err = export.NewPartial(e.options.Out, e.features.Columns, identity, e.options.Overwrite)
	}
	if errors.Is(err, export.ErrPartial) {
		return train.Usage(err)
	}
	if err == nil {
		e.result.Resumed = e.partial.Pictures()
	}
	return err
}

// compute adds the features of the pictures that are still missing.
func (e *extractor) compute(ctx context.Context) error {
	total := e.pictures.Len()
	e.progress(e.partial.Pictures(), total)
	return e.model.WalkFrom(ctx, e.source, e.partial.Pictures(), func(v eval.Vectors) error {
		defer func() { e.progress(e.partial.Pictures(), total) }()
		if v.Bad != nil {
			return e.partial.AddBad(v.Path, v.Bad)
		}
		if e.options.Normalize {
			for i, layer := range e.layers {
				shape := e.model.Shape(layer)
				eval.ScaleRows(v.Layers[i], shape[len(shape)-1])
			}
		}
		return e.partial.Add(export.FeatureRow{
			Path: v.Path, Label: v.Label, Width: v.Width, Height: v.Height, SHA256: v.SHA256, Vectors: v.Layers,
		})
	})
}

// write makes the features file of what is there.
func (e *extractor) write(ctx context.Context) error {
	e.features.Rows = e.partial.Rows()
	writer, err := export.NewFeatureWriter(e.options.Out, e.features)
	if err != nil {
		return err
	}
	defer writer.Abort()
	e.result.Bad = nil
	err = e.partial.Each(func(row export.FeatureRow, bad error) error {
		if bad != nil {
			e.result.Bad = append(e.result.Bad, eval.Bad{Path: row.Path, Err: bad})
			return nil
		}
		e.result.Rows++
		return errors.Join(ctx.Err(), writer.Write(row))
	})
	if err != nil {
		return err
	}
	for _, bad := range e.pictures.Report().Bad {
		e.result.Bad = append(e.result.Bad, eval.Bad{Path: bad.Path, Err: bad.Err})
	}
	if err := e.result.listBad(e.options.Out); err != nil {
		return err
	}
	return writer.Close()
}

// unfinished adds to an error how to go on.
func (e *extractor) unfinished(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if e.partial.Pictures() == 0 {
		return err
	}
	return fmt.Errorf("%w; %d of %d pictures are done and kept in %s: repeat the command with --resume to go on",
		err, e.partial.Pictures(), e.pictures.Len(), e.partial.Folder())
}

// listBad names the unreadable pictures in a file beside the output.
func (e *Extraction) listBad(out string) error {
	list := out + ".unreadable.txt"
	if len(e.Bad) == 0 {
		if err := os.Remove(list); !errors.Is(err, fs.ErrNotExist) {
			return err // a list beside an older file that is being replaced must not outlive it
		}
		return nil
	}
	slices.SortStableFunc(e.Bad, func(a, b eval.Bad) int { return strings.Compare(a.Path, b.Path) })
	e.BadFile = list
	return atomicfile.Write(list, true, func(w io.Writer) error {
		var failed error
		for _, bad := range e.Bad {
			_, err := fmt.Fprintf(w, "%s\t%v\n", bad.Path, bad.Err)
			failed = errors.Join(failed, err)
		}
		return failed
	})
}
