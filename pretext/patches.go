package pretext

import (
	"fmt"
	"math/rand/v2"

	"pretrain/data"
)

// PatchConfig says how the patches of a task are cut and treated. A network solves patch tasks without looking at
// what is to be seen, if it is let: chromatic aberration tells where a patch was in the lens (Doersch et al. 2015,
// section 4.2), lines continue from patch to patch, and noise, blur and brightness are alike all over a picture.
type PatchConfig struct {
	Side        int     `mapstructure:"side" validate:"gte=0" doc:"pixels of a patch as the backbone sees it; 0 = half of data.size, rounded up to whole strides of the backbone and at least 16"`
	Jitter      float64 `mapstructure:"jitter" validate:"gte=0,lt=0.5" doc:"a patch is moved by up to ± this, as a share of a patch (pairs) or of a cell (crop)"`
	Colour      string  `mapstructure:"colour" validate:"oneof=keep grey drop" doc:"against chromatic aberration: keep the colours, make them grey, or drop two random channels for noise"`
	ColourRatio float64 `mapstructure:"colour_probability" validate:"gte=0,lte=1" doc:"probability that the colours of a patch are treated"`
	Shrink      float64 `mapstructure:"shrink_probability" validate:"gte=0,lte=1" doc:"probability that a patch is shrunk to a random size and back, so that sharpness tells nothing"`
	Standardise bool    `mapstructure:"standardise" doc:"bring every patch to mean 0 and standard deviation 1, so that brightness and contrast tell nothing; otherwise data.mean and data.std"`
}

// defaultPatches has the numbers of Doersch et al. 2015: a jitter of 7 in 96 pixels, a third of the patches shrunk.
// Two thirds become grey, as in Kolesnikov et al. 2019, arXiv:1901.09005.
func defaultPatches() PatchConfig {
	return PatchConfig{Jitter: 0.07, Colour: "grey", ColourRatio: 0.66, Shrink: 1. / 3, Standardise: true}
}

// leastPatch is the side of the smallest patch that the default takes: below, little is to be seen.
const leastPatch = 16

// side resolves the side of a patch for a backbone: whole strides, so that no pixel is left out.
func (p PatchConfig) side(env Env) (int, error) {
	stride := env.Backbone.Stride()
	if p.Side == 0 {
		return (max(env.Side/2, leastPatch) + stride - 1) / stride * stride, nil
	}
	if p.Side%stride != 0 {
		return 0, fmt.Errorf("patch.side is %d: it must be a multiple of the stride of %s (%d); take %d",
			p.Side, env.Backbone.Name(), stride, (p.Side/stride+1)*stride)
	}
	return p.Side, nil
}

// check reports what no patch can be treated by, for callers that do not validate the struct.
func (p PatchConfig) check() error {
	switch {
	case p.Colour != "keep" && p.Colour != "grey" && p.Colour != "drop":
		return fmt.Errorf("patch.colour is %q: it must be keep, grey or drop", p.Colour)
	case p.Jitter < 0 || p.Jitter >= 0.5:
		return fmt.Errorf("patch.jitter is %v: it must be at least 0 and below 0.5", p.Jitter)
	}
	return nil
}

// patchCutter makes the patches of one task. It does not change.
type patchCutter struct {
	PatchConfig
	env  Env
	size int // pixels of a patch as the backbone sees it
}

// newPatchCutter checks the configuration of patches and resolves their side.
func newPatchCutter(config PatchConfig, env Env) (patchCutter, error) {
	if err := config.check(); err != nil {
		return patchCutter{}, err
	}
	size, err := config.side(env)
	return patchCutter{config, env, size}, err
}

// cut writes the patch that lies at (x, y) in the crop, a square of the given extent; all three are shares of the
// crop's sides. It is resampled from the picture, not from the crop, so that no pixel is lost, and has the colours of
// the crop before it is treated.
func (p patchCutter) cut(s *data.Sample, dst []float32, x, y, extent float64, rng *rand.Rand) {
	patch := s.Scratch(p.size)
	s.Cut(patch, s.Window(p.env.Augmentation).Part(x, y, extent, extent))
	s.Colour(p.env.Augmentation, patch)
	p.treat(s, dst, patch, rng)
}

// move draws a displacement of up to the jitter.
func (p patchCutter) move(rng *rand.Rand) float64 { return p.Jitter * (2*rng.Float64() - 1) }

// treat applies the counter-measures to a patch, which it may change, and writes the normalised result.
func (p patchCutter) treat(s *data.Sample, dst []float32, patch *data.Pixels, rng *rand.Rand) {
	if rng.Float64() < p.Shrink {
		shrink(s, patch, rng)
	}
	colours := p.Colour
	if rng.Float64() >= p.ColourRatio {
		colours = "keep"
	}
	if colours == "grey" {
		s.Colour(data.Augmentation{Grey: 1}, patch)
	}
	if p.Standardise {
		standardise(dst, patch)
	} else {
		p.env.Normalization.Apply(dst, patch)
	}
	if colours == "drop" {
		dropChannels(dst, rng)
	}
}
