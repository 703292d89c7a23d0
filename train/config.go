package train

import (
	"fmt"
	"slices"

	"pretrain/metrics/mlflow"
)

// OptimizerConfig is the section `optimizer`.
type OptimizerConfig struct {
	Name         string  `mapstructure:"name" validate:"oneof=adamw sgd" doc:"optimizer: adamw (Loshchilov & Hutter 2019) or sgd with momentum"`
	LearningRate float64 `mapstructure:"learning_rate" validate:"gt=0" doc:"peak learning rate, reached after the warm-up"`
	WeightDecay  float64 `mapstructure:"weight_decay" validate:"gte=0" doc:"decoupled (adamw) or L2 (sgd) decay of weights; norms, biases, tokens and positions are left out"`
	Beta1        float64 `mapstructure:"beta1" validate:"gte=0,lt=1" doc:"adamw: decay of the mean of the gradients"`
	Beta2        float64 `mapstructure:"beta2" validate:"gte=0,lt=1" doc:"adamw: decay of the mean of the squared gradients"`
	Epsilon      float64 `mapstructure:"epsilon" validate:"gt=0" doc:"adamw: added to the root of the squared mean"`
	Momentum     float64 `mapstructure:"momentum" validate:"gte=0,lt=1" doc:"sgd: decay of the velocity"`
	Nesterov     bool    `mapstructure:"nesterov" doc:"sgd: look ahead along the velocity (Nesterov)"`
	ClipNorm     float64 `mapstructure:"clip_norm" validate:"gte=0" doc:"largest L2 norm of the whole gradient; longer ones are scaled down; 0 = off"`
}

// DefaultOptimizerConfig returns AdamW as vision transformers are commonly trained.
func DefaultOptimizerConfig() OptimizerConfig {
	return OptimizerConfig{
		Name: "adamw", LearningRate: 1e-3, WeightDecay: 0.05,
		Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8,
		Momentum: 0.9, Nesterov: true, ClipNorm: 1,
	}
}

// Config is the section `train`.
type Config struct {
	Epochs              int            `mapstructure:"epochs" validate:"gte=1" doc:"passes over the pictures"`
	BatchSize           int            `mapstructure:"batch_size" validate:"gte=1" doc:"pictures a step; each task makes its views of every one of them"`
	Accumulate          int            `mapstructure:"accumulate" validate:"gte=1" doc:"batches whose gradients are averaged before one optimizer step"`
	Seed                uint64         `mapstructure:"seed" doc:"seed of every random stream of the run"`
	Threads             int            `mapstructure:"threads" validate:"gte=0" doc:"compute threads; 0 = all cores; the results do not depend on it"`
	MaxSteps            int            `mapstructure:"max_steps" validate:"gte=0" doc:"optimizer steps after which the run ends early; 0 = no limit"`
	Precision           string         `mapstructure:"precision" validate:"oneof=fp32 bf16 auto" doc:"how activations are stored and multiplied: fp32; bf16, with float32 weights, sums and losses; auto = bf16 on CPUs that multiply it faster"`
	Recompute           bool           `mapstructure:"recompute" doc:"compute GELU, LayerNorm and batch normalisation again in the backward pass instead of keeping their results: the same bits with about a third less memory for a vision transformer and a fifth for a residual network, at most a few percent slower"`
	CalibrationPictures int            `mapstructure:"calibration_pictures" validate:"gte=1" doc:"plain training pictures from which batch-norm statistics are recomputed before evaluation and export"`
	Schedule            ScheduleConfig `mapstructure:"schedule"`
}

// ScheduleConfig is the section `train.schedule`. Its times are fractions of the run, so that changing
// train.epochs alone keeps the shape of the schedule.
type ScheduleConfig struct {
	Name       string    `mapstructure:"name" validate:"oneof=cosine step constant" doc:"shape of the learning rate after the warm-up"`
	Warmup     float64   `mapstructure:"warmup" validate:"gte=0,lt=1" doc:"fraction of the run in which the learning rate rises linearly from zero"`
	Milestones []float64 `mapstructure:"milestones" validate:"dive,gt=0,lt=1" doc:"step: fractions of the run at which the learning rate is multiplied by factor, ascending"`
	Factor     float64   `mapstructure:"factor" validate:"gt=0,lte=1" doc:"step: what the learning rate is multiplied by at each milestone"`
	FinalRatio float64   `mapstructure:"final_ratio" validate:"gte=0,lte=1" doc:"cosine: last learning rate as a fraction of the peak"`
}

// DefaultConfig returns a cosine schedule over 100 epochs of batches of 64 pictures.
func DefaultConfig() Config {
	return Config{
		Epochs: 100, BatchSize: 64, Accumulate: 1, Seed: 1,
		Precision: "fp32", Recompute: true, CalibrationPictures: 512,
		Schedule: ScheduleConfig{
			Name: "cosine", Warmup: 0.05,
			Milestones: []float64{0.3, 0.6, 0.8}, Factor: 0.2, FinalRatio: 0.01,
		},
	}
}

// Check finds what no single field's rule can say.
func (c Config) Check() error {
	if milestones := c.Schedule.Milestones; !slices.IsSorted(milestones) {
		return fmt.Errorf("train.schedule.milestones is %v: must ascend; sort it", milestones)
	}
	return nil
}

// LoggingConfig is the section `logging`.
type LoggingConfig struct {
	Level      string `mapstructure:"level" validate:"oneof=debug info warn error" doc:"least important message that is logged"`
	EverySteps int    `mapstructure:"every_steps" validate:"gte=1" doc:"optimizer steps between two lines of metrics.jsonl"`
	Progress   string `mapstructure:"progress" validate:"oneof=auto on off" doc:"progress bar: auto = only on a terminal"`
	Format     string `mapstructure:"format" validate:"oneof=text json" doc:"what the console shows: text for people, or json, one object a line with the id of the run, as in train.log"`

	TensorBoard bool          `mapstructure:"tensorboard" doc:"write TensorBoard event files to the folder tensorboard of the run: all numbers of metrics.jsonl and, at the end of each epoch, distributions of weights and gradients and what the tasks see"`
	MLflow      mlflow.Config `mapstructure:"mlflow" doc:"a tracking server that is told of the run"`
}

// DefaultLoggingConfig returns a line of metrics every ten steps.
func DefaultLoggingConfig() LoggingConfig {
	return LoggingConfig{Level: "info", EverySteps: 10, Progress: "auto", Format: "text", MLflow: mlflow.DefaultConfig()}
}
