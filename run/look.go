package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/internal/atomicfile"
	"pretrain/layout"
	"pretrain/look"
	"pretrain/train"
	"pretrain/view"
)

// LookOptions say which pictures are drawn, and how the network sees them.
type LookOptions struct {
	Pictures  []string // picture files, folders or list files
	Out       string   // folder
	Layer     string   // as Run.Layer reads it
	Overwrite bool
	Say       func(string)
}

// Looked tells what Look drew.
type Looked struct {
	Files []string // PNG, one a picture and, of several pictures, a sheet of all
	Bad   []eval.Bad
}

// mostLooks bounds the pictures of Look, whose maps are held in memory.
const mostLooks = 500

// mostRows bounds the sheet of all pictures.
const mostRows = 50

// Look draws, beside each picture, the first three principal components of a layer's map as red, green and blue, over all
// pictures together, so that a colour means the same in each; and what the block of that layer attends to, as a mean and a
// head. A backbone without attention shows the length of the feature at each position instead.
func (r *Run) Look(ctx context.Context, options LookOptions) (Looked, error) {
	var looked Looked
	layer, err := r.Layer(options.Layer)
	if err != nil {
		return looked, err
	}
	p, err := r.openNamed(ctx, options.Pictures)
	if err != nil {
		return looked, err
	}
	if p.Len() > mostLooks {
		return looked, train.Usage(fmt.Errorf("%d pictures: at most %d are drawn at once; name fewer", p.Len(), mostLooks))
	}
	files := outputs(options.Out, p.names)
	if err := checkFree(files, options.Overwrite); err != nil {
		return looked, err
	}
	seen, err := r.seePositions(ctx, p, layer)
	if err != nil {
		return looked, err
	}
	looked.Bad = append(p.bad, seen.bad...)
	if len(seen.pictures) == 0 {
		return looked, train.Usage(fmt.Errorf("none of %d pictures can be read; the first one, %s: %w", len(looked.Bad), looked.Bad[0].Path, looked.Bad[0].Err))
	}
	rows, err := r.rows(seen)
	if err != nil {
		return looked, err
	}
	for i, row := range rows {
		looked.Files = append(looked.Files, files[seen.numbers[i]])
		if err := writeSheet(files[seen.numbers[i]], look.Sheet{Rows: []look.Row{row}}, options.Overwrite); err != nil {
			return looked, err
		}
	}
	if len(rows) > 1 {
		all := files[len(files)-1]
		looked.Files = append(looked.Files, all)
		err = writeSheet(all, look.Sheet{Rows: rows[:min(len(rows), mostRows)]}, options.Overwrite)
	}
	return looked, err
}

func writeSheet(path string, sheet look.Sheet, overwrite bool) error {
	return atomicfile.Write(path, overwrite, func(w io.Writer) error { return sheet.Encode(w, path) })
}

// outputs names a file for each picture after it, numbering those that are called the same, and then the sheet of all.
func outputs(folder string, names []string) []string {
	files, taken := []string{}, map[string]int{"all": 1}
	for _, name := range names {
		base := filepath.Base(filepath.FromSlash(name))
		base = strings.TrimSuffix(base, filepath.Ext(base))
		unique := base
		for taken[unique] > 0 {
			taken[base]++
			unique = fmt.Sprintf("%s-%d", base, taken[base])
		}
		taken[unique] = 1
		files = append(files, filepath.Join(folder, unique+".png"))
	}
	return append(files, filepath.Join(folder, "all.png"))
}

// checkFree refuses files that cannot be written, before any work.
func checkFree(files []string, overwrite bool) error {
	for _, file := range files {
		if err := atomicfile.Check(file, overwrite); err != nil {
			return train.Usage(fmt.Errorf("--out: %w", err))
		}
	}
	return nil
}

// positions are the readable ones of some pictures, with what a layer makes of them.
type positions struct {
	eval.LayerPositions // without its numbers, which are those of the last batch
	pictures            []*data.Pixels
	numbers             []int       // of the pictures
	values              []float32   // [pictures, positions, channels]
	heats               [][]float32 // of each picture the mean over heads, then the heads; or one map of lengths
	lengths             bool
	bad                 []eval.Bad
}

// lookBatch is how many pictures are read at once: maps and attention are large.
const lookBatch = 8

// seePositions reads a layer of all pictures.
func (r *Run) seePositions(ctx context.Context, p pictures, layer int) (*positions, error) {
	reader, err := r.Model.Positions(lookBatch, layer)
	if err != nil {
		return nil, err
	}
	seen := &positions{}
	side := r.Model.Backbone.Side()
	size := side * side * 3
	batch := make([]float32, lookBatch*size)
	filled := 0
	for i := range p.Len() {
		example, err := p.At(ctx, i)
		if bad := (*data.PictureError)(nil); errors.As(err, &bad) {
			seen.bad = append(seen.bad, eval.Bad{Path: bad.Path, Err: bad.Err})
		} else if err != nil {
			return nil, err
		} else {
			r.Model.Normalization.Apply(batch[filled*size:][:size], data.Preprocess(example.Image, side))
			seen.pictures = append(seen.pictures, data.Preprocess(example.Image, look.TileSide))
			seen.numbers = append(seen.numbers, i)
			filled++
		}
		if filled == lookBatch || filled > 0 && i == p.Len()-1 {
			layers, err := reader.Read(batch)
			if err != nil {
				return nil, err
			}
			seen.keep(layers[0], filled)
			filled = 0
		}
	}
	return seen, nil
}

// keep copies what was read of the first views of a batch.
func (s *positions) keep(layer eval.LayerPositions, views int) {
	each := layer.Height * layer.Width * layer.Channels
	for view := range views {
		values := layer.Values[view*each:][:each]
		s.values = append(s.values, values...)
		if layer.Attention == nil {
			s.lengths = true
			s.heats = append(s.heats, lengths(values, layer.Channels))
			continue
		}
		heats := layer.Attention.Received(view, 0, layer.Attention.Heads)
		for head := range layer.Attention.Heads {
			heats = append(heats, layer.Attention.Received(view, head, head+1)...)
		}
		s.heats = append(s.heats, heats)
	}
	layer.Values, layer.Attention = nil, nil
	s.LayerPositions = layer
}

// lengths are the Euclidean lengths of the rows of a map.
func lengths(values []float32, channels int) []float32 {
	var found []float32
	for ; len(values) > 0; values = values[channels:] {
		var squares float64
		for _, v := range values[:channels] {
			squares += float64(v) * float64(v)
		}
		found = append(found, float32(math.Sqrt(squares)))
	}
	return found
}

// rows makes a row of each picture.
func (r *Run) rows(s *positions) (drawn []look.Row, err error) {
	places := eval.Matrix{Rows: len(s.values) / s.Channels, Cols: s.Channels, Data: s.values}
	if places.Rows < 2 {
		return nil, train.Usage(fmt.Errorf("layer %d has one position for a picture of %d pixels: nothing varies in it; name several pictures, or an earlier layer",
			s.Layer, r.Model.Backbone.Side()))
	}
	components, err := layout.PCA(r.engine, places, min(3, s.Channels))
	if err != nil {
		return nil, err
	}
	projected := components.Project(r.engine, places)
	scale := view.NewScale(projected.Data, projected.Cols)
	var share float64
	for _, variance := range components.Variance {
		share += variance / max(components.Total, math.SmallestNonzeroFloat64)
	}
	caption := fmt.Sprintf("layer %d, %d x %d\n%.0f %% of variance", s.Layer, s.Height, s.Width, 100*share)
	each := s.Height * s.Width
	for i, picture := range s.pictures {
		values := projected.Data[i*each*projected.Cols:][:each*projected.Cols]
		tiles := []look.Tile{{Caption: "picture", Pixels: picture}, view.ColourTile(caption, values, projected.Cols, scale)}
		for heat := range len(s.heats[i]) / each {
			tiles = append(tiles, look.HeatTile(s.heatName(heat), picture, s.heats[i][heat*each:][:each]))
		}
		drawn = append(drawn, look.Row{Tiles: tiles})
	}
	return drawn, nil
}

func (s *positions) heatName(heat int) string {
	switch {
	case s.lengths:
		return "feature length"
	case heat == 0:
		return "attention, mean"
	}
	return fmt.Sprintf("head %d", heat)
}
