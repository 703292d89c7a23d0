package bench

import "time"

// clock is a moment: the time, and what processors have worked until then, in seconds.
type clock struct {
	wall time.Time
	busy float64 // of all processes of the machine; 0 where it is not known
	own  float64 // of this process
}

// span is what happened between two moments, in seconds.
type span struct{ wall, others float64 }

// readClock reads all of it.
func readClock() clock {
	c := clock{wall: time.Now()}
	c.busy, c.own = processorTimes()
	return c
}

func (c clock) since(before clock) span {
	return span{c.wall.Sub(before.wall).Seconds(), max(0, c.busy-before.busy-(c.own-before.own))}
}

// undisturbed reports whether other processes took less than 6 % of a core meanwhile. The system counts in hundredths
// of a second, on every core, so two of these are nothing.
func (s span) undisturbed() bool { return s.others < 0.06*s.wall+0.02 }
