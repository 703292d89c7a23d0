//go:build linux

package checkpoints

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childFolder tells a copy of the test binary to be TestMain's child instead of running tests.
const childFolder = "CHECKPOINTS_TEST_CHILD"

func TestMain(m *testing.M) {
	if folder := os.Getenv(childFolder); folder != "" {
		fmt.Println(saveForever(folder))
		return
	}
	os.Exit(m.Run())
}

// large takes long enough to write that a kill falls into it.
func large(step int64) State {
	data := make([]float32, 200_000)
	for i := range data {
		data[i] = float32(step)
	}
	score := float64(step * 7919 % 101)
	return State{
		Info:    Info{Step: step, Score: &score},
		Tensors: []Tensor{{Name: "w", Shape: []int{len(data)}, Data: data}},
	}
}

// saveForever goes on from the newest checkpoint in path and prints each step that Save has promised.
func saveForever(path string) error {
	folder, err := OpenFolder(path, Config{Keep: 2, KeepBest: true})
	if err != nil {
		return err
	}
	found, err := Latest(path)
	if err != nil && !errors.Is(err, ErrNone) {
		return err
	}
	for step := found.State.Step + 1; ; step++ {
		if _, _, err := folder.Save(large(step)); err != nil {
			return err
		}
		fmt.Println(step)
	}
}

// killSometime starts a child, kills it delay after its first step and returns the last step it promised.
func killSometime(t *testing.T, path string, delay time.Duration) (promised int64) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childFolder+"="+path)
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if _, err := fmt.Sscan(lines.Text(), &promised); err != nil {
			t.Errorf("child: %s", lines.Text())
		}
		time.AfterFunc(delay, func() { _ = child.Process.Kill() }) // the first one counts
	}
	if err := child.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	return promised
}

func TestKilledAtAnyMoment(t *testing.T) {
	path := t.TempDir()
	for range 10 {
		promised := killSometime(t, path, rand.N(10*time.Millisecond))
		names, err := filepath.Glob(filepath.Join(path, "*.ckpt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if state, err := Load(name); err != nil || state.Tensors[0].Data[0] != float32(state.Step) {
				t.Errorf("%s: step %d, %v", name, state.Step, err)
			}
		}
		found, err := Latest(path)
		if err != nil || found.Skipped != nil || found.State.Step < promised {
			t.Errorf("step %d was promised, found %d (%v, skipped %v)", promised, found.State.Step, err, found.Skipped)
		}
		if best := filepath.Join(path, BestName); found.State.Step > 1 {
			if _, err := Load(best); err != nil {
				t.Error(err)
			}
		}
	}
	openFolder(t, path, DefaultConfig())
	if left, _ := filepath.Glob(filepath.Join(path, "*.tmp")); left != nil {
		t.Errorf("leftovers: %v", left)
	}
}

// limitFileSize makes the system refuse to let any file of this process grow beyond size bytes until the test ends.
func limitFileSize(t *testing.T, size uint64) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	t.Cleanup(func() { signal.Reset(syscall.SIGXFSZ) })
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Skip("SKIPPED: no limit on file sizes here: ", err)
	}
	limited := old
	limited.Cur = size
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		t.Skip("SKIPPED: no limit on file sizes here: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
	})
}

// TestDiskFull lets the system itself refuse the write, half way through a tensor.
func TestDiskFull(t *testing.T) {
	path := t.TempDir()
	folder := openFolder(t, path, DefaultConfig())
	save(t, folder, scored(1, -1))
	limitFileSize(t, 300_000)
	_, _, err := folder.Save(large(2))
	if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), FileName(2)) {
		t.Errorf("error %v: want the system's, and the file's name", err)
	}
	if found := steps(t, path); len(found) != 2 || found[LastName] != 1 {
		t.Errorf("left %v", found)
	}
}
