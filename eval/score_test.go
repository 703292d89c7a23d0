package eval

import (
	"math"
	"testing"
)

func TestAccuracies(t *testing.T) {
	labels := []int{0, 0, 0, 0, 0, 0, 1, 1, 2}
	predicted := []int{0, 0, 0, 0, 0, 0, 1, 0, 0}
	if got := Accuracy(predicted, labels); math.Abs(got-7.0/9) > 1e-12 {
		t.Errorf("accuracy %g", got)
	}
	if got := BalancedAccuracy(predicted, labels, 4); math.Abs(got-0.5) > 1e-12 {
		t.Errorf("balanced accuracy %g, want (1+1/2+0)/3", got)
	}
}

// TestIntervalCoversTheBinomial: for 80 of 100 right the interval is about 0.8 ± 1.96·√(0.8·0.2/100).
func TestIntervalCoversTheBinomial(t *testing.T) {
	labels, predicted := make([]int, 100), make([]int, 100)
	for i := range 20 {
		predicted[i] = 1
	}
	interval := Interval(predicted, labels, 1)
	for i, want := range []float64{0.8 - 0.078, 0.8 + 0.078} {
		if math.Abs(interval[i]-want) > 0.02 {
			t.Errorf("bound %d is %g, want about %g", i, interval[i], want)
		}
	}
	if again := Interval(predicted, labels, 1); again != interval {
		t.Errorf("the interval changed from %v to %v", interval, again)
	}
}
