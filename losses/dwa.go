package losses

import (
	"errors"
	"fmt"
	"math"
	"slices"

	G "gorgonia.org/gorgonia"

	"pretrain/nn"
)

func init() { Register("dwa", func() Weighter { return &dynamic{} }) }

// dynamic is dynamic weight averaging (Liu, Johns & Davison 2019, arXiv:1803.10704, section 3.3): a task whose loss falls more slowly than
// the others' weighs more. With the ratio rᵢ of the mean losses of the last two epochs, the weight is K·softmax(r/2)ᵢ
// times the user's; ones for the first two epochs. Its state is float32, as checkpoints are, so that a resumed run
// goes on with the same bits.
type dynamic struct {
	user     []float64
	factors  []float32 // K·softmax
	input    *G.Node   // [1, tasks]
	buffer   []float32
	sums     []float32 // of the losses of the present epoch
	steps    int
	previous []float32 // mean losses of the last epoch; nil before its end
}

// dynamicTemperature is T of the paper.
const dynamicTemperature = 2

func (d *dynamic) Combine(c *nn.Ctx, terms []Term) (*G.Node, error) {
	d.user = userWeights(terms)
	d.factors = slices.Repeat([]float32{1}, len(terms))
	d.sums, d.buffer = make([]float32, len(terms)), make([]float32, len(terms))
	d.input = c.Input("losses.weights", 1, len(terms))
	return nn.WeightedSum(c, lossesOf(terms), d.input), c.Err()
}

func (d *dynamic) Bind(program *nn.Program) {
	copy(d.buffer, float32s(d.Weights()))
	program.Bind(d.input, d.buffer)
}

// Weights are the present factors times the user's weights.
func (d *dynamic) Weights() []float64 {
	weights := make([]float64, len(d.user))
	for i, factor := range d.factors {
		weights[i] = float64(factor) * d.user[i]
	}
	return weights
}

func (d *dynamic) Observe(losses []float64, epochEnded bool) {
	d.steps++
	for i, loss := range losses {
		d.sums[i] += float32(loss)
	}
	if epochEnded {
		d.endEpoch()
	}
}

// endEpoch turns the means of two epochs into weights and begins to sum anew.
func (d *dynamic) endEpoch() {
	means := make([]float32, len(d.sums))
	for i, sum := range d.sums {
		means[i] = sum / float32(d.steps)
	}
	if d.previous != nil {
		d.factors = softmaxRatios(means, d.previous)
	}
	d.previous, d.steps = means, 0
	clear(d.sums)
}

// softmaxRatios is K·softmax(means/previous/T), K being their number.
func softmaxRatios(means, previous []float32) []float32 {
	ratios, largest := make([]float64, len(means)), math.Inf(-1)
	for i := range means {
		ratios[i] = ratio(means[i], previous[i])
		largest = max(largest, ratios[i])
	}
	total := 0.0
	for i, r := range ratios {
		ratios[i] = math.Exp((r - largest) / dynamicTemperature)
		total += ratios[i]
	}
	factors := make([]float32, len(means))
	for i, e := range ratios {
		factors[i] = float32(float64(len(factors)) * e / total)
	}
	return factors
}

// ratio is how much of a loss is left after an epoch; all of it when there was none before.
func ratio(mean, previous float32) float64 {
	if previous <= 0 {
		return 1
	}
	return float64(mean) / float64(previous)
}

// State holds the sums of the epoch under way too, because a run may be saved in the middle of one.
func (d *dynamic) State() map[string][]float32 {
	state := map[string][]float32{"factors": d.factors, "sums": d.sums, "steps": {float32(d.steps)}}
	if d.previous != nil {
		state["previous"] = d.previous
	}
	return state
}

// Restore wants state of the same number of tasks.
func (d *dynamic) Restore(state map[string][]float32) error {
	for _, name := range []string{"factors", "sums", "previous"} {
		values, saved := state[name]
		if name == "previous" && !saved { // the first epoch had not ended
			continue
		}
		if len(values) != len(d.user) {
			return fmt.Errorf("dwa: the saved %s are of %d tasks, the run has %d: the checkpoint is of another run", name, len(values), len(d.user))
		}
	}
	if len(state["steps"]) != 1 {
		return errors.New("dwa: the saved state has no number of steps: the checkpoint is damaged or of another version")
	}
	d.factors, d.sums, d.steps = slices.Clone(state["factors"]), slices.Clone(state["sums"]), int(state["steps"][0])
	d.previous = slices.Clone(state["previous"])
	return nil
}
