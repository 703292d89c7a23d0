package train

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"testing"

	"pretrain/backbone"
	"pretrain/internal/kernel"
	"pretrain/losses"
	"pretrain/nn"
	"pretrain/pretext"
)

// TestStepAllocatesNothing holds whole training steps, with every family of kernels, to no memory at all once the first
// ones have grown the scratch memory. Which worker grows its own depends on who is quicker, and the runtime now and
// then makes something for a goroutine that waits, so the best of several steps counts.
func TestStepAllocatesNothing(t *testing.T) {
	for _, model := range []struct {
		name, architecture string
		params             any
		batch              int // enough that kernels cut their work into several pieces
		optimizer          string
	}{
		{"vit", "vit_tiny", &backbone.ViTConfig{Patch: 8, Width: 32, Depth: 2, Heads: 2, MLPRatio: 4, ClassToken: true, Pooling: "class", Positions: "learned"}, 32, "adamw"},
		{"resnet_small_stem", "resnet18", &backbone.ResNetConfig{Stem: "small", Width: 8}, 4, "sgd"},
		{"resnet_standard_stem", "resnet18", &backbone.ResNetConfig{Stem: "standard", Width: 8}, 4, "sgd"},
	} {
		for _, family := range kernel.Families() {
			for _, precision := range []nn.Precision{nn.Float32, nn.BFloat16} {
				t.Run(model.name+"/"+string(family)+"/"+string(precision), func(t *testing.T) {
					step := newBenchStep(t, kernel.Options{Family: family, Workers: 2}, precision, model.architecture, model.params, model.batch, model.optimizer)
					least := testing.AllocsPerRun(1, func() { step.run(t) })
					for range 5 {
						least = min(least, testing.AllocsPerRun(1, func() { step.run(t) }))
					}
					if least != 0 {
						t.Errorf("%v allocations in a step: want none", least)
					}
				})
			}
		}
	}
}

// TestStepDoesNotDependOnWorkers: the gradients of whole steps have the same bits for any number of threads, in every
// family and precision.
func TestStepDoesNotDependOnWorkers(t *testing.T) {
	vit := &backbone.ViTConfig{Patch: 8, Width: 48, Depth: 2, Heads: 2, MLPRatio: 4, ClassToken: true, Pooling: "class", Positions: "learned"}
	for _, model := range []struct {
		architecture string
		params       any
	}{{"vit_tiny", vit}, {"resnet18", &backbone.ResNetConfig{Stem: "small", Width: 8}}} {
		for _, family := range kernel.Families() {
			for _, precision := range []nn.Precision{nn.Float32, nn.BFloat16} {
				t.Run(fmt.Sprintf("%s/%s/%s", model.architecture, family, precision), func(t *testing.T) {
					var first []float32
					for _, workers := range []int{1, 2, 3, 5} {
						s := newBenchStep(t, kernel.Options{Family: family, Workers: workers}, precision, model.architecture, model.params, 8, "adamw")
						s.run(t)
						s.run(t)
						if first == nil {
							first = slices.Clone(s.store.Gradients())
						}
						if !slices.Equal(first, s.store.Gradients()) {
							t.Fatalf("the gradients differ between 1 and %d workers", workers)
						}
					}
				})
			}
		}
	}
}

// TestMemoryStaysFlat watches the resident memory over 2,000 steps. It takes a while: set SLOW_TESTS to run it.
func TestMemoryStaysFlat(t *testing.T) {
	if os.Getenv("SLOW_TESTS") == "" {
		t.Skip("2,000 steps take a while: set SLOW_TESTS to run them")
	}
	vit := &backbone.ViTConfig{Patch: 8, Width: 48, Depth: 2, Heads: 2, MLPRatio: 4, ClassToken: true, Pooling: "class", Positions: "learned"}
	for _, precision := range []nn.Precision{nn.Float32, nn.BFloat16} {
		s := newBenchStep(t, kernel.Options{}, precision, "vit_tiny", vit, 16, "adamw")
		for range 200 {
			s.run(t)
		}
		before := residentBytes(t)
		for range 2000 {
			s.run(t)
		}
		if after := residentBytes(t); after > before+4<<20 {
			t.Errorf("%s: %d bytes are resident after 200 steps and %d after 2,200", precision, before, after)
		}
	}
}

// residentBytes is the process's resident memory after a garbage collection.
func residentBytes(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("resident memory is read from /proc, which is not here")
	}
	var size, resident int
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}

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
}

func newStepOf(t *testing.T, network backbone.Backbone, tasks []pretext.Task, p planned) *builtStep {
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
	built.step, err = NewStep(StepParts{
		Store: built.store, Engine: engine, Backbone: network, Tasks: tasks, Weighter: weighter, Terms: terms, Plan: p.plan,
	})
	if err != nil {
		t.Fatal(err)
	}
	weighter.Bind(built.step.program)
	if err := built.step.Run(p.batch); err != nil {
		t.Fatal(err)
	}
	return built
}
