package pretext

import (
	"math"
	"math/rand/v2"

	"pretrain/data"
)

// leastShrunk is the side that a patch is shrunk to at most: "as little as 100 total pixels" (Doersch et al. 2015).
const leastShrunk = 10

// shrink resamples a patch to a random smaller side and back, in place.
func shrink(s *data.Sample, patch *data.Pixels, rng *rand.Rand) {
	least := min(leastShrunk, patch.Side)
	small := s.Scratch(least + rng.IntN(patch.Side-least+1))
	data.ResamplePixels(small, patch, wholeView(patch))
	data.ResamplePixels(patch, small, wholeView(small))
}

func wholeView(p *data.Pixels) data.Window {
	return data.Window{Width: float64(p.Side), Height: float64(p.Side)}
}

// leastDeviation keeps standardise from blowing up the noise and the JPEG blocks of patches that show a plain surface;
// patches with something in them have about 0.2.
const leastDeviation = 0.05

// standardise writes the patch with the mean of each channel taken away, divided by the standard deviation of all its
// values. One deviation for the three channels leaves their proportions as they are.
func standardise(dst []float32, patch *data.Pixels) {
	var mean [3]float64
	for i, v := range patch.Data {
		mean[i%3] += float64(v)
	}
	for channel := range mean {
		mean[channel] /= float64(len(patch.Data) / 3)
	}
	var squares float64
	for i, v := range patch.Data {
		d := float64(v) - mean[i%3]
		squares += d * d
	}
	deviation := max(leastDeviation, math.Sqrt(squares/float64(len(patch.Data))))
	for i, v := range patch.Data {
		dst[i] = float32((float64(v) - mean[i%3]) / deviation)
	}
}

// droppedDeviation is the standard deviation of a dropped channel as a share of the remaining one's.
const droppedDeviation = 0.01

// dropChannels keeps one random channel of a normalised patch and fills the other two with Gaussian noise of a
// hundredth of its standard deviation (Doersch et al. 2015, section 4.2).
func dropChannels(patch []float32, rng *rand.Rand) {
	kept := rng.IntN(3)
	var sum, squares float64
	for i := kept; i < len(patch); i += 3 {
		v := float64(patch[i])
		sum += v
		squares += v * v
	}
	count := float64(len(patch) / 3)
	deviation := math.Sqrt(max(0, squares/count-(sum/count)*(sum/count)))
	for i := range patch {
		if i%3 != kept {
			patch[i] = float32(rng.NormFloat64() * deviation * droppedDeviation)
		}
	}
}
