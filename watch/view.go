// Package watch shows a run live in a terminal, from its directory or from the address of its metrics.
package watch

import (
	"context"
	"math"
	"time"
)

// Source tells about a run again and again.
type Source interface {
	// Look is what is known now. An error ends the watching; what may pass is a note in the view. It is not called
	// concurrently.
	Look(ctx context.Context) (View, error)
}

// View is what is known of a run at a moment. Numbers that are not known are NaN.
type View struct {
	Title   string
	State   string // see package history
	Why     string // of some states
	About   string // backbone, kernels and the like
	Steps   [2]int64
	Done    float64 // part of the run, 0 to 1
	Epoch   string
	Left    float64 // seconds to the end
	Measure []Measure
	// Checkpoint is the newest one in words; empty if there is none.
	Checkpoint string
	Sign       time.Time // when the run was last seen to move
	Notes      []string

	Ended bool // nothing will change any more
}

// Measure is one number with its past.
type Measure struct {
	Name   string
	Value  string
	Past   []float64 // the oldest first
	Beside []string  // what goes with it, the most telling first
	Alarm  bool      // a person should look at it
}

// starving is the part of the time that waits for data from which on a person should look at it: a tenth costs more than
// any tuning of the model brings.
const starving = 0.1

var nan = math.NaN()
