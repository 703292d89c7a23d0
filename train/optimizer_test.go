package train

import (
	"math"
	"testing"

	"pretrain/internal/kernel"
	"pretrain/internal/random"
	"pretrain/nn"
)

// newStore declares parameters of every kind, so that decayed and other ones alternate.
func newStore(t *testing.T) *nn.Store {
	t.Helper()
	store := nn.NewStore(1)
	c := nn.NewCtx(store, true)
	for i, kind := range []nn.Kind{nn.Weight, nn.Bias, nn.Weight, nn.Weight, nn.Norm, nn.Position, nn.Token, nn.Weight} {
		c.Parameter(string(rune('a'+i)), []int{3 + i, 7}, kind, nn.TruncatedNormal(0.5))
	}
	if err := c.Err(); err != nil {
		t.Fatal(err)
	}
	store.Freeze()
	return store
}

func newEngine(t *testing.T) *kernel.Engine {
	t.Helper()
	engine, err := kernel.New(kernel.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	return engine
}

// TestOptimizersFollowTorch runs several steps beside torch.optim's formulas in float64. Only weights are decayed.
func TestOptimizersFollowTorch(t *testing.T) {
	adamw := DefaultOptimizerConfig()
	sgd := OptimizerConfig{Name: "sgd", WeightDecay: 0.1, Momentum: 0.9}
	nesterov := sgd
	nesterov.Nesterov = true
	for name, config := range map[string]OptimizerConfig{"adamw": adamw, "sgd": sgd, "nesterov": nesterov} {
		t.Run(name, func(t *testing.T) {
			store, engine := newStore(t), newEngine(t)
			optimizer, reference := NewOptimizer(config, store), newReference(config, store)
			r := random.New(1, "gradients")
			for step := 1; step <= 4; step++ {
				for _, p := range store.Parameters() {
					for i := range p.Gradient {
						p.Gradient[i] = float32(r.NormFloat64())
					}
				}
				rate, scale := 0.1/float64(step), 0.5
				optimizer.Step(engine, step, rate, scale)
				reference.step(step, rate, scale)
			}
			reference.compare(t)
		})
	}
}

// reference holds parameters and moments in float64.
type reference struct {
	config           OptimizerConfig
	store            *nn.Store
	value, mean, sqr map[string][]float64
}

func newReference(config OptimizerConfig, store *nn.Store) *reference {
	r := &reference{config, store, map[string][]float64{}, map[string][]float64{}, map[string][]float64{}}
	for _, p := range store.Parameters() {
		for _, v := range p.Value {
			r.value[p.Name] = append(r.value[p.Name], float64(v))
		}
		r.mean[p.Name], r.sqr[p.Name] = make([]float64, len(p.Value)), make([]float64, len(p.Value))
	}
	return r
}

func (r *reference) step(step int, rate, scale float64) {
	for _, p := range r.store.Parameters() {
		decay := 0.0
		if p.Kind == nn.Weight {
			decay = r.config.WeightDecay
		}
		for i := range p.Value {
			g, w, m, v := float64(p.Gradient[i])*scale, &r.value[p.Name][i], &r.mean[p.Name][i], &r.sqr[p.Name][i]
			if r.config.Name == "adamw" {
				*w -= rate * decay * *w
				*m = r.config.Beta1**m + (1-r.config.Beta1)*g
				*v = r.config.Beta2**v + (1-r.config.Beta2)*g*g
				mean, square := *m/(1-math.Pow(r.config.Beta1, float64(step))), *v/(1-math.Pow(r.config.Beta2, float64(step)))
				*w -= rate * mean / (math.Sqrt(square) + r.config.Epsilon)
				continue
			}
			g += decay * *w
			*m = r.config.Momentum**m + g
			if r.config.Nesterov {
				*w -= rate * (g + r.config.Momentum**m)
			} else {
				*w -= rate * *m
			}
		}
	}
}

func (r *reference) compare(t *testing.T) {
	t.Helper()
	for _, p := range r.store.Parameters() {
		for i, want := range r.value[p.Name] {
			if math.Abs(float64(p.Value[i])-want) > 1e-5 {
				t.Fatalf("%s (%s) number %d is %g, want %g", p.Name, p.Kind, i, p.Value[i], want)
			}
		}
	}
}

// TestGradientScale averages accumulated gradients and clips only long ones.
func TestGradientScale(t *testing.T) {
	for _, test := range []struct {
		accumulate  int
		limit, norm float64
		want        float64
	}{
		{1, 0, 100, 1},        // no limit
		{1, 2, 1.5, 1},        // short enough
		{1, 2, 8, 0.25},       // four times too long
		{4, 0, 1, 0.25},       // mean of four
		{4, 2, 8, 0.25 / 4},   // the norm is that of the mean
		{1, 2, 0, 1},          // no gradient at all
		{2, 0.5, 0.5, 1. / 2}, // just at the limit
	} {
		trainer := &Trainer{config: Config{Accumulate: test.accumulate}, optimizer: &Optimizer{config: OptimizerConfig{ClipNorm: test.limit}}}
		if got := trainer.gradientScale(test.norm); math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%+v: scale %g", test, got)
		}
	}
}

// TestAccumulatedBatchesEqualALargeOne: three batches of four pictures change the weights as one of twelve does, on a
// network that does not look at the batch as a whole.
func TestAccumulatedBatchesEqualALargeOne(t *testing.T) {
	folder := pictures(t, 24)
	small, large := newJob(t, folder), newJob(t, folder)
	small.Train.Accumulate, large.Train.BatchSize = 3, 12
	for _, job := range []*Job{&small, &large} {
		job.Optimizer.Epsilon = 1e-3 // or AdamW would blow up the rounding of gradients near zero
		run(t, *job)
	}
	got, want := latest(t, small.Directory).State, latest(t, large.Directory).State
	if got.Step != 4 || got.Step != want.Step || got.Pictures != want.Pictures {
		t.Fatalf("steps %d and %d, pictures %d and %d", got.Step, want.Step, got.Pictures, want.Pictures)
	}
	for _, tensor := range want.Tensors {
		other, _ := got.Tensor(tensor.Name)
		for i, v := range tensor.Data {
			if math.Abs(float64(v-other.Data[i])) > 1e-4 {
				t.Fatalf("%s: number %d is %g, want %g", tensor.Name, i, other.Data[i], v)
			}
		}
	}
}
