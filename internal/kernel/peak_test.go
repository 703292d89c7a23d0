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
			for _, peak := range []func(time.Duration) float64{e.PeakFLOPs, e.PeakBFloat16FLOPs} {
				if rate := peak(time.Millisecond); rate < 1e8 {
					t.Errorf("%.3g FLOP/s: slower than any processor", rate)
				}
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
			best, half := 0.0, 0.0
			for b.Loop() {
				best, half = max(best, e.PeakFLOPs(50*time.Millisecond)), max(half, e.PeakBFloat16FLOPs(50*time.Millisecond))
			}
			b.ReportMetric(best/1e9, "GFLOP/s")
			b.ReportMetric(half/1e9, "bf16-GFLOP/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
