package train

import (
	"math"
	"testing"
)

func TestSchedules(t *testing.T) {
	cosine := ScheduleConfig{Name: "cosine", Warmup: 0.1, FinalRatio: 0.01}
	step := ScheduleConfig{Name: "step", Milestones: []float64{0.3, 0.6}, Factor: 0.2}
	tests := []struct {
		name        string
		schedule    ScheduleConfig
		step, total int
		want        float64
	}{
		{"warm-up begins above zero", cosine, 0, 100, 0.1},
		{"warm-up is linear", cosine, 4, 100, 0.5},
		{"peak after the warm-up", cosine, 10, 100, 1},
		{"half way down", cosine, 55, 100, 0.505},
		{"end", cosine, 100, 100, 0.01},
		{"a longer run keeps its shape", cosine, 550, 1000, 0.505},
		{"before the first milestone", step, 29, 100, 1},
		{"at the first milestone", step, 30, 100, 0.2},
		{"after the second", step, 99, 100, 0.04},
		{"constant", ScheduleConfig{Name: "constant"}, 50, 100, 1},
		{"a run of one step", cosine, 0, 1, 1},
	}
	for _, test := range tests {
		if got := test.schedule.Rate(test.step, test.total); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: rate at %d of %d is %g, want %g", test.name, test.step, test.total, got, test.want)
		}
	}
}

func TestPositionCountsEpochs(t *testing.T) {
	tests := []struct {
		name                     string
		config                   Config
		pictures, steps, endings int
	}{
		{"whole epochs", Config{Epochs: 3, BatchSize: 10, Accumulate: 1}, 45, 12, 3},
		{"accumulation across the end of an epoch", Config{Epochs: 2, BatchSize: 10, Accumulate: 3}, 50, 3, 1},
		{"limited", Config{Epochs: 3, BatchSize: 10, Accumulate: 1, MaxSteps: 5}, 45, 5, 1},
	}
	for _, test := range tests {
		position := newPosition(test.config, test.pictures)
		endings := 0
		for !position.Done() {
			position.Step++
			if position.EndsEpoch() {
				endings++
			}
		}
		if position.Steps != test.steps || endings != test.endings {
			t.Errorf("%s: %d steps, %d ends of epochs, want %d and %d", test.name, position.Steps, endings, test.steps, test.endings)
		}
	}
}
