package main

import (
	"context"
	"fmt"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/nn"
	"pretrain/pretext"
	"pretrain/view"
)

// tasks shows the pictures side by side: the whole picture and its crop, and then a row a task with the views that it
// prepares of each picture and the first numbers of its target.
func tasks(ctx context.Context, r *run, o options) (view.Sheet, error) {
	samples, err := r.samples(ctx, o.data, o.count)
	if err != nil {
		return nil, err
	}
	active, err := r.tasks()
	if err != nil {
		return nil, err
	}
	plan, batch, err := r.prepare(active, samples)
	if err != nil {
		return nil, err
	}
	width := 2 // tiles a picture
	for _, task := range active {
		width = max(width, len(task.Spec().Views))
	}
	s := make(view.Sheet, 1+len(active))
	for i, sample := range samples {
		s[0].Tiles = append(s[0].Tiles, pad(width,
			view.Tile{Caption: "picture", Pixels: sample.Crop(centred, view.TileSide)}, view.Tile{Caption: "crop", Pixels: sample.Crop(r.config.Data.Augmentation, view.TileSide)})...)
		for t, task := range active {
			var tiles []view.Tile
			for v, shown := range task.Spec().Views {
				tiles = append(tiles, r.viewTile(shown, plan.Canvas(batch, t, v, i)))
			}
			size := task.Spec().Target
			tiles[0].Caption += "\n" + summary(batch.Targets[t][i*size:][:size])
			s[1+t].Label = task.Name()
			s[1+t].Tiles = append(s[1+t].Tiles, pad(width, tiles...)...)
		}
	}
	return s, nil
}

// tasks makes the tasks of the run as training had them.
func (r *run) tasks() ([]pretext.Task, error) {
	var active []pretext.Task
	for _, name := range r.config.ActiveTasks() {
		task, err := r.task(name, r.config.Data.Augmentation)
		if err != nil {
			return nil, fmt.Errorf("tasks.%s: %w", name, err)
		}
		active = append(active, task)
	}
	return active, nil
}

// pad appends empty tiles up to a number.
func pad(width int, tiles ...view.Tile) []view.Tile {
	return append(tiles, make([]view.Tile, width-len(tiles))...)
}

// summary prints a target, or the beginning of a long one.
func summary(target []float32) string {
	if len(target) <= 4 {
		return fmt.Sprintf("target %g", target)
	}
	return fmt.Sprintf("target %g %.3g ...", target[0], target[1])
}

// viewTile is a view as the backbone gets it: tokens that are dropped are blank, those of unknown position have a frame.
func (r *run) viewTile(shown pretext.View, canvas pretext.Canvas) view.Tile {
	picture := enlarge(r.picture(shown.Side, canvas.Pixels), max(1, view.TileSide/shown.Side))
	caption := shown.Name
	if shown.Positions == backbone.PositionsNone {
		caption += ", no places"
	}
	if canvas.Tokens != nil {
		blank := blankLike(picture)
		side := picture.Side / (shown.Side / r.backbone.Stride())
		for i, token := range canvas.Tokens {
			unknown := canvas.Positions != nil && canvas.Positions[i] == nn.UnknownPosition
			copyToken(blank, picture, int(token), side, unknown)
		}
		picture = blank
	}
	return view.Tile{Caption: caption, Pixels: picture}
}

// enlarge repeats every pixel.
func enlarge(p *data.Pixels, factor int) *data.Pixels {
	large := data.NewPixels(p.Side * factor)
	for y := range large.Side {
		for x := range large.Side {
			copy(large.Data[(y*large.Side+x)*3:][:3], p.Data[(y/factor*p.Side+x/factor)*3:][:3])
		}
	}
	return large
}

// blankLike is a light grey picture of the same side.
func blankLike(p *data.Pixels) *data.Pixels {
	blank := data.NewPixels(p.Side)
	for i := range blank.Data {
		blank.Data[i] = 0.85
	}
	return blank
}

// copyToken copies one token, a square of the given side, and may draw a red frame inside it.
func copyToken(dst, src *data.Pixels, token, side int, framed bool) {
	grid := src.Side / side
	left, top := token%grid*side, token/grid*side
	for y := range side {
		for x := range side {
			at := ((top+y)*src.Side + left + x) * 3
			copy(dst.Data[at:][:3], src.Data[at:][:3])
			if framed && (x == 0 || y == 0 || x == side-1 || y == side-1) {
				copy(dst.Data[at:][:3], []float32{1, 0, 0})
			}
		}
	}
}
