package pretext

import (
	"cmp"
	"math"
	"slices"
	"sync"

	"pretrain/data"
)

// Numbers of Zhang, Isola & Efros 2016, section 2.
const (
	binSize     = 10 // side of a bin of the ab plane
	nearestBins = 5  // that share the probability of a colour
	binSigma    = 5  // of the Gaussian that shares it, and of the one that smooths the prior
)

// colourBin is the centre of a square of the ab plane.
type colourBin struct{ a, b float64 }

// distance2 is the squared distance of a colour from the centre.
func (c colourBin) distance2(a, b float64) float64 {
	return (c.a-a)*(c.a-a) + (c.b-b)*(c.b-b)
}

// gamutLevels is the number of values of each channel that colourBins looks at: steps of 5 from 0 to 255.
const gamutLevels = 52

// colourBins lists the classes of colorization, by a and then b: the squares of side 10 around multiples of 10 that
// hold at least one of the 52³ colours of a regular lattice over the sRGB cube. These are 260; the paper's table,
// made for another quantisation, has 313. Saved priors and heads depend on the list: it must stay as it is.
var colourBins = sync.OnceValue(func() []colourBin {
	found := map[colourBin]bool{}
	level := func(i int) float32 { return float32(i) / (gamutLevels - 1) }
	for i := range gamutLevels * gamutLevels * gamutLevels {
		_, a, b := data.RGBToLab(level(i/gamutLevels/gamutLevels), level(i/gamutLevels%gamutLevels), level(i%gamutLevels))
		found[colourBin{math.Round(float64(a)/binSize) * binSize, math.Round(float64(b)/binSize) * binSize}] = true
	}
	var bins []colourBin
	for bin := range found {
		bins = append(bins, colourBin{bin.a + 0, bin.b + 0}) // −0 becomes 0
	}
	slices.SortFunc(bins, func(x, y colourBin) int { return cmp.Or(cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b)) })
	return bins
})

// softColour is a colour as a distribution over its nearest bins, the nearest first.
type softColour struct {
	bins   [nearestBins]int
	shares [nearestBins]float64 // sum to 1
}

// encodeColour shares a colour out over the nearest bins by a Gaussian of their distance. A colour between two
// classes is then almost as right in one as in the other.
func encodeColour(a, b float64) softColour {
	soft := softColour{}
	distances := [nearestBins]float64{}
	for i := range distances {
		distances[i] = math.Inf(1)
	}
	for bin, centre := range colourBins() {
		d := centre.distance2(a, b)
		at := nearestBins
		for ; at > 0 && d < distances[at-1]; at-- {
			if at < nearestBins {
				distances[at], soft.bins[at] = distances[at-1], soft.bins[at-1]
			}
		}
		if at < nearestBins {
			distances[at], soft.bins[at] = d, bin
		}
	}
	sum := 0.0
	for i, d := range distances {
		soft.shares[i] = math.Exp((distances[0] - d) / (2 * binSigma * binSigma)) // the common factor cancels
		sum += soft.shares[i]
	}
	for i := range soft.shares {
		soft.shares[i] /= sum
	}
	return soft
}

// annealedMean decodes logits over the bins to one colour: the mean of the distribution whose logarithm is divided
// by the temperature (Zhang et al. 2016, equation 5). At 1 it is the mean, dull; towards 0 the mode, which flickers.
func annealedMean(logits []float32, temperature float64) (a, b float64) {
	largest := float64(slices.Max(logits))
	var sum float64
	for i, bin := range colourBins() {
		e := math.Exp((float64(logits[i]) - largest) / temperature)
		sum += e
		a += e * bin.a
		b += e * bin.b
	}
	return a / sum, b / sum
}

// smoothPrior smooths a distribution over the bins by a Gaussian in the ab plane. Its sum stays: what would be smoothed
// out of the gamut remains with the colours in it.
func smoothPrior(prior []float32) []float32 {
	bins := colourBins()
	smooth, kernel := make([]float64, len(bins)), make([]float64, len(bins))
	for i, from := range bins {
		sum := 0.0
		for j, to := range bins {
			kernel[j] = math.Exp(-to.distance2(from.a, from.b) / (2 * binSigma * binSigma))
			sum += kernel[j]
		}
		for j := range bins {
			smooth[j] += float64(prior[i]) * kernel[j] / sum
		}
	}
	rounded := make([]float32, len(bins))
	for i, p := range smooth {
		rounded[i] = float32(p)
	}
	return rounded
}

// rebalance gives every bin the weight ((1−λ)·prior + λ/Q)⁻¹, normalised to mean 1 under the prior (Zhang et al.
// 2016, equation 4): most of the pixels of photographs are grey, and without it rare colours would hardly be learned.
func rebalance(prior []float32, lambda float64) []float32 {
	weights, mean := make([]float32, len(prior)), 0.0
	raw := func(p float32) float64 { return 1 / ((1-lambda)*float64(p) + lambda/float64(len(prior))) }
	for _, p := range prior {
		mean += float64(p) * raw(p)
	}
	for i, p := range prior {
		weights[i] = float32(raw(p) / mean)
	}
	return weights
}
