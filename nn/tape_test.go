package nn_test

import (
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	T "gorgonia.org/tensor"

	"pretrain/internal/kernel"
	"pretrain/nn"
)

// TestTapeMachineAgrees runs whole models by gorgonia's own differentiation and tape machine, and by ours. Costs are
// equal bit for bit. Gradients may differ in the last bits, because gorgonia adds the contributions of a node's users
// in another order and in full size.
func TestTapeMachineAgrees(t *testing.T) {
	engine := newEngine(t)
	for _, model := range models {
		t.Run(model.name, func(t *testing.T) {
			store := nn.NewStore(7)
			ours := nn.NewCtx(store, true)
			cost := model.build(ours)
			program, err := nn.Compile(ours, engine, cost, cost)
			if err != nil {
				t.Fatal(err)
			}
			bindAll(ours, program, model.inputs)
			run(t, program)

			want, gradients := tapeRun(t, engine, store, model.build, model.inputs)
			if got := program.Value(cost)[0]; got != want {
				t.Errorf("cost %v, the tape machine has %v", got, want)
			}
			for i, p := range store.Parameters() {
				compare(t, "gradient of "+p.Name, p.Gradient, gradients[i], 1e-6)
			}
		})
	}
}

// tapeRun builds the model anew and runs it by gorgonia alone.
func tapeRun(t *testing.T, engine *kernel.Engine, store *nn.Store, build func(*nn.Ctx) *G.Node, inputs map[string][]float32) (float32, [][]float64) {
	c := nn.NewCtx(store, true)
	nn.UseEngine(c, engine)
	cost := build(c)
	if c.Err() != nil {
		t.Fatal(c.Err())
	}
	parameters := nn.ParameterNodes(c)
	for i, p := range store.Parameters() {
		let(t, parameters[i], p.Value)
	}
	for name, data := range inputs {
		let(t, nn.InputNode(c, name), data)
	}
	for node, data := range nn.Constants(c) {
		let(t, node, data)
	}
	gradients, err := G.Grad(cost, parameters...)
	if err != nil {
		t.Fatal(err)
	}
	machine := G.NewTapeMachine(cost.Graph())
	defer machine.Close()
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	var result [][]float64
	for _, gradient := range gradients {
		result = append(result, float64s(gradient.Value().Data().([]float32)))
	}
	return cost.Value().Data().(float32), result
}

func let(t *testing.T, node *G.Node, data []float32) {
	t.Helper()
	value := T.New(T.WithShape(node.Shape()...), T.WithBacking(slices.Clone(data)))
	if err := G.Let(node, value); err != nil {
		t.Fatal(err)
	}
}

// TestHashesArePredicted guards hashOf against a gorgonia that hashes otherwise: only then can collisions be avoided.
func TestHashesArePredicted(t *testing.T) {
	c := nn.NewCtx(nn.NewStore(1), true)
	transformer(c, 1)
	predicted, real := nn.Hashes(c)
	for _, hash := range real {
		if !predicted[hash] {
			t.Fatalf("a node has hash %#x, which was not predicted", hash)
		}
	}
	if len(predicted) != len(real) {
		t.Errorf("%d hashes for %d nodes", len(predicted), len(real))
	}
}
