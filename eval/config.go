package eval

import (
	"errors"
	"fmt"
)

// Config is the section `eval`: the online evaluation during training, and the k-NN of every evaluation.
type Config struct {
	Train       string  `mapstructure:"train" doc:"labelled folder (or list file) that the online probes are fitted on; empty = no online evaluation"`
	Test        string  `mapstructure:"test" doc:"labelled folder (or list file) that the online probes are measured on; a validation part, since the best checkpoint is chosen by it"`
	EveryEpochs int     `mapstructure:"every_epochs" validate:"gte=0" doc:"epochs between two online evaluations; 0 = none"`
	Neighbours  int     `mapstructure:"neighbours" validate:"gte=1" doc:"k-NN: nearest neighbours that vote"`
	Temperature float64 `mapstructure:"temperature" validate:"gt=0" doc:"k-NN: a vote weighs exp(cosine / temperature)"`
}

// DefaultConfig returns no online evaluation and the k-NN of Wu et al. 2018 with 20 neighbours.
func DefaultConfig() Config {
	return Config{Neighbours: 20, Temperature: 0.07}
}

// Check finds settings that do not go together. Errors begin with the key.
func (c Config) Check() error {
	if c.EveryEpochs == 0 {
		if c.Train != "" || c.Test != "" {
			return errors.New("eval.every_epochs is 0, so nobody would look at eval.train and eval.test: set it, for instance to 5, or leave them out")
		}
		return nil
	}
	for _, folder := range []struct{ key, path string }{{"eval.train", c.Train}, {"eval.test", c.Test}} {
		if folder.path == "" {
			return fmt.Errorf("%s is empty, but eval.every_epochs is %d: name a labelled folder, or set eval.every_epochs to 0", folder.key, c.EveryEpochs)
		}
	}
	return nil
}

// Probes are the classifiers that the configuration describes, by name.
func (c Config) Probes(seed uint64) map[string]Probe {
	return map[string]Probe{
		"knn":    KNN{Neighbours: c.Neighbours, Temperature: c.Temperature},
		"linear": DefaultLinear(seed),
	}
}
