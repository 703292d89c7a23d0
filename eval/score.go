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
	const draws = 1000
	n := len(labels)
	if n == 0 {
		return [2]float64{}
	}
	r := random.New(seed, "bootstrap")
	accuracies := make([]float64, draws)
	for d := range accuracies {
		right := 0
		for range n {
			if i := r.IntN(n); predicted[i] == labels[i] {
				right++
			}
		}
		accuracies[d] = float64(right) / float64(n)
	}
	slices.Sort(accuracies)
	return [2]float64{accuracies[draws*25/1000], accuracies[draws*975/1000-1]}
}
