package main

import (
	"context"
	"fmt"

	"pretrain/backbone"
	"pretrain/look"
	"pretrain/nn"
	"pretrain/pretext"
)

// tasks shows the pictures side by side: the whole picture and its crop, and then a row a task with the views that it
// prepares of each picture and the first numbers of its target.
func tasks(ctx context.Context, r *run, o options) (look.Sheet, error) {
	samples, err := r.samples(ctx, o.data, o.count)
	if err != nil {
		return look.Sheet{}, err
	}
	active, err := r.tasks()
	if err != nil {
		return look.Sheet{}, err
	}
	plan, batch, err := r.prepare(active, samples)
	if err != nil {
		return look.Sheet{}, err
	}
	width := 2 // tiles a picture
	for _, task := range active {
		width = max(width, len(task.Spec().Views))
	}
	rows := make([]look.Row, 1+len(active))
	for i, sample := range samples {
		rows[0].Tiles = append(rows[0].Tiles, pad(width,
			look.Tile{Caption: "picture", Pixels: sample.Crop(look.Centred, look.TileSide)},
			look.Tile{Caption: "crop", Pixels: sample.Crop(r.config.Data.Augmentation, look.TileSide)})...)
		for t, task := range active {
			var tiles []look.Tile
			for v, view := range task.Spec().Views {
				tiles = append(tiles, r.viewTile(view, plan.Canvas(batch, t, v, i)))
			}
			size := task.Spec().Target
			tiles[0].Caption += "\n" + summary(batch.Targets[t][i*size:][:size])
			rows[1+t].Label = task.Name()
			rows[1+t].Tiles = append(rows[1+t].Tiles, pad(width, tiles...)...)
		}
	}
	return look.Sheet{Rows: rows}, nil
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
func pad(width int, tiles ...look.Tile) []look.Tile {
	return append(tiles, make([]look.Tile, width-len(tiles))...)
}

// summary prints a target, or the beginning of a long one.
func summary(target []float32) string {
	if len(target) <= 4 {
		return fmt.Sprintf("target %g", target)
	}
	return fmt.Sprintf("target %g %.3g ...", target[0], target[1])
}

// viewTile is a view as the backbone gets it: tokens that are dropped are blank, those of unknown position have a frame.
func (r *run) viewTile(view pretext.View, canvas pretext.Canvas) look.Tile {
	picture := look.Enlarge(r.picture(view.Side, canvas.Pixels), max(1, look.TileSide/view.Side))
	caption := view.Name
	if view.Positions == backbone.PositionsNone {
		caption += ", no places"
	}
	if canvas.Tokens != nil {
		blank := look.Blank(picture.Side)
		side := picture.Side / (view.Side / r.backbone.Stride())
		for i, token := range canvas.Tokens {
			look.CopyToken(blank, picture, int(token), int(token), side)
			if canvas.Positions != nil && canvas.Positions[i] == nn.UnknownPosition {
				look.FrameToken(blank, int(token), side, look.Red)
			}
		}
		picture = blank
	}
	return look.Tile{Caption: caption, Pixels: picture}
}
