package train

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOneProcessARun: who holds the lock is seen, a second one is refused by name, and the lock ends with its holder.
func TestOneProcessARun(t *testing.T) {
	d := Directory(filepath.Join(t.TempDir(), "run"))
	if got := d.Worker(); got != WorkerUnknown {
		t.Errorf("a directory that does not exist: %v", got)
	}
	release, held, err := d.lock()
	if err != nil {
		t.Fatal(err)
	}
	if !held {
		t.Skip("this file system has no locks")
	}
	if got := d.Worker(); got != WorkerPresent {
		t.Errorf("while the lock is held: %v", got)
	}
	_, _, err = d.lock()
	if usage := (*UsageError)(nil); !errors.As(err, &usage) || !strings.Contains(err.Error(), string(d)) {
		t.Errorf("a second process gets %v", err)
	}
	release()
	if got := d.Worker(); got != WorkerAbsent {
		t.Errorf("after it was given back: %v", got)
	}
	if entries, err := os.ReadDir(string(d)); err != nil || len(entries) > 0 {
		t.Errorf("the lock left %v, %v", entries, err)
	}
}

// TestARunHoldsItsLock: while it trains, nobody else may, and who looks sees it; run.json says that the lock can be
// relied on.
func TestARunHoldsItsLock(t *testing.T) {
	job := newJob(t, pictures(t, 8))
	job.Train.MaxSteps = 2
	seen := WorkerUnknown
	job.Console = &console{onLine: func(line string) {
		if strings.Contains(line, "training") {
			seen = job.Directory.Worker()
			again := job
			again.Start, again.Console = StartOverwrite, io.Discard
			if err := Run(t.Context(), again); !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), "another process") {
				t.Errorf("a second training got %v", err)
			}
		}
	}}
	run(t, job)
	record, err := job.Directory.ReadRecord()
	if err != nil {
		t.Fatal(err)
	}
	if !record.Locked {
		t.Skip("this file system has no locks")
	}
	if host, _ := os.Hostname(); record.Host != host || seen != WorkerPresent || job.Directory.Worker() != WorkerAbsent {
		t.Errorf("record %+v, worker %v during the run, %v after it", record, seen, job.Directory.Worker())
	}
}
