package run

import (
	"context"
	"fmt"
	"io"

	"pretrain/configs"
	"pretrain/train"
)

// TrainOptions say where and how a configuration is trained.
type TrainOptions struct {
	Directory string
	Start     train.Start
	Version   string // of the program, for run.json and the metrics
	Console   io.Writer
	Terminal  bool       // Console is a terminal
	Columns   func() int // of that terminal, asked anew for every line; nil or 0 = 80

	MemoryLimit int64 // bytes that the process may take; 0 = what the machine has free
}

// Train trains a configuration; see train.Run. When a run is resumed, the configuration must be the one that it began
// with, except for what changes no bit of the result.
func Train(ctx context.Context, resolved *configs.Resolved, options TrainOptions) error {
	directory := train.Directory(options.Directory)
	if options.Start == train.StartResume && directory.HoldsRun() {
		if err := directory.Check(options.Start); err != nil {
			return err
		}
		if err := checkSame(directory, resolved); err != nil {
			return err
		}
	}
	job, err := newJob(resolved)
	if err != nil {
		return train.Usage(err)
	}
	job.Directory, job.Start, job.Version = directory, options.Start, options.Version
	job.Console, job.Terminal, job.Columns, job.MemoryLimit = options.Console, options.Terminal, options.Columns, options.MemoryLimit
	job.Ended = func() { reportOnTraining(options) }
	return train.Run(ctx, job)
}

// reportOnTraining writes the report of a run that has ended, well or badly. What goes wrong with it is no reason to call
// a training failed.
func reportOnTraining(options TrainOptions) {
	_, problems, err := Report(ReportOptions{Runs: []string{options.Directory}, Version: options.Version})
	for _, problem := range append(problems, err) {
		if problem != nil {
			fmt.Fprintf(options.Console, "the report is not complete: %v; repeat it by `pretrain report %s`\n", problem, options.Directory)
		}
	}
}

// newJob hands each section to the part of the program that it is for.
func newJob(resolved *configs.Resolved) (train.Job, error) {
	c := resolved.Config
	backbone, err := c.NewBackbone()
	if err != nil {
		return train.Job{}, err
	}
	text, err := resolved.YAML()
	if err != nil {
		return train.Job{}, err
	}
	job := train.Job{
		Resolved: text, Kernels: Kernels(), Backbone: backbone, Weights: c.Backbone.Weights, TaskNames: c.ActiveTasks(),
		Data: c.Data, Losses: c.Losses, Optimizer: c.Optimizer, Train: c.Train, Checkpoints: c.Checkpoints,
		Eval: c.Eval, Export: c.Export, Metrics: c.Metrics, Logging: c.Logging,
	}
	for _, name := range job.TaskNames {
		job.Tasks = append(job.Tasks, c.Tasks[name])
	}
	return job, nil
}

// checkSame compares the configuration with that of the run that is to be resumed.
func checkSame(directory train.Directory, resolved *configs.Resolved) error {
	before, err := recordedConfig(directory)
	if err != nil {
		return err
	}
	return train.Usage(configs.CheckResumable(before, resolved))
}
