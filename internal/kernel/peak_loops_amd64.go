//go:build amd64 && !noasm

package kernel

// peakLoopOf returns the loop of a family that this CPU runs: 12 vectors of 8 or 16 numbers a round.
func peakLoopOf(f Family) peakLoop {
	switch f {
	case AVX512, AVX512BF16:
		return peakLoop{peakAVX512, 2 * 12 * 16}
	case AVX2:
		return peakLoop{peakAVX2, 2 * 12 * 8}
	}
	return portablePeak()
}

// halfPeakLoopOf returns the loop of products of bf16: pairs of them, where the family has the instruction, and else
// those of float32.
func halfPeakLoopOf(f Family) peakLoop {
	if f == AVX512BF16 {
		return peakLoop{peakBF16, 2 * 12 * 32}
	}
	return peakLoopOf(f)
}
