package main

import (
	"context"
	"errors"
	"fmt"

	"pretrain/backbone"
	"pretrain/checkpoints"
	"pretrain/configs"
	"pretrain/data"
	"pretrain/eval"
	"pretrain/internal/kernel"
	"pretrain/pretext"
	"pretrain/train"
)

// run is a run that was opened at its newest checkpoint, with the tasks that it was trained on.
type run struct {
	config   *configs.Config
	backbone backbone.Backbone
	state    checkpoints.State
	engine   *kernel.Engine
}

func open(directory string) (*run, error) {
	folder := train.Directory(directory)
	resolved, err := configs.Load(configs.Source{Name: folder.Config()})
	if err != nil {
		return nil, err
	}
	r := &run{config: resolved.Config}
	if r.backbone, err = r.config.NewBackbone(); err != nil {
		return nil, err
	}
	found, err := checkpoints.Latest(folder.Checkpoints())
	if err != nil {
		return nil, err
	}
	r.state = found.State
	r.engine, err = kernel.New(kernel.Options{})
	return r, err
}

func (r *run) close() { r.engine.Close() }

// task makes a task as training had it, but for the augmentation of its pictures.
func (r *run) task(name string, augmentation data.Augmentation) (pretext.Task, error) {
	return r.config.Tasks[name].New(pretext.Env{
		Backbone: r.backbone, Side: r.config.Data.Size, Batch: r.config.Tasks[name].TaskPictures(r.config.Train.BatchSize),
		Epochs: r.config.Train.Epochs, Seed: r.config.Train.Seed,
		Augmentation: augmentation, Normalization: r.config.Data.Normalization(),
		Sample: func(int) ([]data.Image, error) {
			return nil, errors.New("the checkpoint does not hold what the task counted in the training pictures")
		},
		State: train.TaskState(&r.state, name),
	})
}

// samples reads pictures spread evenly over a folder, reduced as training reads them, in the first epoch.
func (r *run) samples(ctx context.Context, path string, count int) ([]*data.Sample, error) {
	files, err := data.Open(ctx, path, r.config.Data)
	if err != nil {
		return nil, err
	}
	chosen := eval.Spread(data.NewCache(files, r.config.Data.ReducedSide(), r.config.Data.CacheBytes()), count)
	var samples []*data.Sample
	for i := range chosen.Len() {
		example, err := chosen.At(ctx, i)
		if err != nil {
			return nil, err
		}
		samples = append(samples, data.NewSample(example.Image, r.config.Train.Seed, 0, uint64(i)))
	}
	return samples, nil
}

// prepare makes the views of some tasks, as a step of training gets them.
func (r *run) prepare(tasks []pretext.Task, samples []*data.Sample) (*train.Plan, *train.Batch, error) {
	plan, err := train.NewPlan(r.backbone, tasks, nil, len(samples))
	if err != nil {
		return nil, nil, err
	}
	batch := plan.NewBatch(tasks)
	for i, sample := range samples {
		if err := plan.Fill(tasks, r.config.Data.Normalization(), sample, i, batch); err != nil {
			return nil, nil, fmt.Errorf("picture %d: %w", i, err)
		}
	}
	return plan, batch, nil
}

// picture turns normalised pixels back into a picture.
func (r *run) picture(side int, normalised []float32) *data.Pixels {
	p := data.NewPixels(side)
	r.config.Data.Normalization().Invert(p, normalised)
	return p
}
