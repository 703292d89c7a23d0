package main

import (
	"math/rand/v2"
	"slices"
)

// resamples of the bootstrap. Its stream is always the same one, so that the same pairs give the same interval.
const resamples = 10000

// medianInterval is the median of values with an interval of 95 % by the percentile bootstrap (Efron 1979). It needs a
// value.
func medianInterval(values []float64) (low, middle, high float64) {
	random := rand.New(rand.NewPCG(1, 2))
	medians, sample := make([]float64, resamples), make([]float64, len(values))
	for i := range medians {
		for j := range sample {
			sample[j] = values[random.IntN(len(values))]
		}
		medians[i] = median(sample)
	}
	slices.Sort(medians)
	return medians[resamples*25/1000], median(slices.Clone(values)), medians[resamples*975/1000-1]
}

// median sorts values.
func median(values []float64) float64 {
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
