package nn_test

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
	"pretrain/nn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result is what a run leaves: the cost and all gradients.
type result struct {
	Cost      float32
	Gradients []float32
}

type compiler func(*nn.Ctx, *kernel.Engine, *G.Node, ...*G.Node) (*nn.Program, error)

// compileModel builds a model over a new store and binds its inputs.
func compileModel(t testing.TB, engine *kernel.Engine, compile compiler, build func(*nn.Ctx) *G.Node, inputs map[string][]float32) (*nn.Store, *nn.Program, *G.Node) {
	t.Helper()
	store := nn.NewStore(7)
	c := nn.NewCtx(store, true)
	cost := build(c)
	program, err := compile(c, engine, cost, cost)
	if err != nil {
		t.Fatal(err)
	}
	bindAll(c, program, inputs)
	return store, program, cost
}

func runModel(t testing.TB, store *nn.Store, program *nn.Program, cost *G.Node) result {
	t.Helper()
	run(t, program)
	return result{program.Value(cost)[0], slices.Clone(store.Gradients())}
}

// TestRunAllocatesNothing runs what this package computes itself, without the engine's kernels.
func TestRunAllocatesNothing(t *testing.T) {
	engine := newEngine(t)
	inputs := map[string][]float32{"index": {0, 1, 1, 3}, "labels": {0, 1, 2, 0, 1, 2}}
	_, program, _ := compileModel(t, engine, nn.Compile, hostOperations, inputs)
	run(t, program) // the pool of the engine warms up
	if n := testing.AllocsPerRun(20, func() { run(t, program) }); n != 0 {
		t.Errorf("%v allocations a step, want none", n)
	}
}

// hostOperations is a graph of everything that runs on the host.
func hostOperations(c *nn.Ctx) *G.Node {
	x := nn.PrependToken(c, "class", nn.GatherTokens(c, param(c, "x", 8, 3), 4, c.Input("index", 4, 1), 2), 2)
	x = nn.ConcatColumns(c, nn.Columns(c, x, 1, 3), nn.Columns(c, x, 0, 1))
	y := nn.Upsample(c, nn.Map{Node: nn.SliceTokens(c, x, 3, 0, 2), Views: 2, Height: 2, Width: 1}, 2).Node
	accuracy := nn.Accuracy(c, nn.ConcatRows(c, nn.Rows(c, x, 0, 2), nn.Rows(c, x, 2, 6)), c.Input("labels", 6, 1))
	largest := nn.Measure(c, "largest", func(in ...[]float32) float32 { return slices.Max(in[0]) }, nn.Multiply(c, y, y))
	return nn.WeightedSum(c, []*G.Node{accuracy, largest}, nn.Exp(c, param(c, "weights", 1, 2)))
}

// TestStepAllocatesNothingOfSize bounds what a whole step allocates: kernels may make small closures, whatever the
// size of the batch, but no buffer.
func TestStepAllocatesNothingOfSize(t *testing.T) {
	engine := newEngine(t)
	for _, model := range models {
		_, program, _ := compileModel(t, engine, nn.Compile, model.build, model.inputs)
		run(t, program) // the engine's scratch memory grows
		const steps = 50
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range steps {
			run(t, program)
		}
		runtime.ReadMemStats(&after)
		bytes, calls := (after.TotalAlloc-before.TotalAlloc)/steps, uint64(len(program.Kinds()))
		if bytes > 1024*calls {
			t.Errorf("%s: %d bytes a step in %d calls: more than the closures of kernels need", model.name, bytes, calls)
		}
	}
}

// TestResidualStreamIsNotCopied pins what the planner saves: gradients of slices and of the residual stream are
// computed where they are needed, so no call exists to copy or to clear them.
func TestResidualStreamIsNotCopied(t *testing.T) {
	engine := newEngine(t)
	_, program, _ := compileModel(t, engine, nn.Compile, models[0].build, models[0].inputs)
	sums := 0
	for _, kind := range program.Kinds() {
		switch kind {
		case "GradientSum":
			sums++
		case "Gradient", "PadRows", "ConcatRows", "Tap", "Rows", "Reshape":
			t.Errorf("a call of kind %s: it should have been planned away", kind)
		}
	}
	// One addition at each of the two branches of both blocks; the two slices of the trunk meet without one.
	if want := 4; sums != want {
		t.Errorf("%d additions of gradients, want %d; calls: %v", sums, want, program.Kinds())
	}
}

// TestUnneededCodeIsDropped compiles the features of a graph that also has a loss.
func TestUnneededCodeIsDropped(t *testing.T) {
	engine := newEngine(t)
	c := nn.NewCtx(nn.NewStore(1), true)
	x := nn.Linear(c, "trunk", c.Input("x", 4, 3), 3, true)
	nn.CrossEntropy(c, nn.Linear(c, "head", x, 2, true), c.Input("labels", 4, 1))
	program, err := nn.Compile(c, engine, nil, x)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Linear"}, program.Kinds()); diff != "" {
		t.Error(diff)
	}
	program.Bind(nn.InputNode(c, "labels"), make([]float32, 4)) // not needed: ignored
	program.Bind(nn.InputNode(c, "x"), make([]float32, 12))
	run(t, program)
}

// TestFirstLayerHasNoInputGradient checks that gradients of pictures are not computed.
func TestFirstLayerHasNoInputGradient(t *testing.T) {
	engine := newEngine(t)
	_, program, _ := compileModel(t, engine, nn.Compile, models[1].build, models[1].inputs)
	convolutions, inputGradients := 0, 0
	for _, kind := range program.Kinds() {
		switch kind {
		case "Conv":
			convolutions++
		case "ConvBackwardInput":
			inputGradients++
		}
	}
	if inputGradients != convolutions-2 {
		t.Errorf("%d input gradients for %d convolutions, two of them on pictures", inputGradients, convolutions)
	}
}

func TestGradientsOfUnusedParametersAreZero(t *testing.T) {
	engine := newEngine(t)
	store := nn.NewStore(1)
	c := nn.NewCtx(store, true)
	x := c.Input("x", 2, 3)
	a, b := nn.Sum(c, nn.Linear(c, "a", x, 2, true)), nn.Sum(c, nn.Linear(c, "b", x, 2, true))
	first, err := nn.Compile(c, engine, a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := nn.Compile(c, engine, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []*nn.Program{first, second} {
		program.Bind(x, []float32{1, 2, 3, 4, 5, 6})
		run(t, program)
	}
	if diff := cmp.Diff(make([]float32, 6), store.Lookup("a.weight").Gradient); diff != "" {
		t.Errorf("the gradient of an unused parameter:\n%s", diff)
	}
	if diff := cmp.Diff([]float32{5, 7, 9, 5, 7, 9}, store.Lookup("b.weight").Gradient); diff != "" {
		t.Error(diff)
	}
}

// TestValue reads kept nodes, views of them, inputs and parameters; other nodes have no value.
func TestValue(t *testing.T) {
	engine := newEngine(t)
	store := nn.NewStore(1)
	c := nn.NewCtx(store, true)
	x := c.Input("x", 4, 2)
	slice := nn.Rows(c, x, 1, 3)
	hidden := nn.Scale(c, slice, 10)
	kept := nn.Rows(c, hidden, 1, 2)
	dropped := nn.Scale(c, kept, 2)
	p := param(c, "p", 1, 2)
	sum := nn.Add(c, dropped, p)
	program, err := nn.Compile(c, engine, nil, slice, kept, p, sum)
	if err != nil {
		t.Fatal(err)
	}
	program.Bind(x, []float32{1, 2, 3, 4, 5, 6, 7, 8})
	run(t, program)
	v := store.Lookup("p").Value
	for _, test := range []struct {
		name string
		node *G.Node
		want []float32
	}{
		{"slice of an input", slice, []float32{3, 4, 5, 6}},
		{"slice of a result", kept, []float32{50, 60}},
		{"parameter", p, v},
		{"result", sum, []float32{100 + v[0], 120 + v[1]}},
		{"not kept", dropped, nil},
		{"of another graph", nn.NewCtx(store, true).Input("x", 1, 1), nil},
	} {
		if diff := cmp.Diff(test.want, program.Value(test.node)); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// TestBindAgain gives an input another buffer, of which the program also reads a slice.
func TestBindAgain(t *testing.T) {
	engine := newEngine(t)
	c := nn.NewCtx(nn.NewStore(1), false)
	x := c.Input("x", 2, 2)
	y := nn.Scale(c, nn.Rows(c, x, 1, 2), 2)
	program, err := nn.Compile(c, engine, nil, y)
	if err != nil {
		t.Fatal(err)
	}
	for _, scale := range []float32{1, 3} {
		program.Bind(x, []float32{0, 0, scale, 2 * scale})
		run(t, program)
		if diff := cmp.Diff([]float32{2 * scale, 4 * scale}, program.Value(y)); diff != "" {
			t.Error(diff)
		}
	}
}

// TestRunErrors lists what stops a Run, and that the program works again afterwards.
func TestRunErrors(t *testing.T) {
	engine := newEngine(t)
	c := nn.NewCtx(nn.NewStore(1), true)
	x, labels := c.Input("x", 2, 3), c.Input("labels", 2, 1)
	loss := nn.CrossEntropy(c, nn.Linear(c.Scope("head"), "fc", x, 3, true), labels)
	program, err := nn.Compile(c, engine, loss, loss)
	if err != nil {
		t.Fatal(err)
	}
	good := func() {
		program.Bind(x, make([]float32, 6))
		program.Bind(labels, []float32{0, 1})
	}
	for _, test := range []struct {
		name string
		bind func()
		want string
	}{
		{"unbound", func() {}, "input x is not bound: call Bind before Run"},
		{"wrong size", func() { program.Bind(x, make([]float32, 5)) }, "Bind: input x gets 5 numbers: its shape (2, 3) has 6"},
		{"no input", func() { good(); program.Bind(loss, make([]float32, 1)) }, "is not an input of this program"},
		{"bad label", func() { good(); program.Bind(labels, []float32{0, 3}) }, "CrossEntropy (top level) ((2, 3), (2, 1) → ()): label 3 is outside 0 … 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.bind()
			if err := program.Run(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	good()
	run(t, program)
}

func TestPanicsInParallelItemsBecomeErrors(t *testing.T) {
	engine := newEngine(t)
	c := nn.NewCtx(nn.NewStore(1), false)
	index := c.Input("index", 4, 1)
	picked := nn.GatherTokens(c, nn.Constant(c, make([]float32, 8), 8, 1), 4, index, 2)
	program, err := nn.Compile(c, engine, nil, picked)
	if err != nil {
		t.Fatal(err)
	}
	program.Bind(index, []float32{0, 1, 2, 3.5})
	want := "GatherTokens (top level) ((8, 1), (4, 1) → (4, 1)): token 3.5 is outside 0 … 3"
	if err := program.Run(); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestCompileErrors lists graphs that cannot be compiled.
func TestCompileErrors(t *testing.T) {
	engine := newEngine(t)
	for _, test := range []struct {
		name    string
		compile func(c *nn.Ctx) error
		want    string
	}{
		{"failed graph", func(c *nn.Ctx) error {
			c.Fail(errors.New("first"))
			c.Fail(errors.New("second"))
			_, err := nn.Compile(c, engine, nil)
			return err
		}, "first"},
		{"no engine", func(c *nn.Ctx) error { _, err := nn.Compile(c, nil, nil, c.Input("x", 1, 1)); return err }, "the engine is nil"},
		{"nothing to do", func(c *nn.Ctx) error { _, err := nn.Compile(c, engine, nil); return err }, "nothing to compute"},
		{"cost is a matrix", func(c *nn.Ctx) error { _, err := nn.Compile(c, engine, param(c, "x", 1, 2)); return err }, "it must be a scalar"},
		{"nothing to learn", func(c *nn.Ctx) error { _, err := nn.Compile(c, engine, nn.Sum(c, c.Input("x", 1, 2))); return err }, "depends on no parameter"},
		{"evaluation graph", func(c *nn.Ctx) error {
			e := nn.NewCtx(nn.NewStore(1), false)
			_, err := nn.Compile(e, engine, nn.Sum(e, nn.BatchNorm(e, "bn", testMap(e, "x", 1, 2, 2, 3), nil, true).Node))
			return err
		}, "build the graph for training"},
		{"foreign leaf", func(c *nn.Ctx) error {
			x := c.Input("x", 1, 2)
			foreign := G.NewMatrix(x.Graph(), G.Float32, G.WithShape(1, 2), G.WithName("foreign"))
			_, err := nn.Compile(c, engine, nil, nn.Add(c, x, foreign))
			return err
		}, "was not made by this graph's Ctx"},
		{"stock operation", func(c *nn.Ctx) error {
			_, err := nn.Compile(c, engine, nil, G.Must(G.Tanh(c.Input("x", 1, 2))))
			return err
		}, "was not made by this graph's Ctx"},
		{"two graphs", func(c *nn.Ctx) error {
			other := nn.NewCtx(nn.NewStore(1), true)
			_, err := nn.Compile(c, engine, nil, nn.Scale(other, other.Input("x", 1, 2), 2))
			return err
		}, "belongs to another graph"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.compile(nn.NewCtx(nn.NewStore(1), true)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestProfile(t *testing.T) {
	engine := newEngine(t)
	_, program, _ := compileModel(t, engine, nn.Compile, models[0].build, models[0].inputs)
	if rows := program.Profile(); rows != nil {
		t.Errorf("a profile without EnableProfile: %v", rows)
	}
	program.EnableProfile()
	run(t, program)
	run(t, program)
	calls := 0
	rows := program.Profile()
	for i, row := range rows {
		calls += row.Calls
		if i > 0 && row.Time > rows[i-1].Time {
			t.Errorf("row %d takes %v, the one before %v: not sorted", i, row.Time, rows[i-1].Time)
		}
	}
	if want := 2 * len(program.Kinds()); calls != want {
		t.Errorf("%d calls measured, want %d", calls, want)
	}
}
