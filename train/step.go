package train

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"pretrain/backbone"
	"pretrain/internal/kernel"
	"pretrain/losses"
	"pretrain/nn"
	"pretrain/pretext"

	G "gorgonia.org/gorgonia"
)

// A Step is the compiled training graph of a plan: every pass through the shared backbone, the heads and losses of
// the tasks, one weighted cost and its gradient. Its batch is bound by Run. One goroutine may use it.
type Step struct {
	program *nn.Program
	passes  []passInputs
	targets []*G.Node
	cost    *G.Node
	outputs []pretext.Output
}

// passInputs are the nodes that the buffers of a pass are bound to; those that a pass does not use are nil.
type passInputs struct{ images, tokens, positions *G.Node }

// StepParts are what a Step is made of. Tasks, Terms and the Plan's tasks are parallel; Terms come without a Loss.
type StepParts struct {
	Store    *nn.Store
	Engine   *kernel.Engine
	Backbone backbone.Backbone
	Tasks    []pretext.Task
	Weighter losses.Weighter
	Terms    []losses.Term
	Plan     *Plan
	// Precision of activations; empty is nn.Float32.
	Precision nn.Precision
	Recompute bool // see nn.Ctx.SetRecompute
	// beside lends its memory to a step that runs between its own Runs; nil for a step with memory of its own.
	beside *Step
}

// NewStep builds and compiles the training graph. Building it declares the parameters in the store.
func NewStep(parts StepParts) (*Step, error) {
	c := nn.NewCtx(parts.Store, true)
	s, keep, err := buildStep(c, parts)
	if err != nil {
		return nil, err
	}
	if parts.beside != nil {
		s.program, err = nn.CompileBeside(parts.beside.program, c, parts.Engine, s.cost, keep...)
		return s, err
	}
	s.program, err = nn.Compile(c, parts.Engine, s.cost, keep...)
	return s, err
}

// buildStep adds everything to the graph, and lists what is read after a step.
func buildStep(c *nn.Ctx, parts StepParts) (*Step, []*G.Node, error) {
	c.SetPrecision(cmp.Or(parts.Precision, nn.Float32))
	c.SetRecompute(parts.Recompute)
	s := &Step{}
	features, err := s.applyBackbone(c, parts.Backbone, parts.Plan)
	if err != nil {
		return nil, nil, fmt.Errorf("backbone %s: %w", parts.Backbone.Name(), err)
	}
	terms := slices.Clone(parts.Terms)
	var keep []*G.Node
	for t, task := range parts.Tasks {
		output, err := s.buildTask(c, parts.Plan, t, task, features)
		if err != nil {
			return nil, nil, fmt.Errorf("task %s: %w", task.Name(), err)
		}
		terms[t].Loss = output.Loss
		keep = append(keep, keepOf(output)...)
	}
	if s.cost, err = parts.Weighter.Combine(c, terms); err != nil {
		return nil, nil, fmt.Errorf("losses.weighter: %w", err)
	}
	return s, append(keep, s.cost), nil
}

// applyBackbone applies the backbone once to every pass.
func (s *Step) applyBackbone(c *nn.Ctx, b backbone.Backbone, plan *Plan) ([]backbone.Features, error) {
	var all []backbone.Features
	for i, pass := range plan.Passes {
		views := pass.Views()
		in := passInputs{images: c.Input(fmt.Sprintf("pass%d.images", i), views*pass.Side*pass.Side, 3)}
		if pass.Kept > 0 {
			in.tokens = c.Input(fmt.Sprintf("pass%d.tokens", i), views*pass.Kept, 1)
		}
		if pass.Indexed {
			in.positions = c.Input(fmt.Sprintf("pass%d.positions", i), views*pass.Tokens, 1)
		}
		features, err := b.Forward(c.Scope("backbone"), backbone.Input{
			Images: in.images, Views: views, Side: pass.Side, Groups: pass.groups(),
			Kept: pass.Kept, Tokens: in.tokens, Positions: in.positions,
		})
		if err != nil {
			return nil, err
		}
		s.passes = append(s.passes, in)
		all = append(all, features)
	}
	return all, nil
}

// buildTask hands a task the features of its views and adds its head and loss.
func (s *Step) buildTask(c *nn.Ctx, plan *Plan, t int, task pretext.Task, features []backbone.Features) (pretext.Output, error) {
	var views []backbone.Features
	for v, at := range plan.places[t] {
		from, to := plan.rows(t, v)
		views = append(views, features[at.pass].Rows(c, from, to))
	}
	target := c.Input("target."+task.Name(), plan.pictures[t], task.Spec().Target)
	output, err := task.Build(c.Scope("tasks."+task.Name()), views, target)
	if err != nil {
		return output, err
	}
	s.targets = append(s.targets, target)
	s.outputs = append(s.outputs, output)
	return output, c.Err()
}

// keepOf lists what is read after a step.
func keepOf(output pretext.Output) []*G.Node {
	keep := []*G.Node{output.Loss}
	if output.Accuracy != nil {
		keep = append(keep, output.Accuracy)
	}
	for _, node := range output.Metrics {
		keep = append(keep, node)
	}
	return keep
}

// Run computes the losses of a batch and writes the gradient of the cost to the store.
func (s *Step) Run(batch *Batch) error {
	for i, in := range s.passes {
		s.bind(in.images, batch.Passes[i].Pixels)
		s.bind(in.tokens, batch.Passes[i].Tokens)
		s.bind(in.positions, batch.Passes[i].Positions)
	}
	for t, target := range s.targets {
		s.bind(target, batch.Targets[t])
	}
	return s.program.Run()
}

func (s *Step) bind(input *G.Node, buffer []float32) {
	if input != nil {
		s.program.Bind(input, buffer)
	}
}

// Cost is the weighted loss of the last Run.
func (s *Step) Cost() float64 { return float64(s.program.Value(s.cost)[0]) }

// Chance is the accuracy of always giving a task's commonest answer; 0 for a task without accuracy.
func (s *Step) Chance(task int) float64 { return s.outputs[task].Chance }

// TaskResult is what one task reports of a batch.
type TaskResult struct {
	Loss     float64
	Accuracy float64 // between 0 and 1; NaN for a task that has none
	Metrics  map[string]float64
}

// Result reads what a task reported in the last Run.
func (s *Step) Result(task int) TaskResult {
	output := s.outputs[task]
	result := TaskResult{Loss: float64(s.program.Value(output.Loss)[0]), Accuracy: math.NaN(), Metrics: map[string]float64{}}
	if output.Accuracy != nil {
		result.Accuracy = float64(s.program.Value(output.Accuracy)[0])
	}
	for name, node := range output.Metrics {
		result.Metrics[name] = float64(s.program.Value(node)[0])
	}
	return result
}

// ArenaBytes is the memory of all intermediate results of a step.
func (s *Step) ArenaBytes() int { return s.program.ArenaBytes() }

// Program is the compiled graph, for profiling.
func (s *Step) Program() *nn.Program { return s.program }
