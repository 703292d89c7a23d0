package main

import (
	"context"
	"errors"
	"slices"

	"pretrain/backbone"
	"pretrain/look"
	"pretrain/nn"
	"pretrain/pretext"
	"pretrain/train"
)

// normalised is the least number of pictures that colours are predicted for at once. Batch normalisation takes its
// statistics over grey pictures in this task's training and over plain ones in checkpoints, so here it takes them over
// the batch again, which must not be small.
const normalised = 64

// colours shows a picture a row: what the backbone sees, the predicted colours, and the truth.
func colours(ctx context.Context, r *run, o options) (look.Sheet, error) {
	if !slices.Contains(r.config.ActiveTasks(), "colorization") {
		const remedy = "name one whose tasks.colorization.weight is above 0"
		return look.Sheet{}, errors.New("the run was not trained on colorization: " + remedy)
	}
	task, err := r.task("colorization", look.Centred)
	if err != nil {
		return look.Sheet{}, err
	}
	samples, err := r.samples(ctx, o.data, max(o.count, normalised))
	if err != nil {
		return look.Sheet{}, err
	}
	plan, batch, err := r.prepare([]pretext.Task{task}, samples)
	if err != nil {
		return look.Sheet{}, err
	}
	logits, err := r.answer(task, plan, batch, len(samples))
	if err != nil {
		return look.Sheet{}, err
	}
	colorizer, err := pretext.NewColorizer(task)
	if err != nil {
		return look.Sheet{}, err
	}
	var s look.Sheet
	size := len(logits) / len(samples)
	for i := range min(o.count, len(samples)) {
		at := i * len(samples) / o.count
		truth := samples[at].Crop(look.Centred, look.TileSide)
		painted, err := colorizer.Render(truth, logits[at*size:][:size])
		if err != nil {
			return look.Sheet{}, err
		}
		grey := r.picture(r.config.Data.Size, plan.Canvas(batch, 0, 0, at).Pixels)
		s.Rows = append(s.Rows, look.Row{Tiles: []look.Tile{
			{Caption: "seen", Pixels: grey}, {Caption: "predicted", Pixels: painted}, {Caption: "truth", Pixels: truth},
		}})
	}
	return s, nil
}

// answer shows a task, alone in its plan and with a single view, a batch and returns its logits.
func (r *run) answer(task pretext.Task, plan *train.Plan, batch *train.Batch, views int) ([]float32, error) {
	store, side := nn.NewStore(0), plan.Passes[0].Side
	c := nn.NewCtx(store, true)
	images := c.Input("images", views*side*side, 3)
	features, err := r.backbone.Forward(c.Scope("backbone"), backbone.Input{Images: images, Views: views, Side: side})
	if err != nil {
		return nil, err
	}
	target := c.Input("target", views, task.Spec().Target)
	output, err := task.Build(c.Scope("tasks."+task.Name()), []backbone.Features{features}, target)
	if err != nil {
		return nil, err
	}
	program, err := nn.Compile(c, r.engine, nil, output.Logits)
	if err != nil {
		return nil, err
	}
	if err := train.LoadWeights(store, r.state); err != nil {
		return nil, err
	}
	program.Bind(images, batch.Passes[0].Pixels)
	if err := program.Run(); err != nil {
		return nil, err
	}
	return program.Value(output.Logits), nil
}
