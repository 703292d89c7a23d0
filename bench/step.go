package bench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/eval"
	"pretrain/internal/kernel"
	"pretrain/internal/random"
	"pretrain/losses"
	"pretrain/nn"
	"pretrain/pretext"
	"pretrain/train"
)

// A Step is what is timed: a training step of a model, or the making of features, over one batch of synthetic pictures
// that is shown again and again. One goroutine may use it.
type Step struct {
	// Batch is the number of pictures.
	Batch int

	engine    *kernel.Engine
	program   *nn.Program
	training  *train.Step
	optimizer *train.Optimizer
	buffers   *train.Batch
	views     int // of a training step
	count     int // training steps done
	update    time.Duration
	gradients []float32
	model     *eval.Model
	pixels    []float32
}

// seed of everything random here.
const seed = 1

// optimizerOf is the default configuration of the model's optimizer.
func (m Model) optimizerOf() train.OptimizerConfig {
	config := train.DefaultOptimizerConfig()
	config.Name = m.Optimizer
	return config
}

// NewTraining makes a whole training step: forward, backward, optimizer. The engine is the caller's and must outlive it.
func NewTraining(m Model, engine *kernel.Engine, precision nn.Precision, batch int) (*Step, error) {
	parts, err := m.parts(batch, precision)
	if err != nil {
		return nil, err
	}
	parts.Store, parts.Engine = nn.NewStore(seed), engine
	s := &Step{Batch: batch, engine: engine, views: parts.Plan.Views()}
	if s.training, err = train.NewStep(parts); err != nil {
		return nil, err
	}
	s.program = s.training.Program()
	s.optimizer, s.gradients = train.NewOptimizer(m.optimizerOf(), parts.Store), parts.Store.Gradients()
	s.buffers, err = fill(parts, m.Side, batch)
	return s, err
}

// NewFeatures makes features as `pretrain extract` does: one vector of every layer for every picture.
func NewFeatures(m Model, engine *kernel.Engine, precision nn.Precision, batch int) (*Step, error) {
	network, err := m.network()
	if err != nil {
		return nil, err
	}
	s := &Step{Batch: batch, engine: engine, pixels: make([]float32, batch*m.Side*m.Side*3)}
	norm := data.DefaultConfig().Normalization()
	if s.model, err = eval.NewModelIn(precision, network, nn.NewStore(seed), engine, norm, batch); err != nil {
		return nil, err
	}
	noise := random.New(seed, "pixels")
	for i := range s.pixels {
		s.pixels[i] = float32(noise.NormFloat64())
	}
	s.program = s.model.Program()
	return s, nil
}

// parts are those of a training step, without store and engine.
func (m Model) parts(batch int, precision nn.Precision) (parts train.StepParts, err error) {
	if parts.Backbone, err = m.network(); err != nil {
		return parts, err
	}
	if parts.Tasks, parts.Terms, err = m.tasks(parts.Backbone, batch); err != nil {
		return parts, err
	}
	if parts.Weighter, err = losses.New(losses.DefaultConfig()); err != nil {
		return parts, err
	}
	parts.Precision, parts.Recompute = precision, m.Recompute
	parts.Plan, err = train.NewPlan(parts.Backbone, parts.Tasks, nil, batch)
	return parts, err
}

// tasks makes the tasks of a model, or the one that classifies.
func (m Model) tasks(network backbone.Backbone, batch int) ([]pretext.Task, []losses.Term, error) {
	env := pretext.Env{
		Backbone: network, Side: m.Side, Batch: batch, Epochs: 1, Seed: seed,
		Augmentation: data.DefaultAugmentation(), Normalization: data.DefaultConfig().Normalization(),
		Sample: func(n int) ([]data.Image, error) { return pictures(n, m.Side), nil },
	}
	if m.Classes > 0 {
		task := newClassification(m.Classes, env)
		return []pretext.Task{task}, []losses.Term{{Name: task.Name(), Weight: 1}}, nil
	}
	var tasks []pretext.Task
	var terms []losses.Term
	for _, t := range m.Tasks {
		task, err := t.Params.New(env)
		if err != nil {
			return nil, nil, fmt.Errorf("model %s: tasks.%s: %w", m.Name, t.Name, err)
		}
		tasks = append(tasks, task)
		terms = append(terms, losses.Term{Name: t.Name, Weight: t.Params.TaskWeight()})
	}
	return tasks, terms, nil
}

// pictures are coloured noise. Whole pictures differ in tint, so that none is without colour.
func pictures(n, side int) []data.Image {
	all := make([]data.Image, n)
	for i := range all {
		r := random.New(seed, "picture", uint64(i))
		tint := [3]int{r.IntN(128), r.IntN(128), r.IntN(128)}
		all[i] = data.NewImage(side, side)
		for p := range all[i].Pix {
			all[i].Pix[p] = uint8(tint[p%3] + noise(r))
		}
	}
	return all
}

func noise(r *rand.Rand) int { return r.IntN(128) }

// fill prepares one batch as training does.
func fill(parts train.StepParts, side, batch int) (*train.Batch, error) {
	buffers := parts.Plan.NewBatch(parts.Tasks)
	norm := data.DefaultConfig().Normalization()
	for i, picture := range pictures(batch, side) {
		sample := data.NewSample(picture, seed, 0, uint64(i))
		if err := parts.Plan.Fill(parts.Tasks, norm, sample, i, buffers); err != nil {
			return nil, err
		}
	}
	return buffers, nil
}

// Run does the work once.
func (s *Step) Run() error {
	if s.model != nil {
		_, err := s.model.Embed(s.pixels)
		return err
	}
	if err := s.training.Run(s.buffers); err != nil {
		return err
	}
	s.count++
	started := time.Now()
	s.optimizer.Step(s.engine, s.count, learningRate, 1)
	s.update += time.Since(started)
	return nil
}

// learningRate is small, so that weights stay what they are however long is measured.
const learningRate = 1e-6

// FLOPs counts the multiplications and additions of the products of one Run; see nn.Cost.
func (s *Step) FLOPs() float64 { return s.program.Cost().FLOPs }

// Gradients are those of all parameters in the last training step; nil for features. The next Run overwrites them.
func (s *Step) Gradients() []float32 { return s.gradients }

// ArenaBytes is the memory of all intermediate results.
func (s *Step) ArenaBytes() int { return s.program.ArenaBytes() }
