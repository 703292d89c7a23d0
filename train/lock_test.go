package train

import (
	"errors"
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
