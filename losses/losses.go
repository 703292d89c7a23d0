// Package losses makes one loss out of those of several tasks.
package losses

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/nearest"
	"pretrain/nn"
)

// Kind tells weighters that derive weights from a noise model which one fits the loss.
type Kind int

// Kinds of losses.
const (
	Classification Kind = iota
	Regression
)

// Term is the loss of one task.
type Term struct {
	Name   string
	Loss   *G.Node // scalar
	Weight float64 // the user's, at least 0
	Kind   Kind
}

// Weighter combines the losses of several tasks. One weighter belongs to one training loop.
type Weighter interface {
	// Combine adds the weighted sum to the graph. Weights that change during training are inputs or parameters of it.
	Combine(c *nn.Ctx, terms []Term) (*G.Node, error)
	// Bind gives the graph's program the weights of the next run; it is called before every run.
	Bind(program *nn.Program)
	// Observe tells the losses of a step, in the order of the terms, and whether the step ended an epoch.
	Observe(losses []float64, epochEnded bool)
	// Weights are the factors of the losses at present, in the order of the terms; the slice is the caller's. Before
	// the first Bind they are those of a new run.
	Weights() []float64
	// State is what the weighter remembers besides parameters, to be saved at once: the next call changes it. Restore
	// takes it back, after Combine; an error says that it is of another run.
	State() map[string][]float32
	Restore(state map[string][]float32) error
}

// Config is the section `losses`.
type Config struct {
	Weighter string `mapstructure:"weighter" validate:"oneof=fixed uncertainty dwa" doc:"how task losses become one: fixed weights, learned uncertainty (Kendall 2018) or dynamic weight averaging (Liu 2019)"`
}

// DefaultConfig leaves the weights as the user gave them.
func DefaultConfig() Config { return Config{Weighter: "fixed"} }

// makers are the registered weighters by name, filled by init functions.
var makers = map[string]func() Weighter{}

// Register adds a weighter under a name; it is called from the init function of its file.
func Register(name string, maker func() Weighter) { makers[name] = maker }

// Names lists the registered weighters in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(makers)) }

// New makes the configured weighter. The error for an unknown name suggests the nearest one.
func New(config Config) (Weighter, error) {
	maker, ok := makers[config.Weighter]
	if !ok {
		return nil, fmt.Errorf("losses.weighter is %q: must be one of %s; did you mean %q?",
			config.Weighter, strings.Join(Names(), ", "), nearest.Name(config.Weighter, Names()))
	}
	return maker(), nil
}

// userWeights are the weights that the user gave.
func userWeights(terms []Term) []float64 {
	weights := make([]float64, len(terms))
	for i, term := range terms {
		weights[i] = term.Weight
	}
	return weights
}

// lossesOf are the nodes of the losses.
func lossesOf(terms []Term) []*G.Node {
	nodes := make([]*G.Node, len(terms))
	for i, term := range terms {
		nodes[i] = term.Loss
	}
	return nodes
}

// float32s rounds numbers for the graph.
func float32s(values []float64) []float32 {
	rounded := make([]float32, len(values))
	for i, value := range values {
		rounded[i] = float32(value)
	}
	return rounded
}
