package train

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Worker tells whether a process is at work on a run, as far as the lock on its directory shows.
type Worker int

const (
	WorkerUnknown Worker = iota // the operating system or the file system has no such locks
	WorkerPresent               // a process holds the lock
	WorkerAbsent                // no process on this machine holds it
)

// What flock may say, on every operating system.
var (
	errLocked  = errors.New("the lock is taken")
	errNoLocks = errors.New("there are no locks here")
)

// Worker looks for a process that trains the run. The lock is the operating system's, so that it ends with the process
// however that ends. Only a record with Locked set, read on the host that it names, makes WorkerAbsent a proof.
func (d Directory) Worker() Worker {
	file, err := os.Open(string(d))
	if err != nil {
		return WorkerUnknown
	}
	defer file.Close() // gives the lock back
	switch err := flock(file, false); {
	case err == nil:
		return WorkerAbsent
	case errors.Is(err, errLocked):
		return WorkerPresent
	}
	return WorkerUnknown
}

// lock makes the directory and takes it for this process until release is called. Where there are no locks, held is
// false and the run goes on without. A directory that another process trains in is a UsageError.
func (d Directory) lock() (release func(), held bool, err error) {
	if err := os.MkdirAll(string(d), 0o755); err != nil {
		return nil, false, err
	}
	file, err := os.Open(string(d))
	if err != nil {
		return nil, false, err
	}
	release = func() { file.Close() }
	for range 10 { // somebody who only looks has it for some microseconds
		if err = flock(file, true); !errors.Is(err, errLocked) {
			return release, err == nil, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	release()
	return nil, false, Usage(fmt.Errorf("another process is at work on the run in %s: "+
		"wait for it or stop it, or name another --out", d))
}
