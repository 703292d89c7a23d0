package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// contents maps the names in folder to what the files hold.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, entry := range entries {
		found[entry.Name()] = read(t, filepath.Join(folder, entry.Name()))
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

func TestWriteReplacesWholeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "on the way", "file")
	for _, want := range []string{"first, longer", "second", ""} {
		if err := Write(path, true, text(want)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"file": want}, contents(t, filepath.Dir(path))); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFailedWriteLeavesEverythingAsItWas(t *testing.T) {
	full := errors.New("disk full")
	folder := t.TempDir()
	fail := func(path string) {
		t.Helper()
		err := Write(path, true, func(w io.Writer) error {
			if _, err := io.WriteString(w, strings.Repeat("x", 3*bufferSize)); err != nil {
				t.Fatal(err)
			}
			return full
		})
		if !errors.Is(err, full) || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v: want it to wrap the cause and name the file", err)
		}
	}
	fail(filepath.Join(folder, "absent"))
	if err := Write(filepath.Join(folder, "present"), false, text("old")); err != nil {
		t.Fatal(err)
	}
	fail(filepath.Join(folder, "present"))
	if diff := cmp.Diff(map[string]string{"present": "old"}, contents(t, folder)); diff != "" {
		t.Error(diff)
	}
}

// TestFolderIsNoFile: a name that Commit could not take is refused before anything is written.
func TestFolderIsNoFile(t *testing.T) {
	folder := t.TempDir()
	for _, overwrite := range []bool{false, true} {
		if f, err := Create(folder, overwrite); err == nil {
			f.Abort()
			t.Errorf("a file named as a folder is begun, overwrite %v", overwrite)
		}
	}
}

// TestFileInTheWayOfTheFolder: a file cannot lie below a file; the error names the one above, however far, and does not
// say that the final name is taken.
func TestFileInTheWayOfTheFolder(t *testing.T) {
	folder := t.TempDir()
	above := filepath.Join(folder, "pictures.txt")
	if err := Write(above, false, text("a list")); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "link")
	if err := os.Symlink(above, link); err != nil {
		t.Fatal(err)
	}
	for path, named := range map[string]string{
		filepath.Join(above, "out.npy"):           above,
		filepath.Join(above, "a", "b", "out.npy"): above,
		filepath.Join(link, "out.npy"):            link,
	} {
		for _, overwrite := range []bool{false, true} {
			f, err := Create(path, overwrite)
			if err == nil {
				f.Abort()
				t.Fatalf("%s is begun, overwrite %v", path, overwrite)
			}
			if errors.Is(err, ErrExists) || !strings.HasPrefix(err.Error(), path+": "+named+" is a file, not a folder") {
				t.Errorf("overwrite %v: %v", overwrite, err)
			}
		}
	}
	if diff := cmp.Diff("a list", read(t, above)); diff != "" {
		t.Error(diff)
	}
}

func TestCommitRefusesWhatAppearedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := Create(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("someone else's"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); !errors.Is(err, ErrExists) {
		t.Errorf("Commit gave %v, want ErrExists", err)
	}
	if _, err := Create(path, false); !errors.Is(err, ErrExists) {
		t.Errorf("Create gave %v, want ErrExists", err)
	}
	if diff := cmp.Diff(map[string]string{"file": "someone else's"}, contents(t, filepath.Dir(path))); diff != "" {
		t.Error(diff)
	}
}

func TestWriteAtReachesBehindTheBuffer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := Create(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Abort()
	body := strings.Repeat("b", 2*bufferSize+5)
	for _, part := range []string{"0000", body} {
		if _, err := io.WriteString(f, part); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.WriteAt([]byte("1234"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, "end"); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if read(t, path) != "1234"+body+"end" {
		t.Error("the file is not the header patched, the body and the end")
	}
}

func TestFileAfterItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := Create(path, false)
	if err != nil {
		t.Fatal(err)
	}
	f.Abort()
	f.Abort()
	if err := f.Commit(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Commit after Abort gave %v", err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("WriteAt after Abort gave no error")
	}
	if found := contents(t, filepath.Dir(path)); len(found) != 0 {
		t.Errorf("left %v", found)
	}
}

func TestLink(t *testing.T) {
	folder := t.TempDir()
	first, second, name := filepath.Join(folder, "first"), filepath.Join(folder, "second"), filepath.Join(folder, "name")
	for _, path := range []string{first, second} {
		if err := Write(path, true, text(filepath.Base(path))); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range []string{first, second, second} { // new, replaced, already the same file
		if err := Link(target, name); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"first": "first", "second": "second", "name": filepath.Base(target)}
		if diff := cmp.Diff(want, contents(t, folder)); diff != "" {
			t.Error(diff)
		}
	}
	if err := os.Remove(second); err != nil {
		t.Fatal(err)
	}
	if read(t, name) != "second" {
		t.Error("the link did not outlive its target")
	}
	if err := Link(filepath.Join(folder, "absent"), name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("link to an absent file gave %v", err)
	}
}

func TestCopyStandsInForLink(t *testing.T) {
	folder := t.TempDir()
	source, name := filepath.Join(folder, "source"), filepath.Join(folder, "name")
	if err := Write(source, true, text("content")); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(source, name); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"source": "content", "name": "content"}, contents(t, folder)); diff != "" {
		t.Error(diff)
	}
}

func TestRemoveLeftoversTakesOnlyOurs(t *testing.T) {
	folder := t.TempDir()
	f, err := Create(filepath.Join(folder, "killed.ckpt"), false)
	if err != nil {
		t.Fatal(err)
	}
	ours := filepath.Base(f.file.Name())
	theirs := map[string]string{"notes.tmp": "", "a.0123.tmp": "", "a.0123456789abcdef.tmp.gz": "", "a.ckpt": ""}
	for name := range theirs {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := RemoveLeftovers(folder)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{ours}, removed); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(theirs, contents(t, folder)); diff != "" {
		t.Error(diff)
	}
	if removed, err := RemoveLeftovers(filepath.Join(folder, "absent")); err != nil || removed != nil {
		t.Errorf("absent folder gave %v, %v", removed, err)
	}
}
