package train

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pretrain/backbone"
	"pretrain/checkpoints"
	"pretrain/internal/random"
	"pretrain/nn"
	"pretrain/pretext"
)

// TestManyStepsFollowTheFloat64Reference: rounding does not add up over hundreds of steps, whatever schedule, clipping
// and gradients of changing size do.
func TestManyStepsFollowTheFloat64Reference(t *testing.T) {
	adamw := DefaultOptimizerConfig()
	adamw.Epsilon = 1e-4 // or the sign of a gradient that rounds to nothing would decide a whole step
	sgd := OptimizerConfig{Name: "sgd", WeightDecay: 1e-3, Momentum: 0.9, Nesterov: true}
	schedule := DefaultConfig().Schedule
	const steps = 300
	for _, config := range []OptimizerConfig{adamw, sgd} {
		t.Run(config.Name, func(t *testing.T) {
			store, engine := newStore(t), newEngine(t)
			optimizer, reference := NewOptimizer(config, store), newReference(config, store)
			r := random.New(2, "gradients")
			for step := range steps {
				size := math.Exp(2 * math.Sin(float64(step)/20))
				for i := range store.Gradients() {
					store.Gradients()[i] = float32(size * (r.NormFloat64() + math.Sin(float64(i))))
				}
				rate, scale := 0.003*schedule.Rate(step, steps), min(1, 3/size)
				optimizer.Step(engine, step+1, rate, scale)
				reference.step(step+1, rate, scale)
			}
			reference.compare(t)
		})
	}
}

// notDecayed are the endings and parts of names that no recipe decays: scales and shifts of normalisations, biases,
// tokens and positions. It is written from the names, not from the kinds that the optimizer goes by.
func notDecayed(name string) bool {
	if of, ok := strings.CutPrefix(name, "tasks."); ok {
		_, name, _ = strings.Cut(of, ".") // the name of a task may hold any of these
	}
	for _, part := range []string{".bias", "norm", ".bn", "downsample.1.", "pos_embed", "position", "token", "log_variance"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// TestDecayShrinksWeightsAlone: a step without gradients multiplies the weights of real networks and heads by
// 1 − rate·decay and leaves everything else as it is, in both optimizers.
func TestDecayShrinksWeightsAlone(t *testing.T) {
	const rate, decay = 0.5, 0.125
	for _, name := range []string{"vit", "resnet18"} {
		network := newBackbone(t, name, 32)
		tasks := realTasks(t, network)
		store := newStepOf(t, network, tasks, filledBatch(t, network, tasks, nil, 2)).store
		before := slices.Clone(store.Values())
		for _, optimizer := range []string{"adamw", "sgd"} {
			copy(store.Values(), before)
			clear(store.Gradients())
			config := DefaultOptimizerConfig()
			config.Name, config.WeightDecay = optimizer, decay
			config.Nesterov = false
			NewOptimizer(config, store).Step(newEngine(t), 1, rate, 1)
			kinds := map[bool]int{}
			for _, p := range store.Parameters() {
				factor := float32(1 - rate*decay)
				if notDecayed(p.Name) {
					factor = 1
				}
				kinds[factor == 1]++
				for i, v := range p.Value {
					if want := factor * before[p.Offset+i]; math.Abs(float64(v-want)) > 1e-6*math.Abs(float64(want)) {
						t.Errorf("%s, %s: number %d of %s went from %g to %g", name, optimizer, i, p.Name, before[p.Offset+i], v)
						break
					}
				}
			}
			if kinds[true] < 5 || kinds[false] < 5 {
				t.Errorf("%s: %d parameters are decayed and %d are not: the test looks at too few", name, kinds[false], kinds[true])
			}
		}
	}
}

// weightsAfterOneStep trains a job for one step and returns all weights in the order of their names.
func weightsAfterOneStep(t *testing.T, job Job, rate float64) []float32 {
	t.Helper()
	job.Directory = Directory(t.TempDir() + "/run")
	job.Train.MaxSteps, job.Train.Schedule = 1, ScheduleConfig{Name: "constant"}
	job.Optimizer.LearningRate = rate
	run(t, job)
	var all []float32
	for _, tensor := range latest(t, job.Directory).State.Tensors {
		if strings.HasPrefix(tensor.Name, prefixParameter) {
			all = append(all, tensor.Data...)
		}
	}
	return all
}

// TestClippedStepsHaveTheLengthOfTheLimit: plain SGD moves the weights by rate × gradient, so one step of rate 2 ends one
// gradient away from one step of rate 1. That distance is the limit where the gradient is longer, and its own length,
// which is what the metrics tell either way, where it is not. Accumulated batches are clipped as a mean, not one by one.
func TestClippedStepsHaveTheLengthOfTheLimit(t *testing.T) {
	folder := pictures(t, 12)
	for _, accumulate := range []int{1, 3} {
		job := newJob(t, folder)
		job.Optimizer = OptimizerConfig{Name: "sgd"}
		job.Train.Accumulate = accumulate
		length := distance(weightsAfterOneStep(t, job, 2), weightsAfterOneStep(t, job, 1))
		for _, share := range []float64{0.25, 0.99, 1.01, 100} {
			job.Optimizer.ClipNorm = share * length
			got := distance(weightsAfterOneStep(t, job, 2), weightsAfterOneStep(t, job, 1))
			if want := min(share, 1) * length; math.Abs(got-want) > 1e-4*want {
				t.Errorf("%d batches a step, limit %g: the step is %g long, want %g", accumulate, share*length, got, want)
			}
		}
		job.Train.MaxSteps, job.Optimizer.ClipNorm, job.Optimizer.LearningRate = 1, length/10, 1
		run(t, job)
		if told := float64(records(t, job)[0].GradientNorm); math.Abs(told-length) > 1e-4*length {
			t.Errorf("%d batches a step: the metrics tell a norm of %g, want %g as before clipping", accumulate, told, length)
		}
	}
}

func distance(a, b []float32) float64 {
	sum := 0.0
	for i, v := range a {
		sum += float64(v-b[i]) * float64(v-b[i])
	}
	return math.Sqrt(sum)
}

// schedules draws a valid schedule.
var schedules = rapid.Custom(func(t *rapid.T) ScheduleConfig {
	s := ScheduleConfig{
		Name:       rapid.SampledFrom([]string{"cosine", "step", "constant"}).Draw(t, "name"),
		Warmup:     float64(rapid.IntRange(0, 60).Draw(t, "warm-up")) / 100,
		Factor:     rapid.Float64Range(0.01, 1).Draw(t, "factor"),
		FinalRatio: rapid.Float64Range(0, 1).Draw(t, "final"),
	}
	for _, hundredths := range rapid.SliceOfNDistinct(rapid.IntRange(61, 99), 0, 3, rapid.ID).Draw(t, "milestones") {
		s.Milestones = append(s.Milestones, float64(hundredths)/100)
	}
	slices.Sort(s.Milestones)
	return s
})

// TestRatesRiseAndThenFall: within (0, 1], rising during the warm-up and never again after it, whatever the length.
func TestRatesRiseAndThenFall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, total := schedules.Draw(t, "schedule"), rapid.IntRange(1, 300).Draw(t, "total")
		last, warm := 0.0, s.Warmup*float64(total)
		for step := range total {
			rate := s.Rate(step, total)
			if rate < 0 || rate > 1 || rate == 0 && s.FinalRatio > 0 {
				t.Fatalf("rate %g at step %d of %d", rate, step, total)
			}
			if rising := float64(step+1) < warm; rising && rate <= last || float64(step) > warm && rate > last+1e-12 {
				t.Fatalf("rate went from %g to %g at step %d of %d, the warm-up takes %g", last, rate, step, total, warm)
			}
			last = rate
		}
	})
}

// TestALongerRunKeepsItsShape: at every hundredth of the run, a run ten times as long has nearly the same rate, and steps
// down at the very same hundredths.
func TestALongerRunKeepsItsShape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := schedules.Draw(t, "schedule")
		for hundredth := range 100 {
			short, long := s.Rate(10*hundredth, 1000), s.Rate(100*hundredth, 10_000)
			if tolerance := 1.6e-2; math.Abs(short-long) > tolerance { // two steps of the shortest warm-up or cosine
				if s.Warmup*1000 > 100 || float64(10*hundredth+1) >= s.Warmup*1000 { // a short warm-up begins at 1/its length
					t.Fatalf("%+v: at %d %% the rate is %g of 1,000 and %g of 10,000 steps", s, hundredth, short, long)
				}
			}
		}
	})
}

// TestMilestonesAreExact: a milestone of n hundredths of a hundred steps takes effect after n steps. (0.55·100 is a little
// more than 55 in floating point.)
func TestMilestonesAreExact(t *testing.T) {
	for n := 1; n < 100; n++ {
		s := ScheduleConfig{Name: "step", Milestones: []float64{float64(n) / 100}, Factor: 0.5}
		if before, after := s.Rate(n-1, 100), s.Rate(n, 100); before != 1 || after != 0.5 {
			t.Errorf("milestone 0.%02d: rate %g at step %d and %g at step %d", n, before, n-1, after, n)
		}
	}
}

// TestEveryEpochEndsOnce: however many batches a step accumulates, the ends of epochs add up to the epochs, no batch is
// used twice, and what is due every few epochs is due once for each time that so many have passed.
func TestEveryEpochEndsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := Config{
			Epochs: rapid.IntRange(1, 20).Draw(t, "epochs"), BatchSize: rapid.IntRange(1, 9).Draw(t, "batch"),
			Accumulate: rapid.IntRange(1, 12).Draw(t, "accumulate"), MaxSteps: rapid.IntRange(0, 30).Draw(t, "max steps"),
		}
		pictures := config.BatchSize * rapid.IntRange(1, 10).Draw(t, "batches")
		p, every := newPosition(config, pictures), rapid.IntRange(1, 5).Draw(t, "every")
		probe, saves := &onlineProbe{every: every}, checkpoints.Config{EveryEpochs: every}
		passed, ends, batches := 0, 0, 0
		for p.Step < p.Steps {
			p.Step++
			batches += config.Accumulate
			ends += p.Epoch() - p.EpochBefore()
			if p.EndsEpoch() != (p.Epoch() > p.EpochBefore()) || p.EpochRatio() < 0 || p.EpochRatio() >= 1 {
				t.Fatalf("%+v ends an epoch: %v, ratio %g", p, p.EndsEpoch(), p.EpochRatio())
			}
			multiples := p.Epoch()/every - passed
			passed += multiples
			if due := probe.due(p); due != (multiples > 0 || p.Done()) {
				t.Fatalf("after step %d, %d epochs, a probe every %d epochs is due: %v", p.Step, p.Epoch(), every, due)
			}
			if due := saves.Due(int64(p.Step), int64(p.EpochBefore()), int64(p.Epoch())); due != (multiples > 0) {
				t.Fatalf("after step %d, %d epochs, a checkpoint every %d epochs is due: %v", p.Step, p.Epoch(), every, due)
			}
		}
		if ends != p.Epoch() || p.Epoch() > config.Epochs || batches > config.Epochs*p.BatchesPerEpoch {
			t.Fatalf("%+v: %d ends of epochs, %d batches", p, ends, batches)
		}
		if whole := config.Epochs * p.BatchesPerEpoch; config.MaxSteps == 0 && whole-batches >= config.Accumulate {
			t.Fatalf("%+v: %d of %d batches are used", p, batches, whole)
		}
	})
}

// TestStepsOfSeveralEpochsAreSaved: with steps longer than an epoch, checkpoints and online evaluations come all the same.
func TestStepsOfSeveralEpochsAreSaved(t *testing.T) {
	folder := pictures(t, 8) // two batches an epoch
	job := newJob(t, folder)
	job.Train.Epochs, job.Train.Accumulate = 12, 3 // epochs 1, 3, 4, 6, 7, 9, 10 and 12 end with the steps
	job.Checkpoints.EveryEpochs, job.Checkpoints.Keep = 2, 0
	job.Eval.Train, job.Eval.Test, job.Eval.EveryEpochs = folder, folder, 5
	run(t, job)
	for step := 1; step <= 8; step++ {
		_, err := checkpoints.ReadInfo(fmt.Sprintf("%s/step=%08d.ckpt", job.Directory.Checkpoints(), step))
		if want := slices.Contains([]int{2, 3, 4, 6, 7, 8}, step); (err == nil) != want {
			t.Errorf("a checkpoint of step %d: %v, want one: %v", step, err, want)
		}
	}
	var measured []int64
	for _, record := range records(t, job) {
		if len(record.Probes) > 0 {
			measured = append(measured, record.Step)
		}
	}
	if !slices.Equal(measured, []int64{4, 7, 8}) {
		t.Errorf("measured after steps %v, want 4 (6 epochs), 7 (10) and 8 (the end)", measured)
	}
}

// TestAZeroWeightTrainsNothing: a task of weight 0 is measured, and its head stays as it was drawn.
func TestAZeroWeightTrainsNothing(t *testing.T) {
	job := newJobOf(t, pictures(t, 12), "resnet18", &backbone.ResNetConfig{Stem: "small", Width: 4})
	job.Tasks = []pretext.Params{&pretext.RotationConfig{Common: pretext.Common{Weight: 0, Share: 1}, Copies: 1}}
	job.Optimizer.WeightDecay, job.Train.MaxSteps = 0, 2
	run(t, job)
	store := nn.NewStore(job.Train.Seed)
	declare(t, job, store, false)
	state := latest(t, job.Directory).State
	for _, p := range store.Parameters() {
		if saved, ok := state.Tensor(prefixParameter + p.Name); !ok || !slices.Equal(saved.Data, p.Value) {
			t.Errorf("%s has changed", p.Name)
		}
	}
	if first := records(t, job)[0]; first.Loss != 0 || first.GradientNorm != 0 || !(first.Tasks["rotation"].Loss > 0) {
		t.Errorf("the first line is %+v", first)
	}
}
