//go:build unix

package history

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"pretrain/train"
)

// hold locks the directory of a run as a training does, until release is called.
func hold(t *testing.T, directory string) (release func()) {
	t.Helper()
	file, err := os.Open(directory)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	return func() { file.Close() }
}

// TestALockSaysThatARunIsAlive, whatever run.json says: it is written by one process and read by another.
func TestALockSaysThatARunIsAlive(t *testing.T) {
	for _, record := range []string{`{"state":"running"}`, `{"state":`, ``} {
		dir := fake{lines: 1, ended: time.Now()}.make(t, t.TempDir())
		put(t, filepath.Join(dir, "run.json"), record)
		release := hold(t, dir)
		if state, why := read(t, dir).State(time.Now().Add(time.Hour)); state != train.StateRunning || why != "" {
			t.Errorf("with %q: %s, because %q", record, state, why)
		}
		release()
		if state, _ := read(t, dir).State(time.Now().Add(time.Hour)); state == train.StateRunning {
			t.Errorf("with %q: still running when the lock is gone", record)
		}
	}
}
