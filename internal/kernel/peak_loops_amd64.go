//go:build amd64 && !noasm

package kernel

// peakLoopOf returns the loop of a family that this CPU runs: 12 vectors of 8 or 16 numbers a round.
func peakLoopOf(f Family) peakLoop {
	switch f {
	case AVX512:
		return peakLoop{peakAVX512, 2 * 12 * 16}
	case AVX2:
		return peakLoop{peakAVX2, 2 * 12 * 8}
	}
	return portablePeak()
}
