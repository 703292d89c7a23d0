package checkpoints

// Config is the YAML section `checkpoints`. The end of a run and a signal write a checkpoint whatever it says.
type Config struct {
	EveryEpochs int  `mapstructure:"every_epochs" validate:"gte=0" doc:"epochs between two checkpoints; 0 = none because of epochs"`
	EverySteps  int  `mapstructure:"every_steps" validate:"gte=0" doc:"steps between two checkpoints, besides those of every_epochs; 0 = none because of steps"`
	Keep        int  `mapstructure:"keep" validate:"gte=0" doc:"number of last checkpoints kept; 0 = all"`
	KeepBest    bool `mapstructure:"keep_best" doc:"keep the checkpoint with the best online probe too, where there is a probe"`
}

// DefaultConfig is one checkpoint an epoch, the last three and the best kept.
func DefaultConfig() Config { return Config{EveryEpochs: 1, Keep: 3, KeepBest: true} }

// Due says whether a checkpoint is wanted after step (steps done since the start of the run). before and epochs are the
// numbers of epochs completed before this step and with it: a step of many accumulated batches may complete several.
func (c Config) Due(step, before, epochs int64) bool {
	if c.EverySteps > 0 && step%int64(c.EverySteps) == 0 {
		return true
	}
	return c.EveryEpochs > 0 && epochs/int64(c.EveryEpochs) > before/int64(c.EveryEpochs)
}
