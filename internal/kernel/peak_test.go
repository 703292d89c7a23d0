package kernel

import (
	"testing"
	"time"
)

// TestPeakFLOPs asks only for what holds on a busy machine too: a rate that a product of this family does not pass.
func TestPeakFLOPs(t *testing.T) {
	for _, family := range Families() {
		t.Run(string(family), func(t *testing.T) {
			e, err := New(Options{Family: family, Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if rate := e.PeakFLOPs(time.Millisecond); rate < 1e8 {
				t.Errorf("%.3g FLOP/s: slower than any processor", rate)
			}
		})
	}
}

// BenchmarkPeak reports the limit of each family on all workers.
func BenchmarkPeak(b *testing.B) {
	for _, family := range Families() {
		b.Run(string(family), func(b *testing.B) {
			e, err := New(Options{Family: family})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			best := 0.0
			for b.Loop() {
				best = max(best, e.PeakFLOPs(50*time.Millisecond))
			}
			b.ReportMetric(best/1e9, "GFLOP/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
