package history

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFoldersThatMayNotBeRead is about what belongs to others: one such folder is a line among the others.
func TestFoldersThatMayNotBeRead(t *testing.T) {
	root := t.TempDir()
	fake{ended: time.Now()}.make(t, filepath.Join(root, "mine"))
	closed := filepath.Join(root, "closed")
	if err := os.Mkdir(closed, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(closed, 0o700)
	if os.Geteuid() == 0 { // may read every folder, unless this thread looks at files as somebody else
		if err := os.Chmod(filepath.Dir(root), 0o755); err != nil {
			t.Fatal(err)
		}
		const nobody = 65534
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := unix.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer unix.Setfsuid(0)
		if _, err := os.ReadDir(root); err != nil {
			t.Skip("SKIPPED: the folder of temporary files is the superuser's alone: ", err)
		}
	}
	found, err := Find(root)
	if err != nil || len(found) != 2 || found[0].Err == nil || found[1].Err != nil {
		t.Fatalf("found %+v, %v", found, err)
	}
	if s := found[0].Summarise(time.Now()); s.State != StateBroken || !strings.Contains(s.Why, "permission denied") {
		t.Errorf("got %+v", s)
	}
}
