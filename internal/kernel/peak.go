package kernel

import (
	"math"
	"sync/atomic"
	"time"
)

// peakLoop computes on registers alone, which no kernel can do faster: rounds times so many multiply-adds.
type peakLoop struct {
	run        func(rounds int, factor float32)
	operations int // a round: multiplications and additions
}

// peakRounds is the length of one burst: some tens of microseconds, shorter than a time slice.
const peakRounds = 20000

// PeakFLOPs measures how many float32 multiplications and additions all workers compute a second when nothing comes
// from memory: the limit that products are held against. It takes about the given time; the fastest burst counts,
// because others tell of other processes.
func (e *Engine) PeakFLOPs(during time.Duration) float64 { return e.peak(peakLoopOf(e.family), during) }

// PeakBFloat16FLOPs is PeakFLOPs of products of bf16 with sums in float32.
func (e *Engine) PeakBFloat16FLOPs(during time.Duration) float64 {
	return e.peak(halfPeakLoopOf(e.family), during)
}

func (e *Engine) peak(loop peakLoop, during time.Duration) float64 {
	burst := func(_, _ int) { loop.run(peakRounds, 1e-3) }
	bursts := 8 * e.Workers() // enough that workers begin and end together
	best := 0.0
	for started := time.Now(); ; {
		before := time.Now()
		e.Parallel(bursts, burst)
		rate := float64(bursts) * peakRounds * float64(loop.operations) / time.Since(before).Seconds()
		best = max(best, rate)
		if time.Since(started) >= during {
			return best
		}
	}
}

// portablePeak is the loop of builds and processors without generated kernels.
func portablePeak() peakLoop { return peakLoop{peakPortable, 2 * portableCols} }

// peakSink keeps the compiler from leaving the loop out.
var peakSink atomic.Uint32

func peakPortable(rounds int, factor float32) {
	var a, b, c, d, e, f, g, h float32
	p, q, r := factor+1, factor+2, factor+3 // so that no two products are one
	for range rounds {
		a, b, c, d = a+factor*p, b+factor*q, c+factor*r, d+p*q
		e, f, g, h = e+p*r, f+q*r, g+p*p, h+q*q
	}
	peakSink.Store(math.Float32bits(a + b + c + d + e + f + g + h))
}
