// Package configs is the configuration of a run: its sections, their defaults, the embedded recipes, and the strict
// reading of YAML files, PRETRAIN_* variables and command-line overrides into them.
//
// Every section is a struct of the package that uses it. The parameters of backbones and tasks come from their
// registries, so that a new task or backbone is configurable without a change here.
package configs

import (
	"pretrain/backbone"
	"pretrain/checkpoints"
	"pretrain/data"
	"pretrain/eval"
	"pretrain/export"
	"pretrain/internal/settings"
	"pretrain/losses"
	"pretrain/metrics"
	"pretrain/pretext"
	"pretrain/train"
)

// Config is a whole configuration. The maps hold the parameters of everything that is registered, chosen or not.
type Config struct {
	Data        data.Config
	Backbone    Backbone
	Tasks       map[string]pretext.Params // by task; a weight of 0 switches a task off
	Losses      losses.Config
	Optimizer   train.OptimizerConfig
	Train       train.Config
	Checkpoints checkpoints.Config
	Eval        eval.Config
	Export      export.Config
	Metrics     metrics.Config
	Logging     train.LoggingConfig
}

// Backbone is the section `backbone`.
type Backbone struct {
	Name     string         `mapstructure:"name" doc:"architecture; its parameters are in the section of its family, the other families' sections are ignored"`
	Weights  string         `mapstructure:"weights" doc:"safetensors or .npz file, under the names of timm (ViT) or torchvision (ResNet), whose weights a new run begins with; empty = random ones"`
	Families map[string]any `mapstructure:"-"` // pointers to the families' parameters
}

// Default returns the defaults of every section. All tasks have their default weight.
func Default() *Config {
	config := &Config{
		Data:        data.DefaultConfig(),
		Backbone:    Backbone{Name: "resnet18", Families: map[string]any{}},
		Tasks:       map[string]pretext.Params{},
		Losses:      losses.DefaultConfig(),
		Optimizer:   train.DefaultOptimizerConfig(),
		Train:       train.DefaultConfig(),
		Checkpoints: checkpoints.DefaultConfig(),
		Eval:        eval.DefaultConfig(),
		Export:      export.DefaultConfig(),
		Metrics:     metrics.DefaultConfig(),
		Logging:     train.DefaultLoggingConfig(),
	}
	for _, family := range backbone.Families() {
		config.Backbone.Families[family.Name] = family.Defaults()
	}
	for _, task := range pretext.Definitions() {
		config.Tasks[task.Name] = task.Defaults()
	}
	return config
}

// sections lists the sections in the order in which they are printed.
func (c *Config) sections() []settings.Section {
	sections := []settings.Section{
		{Path: "data", Doc: "which pictures, and how they are read", Target: &c.Data},
		{Path: "backbone", Doc: "the network that is trained", Target: &c.Backbone},
	}
	for _, family := range backbone.Families() {
		sections = append(sections, settings.Section{Path: "backbone." + family.Name, Doc: family.Summary, Target: c.Backbone.Families[family.Name]})
	}
	sections = append(sections, settings.Section{Path: "tasks", Doc: "what the backbone learns from; a task is on if its section is there and its weight is not 0"})
	for _, task := range pretext.Definitions() {
		sections = append(sections, settings.Section{Path: "tasks." + task.Name, Doc: task.Summary, Target: c.Tasks[task.Name]})
	}
	return append(sections,
		settings.Section{Path: "losses", Doc: "how the losses of the tasks become one", Target: &c.Losses},
		settings.Section{Path: "optimizer", Doc: "how gradients change the weights", Target: &c.Optimizer},
		settings.Section{Path: "train", Doc: "length, seed and schedule of the run", Target: &c.Train},
		settings.Section{Path: "checkpoints", Doc: "when the run is saved", Target: &c.Checkpoints},
		settings.Section{Path: "eval", Doc: "evaluation on labelled pictures during training", Target: &c.Eval},
		settings.Section{Path: "export", Doc: "what a run leaves behind", Target: &c.Export},
		settings.Section{Path: "metrics", Doc: "the Prometheus endpoint", Target: &c.Metrics},
		settings.Section{Path: "logging", Doc: "what is told while training", Target: &c.Logging},
	)
}

// tree collects the keys of the configuration, its values being the defaults.
func (c *Config) tree() (*settings.Tree, error) {
	tree, err := settings.NewTree(c.sections())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, family := range backbone.Families() {
		for _, architecture := range family.Architectures {
			names = append(names, architecture.Name)
		}
	}
	tree.Key("backbone.name").Restrict(names...)
	return tree, nil
}

// ActiveTasks names the tasks that are trained, in the order of the registry.
func (c *Config) ActiveTasks() []string {
	var names []string
	for _, task := range pretext.Definitions() {
		if c.Tasks[task.Name].TaskWeight() > 0 {
			names = append(names, task.Name)
		}
	}
	return names
}

// NewBackbone makes the backbone for views of data.size.
func (c *Config) NewBackbone() (backbone.Backbone, error) {
	family, err := backbone.Find(c.Backbone.Name)
	if err != nil {
		return nil, err
	}
	return family.New(c.Backbone.Name, c.Backbone.Families[family.Name], c.Data.Size)
}
