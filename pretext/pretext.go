// Package pretext holds the tasks that a backbone learns from without labels, one a file, behind a registry. A new
// task is one new file that calls Register from its init.
package pretext

import (
	"fmt"
	"math"
	"slices"
	"strings"

	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/internal/nearest"
	"pretrain/nn"
)

// Task is one pretext task. It does not change after construction: Prepare runs in many goroutines at once.
type Task interface {
	Name() string
	// Spec says what the task needs of every picture.
	Spec() Spec
	// Prepare writes the task's views and target of one picture. It draws random numbers from the sample's streams
	// only, so that a picture looks alike in an epoch whoever prepares it. The target comes zeroed.
	Prepare(s *data.Sample, views []Canvas, target []float32) error
	// Build adds the task's head and loss to the graph. views[i] holds one row, or one map, of view i of every picture
	// of the batch that the task looks at; target is [pictures, Spec().Target].
	Build(c *nn.Ctx, views []backbone.Features, target *G.Node) (Output, error)
	// State is what the task measured on the training pictures and must be stored with the run; nil for most.
	State() map[string][]float32
}

// Spec says what a task needs of every picture.
type Spec struct {
	Views  []View
	Target int // floats a picture
}

// View is one picture that a task shows the backbone.
type View struct {
	Name      string // within the task
	Side      int    // pixels
	Kept      int    // tokens kept, for backbones that use tokens; 0 = all
	Positions backbone.Positions
	// Plain makes the view exactly the sample's crop under this augmentation. The trainer fills it in, and tasks whose
	// plain views are equal share one; views that choose tokens, or positions a token at a time, must not be plain.
	Plain *data.Augmentation
	// Group names the views that are normalised together by backbones that use batch statistics.
	Group string
}

// Canvas is where Prepare writes a view.
type Canvas struct {
	Pixels    []float32 // [side·side, 3] normalised; nil for plain views
	Tokens    []float32 // numbers of the kept tokens; nil when all are kept
	Positions []float32 // of the tokens, for views with PositionsGiven
}

// Output is what Build adds to the graph. Loss, Accuracy and Metrics are scalars.
type Output struct {
	Loss     *G.Node
	Accuracy *G.Node            // share of right answers; nil if the task has none
	Metrics  map[string]*G.Node // the task's own, by name
	Logits   *G.Node            // answers, for pictures of what was learned
	// Chance is the accuracy of always giving the commonest answer, to hold Accuracy against; 0 without Accuracy.
	Chance float64
}

// Env is what a task may know when it is made.
type Env struct {
	Backbone      backbone.Backbone
	Side          int // of a plain view, pixels
	Batch         int // pictures of a batch that the task looks at
	Epochs        int // of the whole run
	Augmentation  data.Augmentation
	Normalization data.Normalization
	Seed          uint64
	Sample        func(n int) ([]data.Image, error) // plain training pictures, spread evenly
	State         map[string][]float32              // what State returned in the run that is resumed; empty otherwise
}

// Params is a pointer to the configuration of a task. Errors of New begin with the key at fault, below the task's
// section.
type Params interface {
	New(env Env) (Task, error)
	TaskWeight() float64
	TaskPictures(batch int) int
}

// Common is what every task's configuration embeds.
type Common struct {
	Weight float64 `mapstructure:"weight" validate:"gte=0" doc:"factor of the task's loss; 0 switches the task off"`
	Share  float64 `mapstructure:"share" validate:"gt=0,lte=1" doc:"share of the pictures of a batch that the task looks at and costs time for; 1 = all"`
}

// TaskWeight is the factor of the task's loss.
func (c Common) TaskWeight() float64 { return c.Weight }

// TaskPictures is the number of pictures of a batch that the task looks at, at least one. They are the first ones:
// batches are shuffled in every epoch.
func (c Common) TaskPictures(batch int) int { return max(1, int(math.Round(c.Share*float64(batch)))) }

// Definition is a registered task.
type Definition struct {
	Name, Summary, Citation string
	Defaults                func() Params
}

var definitions []Definition // filled by init functions only

// Register adds a task, from the init function of its file. It panics when the name is taken, which is a mistake in
// the program.
func Register(definition Definition) {
	if slices.ContainsFunc(definitions, func(d Definition) bool { return d.Name == definition.Name }) {
		panic("pretext: task " + definition.Name + " is registered twice")
	}
	definitions = append(definitions, definition)
	slices.SortFunc(definitions, func(a, b Definition) int { return strings.Compare(a.Name, b.Name) })
}

// Definitions lists the registered tasks by name. The slice is the caller's.
func Definitions() []Definition { return slices.Clone(definitions) }

// Find returns a task's definition. The error for an unknown name suggests the nearest one.
func Find(name string) (Definition, error) {
	var names []string
	for _, definition := range definitions {
		if definition.Name == name {
			return definition, nil
		}
		names = append(names, definition.Name)
	}
	return Definition{}, fmt.Errorf("task %q: there are %s; did you mean %q?", name, strings.Join(names, ", "), nearest.Name(name, names))
}
