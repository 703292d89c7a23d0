//go:build !amd64 || noasm

package kernel

// peakLoopOf returns the loop of a family; this build has only the portable one.
func peakLoopOf(Family) peakLoop { return portablePeak() }

func halfPeakLoopOf(Family) peakLoop { return portablePeak() }
