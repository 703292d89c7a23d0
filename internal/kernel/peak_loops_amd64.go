//go:build amd64 && !noasm

package kernel

// peakLoopOf returns the loop of a family that this CPU runs: 12 vectors of 8 or 16 numbers a round.
func peakLoopOf(f Family) peakLoop {
	switch f {
	case AVX512, AVX512BF16, AMX:
		return peakLoop{peakAVX512, 2 * 12 * 16}
	case AVX2:
		return peakLoop{peakAVX2, 2 * 12 * 8}
	}
	return portablePeak()
}

// halfPeakLoopOf returns the loop of products of bf16: pairs of them, where the family has the instruction, and else
// those of float32.
func halfPeakLoopOf(f Family) peakLoop {
	switch f {
	case AVX512BF16:
		return peakLoop{peakBF16, 2 * 12 * 32}
	case AMX:
		return peakLoop{peakTiles, 4 * 2 * amxTile * amxTile * 2 * amxTile / tileRounds}
	}
	return peakLoopOf(f)
}

// tileRounds is how many rounds of vectors take about the time of one of tiles, so that bursts stay short.
const tileRounds = 8

func peakTiles(rounds int, _ float32) {
	config := configOf(amxBlock, amxTile)
	peakTilesAMX(rounds/tileRounds, &config[0])
}
