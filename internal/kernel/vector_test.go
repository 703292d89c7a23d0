package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// failer is what the checks below need of testing.T and rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// inFamilies runs a test on an Engine of each family this CPU runs.
func inFamilies(t *testing.T, body func(t *testing.T, e *Engine)) {
	t.Helper()
	for _, f := range Families() {
		t.Run(string(f), func(t *testing.T) {
			e, err := New(Options{Family: f, Workers: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			body(t, e)
		})
	}
}

// sameForWorkers checks that a result has the same bits for several numbers of workers.
func sameForWorkers(t *testing.T, result func(e *Engine) []float32) {
	t.Helper()
	for _, f := range Families() {
		sameInEngines(t, string(f), func(workers int) *Engine {
			e, err := New(Options{Family: f, Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}, result)
	}
}

// sameInEngines does so with Engines of its caller's making.
func sameInEngines(t *testing.T, name string, start func(workers int) *Engine, result func(e *Engine) []float32) {
	t.Helper()
	var first []float32
	for _, workers := range []int{1, 2, 3, 5} {
		e := start(workers)
		got := result(e)
		e.Close()
		if first == nil {
			first = got
		}
		sameBits(t, fmt.Sprintf("%s with %d workers", name, workers), got, first)
	}
}

func bitsOf(x []float32) []uint32 {
	bits := make([]uint32, len(x))
	for i, v := range x {
		bits[i] = math.Float32bits(v)
	}
	return bits
}

// sizes are lengths that end in every kind of tail.
var sizes = rapid.OneOf(rapid.SampledFrom([]int{1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65}), rapid.IntRange(0, 200))

// randomOf draws the seed of a generator of test values.
func randomOf(t *rapid.T) *rand.Rand { return seeded(rapid.Uint64().Draw(t, "seed")) }

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// normals are n normally distributed values of the given mean and deviation.
func normals(r *rand.Rand, n int, mean, deviation float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(mean + deviation*r.NormFloat64())
	}
	return x
}

// dirty is an output buffer as the arena hands it out: full of what was there before.
func dirty(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(math.NaN())
	}
	return x
}

func float64s(x []float32) []float64 {
	if x == nil {
		return nil
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// near checks |got − want| ≤ tolerance·(1 + |want|) everywhere.
func near(t failer, name string, got []float32, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", name, len(got), len(want))
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= tolerance*(1+math.Abs(w))) {
			t.Fatalf("%s[%d] of %d is %g, want %g (off by %.2g, tolerance %.2g)", name, i, len(want), got[i], w, d, tolerance*(1+math.Abs(w)))
		}
	}
}

// followsDifferences checks gradients of loss by its inputs against central differences: along every coordinate of
// small problems, and along random directions of all.
func followsDifferences(t failer, r *rand.Rand, loss func(inputs [][]float64) float64, inputs, gradients [][]float32) {
	t.Helper()
	total, norm := 0, 0.0
	for _, g := range gradients {
		total += len(g)
		for _, v := range g {
			norm += float64(v) * float64(v)
		}
	}
	direction := make([][]float64, len(inputs))
	for k := range inputs {
		direction[k] = make([]float64, len(inputs[k]))
	}
	check := func(what string) {
		got, want := slope(loss, inputs, direction), 0.0
		for k, g := range gradients {
			for i, v := range g {
				want += float64(v) * direction[k][i]
			}
		}
		if d := math.Abs(got - want); !(d <= 2e-4*(0.1+math.Sqrt(norm))) {
			t.Fatalf("along %s the loss rises by %g, the gradient says %g (norm %g)", what, got, want, math.Sqrt(norm))
		}
	}
	if total <= 64 {
		for k := range direction {
			for i := range direction[k] {
				direction[k][i] = 1
				check(fmt.Sprintf("input %d[%d]", k, i))
				direction[k][i] = 0
			}
		}
	}
	for range 2 {
		for k := range direction {
			for i := range direction[k] {
				direction[k][i] = r.NormFloat64()
			}
		}
		check("a random direction")
	}
}

// slope is the central difference of loss along a direction.
func slope(loss func([][]float64) float64, inputs [][]float32, direction [][]float64) float64 {
	const h = 1e-6
	at := func(step float64) float64 {
		moved := make([][]float64, len(inputs))
		for k, x := range inputs {
			moved[k] = float64s(x)
			for i := range moved[k] {
				moved[k][i] += step * direction[k][i]
			}
		}
		return loss(moved)
	}
	return (at(h) - at(-h)) / (2 * h)
}

// weighted is Σ w·y, the loss whose gradient by y is w.
func weighted(w []float32, y []float64) float64 {
	total := 0.0
	for i, v := range y {
		total += float64(w[i]) * v
	}
	return total
}
