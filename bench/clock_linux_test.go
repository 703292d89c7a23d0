package bench

import (
	"math"
	"testing"
)

// TestBusyIn: idle time, waiting and the double counting of guests are not work, and what cannot be read is none.
func TestBusyIn(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		want    float64 // seconds
	}{
		// user nice system idle iowait irq softirq steal guest guest_nice
		"whole":      {"cpu  100 20 30 9999 888 4 5 6 77 7\ncpu0 1 1 1 1\n", 1.65},
		"old system": {"cpu 100 0 50 9999\n", 1.5},
		"idle":       {"cpu 0 0 0 1000 1000 0 0 0 0 0\n", 0},
		"empty":      {"", 0},
		"no numbers": {"cpu many few\n", 0},
	} {
		if got := busyIn(test.content); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v seconds, want %v", name, got, test.want)
		}
	}
}

// TestOwnWorkIsNoDisturbance: what this process computes grows both counts, and is none of others.
func TestOwnWorkIsNoDisturbance(t *testing.T) {
	before := readClock()
	for sum := 0.0; readClock().own-before.own < 0.05; sum++ {
		_ = math.Sqrt(sum)
	}
	after := readClock()
	if spent := after.own - before.own; spent < 0.05 || after.busy < before.busy {
		t.Errorf("this process worked %v seconds, the machine %v", spent, after.busy-before.busy)
	}
}
