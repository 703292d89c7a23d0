package losses

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pretrain/internal/random"
)

// drawTerms draws one to five tasks of either kind; some have weight 0.
func drawTerms(t *rapid.T) []Term {
	var terms []Term
	for i := range rapid.IntRange(1, 5).Draw(t, "tasks") {
		terms = append(terms, Term{
			Name: fmt.Sprint("task", i), Weight: rapid.SampledFrom([]float64{0, 0.25, 1, 3.5}).Draw(t, "weight"),
			Kind: rapid.SampledFrom([]Kind{Classification, Regression}).Draw(t, "kind"),
		})
	}
	return terms
}

// drawLosses draws a loss a task; they rise and fall by less than 20 times, or dwa's smallest factor would round to 0.
func drawLosses(t *rapid.T, tasks int) []float64 {
	return rapid.SliceOfN(rapid.Float64Range(0.5, 8), tasks, tasks).Draw(t, "losses")
}

// close32 compares numbers that went through float32 graphs.
func close32(t *rapid.T, what string, got, want float64) {
	if !(math.Abs(got-want) <= 2e-5*max(1, math.Abs(want))) {
		t.Fatalf("%s is %v, want %v", what, got, want)
	}
}

// TestEveryCostIsItsWeightsTimesTheLosses, for every registered weighter in every state: what Weights tells is what the
// gradient of the losses says, and a task of weight 0 adds nothing to either.
func TestEveryCostIsItsWeightsTimesTheLosses(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				terms := drawTerms(rt)
				r := newRig(t, name, terms...)
				if logs := r.store.Lookup("losses.log_variance"); logs != nil {
					for i := range logs.Value {
						logs.Value[i] = float32(rapid.Float64Range(-2, 2).Draw(rt, "s"))
					}
				}
				for range rapid.IntRange(1, 6).Draw(rt, "steps") {
					r.step(t, rapid.Bool().Draw(rt, "epoch ends"), drawLosses(rt, len(terms))...)
				}
				weights, losses, want := r.weighter.Weights(), drawLosses(rt, len(terms)), 0.0
				for i, loss := range losses {
					want += weights[i] * loss
					if (weights[i] == 0) != (terms[i].Weight == 0) || weights[i] < 0 {
						rt.Fatalf("a task of weight %g is given the weight %g", terms[i].Weight, weights[i])
					}
				}
				r.step(t, false, losses...)
				close32(rt, "the gradient of what multiplies every loss", r.scaleGradient(), want)
			})
		})
	}
}

// uncertaintyCost is Σ wᵢ·(Lᵢ·e^(−sᵢ)·fᵢ + sᵢ/2), f being 1 for classification and ½ for regression.
func uncertaintyCost(terms []Term, logs, losses []float64) float64 {
	cost := 0.0
	for i, term := range terms {
		factor := 1.0
		if term.Kind == Regression {
			factor = 0.5
		}
		cost += term.Weight * (losses[i]*math.Exp(-logs[i])*factor + logs[i]/2)
	}
	return cost
}

// TestUncertaintyFollowsItsFormula: value, and gradient by central differences, for any tasks.
func TestUncertaintyFollowsItsFormula(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		terms := drawTerms(rt)
		r := newRig(t, "uncertainty", terms...)
		parameter := r.store.Lookup("losses.log_variance")
		logs, losses := make([]float64, len(terms)), drawLosses(rt, len(terms))
		for i := range logs {
			parameter.Value[i] = float32(rapid.Float64Range(-3, 3).Draw(rt, "s"))
			logs[i] = float64(parameter.Value[i])
		}
		close32(rt, "the cost", r.step(t, false, losses...), uncertaintyCost(terms, logs, losses))
		const h = 1e-5
		for i, s := range logs {
			logs[i] = s + h
			above := uncertaintyCost(terms, logs, losses)
			logs[i] = s - h
			slope := (above - uncertaintyCost(terms, logs, losses)) / (2 * h)
			logs[i] = s
			close32(rt, fmt.Sprintf("the gradient of s%d", i), float64(parameter.Gradient[i]), slope)
		}
	})
}

// TestUncertaintyEvensTheLossesOut: left alone with losses that do not change, s goes to log 2L for classification and
// log L for regression, where every task's share of the cost is the same: w/2, whatever its loss was.
func TestUncertaintyEvensTheLossesOut(t *testing.T) {
	terms := []Term{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}, {Name: "c", Weight: 1, Kind: Regression}}
	r := newRig(t, "uncertainty", terms...)
	logs, losses := r.store.Lookup("losses.log_variance"), []float64{0.05, 4, 9}
	for range 400 {
		r.step(t, false, losses...)
		for i, g := range logs.Gradient {
			logs.Value[i] -= 0.1 * g
		}
	}
	for i, want := range []float64{math.Log(2 * 0.05), math.Log(2 * 4), math.Log(9)} {
		if math.Abs(float64(logs.Value[i])-want) > 1e-3 {
			t.Errorf("s of task %d went to %g, want %g", i, logs.Value[i], want)
		}
		if share := r.weighter.Weights()[i] * losses[i]; math.Abs(share-0.5) > 1e-3 {
			t.Errorf("task %d adds %g to the cost, want 1/2", i, share)
		}
	}
}

// dwaReference computes the factors from the losses of all epochs so far, in float64.
func dwaReference(epochs [][][]float64, tasks int) []float64 {
	factors := slices.Repeat([]float64{1}, tasks)
	if len(epochs) < 2 {
		return factors
	}
	mean := func(steps [][]float64, task int) (mean float64) {
		for _, losses := range steps {
			mean += losses[task] / float64(len(steps))
		}
		return mean
	}
	total := 0.0
	for i := range factors {
		factors[i] = math.Exp(mean(epochs[len(epochs)-1], i) / mean(epochs[len(epochs)-2], i) / dynamicTemperature)
		total += factors[i]
	}
	for i := range factors {
		factors[i] *= float64(tasks) / total
	}
	return factors
}

// TestDynamicFollowsItsFormula over epochs of different lengths: the factors are those of the last two epochs, add up to
// the number of tasks, and do not care for the scale of a task's loss.
func TestDynamicFollowsItsFormula(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		terms := drawTerms(rt)
		r, scaled := newRig(t, "dwa", terms...), newRig(t, "dwa", terms...)
		var epochs [][][]float64
		for range rapid.IntRange(1, 5).Draw(rt, "epochs") {
			var epoch [][]float64
			steps := rapid.IntRange(1, 4).Draw(rt, "steps")
			for step := range steps {
				losses := drawLosses(rt, len(terms))
				epoch = append(epoch, losses)
				r.step(t, step == steps-1, losses...)
				times := slices.Clone(losses)
				for i := range times {
					times[i] *= math.Exp2(float64(i)) // exact in float32
				}
				scaled.step(t, step == steps-1, times...)
			}
			epochs = append(epochs, epoch)
			sum := 0.0
			for i, want := range dwaReference(epochs, len(terms)) {
				factor := float64(r.weighter.(*dynamic).factors[i])
				sum += factor
				close32(rt, fmt.Sprintf("factor %d after %d epochs", i, len(epochs)), factor, want)
				close32(rt, "weight", r.weighter.Weights()[i], want*terms[i].Weight)
			}
			close32(rt, "the sum of the factors", sum, float64(len(terms)))
			if !slices.Equal(r.weighter.Weights(), scaled.weighter.Weights()) {
				rt.Fatalf("weights %v, with scaled losses %v", r.weighter.Weights(), scaled.weighter.Weights())
			}
		}
	})
}

// TestWeightersResumeAnywhere: saved after any step and restored into a new one, every weighter goes on with the same
// bits, and what was saved stays what it was.
func TestWeightersResumeAnywhere(t *testing.T) {
	for _, name := range Names() {
		for stop := range 9 {
			r := random.New(uint64(stop), "losses")
			whole, resumed := newRig(t, name, twoTerms()...), newRig(t, name, twoTerms()...)
			for step := range 12 {
				if step == stop {
					copy(resumed.store.Values(), whole.store.Values())
					saved := map[string][]float32{}
					for key, values := range whole.weighter.State() {
						saved[key] = slices.Clone(values)
					}
					kept := maps.Clone(saved)
					if err := resumed.weighter.Restore(saved); err != nil {
						t.Fatal(err)
					}
					if !maps.EqualFunc(saved, kept, slices.Equal) {
						t.Errorf("%s: Restore changed what was saved", name)
					}
				}
				a, b, ends := 5*r.Float64(), r.Float64(), step%3 == 2
				cost := whole.step(t, ends, a, b)
				if step < stop {
					continue
				}
				again := resumed.step(t, ends, a, b)
				if same := slices.Equal(whole.weighter.Weights(), resumed.weighter.Weights()); again != cost || !same {
					t.Fatalf("%s, saved after %d steps: cost %v at step %d, want %v", name, stop, again, step+1, cost)
				}
			}
		}
	}
}
