package losses

import (
	"math"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"

	"pretrain/internal/kernel"
	"pretrain/nn"
)

// rig is a graph of a few losses, each the value of an input, and a weighter.
type rig struct {
	weighter Weighter
	store    *nn.Store
	program  *nn.Program
	inputs   []*G.Node
	cost     *G.Node
}

func newRig(t *testing.T, name string, terms ...Term) *rig {
	t.Helper()
	weighter, err := New(Config{Weighter: name})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := kernel.New(kernel.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	r := &rig{weighter: weighter, store: nn.NewStore(1)}
	c := nn.NewCtx(r.store, true)
	scale := c.Parameter("scale", []int{1, 1}, nn.Weight, nn.Ones())
	for i := range terms {
		r.inputs = append(r.inputs, c.Input(terms[i].Name, 1, 1))
		terms[i].Loss = nn.Sum(c, nn.Multiply(c, scale, r.inputs[i]))
	}
	if r.cost, err = weighter.Combine(c, terms); err != nil {
		t.Fatal(err)
	}
	if r.program, err = nn.Compile(c, engine, r.cost, r.cost); err != nil {
		t.Fatal(err)
	}
	return r
}

// step runs one step as the training loop does and returns the cost.
func (r *rig) step(t *testing.T, epochEnded bool, losses ...float64) float64 {
	t.Helper()
	for i, loss := range losses {
		r.program.Bind(r.inputs[i], []float32{float32(loss)})
	}
	r.weighter.Bind(r.program)
	if err := r.program.Run(); err != nil {
		t.Fatal(err)
	}
	r.weighter.Observe(losses, epochEnded)
	return float64(r.program.Value(r.cost)[0])
}

// scaleGradient is Σ weight·loss: the gradient of what multiplies every loss, which is 1.
func (r *rig) scaleGradient() float64 { return float64(r.store.Lookup("scale").Gradient[0]) }

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-5*max(1, math.Abs(want))) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func twoTerms() []Term { return []Term{{Name: "a", Weight: 2}, {Name: "b", Weight: 0.5}} }

func TestFixed(t *testing.T) {
	r := newRig(t, "fixed", twoTerms()...)
	near(t, "cost", r.step(t, false, 3, 4), 2*3+0.5*4)
	near(t, "gradient", r.scaleGradient(), 2*3+0.5*4)
	if !slices.Equal(r.weighter.Weights(), []float64{2, 0.5}) {
		t.Errorf("weights %v", r.weighter.Weights())
	}
}

// TestUncertainty: a classification loss counts L·e^(−s) + s/2 and a regression loss L·e^(−s)/2 + s/2, times the
// user's weight (Kendall et al. 2018, equations 7 and 10), and s is learned.
func TestUncertainty(t *testing.T) {
	terms := twoTerms()
	terms[1].Kind = Regression
	r := newRig(t, "uncertainty", terms...)
	logs := r.store.Lookup("losses.log_variance")
	for _, s := range [][2]float64{{0, 0}, {0.7, -0.4}} {
		logs.Value[0], logs.Value[1] = float32(s[0]), float32(s[1])
		cost := r.step(t, false, 3, 4)
		near(t, "cost", cost, 2*(3*math.Exp(-s[0])+s[0]/2)+0.5*(4*math.Exp(-s[1])/2+s[1]/2))
		near(t, "gradient of the losses", r.scaleGradient(), 2*3*math.Exp(-s[0])+0.5*4*math.Exp(-s[1])/2)
		near(t, "gradient of the first s", float64(logs.Gradient[0]), 2*(0.5-3*math.Exp(-s[0])))
		near(t, "gradient of the second s", float64(logs.Gradient[1]), 0.5*(0.5-4*math.Exp(-s[1])/2))
		near(t, "first weight", r.weighter.Weights()[0], 2*math.Exp(-s[0]))
		near(t, "second weight", r.weighter.Weights()[1], 0.5*math.Exp(-s[1])/2)
	}
	if logs.Kind == nn.Weight {
		t.Error("weight decay would pull the variances to 1")
	}
}

// TestDynamic follows three epochs of two steps by hand (Liu et al. 2019, equation 7): ones for two epochs, then
// K·softmax(r/2) with r the ratios of the means of the last two epochs.
func TestDynamic(t *testing.T) {
	r := newRig(t, "dwa", twoTerms()...)
	for _, step := range []struct {
		ends   bool
		losses [2]float64
	}{{false, [2]float64{5, 2}}, {true, [2]float64{3, 2}}, {false, [2]float64{2, 1}}, {true, [2]float64{2, 3}}} {
		near(t, "cost of the first epochs", r.step(t, step.ends, step.losses[:]...), 2*step.losses[0]+0.5*step.losses[1])
	}
	// Means 4, 2 and then 2, 2: ratios 0.5 and 1.
	total := math.Exp(0.25) + math.Exp(0.5)
	first, second := 2*math.Exp(0.25)/total, 2*math.Exp(0.5)/total
	near(t, "cost of the third epoch", r.step(t, false, 1, 1), 2*first+0.5*second)
	near(t, "gradient", r.scaleGradient(), 2*first+0.5*second)
	r.step(t, true, 3, 1)
	// Means 2, 1 after 2, 2: ratios 1 and 0.5.
	near(t, "first weight of the fourth epoch", r.weighter.Weights()[0], 2*second)
	near(t, "second weight of the fourth epoch", r.weighter.Weights()[1], 0.5*first)
}

// TestDynamicSurvivesSolvedTasks: a loss of 0 has no ratio, and a loss that explodes must not give NaN.
func TestDynamicSurvivesSolvedTasks(t *testing.T) {
	r := newRig(t, "dwa", twoTerms()...)
	r.step(t, true, 0, 1e-9)
	r.step(t, true, 0, 1e9)
	weights := r.weighter.Weights()
	near(t, "weight of the solved task", weights[0], 0)
	near(t, "weight of the other", weights[1], 0.5*2)
}

// TestDynamicResumes saves in the middle of the second epoch.
func TestDynamicResumes(t *testing.T) {
	first, second := newRig(t, "dwa", twoTerms()...), newRig(t, "dwa", twoTerms()...)
	first.step(t, true, 5, 2)
	first.step(t, false, 2, 1)
	saved := map[string][]float32{}
	for name, values := range first.weighter.State() {
		saved[name] = slices.Clone(values)
	}
	if err := second.weighter.Restore(saved); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*rig{first, second} {
		r.step(t, true, 2, 3)
	}
	if first.step(t, false, 1, 1) != second.step(t, false, 1, 1) || !slices.Equal(first.weighter.Weights(), second.weighter.Weights()) {
		t.Errorf("the resumed weights are %v, want %v", second.weighter.Weights(), first.weighter.Weights())
	}
	for want, state := range map[string]map[string][]float32{
		"of 3 tasks, the run has 2":      {"factors": {1, 1, 1}, "sums": {0, 0, 0}, "steps": {0}},
		"has no number of steps":         {"factors": {1, 1}, "sums": {0, 0}},
		"previous are of 1 tasks, the r": {"factors": {1, 1}, "sums": {0, 0}, "steps": {0}, "previous": {1}},
	} {
		if err := second.weighter.Restore(state); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q in it", err, want)
		}
	}
}

// TestWeightersBeforeTheFirstStep: every registered weighter says its weights before anything ran.
func TestWeightersBeforeTheFirstStep(t *testing.T) {
	for _, name := range Names() {
		weights := newRig(t, name, twoTerms()...).weighter.Weights()
		if !slices.Equal(weights, []float64{2, 0.5}) {
			t.Errorf("%s begins with weights %v, want the user's", name, weights)
		}
	}
}

func TestUnknownWeighter(t *testing.T) {
	_, err := New(Config{Weighter: "dwb"})
	for _, want := range []string{`losses.weighter is "dwb"`, "dwa, fixed, uncertainty", `did you mean "dwa"?`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q in it", err, want)
		}
	}
	if _, err := New(DefaultConfig()); err != nil {
		t.Error(err)
	}
}
