package train

import (
	"math"
	"slices"
	"testing"

	"pretrain/backbone"
	"pretrain/internal/kernel"
	"pretrain/losses"
	"pretrain/nn"
	"pretrain/pretext"
)

// TestAShareOfABatchIsASmallerBatch: a task that looks at three of five pictures has, bit for bit, the loss and the
// gradient of a batch of three.
func TestAShareOfABatchIsASmallerBatch(t *testing.T) {
	for _, name := range []string{"vit", "resnet18"} {
		network := newBackbone(t, name, 32)
		for _, task := range realTasks(t, network) {
			tasks := []pretext.Task{task}
			part := newStepOf(t, network, tasks, filledBatch(t, network, tasks, []int{3}, 5))
			small := newStepOf(t, network, tasks, filledBatch(t, network, tasks, nil, 3))
			if part.step.Cost() != small.step.Cost() || !slices.Equal(part.store.Gradients(), small.store.Gradients()) {
				t.Errorf("%s, %s: loss %g, want %g, or another gradient", name, task.Name(), part.step.Cost(), small.step.Cost())
			}
		}
	}
}

// TestTasksOfDifferentSharesAddUp: the gradient of two tasks that read different numbers of pictures of one shared slot
// is the sum of their own gradients.
func TestTasksOfDifferentSharesAddUp(t *testing.T) {
	network := newBackbone(t, "vit", 32)
	first := realTasks(t, network)[3]
	if first.Name() != "rotation" || first.Spec().Views[0].Plain == nil {
		t.Fatalf("task %s has no plain view first", first.Name())
	}
	second := renamed{first, "second"}
	both := []pretext.Task{first, second}
	together := newStepOf(t, network, both, filledBatch(t, network, both, []int{2, 4}, 4))
	if views := together.plan.Views(); views != 4+3*2+3*4 {
		t.Fatalf("%d views: the plain one is not shared", views)
	}
	alone := []*builtStep{
		newStepOf(t, network, both[:1], filledBatch(t, network, both[:1], []int{2}, 4)),
		newStepOf(t, network, both[1:], filledBatch(t, network, both[1:], []int{4}, 4)),
	}
	for _, p := range together.store.Parameters() {
		want := make([]float32, len(p.Value))
		for _, s := range alone {
			for _, q := range s.store.Parameters() {
				if q.Name == p.Name {
					for i, g := range q.Gradient {
						want[i] += g
					}
				}
			}
		}
		for i, g := range p.Gradient {
			if math.Abs(float64(g-want[i])) > 1e-5 {
				t.Fatalf("%s: number %d of the gradient is %g, want %g", p.Name, i, g, want[i])
			}
		}
	}
}

// renamed is a task under another name.
type renamed struct {
	pretext.Task
	name string
}

func (r renamed) Name() string { return r.name }

// builtStep is a step that was run once.
type builtStep struct {
	planned
	step  *Step
	store *nn.Store
	parts StepParts
}

func newStepOf(t *testing.T, network backbone.Backbone, tasks []pretext.Task, p planned) *builtStep {
	t.Helper()
	return newStepIn(t, nn.Float32, network, tasks, p)
}

func newStepIn(t *testing.T, precision nn.Precision, network backbone.Backbone, tasks []pretext.Task, p planned) *builtStep {
	t.Helper()
	engine, err := kernel.New(kernel.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	weighter, err := losses.New(losses.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	built := &builtStep{planned: p, store: nn.NewStore(1)}
	var terms []losses.Term
	for _, task := range tasks {
		terms = append(terms, losses.Term{Name: task.Name(), Weight: 1})
	}
	built.parts = StepParts{
		Store: built.store, Engine: engine, Backbone: network, Tasks: tasks, Weighter: weighter, Terms: terms, Plan: p.plan,
		Precision: precision,
	}
	built.step, err = NewStep(built.parts)
	if err != nil {
		t.Fatal(err)
	}
	weighter.Bind(built.step.program)
	if err := built.step.Run(p.batch); err != nil {
		t.Fatal(err)
	}
	return built
}
