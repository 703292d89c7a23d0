package run

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"pretrain/backbone"
	"pretrain/configs"
	"pretrain/eval"
	"pretrain/export"
	"pretrain/internal/kernel"
	"pretrain/nn"
	"pretrain/train"
)

// ImportOptions say which weights become a run, and where.
type ImportOptions struct {
	File        string // safetensors or .npz
	Backbone    string // architecture; empty takes it from the description beside File
	Directory   string
	Overwrite   bool               // of a run that is there
	Environment []string           // as in configs.Source
	Overrides   []configs.Override // settings; they win over what the file tells
	Version     string             // of the program, for run.json
}

// Imported tells what became of a weights file.
type Imported struct {
	Backbone  string
	Tensors   int      // that the backbone took
	Settings  []string // KEY=VALUE, as the file or its description tell them
	Described bool     // there was a description, so that size and normalisation are those of the weights
	Config    *configs.Config
	eval.Loaded
}

// Import makes a run of weights that were trained elsewhere: eval, extract and export read it like one of its own, and
// training begins with it by backbone.weights. What does not fit is a train.UsageError, and nothing is written then.
func Import(options ImportOptions) (Imported, error) {
	start := train.StartFresh
	if options.Overwrite {
		start = train.StartOverwrite
	}
	directory := train.Directory(options.Directory)
	if start == train.StartFresh && directory.HoldsRun() {
		return Imported{}, train.Usage(fmt.Errorf("%s already holds a run: add --overwrite to delete it first, or name another --out", directory))
	}
	if err := directory.Check(start); err != nil {
		return Imported{}, err
	}
	tensors, described, err := export.ReadWeights(options.File)
	if err != nil {
		return Imported{}, train.Usage(err)
	}
	imported := Imported{Described: described != nil}
	resolved, err := imported.configure(options, tensors, described)
	if err != nil {
		return imported, err
	}
	job := train.Import{Directory: directory, Start: start, Version: options.Version, File: filepath.Base(options.File)}
	if job.Resolved, err = resolved.YAML(); err != nil {
		return imported, err
	}
	if err := imported.load(&job, options.File, tensors); err != nil {
		return imported, err
	}
	return imported, train.WriteImport(job)
}

// load fits the tensors into the configured backbone and completes the job by its weights.
func (i *Imported) load(job *train.Import, file string, tensors []export.Tensor) error {
	engine, err := kernel.New(kernel.Options{Family: Kernels()})
	if err != nil {
		return train.Usage(fmt.Errorf("%s: %w", kernelsVariable, err))
	}
	defer engine.Close()
	job.Store, job.Family = nn.NewStore(i.Config.Train.Seed), engine.Family()
	model, err := newModel(i.Config, job.Store, engine)
	if err != nil {
		return err
	}
	if i.Loaded, err = model.LoadWeights(tensors); err != nil {
		return train.Usage(fmt.Errorf("%s: %w", file, err))
	}
	i.Tensors = len(tensors) - len(i.Ignored)
	job.Weights, err = model.Weights()
	return err
}

// configure resolves the configuration: defaults, what the file tells, the environment, the user's settings.
func (i *Imported) configure(options ImportOptions, tensors []export.Tensor, described *export.Model) (*configs.Resolved, error) {
	if err := i.name(options, described); err != nil {
		return nil, train.Usage(err)
	}
	family, err := backbone.Find(i.Backbone)
	if err != nil {
		return nil, train.Usage(fmt.Errorf("--backbone: %w", err))
	}
	overrides := []configs.Override{{Flag: "--backbone", Path: "backbone.name", Value: i.Backbone}}
	told := settingsOf(family, i.Backbone, tensors, described)
	for _, path := range slices.Sorted(maps.Keys(told)) {
		if inEnvironment(options.Environment, path) || inOverrides(options.Overrides, path) {
			continue
		}
		i.Settings = append(i.Settings, path+"="+told[path])
		overrides = append(overrides, configs.Override{Flag: filepath.Base(options.File), Path: path, Value: told[path]})
	}
	resolved, err := configs.Load(configs.Source{Environment: options.Environment, Overrides: append(overrides, options.Overrides...)})
	if err == nil {
		i.Config = resolved.Config
	}
	return resolved, err
}

// name finds the architecture.
func (i *Imported) name(options ImportOptions, described *export.Model) error {
	i.Backbone = options.Backbone
	switch {
	case described == nil && i.Backbone == "":
		return fmt.Errorf("%s has no description beside it that names the network: add --backbone NAME; `pretrain backbones` lists them", options.File)
	case described != nil && i.Backbone == "":
		i.Backbone = described.Name
	case described != nil && described.Name != i.Backbone:
		return fmt.Errorf("--backbone is %s, but %s is described as %s: leave --backbone out, or move the weights away from their description", i.Backbone, options.File, described.Name)
	}
	return nil
}

// settingsOf are the settings that the description tells, or else the shapes, by path.
func settingsOf(family backbone.Family, architecture string, tensors []export.Tensor, described *export.Model) map[string]string {
	if described != nil {
		parameters, _ := described.Parameters.(map[string]any)
		told := sectionOf(family, parameters, described.InputSide)
		told["data.mean"], told["data.std"] = listOf(described.Input.Mean), listOf(described.Input.Std)
		return told
	}
	if family.Infer == nil {
		return nil
	}
	shapes := map[string][]int{}
	for _, t := range tensors {
		shapes[t.Name] = t.Shape
	}
	parameters, side := family.Infer(architecture, shapes)
	return sectionOf(family, parameters, side)
}

func sectionOf(family backbone.Family, parameters map[string]any, side int) map[string]string {
	told := map[string]string{}
	for key, value := range parameters {
		told["backbone."+family.Name+"."+key] = fmt.Sprint(value)
	}
	if side > 0 {
		told["data.size"] = fmt.Sprint(side)
	}
	return told
}

// listOf writes three numbers as a setting.
func listOf(numbers [3]float64) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(numbers), "[]"), " ", ",")
}

func inEnvironment(environment []string, path string) bool {
	variable := configs.Prefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_")) + "="
	return slices.ContainsFunc(environment, func(entry string) bool { return strings.HasPrefix(entry, variable) })
}

func inOverrides(overrides []configs.Override, path string) bool {
	return slices.ContainsFunc(overrides, func(o configs.Override) bool { return o.Path == path })
}
