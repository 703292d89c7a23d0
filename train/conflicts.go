package train

import (
	"fmt"
	"math"
	"strings"

	"pretrain/losses"
	"pretrain/nn"
)

// taskGradients measures what each task alone asks of the shared trunk: the gradient of its loss, unweighted, over the
// backbone's parameters. Tasks help each other where these point the same way, and undo each other where their cosine is
// below zero (Yu et al. 2020, section 2.2). It runs a graph of each task by itself on the task's own views, which costs
// about one step for all of them, in the memory of the step that it stands beside. One goroutine may use it.
type taskGradients struct {
	plan  *Plan // of the step
	trunk []*nn.Parameter
	alone []taskAlone
}

// taskAlone is the step of one task.
type taskAlone struct {
	name     string
	plan     *Plan
	step     *Step
	batch    *Batch
	gradient []float32 // of the trunk, parameter after parameter
}

// newTaskGradients compiles a step of each task beside the step that the parts made.
func newTaskGradients(parts StepParts, step *Step) (*taskGradients, error) {
	g := &taskGradients{plan: parts.Plan, trunk: trunkOf(parts.Store)}
	size := 0
	for _, p := range g.trunk {
		size += len(p.Value)
	}
	for t := range parts.Tasks {
		alone, err := parts.aloneTask(t, step)
		if err != nil {
			return nil, fmt.Errorf("task %s by itself: %w", parts.Tasks[t].Name(), err)
		}
		alone.gradient = make([]float32, size)
		g.alone = append(g.alone, alone)
	}
	return g, nil
}

// trunkOf lists the parameters that the tasks share.
func trunkOf(store *nn.Store) (trunk []*nn.Parameter) {
	for _, p := range store.Parameters() {
		if strings.HasPrefix(p.Name, backbonePrefix) {
			trunk = append(trunk, p)
		}
	}
	return trunk
}

// aloneTask is a step of task t only, with a weight of 1.
func (parts StepParts) aloneTask(t int, beside *Step) (alone taskAlone, err error) {
	pictures := parts.Plan.pictures[t : t+1]
	single := parts
	single.Tasks, single.beside = parts.Tasks[t:t+1], beside
	single.Terms = []losses.Term{{Name: parts.Tasks[t].Name(), Weight: 1}}
	if single.Plan, err = NewPlan(parts.Backbone, single.Tasks, pictures, pictures[0]); err != nil {
		return alone, err
	}
	if single.Weighter, err = losses.New(losses.Config{Weighter: "fixed"}); err != nil {
		return alone, err
	}
	alone = taskAlone{name: parts.Tasks[t].Name(), plan: single.Plan, batch: single.Plan.NewBatch(single.Tasks)}
	alone.step, err = NewStep(single)
	return alone, err
}

// Conflicts is how the gradients of the tasks relate on the shared trunk.
type Conflicts struct {
	Norms   []float64   // L2 norm of each task's gradient, unweighted
	Cosines [][]float64 // between the gradients of two tasks, symmetric; NaN where one of them is zero
}

// measure computes the tasks' gradients on a batch of the whole step. It overwrites the store's gradients.
func (g *taskGradients) measure(batch *Batch) (Conflicts, error) {
	for t, alone := range g.alone {
		g.copyViews(t, batch)
		if err := alone.step.Run(alone.batch); err != nil {
			return Conflicts{}, fmt.Errorf("task %s by itself: %w", alone.name, err)
		}
		gathered := alone.gradient
		for _, p := range g.trunk {
			gathered = gathered[copy(gathered, p.Gradient):]
		}
	}
	return g.compare(), nil
}

// copyViews fills the batch of one task with its part of the whole batch.
func (g *taskGradients) copyViews(t int, batch *Batch) {
	alone := g.alone[t]
	for view := range alone.plan.places[0] {
		for picture := range alone.plan.pictures[0] {
			from, to := g.plan.Canvas(batch, t, view, picture), alone.plan.Canvas(alone.batch, 0, view, picture)
			copy(to.Pixels, from.Pixels)
			copy(to.Tokens, from.Tokens)
			copy(to.Positions, from.Positions)
		}
	}
	copy(alone.batch.Targets[0], batch.Targets[t])
}

func (g *taskGradients) compare() Conflicts {
	var c Conflicts
	for t, a := range g.alone {
		c.Norms = append(c.Norms, math.Sqrt(dot(a.gradient, a.gradient)))
		c.Cosines = append(c.Cosines, make([]float64, len(g.alone)))
		for other, b := range g.alone[:t+1] {
			cosine := dot(a.gradient, b.gradient) / (c.Norms[t] * c.Norms[other])
			c.Cosines[t][other], c.Cosines[other][t] = cosine, cosine
		}
	}
	return c
}

// dot is Σ aᵢbᵢ in float64.
func dot(a, b []float32) float64 {
	var sums [4]float64 // independent, so that the processor need not wait for one addition before the next
	i := 0
	for ; i+4 <= len(a); i += 4 {
		sums[0] += float64(a[i]) * float64(b[i])
		sums[1] += float64(a[i+1]) * float64(b[i+1])
		sums[2] += float64(a[i+2]) * float64(b[i+2])
		sums[3] += float64(a[i+3]) * float64(b[i+3])
	}
	for ; i < len(a); i++ {
		sums[0] += float64(a[i]) * float64(b[i])
	}
	return sums[0] + sums[1] + sums[2] + sums[3]
}
