package main

import (
	"context"
	"fmt"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/nn"
	"pretrain/pretext"
)

// tasks shows the pictures side by side: the whole picture and its crop, and then a row a task with the views that it
// prepares of each picture and the first numbers of its target.
func tasks(ctx context.Context, r *run, o options) (sheet, error) {
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
	s := make(sheet, 1+len(active))
	for i, sample := range samples {
		s[0].tiles = append(s[0].tiles, pad(width,
			tile{"picture", sample.Crop(centred, tileSide)}, tile{"crop", sample.Crop(r.config.Data.Augmentation, tileSide)})...)
		for t, task := range active {
			var tiles []tile
			for v, view := range task.Spec().Views {
				tiles = append(tiles, r.viewTile(view, plan.Canvas(batch, t, v, i)))
			}
			size := task.Spec().Target
			tiles[0].caption += "\n" + summary(batch.Targets[t][i*size:][:size])
			s[1+t].label = task.Name()
			s[1+t].tiles = append(s[1+t].tiles, pad(width, tiles...)...)
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
func pad(width int, tiles ...tile) []tile { return append(tiles, make([]tile, width-len(tiles))...) }

// summary prints a target, or the beginning of a long one.
func summary(target []float32) string {
	if len(target) <= 4 {
		return fmt.Sprintf("target %g", target)
	}
	return fmt.Sprintf("target %g %.3g ...", target[0], target[1])
}

// viewTile is a view as the backbone gets it: tokens that are dropped are blank, those of unknown position have a frame.
func (r *run) viewTile(view pretext.View, canvas pretext.Canvas) tile {
	picture := enlarge(r.picture(view.Side, canvas.Pixels), max(1, tileSide/view.Side))
	caption := view.Name
	if view.Positions == backbone.PositionsNone {
		caption += ", no places"
	}
	if canvas.Tokens != nil {
		blank := blankLike(picture)
		side := picture.Side / (view.Side / r.backbone.Stride())
		for i, token := range canvas.Tokens {
			unknown := canvas.Positions != nil && canvas.Positions[i] == nn.UnknownPosition
			copyToken(blank, picture, int(token), side, unknown)
		}
		picture = blank
	}
	return tile{caption, picture}
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
