package history

import (
	"fmt"
	"os"
	"time"

	"pretrain/train"
)

// States that no process writes about itself, beside those of train.Record.
const (
	StateKilled  = "killed"   // run.json says running, and it is certain that no process is
	StateStopped = "stopped?" // run.json says running, but nothing has moved for far longer than usual
	StateBroken  = "broken"   // run.json is missing or damaged
)

// State tells what a run is doing, and for some states why that is said. run.json alone does not tell, because a process
// that is killed, or whose machine goes down, leaves it as it was:
//
//   - Whoever holds the lock on the directory is at work.
//   - If nobody does, the run has been killed, provided that the process that wrote run.json held the lock and was on
//     this machine; locks do not reach every file system of another.
//   - Otherwise the files tell: a run is taken for stopped once they have not changed for a minute and three of the
//     longest recent pauses between lines of metrics.jsonl.
func (r *Run) State(now time.Time) (state, why string) {
	worker := r.Directory.Worker()
	switch r.Record.State {
	case train.StateFailed:
		return r.Record.State, r.Record.Error
	case train.StateFinished, train.StateInterrupted, train.StateImported:
		return r.Record.State, ""
	case train.StateRunning:
	default:
		if worker == train.WorkerPresent {
			return train.StateRunning, ""
		}
		return StateBroken, r.firstProblem()
	}
	host, _ := os.Hostname()
	switch {
	case worker == train.WorkerPresent:
		return train.StateRunning, ""
	case worker == train.WorkerAbsent && r.Record.Locked && r.Record.Host == host:
		return StateKilled, fmt.Sprintf("no process works on it; last sign of life %s", r.Seen().Format(time.DateTime))
	}
	if still := now.Sub(r.Seen()); still > r.patience() {
		return StateStopped, fmt.Sprintf("nothing was written for %s, longer than %s, and no process can be seen",
			still.Round(time.Second), r.patience().Round(time.Second))
	}
	return train.StateRunning, ""
}

func (r *Run) firstProblem() string {
	if len(r.Problems) == 0 {
		return "" // a state that is no state is a problem, so this is not reached
	}
	return r.Problems[0].Error()
}

// Seen is when the run last wrote to its directory; the zero time where nothing of it is left.
func (r *Run) Seen() time.Time {
	var latest time.Time
	for _, path := range []string{r.Directory.Record(), r.Directory.Metrics(), r.Directory.Log()} {
		if stat, err := os.Stat(path); err == nil && stat.ModTime().After(latest) {
			latest = stat.ModTime()
		}
	}
	return latest
}

// patience is how long a run may be silent before it is taken for stopped.
func (r *Run) patience() time.Duration {
	const considered = 50
	longest := time.Duration(0)
	recent := r.Metrics[max(0, len(r.Metrics)-considered):]
	for i := 1; i < len(recent); i++ {
		longest = max(longest, recent[i].Time.Sub(recent[i-1].Time))
	}
	if len(recent) < 2 {
		longest = 3 * time.Minute // the first lines wait for the longest: caches are cold and there is no rhythm yet
	}
	return time.Minute + 3*longest
}
