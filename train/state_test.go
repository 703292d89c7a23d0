package train

import (
	"slices"
	"testing"

	"pretrain/backbone"
	"pretrain/checkpoints"
	"pretrain/internal/kernel"
	"pretrain/nn"
)

// TestLoadWeights loads a checkpoint into stores of other initial weights: of the backbone alone, and with a head.
func TestLoadWeights(t *testing.T) {
	job := newJob(t, pictures(t, 8))
	run(t, job)
	state := latest(t, job.Directory).State
	for _, head := range []bool{false, true} {
		store := nn.NewStore(job.Train.Seed + 1)
		declare(t, job, store, head)
		if err := LoadWeights(store, state); err != nil {
			t.Fatal(err)
		}
		for _, p := range store.Parameters() {
			saved, ok := state.Tensor(prefixParameter + p.Name)
			if !ok || !slices.Equal(saved.Data, p.Value) {
				t.Errorf("head %v: %s is not the checkpoint's", head, p.Name)
			}
		}
		if found := store.Lookup("tasks.rotation.head.weight") != nil; found != head {
			t.Fatalf("head %v: the store holds a head: %v", head, found)
		}
	}
}

// declare builds a forward graph of the job's backbone, so that the store declares its parameters.
func declare(t *testing.T, job Job, store *nn.Store, head bool) {
	t.Helper()
	engine, err := kernel.New(kernel.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	c := nn.NewCtx(store, false)
	side := job.Backbone.Side()
	features, err := job.Backbone.Forward(c.Scope("backbone"), backbone.Input{Images: c.Input("images", side*side, 3), Views: 1, Side: side})
	if err != nil {
		t.Fatal(err)
	}
	out := features.Pooled
	if head {
		out = nn.Linear(c.Scope("tasks.rotation"), "head", out, 4, true)
	}
	if _, err := nn.Compile(c, engine, nil, out); err != nil {
		t.Fatal(err)
	}
}

func TestTaskStateIsOfOneTask(t *testing.T) {
	state := checkpoints.State{Tensors: []checkpoints.Tensor{
		vector("state.colorization.prior", []float32{1, 2}), vector("state.rotation.prior", []float32{3}),
	}}
	if got := TaskState(&state, "colorization"); len(got) != 1 || !slices.Equal(got["prior"], []float32{1, 2}) {
		t.Errorf("the state of colorization is %v", got)
	}
	if got := TaskState(nil, "colorization"); len(got) != 0 {
		t.Errorf("without a checkpoint there is %v", got)
	}
}
