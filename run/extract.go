package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/export"
	"pretrain/internal/atomicfile"
	"pretrain/train"
)

// ExtractOptions say of which pictures the features go where.
type ExtractOptions struct {
	Data      string // folder or list file
	Out       string // file; its extension chooses the format
	Layer     int    // 0 = the last
	Overwrite bool
}

// Extraction tells what Extract wrote.
type Extraction struct {
	Rows, Columns int
	Bad           []eval.Bad
	BadFile       string // lists the unreadable pictures; empty when there are none
}

// Extract writes one row a picture, in the order of the paths. Memory does not grow with the number of pictures. An
// unreadable picture has no row; it is listed in a file beside the output.
func (r *Run) Extract(ctx context.Context, options ExtractOptions) (Extraction, error) {
	layer := options.Layer
	if layer == 0 {
		layer = r.Model.Layers()
	}
	if err := r.Model.CheckLayer(layer); err != nil {
		return Extraction{}, train.Usage(err)
	}
	files, err := data.Open(ctx, options.Data, r.Config.Data)
	if err != nil {
		return Extraction{}, train.UsageUnlessCancelled(ctx, err)
	}
	result := Extraction{Columns: r.Model.Dim(layer)}
	writer, err := export.NewFeatureWriter(options.Out, export.FeatureOptions{Columns: result.Columns, Overwrite: options.Overwrite})
	if err != nil {
		return result, train.Usage(err)
	}
	defer writer.Abort()
	result.Bad, err = r.Model.Walk(ctx, files, func(v eval.Vectors) error {
		result.Rows++
		return writer.Write(v.Path, v.Label, v.Layers[layer-1])
	})
	if err != nil {
		return result, err
	}
	for _, bad := range files.Report().Bad {
		result.Bad = append(result.Bad, eval.Bad{Path: bad.Path, Err: bad.Err})
	}
	if err := result.listBad(options.Out); err != nil {
		return result, err
	}
	return result, writer.Close()
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
	slices.SortFunc(e.Bad, func(a, b eval.Bad) int { return strings.Compare(a.Path, b.Path) })
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
