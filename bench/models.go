// Package bench measures the standard models: how fast they train and make features, how near that is to the limit of
// the processor, what memory it takes, where the time goes, and how cost grows with size. Data are synthetic and in
// memory, so that it is the arithmetic that is measured.
package bench

import (
	"fmt"
	"slices"
	"strings"

	"pretrain/backbone"
	"pretrain/internal/nearest"
	"pretrain/pretext"
)

// Model is a network with what it is trained on.
type Model struct {
	Name, Summary string
	Architecture  string
	Params        any // of the architecture's family
	Side          int // of a picture, pixels
	Batch         int // pictures a step, unless another number is asked for
	Optimizer     string
	// Classes makes the model a classifier of whole pictures by one linear layer. Without them it learns from Tasks.
	Classes int
	Tasks   []Task
	// Recompute computes cheap activations again in the backward pass, see nn.Ctx.SetRecompute.
	Recompute bool
}

// Task is a pretext task and its parameters.
type Task struct {
	Name   string
	Params pretext.Params
}

// Models lists the standard models.
func Models() []Model {
	return []Model{
		{
			Name: "vit_t4_32", Summary: "ViT-Tiny/4 at 32 px", Architecture: "vit_tiny", Params: vit(4),
			Side: 32, Batch: 128, Classes: 10, Optimizer: "adamw",
		}, {
			Name: "vit_t16_96", Summary: "ViT-Tiny/16 at 96 px", Architecture: "vit_tiny", Params: vit(16),
			Side: 96, Batch: 64, Classes: 10, Optimizer: "adamw",
		}, {
			Name: "vit_s16_224", Summary: "ViT-S/16 at 224 px", Architecture: "vit_small", Params: vit(16),
			Side: 224, Batch: 16, Classes: 1000, Optimizer: "adamw",
		}, {
			Name: "resnet18_c", Summary: "ResNet-18 with a small stem at 32 px", Architecture: "resnet18",
			Params: &backbone.ResNetConfig{Stem: "small", Width: 64}, Side: 32, Batch: 128, Classes: 10, Optimizer: "sgd",
		}, {
			Name: "resnet50", Summary: "ResNet-50 at 224 px", Architecture: "resnet50",
			Params: &backbone.ResNetConfig{Stem: "standard", Width: 64}, Side: 224, Batch: 16, Classes: 1000, Optimizer: "sgd",
		}, {
			Name: "pretext", Summary: "four pretext tasks, five views a picture, on ViT-Tiny/4 at 32 px", Architecture: "vit_tiny", Params: vit(4),
			Side: 32, Batch: 64, Tasks: pretextTasks(), Optimizer: "adamw",
		},
	}
}

// vit is a ViT as it was published: a class token, learned positions.
func vit(patch int) *backbone.ViTConfig {
	return &backbone.ViTConfig{Patch: patch, MLPRatio: 4, ClassToken: true, Pooling: "class", Positions: "learned"}
}

// pretextTasks show the backbone five views of 32 px of each picture: one turned, two patches, one whose tokens have no
// positions, one without colour. Heads are as small as the tasks allow, because it is the trunk that is compared.
func pretextTasks() []Task {
	patches := pretext.PatchConfig{Side: 32, Jitter: 0.07, Colour: "grey", ColourRatio: 0.66, Shrink: 1. / 3, Standardise: true}
	weight := func(w float64) pretext.Common { return pretext.Common{Weight: w, Share: 1} }
	return []Task{
		{"rotation", &pretext.RotationConfig{Common: weight(1), Copies: 1}},
		{"relative_position", &pretext.RelativePositionConfig{
			Common: weight(0.5), Mode: "pairs", Patch: patches, Pairs: pretext.PairsConfig{Gap: 0.5, Neighbours: 1, Hidden: 192},
		}},
		{"patch_location", &pretext.PatchLocationConfig{
			Common: weight(0.5), Mode: "tokens", Tokens: pretext.TokenLocationConfig{Unknown: 1, DecoderWidth: 192, DecoderHeads: 3},
		}},
		{"colorization", &pretext.ColorizationConfig{
			Common: weight(0.25), Stride: 4, Hidden: 128, Lambda: 0.5, PriorPictures: 8, Temperature: 0.38,
		}},
	}
}

// names lists the standard models' names.
func names(models []Model) []string {
	var names []string
	for _, model := range models {
		names = append(names, model.Name)
	}
	return names
}

// ModelNames lists the standard models.
func ModelNames() []string { return names(Models()) }

// Find returns a standard model. The error for an unknown name lists what there is and suggests the nearest one.
func Find(name string) (Model, error) {
	models := Models()
	if at := slices.IndexFunc(models, func(m Model) bool { return m.Name == name }); at >= 0 {
		return models[at], nil
	}
	return Model{}, unknown("model", name, names(models))
}

// unknown is the error for a name that nothing has.
func unknown(what, name string, there []string) error {
	return fmt.Errorf("%s %q: there are %s; did you mean %q?", what, name, strings.Join(there, ", "), nearest.Name(name, there))
}

// Variant changes a standard model; zeros leave it as it is. Width, Depth and Heads are for ViTs.
type Variant struct {
	Side  int      `json:"side,omitempty"`
	Width int      `json:"width,omitempty"`
	Depth int      `json:"depth,omitempty"`
	Heads int      `json:"heads,omitempty"`
	Tasks []string `json:"tasks,omitempty"` // of the model's, those that are left
}

// with applies a variant.
func (m Model) with(v Variant) (Model, error) {
	if v.Side > 0 {
		m.Side = v.Side
	}
	if v.Width+v.Depth+v.Heads > 0 {
		config, ok := m.Params.(*backbone.ViTConfig)
		if !ok {
			return m, fmt.Errorf("model %s: width, depth and heads are those of a ViT, and it is a %s", m.Name, m.Architecture)
		}
		changed := *config
		changed.Width, changed.Depth, changed.Heads = v.Width, v.Depth, v.Heads
		m.Params = &changed
	}
	if len(v.Tasks) > 0 {
		m.Tasks = slices.Clone(m.Tasks)
		m.Tasks = slices.DeleteFunc(m.Tasks, func(t Task) bool { return !slices.Contains(v.Tasks, t.Name) })
		if len(m.Tasks) != len(v.Tasks) {
			return m, fmt.Errorf("model %s does not have all of the tasks %v", m.Name, v.Tasks)
		}
	}
	return m, nil
}

// network makes the model's backbone.
func (m Model) network() (backbone.Backbone, error) {
	family, err := backbone.Find(m.Architecture)
	if err != nil {
		return nil, err
	}
	return family.New(m.Architecture, m.Params, m.Side)
}

// String lists what is changed.
func (v Variant) String() string {
	var parts []string
	for _, change := range []struct {
		name  string
		value int
	}{{"side", v.Side}, {"width", v.Width}, {"depth", v.Depth}, {"heads", v.Heads}} {
		if change.value > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", change.name, change.value))
		}
	}
	if len(v.Tasks) > 0 {
		parts = append(parts, "tasks="+strings.Join(v.Tasks, "+"))
	}
	return strings.Join(parts, " ")
}
