package eval

import (
	"slices"

	"pretrain/internal/random"
)

// Accuracy is the share of predictions that are right; 0 for none.
func Accuracy(predicted, labels []int) float64 {
	if len(labels) == 0 {
		return 0
	}
	right := 0
	for i, class := range predicted {
		if class == labels[i] {
			right++
		}
	}
	return float64(right) / float64(len(labels))
}

// BalancedAccuracy is the mean over classes of the share of their pictures that are right, so that a large class
// weighs no more than a small one. Classes without pictures are left out.
func BalancedAccuracy(predicted, labels []int, classes int) float64 {
	right, count := make([]int, classes), make([]int, classes)
	for i, class := range labels {
		count[class]++
		if predicted[i] == class {
			right[class]++
		}
	}
	var sum float64
	present := 0
	for class, n := range count {
		if n > 0 {
			sum += float64(right[class]) / float64(n)
			present++
		}
	}
	if present == 0 {
		return 0
	}
	return sum / float64(present)
}

// Interval is the 95 % percentile interval of the accuracy under resampling of the test pictures (Efron 1979).
func Interval(predicted, labels []int, seed uint64) [2]float64 {
	return bootstrap(len(labels), seed, func(rows []int) float64 {
		right := 0
		for _, i := range rows {
			if predicted[i] == labels[i] {
				right++
			}
		}
		return float64(right) / float64(len(rows))
	})
}

// bootstrap is the 95 % percentile interval of a statistic of n pictures under resampling (Efron 1979). The statistic is
// given the rows of each resample, which it must not keep.
func bootstrap(n int, seed uint64, statistic func(rows []int) float64) [2]float64 {
	return percentiles(resamples(n, seed, statistic))
}

// percentiles bounds the middle 95 % of sorted values.
func percentiles(values []float64) [2]float64 {
	if len(values) == 0 {
		return [2]float64{}
	}
	return [2]float64{values[len(values)*25/1000], values[len(values)*975/1000-1]}
}

// unbiasedBootstrap is bootstrap less the bias of the resamples, their mean less the value on all pictures. Pictures
// repeat in a resample, and statistics that look for agreement between labellings take repetitions for it.
func unbiasedBootstrap(value float64, n int, seed uint64, statistic func(rows []int) float64) [2]float64 {
	values := resamples(n, seed, statistic)
	mean, _ := meanAndDeviation(values)
	interval := percentiles(values)
	return [2]float64{interval[0] - (mean - value), interval[1] - (mean - value)}
}

// resamples are the values of a statistic on 1000 draws of n pictures with replacement, in rising order; nil for none.
func resamples(n int, seed uint64, statistic func(rows []int) float64) []float64 {
	const draws = 1000
	if n == 0 {
		return nil
	}
	r := random.New(seed, "bootstrap")
	values, rows := make([]float64, draws), make([]int, n)
	for d := range values {
		for i := range rows {
			rows[i] = r.IntN(n)
		}
		values[d] = statistic(rows)
	}
	slices.Sort(values)
	return values
}

// meanScore is the mean of one number a picture, with its bootstrap interval.
func meanScore(measure string, values []float64, seed uint64) Score {
	mean := func(rows []int) float64 {
		var sum float64
		for _, row := range rows {
			sum += values[row]
		}
		return sum / float64(len(rows))
	}
	interval := bootstrap(len(values), seed, mean)
	average, _ := meanAndDeviation(values)
	return Score{measure, average, interval[0], interval[1]}
}
