package nn_test

import (
	"maps"
	"math"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
	"pretrain/internal/random"
	"pretrain/nn"
)

// operationCase is one operation with its naive counterpart. Everything it reads is a parameter of the scope "t" or an
// input; the counterpart finds the values by name.
type operationCase struct {
	name  string
	build func(c *nn.Ctx) *G.Node
	naive func(v values) mat
	// inputs are bound to the names that build gave to c.Input.
	inputs map[string][]float32
	// noGradient marks operations that end the gradient.
	noGradient bool
}

// values are the parameters and inputs of a case.
type values map[string][]float64

func (v values) mat(name string, cols int) mat { return mat{v[name], cols} }

// param declares a differentiable test matrix with numbers between −1 and 1.
func param(c *nn.Ctx, name string, rows, cols int) *G.Node {
	return c.Parameter(name, []int{rows, cols}, nn.Weight, uniform(name, rows*cols))
}

// uniform fills a parameter; it also keeps normalisation scales away from their defaults.
func uniform(name string, size int) nn.Initializer {
	return nn.Values(func() []float32 {
		r := random.New(1, name)
		data := make([]float32, size)
		for i := range data {
			data[i] = float32(2*r.Float64() - 1)
		}
		return data
	})
}

func testMap(c *nn.Ctx, name string, views, height, width, channels int) nn.Map {
	return nn.Map{Node: param(c, name, views*height*width, channels), Views: views, Height: height, Width: width}
}

// TestOperations holds the value of every operation against its naive counterpart, and its gradient against central
// differences of that counterpart in float64.
func TestOperations(t *testing.T) {
	engine := newEngine(t)
	for _, test := range operationCases() {
		t.Run(test.name, func(t *testing.T) { checkOperation(t, engine, test) })
	}
}

func checkOperation(t *testing.T, engine *kernel.Engine, test operationCase) {
	store := nn.NewStore(1)
	c := nn.NewCtx(store, true)
	out := test.build(c)
	if c.Err() != nil {
		t.Fatal(c.Err())
	}
	spreadNorms(store)
	size := out.Shape().TotalSize()
	projection := projectionOf(size)
	cost := out
	if !out.IsScalar() {
		shape := out.Shape()
		cost = nn.Sum(c, nn.Multiply(c, out, nn.Constant(c, projection, shape[0], shape[1])))
	}
	if test.noGradient {
		cost = nil
	}
	program, err := nn.Compile(c, engine, cost, out)
	if err != nil {
		t.Fatal(err)
	}
	v := bindAll(c, program, test.inputs)
	run(t, program)
	for _, p := range store.Parameters() {
		v[p.Name] = float64s(p.Value)
	}
	compare(t, "value", program.Value(out), test.naive(v).data, 2e-6)
	if test.noGradient {
		return
	}
	for _, p := range store.Parameters() {
		compare(t, "gradient of "+p.Name, p.Gradient, differences(v, p.Name, test.naive, projection), 1e-5)
	}
}

// spreadNorms moves scales and shifts away from one and zero.
func spreadNorms(store *nn.Store) {
	for _, p := range store.Parameters() {
		if p.Kind != nn.Norm && p.Kind != nn.Bias {
			continue
		}
		r := random.New(2, p.Name)
		for i := range p.Value {
			p.Value[i] += float32(r.Float64() - 0.5)
		}
	}
}

func projectionOf(size int) []float32 {
	r := random.New(3, "projection")
	data := make([]float32, size)
	for i := range data {
		data[i] = float32(2*r.Float64() - 1)
	}
	return data
}

// differences are the central differences of Σ naive·projection by every element of one parameter; a scalar is not
// projected.
func differences(v values, name string, naive func(values) mat, projection []float32) []float64 {
	cost := func() float64 {
		out := naive(v).data
		if len(out) == 1 {
			return out[0]
		}
		sum := 0.0
		for i, x := range out {
			sum += x * float64(projection[i])
		}
		return sum
	}
	const h = 1e-5
	gradient := make([]float64, len(v[name]))
	for i, x := range v[name] {
		v[name][i] = x + h
		above := cost()
		v[name][i] = x - h
		gradient[i] = (above - cost()) / (2 * h)
		v[name][i] = x
	}
	return gradient
}

// compare fails where got is further from want than the tolerance, relative to the size of want's largest number.
func compare(t *testing.T, what string, got []float32, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d numbers, want %d", what, len(got), len(want))
	}
	scale := 1.0
	for _, w := range want {
		scale = max(scale, math.Abs(w))
	}
	for i, w := range want {
		if !(math.Abs(float64(got[i])-w) <= tolerance*scale) {
			t.Errorf("%s[%d] = %v, want %v", what, i, got[i], w)
			return
		}
	}
}

func float64s(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// newEngine is an engine that ends with the test.
func newEngine(t testing.TB) *kernel.Engine {
	t.Helper()
	engine, err := kernel.New(kernel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	return engine
}

func run(t testing.TB, program *nn.Program) {
	t.Helper()
	if err := program.Run(); err != nil {
		t.Fatal(err)
	}
}

// bindAll binds inputs by name and returns their values.
func bindAll(c *nn.Ctx, program *nn.Program, inputs map[string][]float32) values {
	v := values{}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		program.Bind(nn.InputNode(c, name), inputs[name])
		v[name] = float64s(inputs[name])
	}
	return v
}
