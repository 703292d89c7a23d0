package checkpoints

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// scored is a small state; a negative score stands for none.
func scored(step int64, score float64) State {
	state := State{Info: Info{Step: step}, Tensors: []Tensor{{Name: "w", Shape: []int{1}, Data: []float32{float32(step)}}}}
	if score >= 0 {
		state.Score = &score
	}
	return state
}

func openFolder(t *testing.T, path string, config Config) *Folder {
	t.Helper()
	folder, err := OpenFolder(path, config)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func save(t *testing.T, folder *Folder, state State) {
	t.Helper()
	path, size, err := folder.Save(state)
	if err != nil {
		t.Fatal(err)
	}
	if stat, err := os.Stat(path); err != nil || stat.Size() != size || filepath.Base(path) != FileName(state.Step) {
		t.Fatalf("Save gave %s, %d bytes; file: %v, %v", path, size, stat, err)
	}
}

// steps maps each name in the folder to the step inside.
func steps(t *testing.T, folder string) map[string]int64 {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int64{}
	for _, entry := range entries {
		state, err := Load(filepath.Join(folder, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[entry.Name()] = state.Step
	}
	return found
}

func TestRetention(t *testing.T) {
	none := []float64{-1, -1, -1, -1}
	tests := map[string]struct {
		config Config
		scores []float64 // of steps 1, 2, …
		want   map[string]int64
	}{
		"last two": {Config{Keep: 2}, none,
			map[string]int64{FileName(3): 3, FileName(4): 4, LastName: 4}},
		"all": {Config{Keep: 0, KeepBest: true}, none,
			map[string]int64{FileName(1): 1, FileName(2): 2, FileName(3): 3, FileName(4): 4, LastName: 4}},
		"best is old": {Config{Keep: 1, KeepBest: true}, []float64{.2, .9, .3, -1},
			map[string]int64{FileName(2): 2, FileName(4): 4, LastName: 4, BestName: 2}},
		"best is new": {Config{Keep: 1, KeepBest: true}, []float64{.2, .3, .9},
			map[string]int64{FileName(3): 3, LastName: 3, BestName: 3}},
		"earliest of equals": {Config{Keep: 1, KeepBest: true}, []float64{.5, .9, .9, .9},
			map[string]int64{FileName(2): 2, FileName(4): 4, LastName: 4, BestName: 2}},
		"best not wanted": {Config{Keep: 1}, []float64{.9, .1},
			map[string]int64{FileName(2): 2, LastName: 2}},
		"score zero": {Config{Keep: 1, KeepBest: true}, []float64{0, -1},
			map[string]int64{FileName(1): 1, FileName(2): 2, LastName: 2, BestName: 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "[run]", "checkpoints")
			for i, score := range test.scores {
				// Opened anew each time: nothing may depend on the memory of the process.
				save(t, openFolder(t, path, test.config), scored(int64(i+1), score))
			}
			if diff := cmp.Diff(test.want, steps(t, path)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBestOutlivesItsNumberedFile(t *testing.T) {
	path := t.TempDir()
	folder := openFolder(t, path, Config{Keep: 1, KeepBest: true})
	save(t, folder, scored(1, .9))
	save(t, folder, scored(2, .1))
	if err := os.Remove(filepath.Join(path, FileName(1))); err != nil {
		t.Fatal(err)
	}
	save(t, folder, scored(3, .2))
	want := map[string]int64{FileName(3): 3, LastName: 3, BestName: 1}
	if diff := cmp.Diff(want, steps(t, path)); diff != "" {
		t.Error(diff)
	}
}

func damage(t *testing.T, path string, edit func([]byte) []byte) {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // not through the hard links
		t.Fatal(err)
	}
	if err := os.WriteFile(path, edit(file), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLatestSkipsAndReportsDamagedFiles(t *testing.T) {
	edits := map[string]func([]byte) []byte{
		"empty":     func([]byte) []byte { return nil },
		"truncated": func(file []byte) []byte { return file[:len(file)-1] },
		"data":      func(file []byte) []byte { file[len(file)-1] ^= 0x80; return file },
		"header":    func(file []byte) []byte { return bytes.Replace(file, []byte(`step`), []byte(`stop`), 1) },
		"foreign":   func([]byte) []byte { return []byte("nothing like a checkpoint, but long enough") },
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			folder := openFolder(t, path, Config{Keep: 3})
			for step := range int64(3) {
				save(t, folder, scored(step+1, -1))
			}
			if err := os.Remove(filepath.Join(path, LastName)); err != nil {
				t.Fatal(err)
			}
			damage(t, filepath.Join(path, FileName(3)), edit)
			found, err := Latest(path)
			if err != nil {
				t.Fatal(err)
			}
			if found.State.Step != 2 || filepath.Base(found.Path) != FileName(2) {
				t.Errorf("chose %s, step %d", found.Path, found.State.Step)
			}
			if len(found.Skipped) != 1 || !strings.Contains(found.Skipped[0].Error(), FileName(3)) {
				t.Errorf("skipped %v", found.Skipped)
			}
			save(t, folder, scored(3, -1)) // the resumed run heals the folder
			if found, err := Latest(path); err != nil || found.State.Step != 3 || found.Skipped != nil {
				t.Errorf("afterwards: %+v, %v", found, err)
			}
		})
	}
}

func TestLatestTakesLastWhereItsNumberedFileIsGone(t *testing.T) {
	path := t.TempDir()
	folder := openFolder(t, path, Config{Keep: 3})
	save(t, folder, scored(1, -1))
	save(t, folder, scored(2, -1))
	if err := os.Remove(filepath.Join(path, FileName(2))); err != nil {
		t.Fatal(err)
	}
	if found, err := Latest(path); err != nil || found.State.Step != 2 || filepath.Base(found.Path) != LastName {
		t.Errorf("chose %s, %v", found.Path, err)
	}
}

func TestLatestOfNothing(t *testing.T) {
	path := t.TempDir()
	for _, folder := range []string{path, filepath.Join(path, "absent")} {
		if _, err := Latest(folder); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), folder) {
			t.Errorf("%s: error %v", folder, err)
		}
	}
	damaged := filepath.Join(path, FileName(1))
	if err := os.WriteFile(damaged, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Latest(path); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), damaged) {
		t.Errorf("error %v: want it to say what is wrong with %s", err, damaged)
	}
}

func TestRetentionLeavesDamagedAndLaterFilesAlone(t *testing.T) {
	path := t.TempDir()
	folder := openFolder(t, path, Config{Keep: 1, KeepBest: true})
	save(t, folder, scored(9, .9))
	damagedFile := filepath.Join(path, FileName(5))
	if err := os.WriteFile(damagedFile, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	save(t, folder, scored(3, .1)) // went on from an earlier step
	for _, want := range []string{FileName(3), FileName(5), FileName(9)} {
		if _, err := os.Stat(filepath.Join(path, want)); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenFolderRemovesLeftovers(t *testing.T) {
	path := t.TempDir()
	leftover := filepath.Join(path, FileName(1)+".0123456789abcdef.tmp")
	if err := os.WriteFile(leftover, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	openFolder(t, path, DefaultConfig())
	if _, err := os.Stat(leftover); err == nil {
		t.Error("the leftover is still there")
	}
}

func TestSaveErrorLeavesFolderUsable(t *testing.T) {
	path := t.TempDir()
	folder := openFolder(t, path, DefaultConfig())
	save(t, folder, scored(1, -1))
	bad := scored(2, -1)
	bad.Tensors[0].Shape = []int{2}
	if _, _, err := folder.Save(bad); err == nil {
		t.Fatal("a state that cannot be stored was stored")
	}
	if diff := cmp.Diff(map[string]int64{FileName(1): 1, LastName: 1}, steps(t, path)); diff != "" {
		t.Error(diff)
	}
}

// TestNewestAndBestAreKept is what retention promises, for any course of scores.
func TestNewestAndBestAreKept(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		path, err := os.MkdirTemp(root, "")
		if err != nil {
			r.Fatal(err)
		}
		config := Config{Keep: rapid.IntRange(1, 3).Draw(r, "keep"), KeepBest: true}
		scores := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 5).Draw(r, "scores")
		folder := openFolder(t, path, config)
		for i, score := range scores {
			save(t, folder, scored(int64(i), score))
		}
		kept := steps(t, path)
		if kept[LastName] != int64(len(scores)-1) || scores[kept[BestName]] != slices.Max(scores) {
			r.Errorf("scores %v: kept %v", scores, kept)
		}
		if n := len(kept) - 2; n > config.Keep+1 || n < min(config.Keep, len(scores)) {
			r.Errorf("keep %d: kept %v", config.Keep, kept)
		}
	})
}

func TestDue(t *testing.T) {
	tests := []struct {
		config               Config
		step, before, epochs int64
		want                 bool
	}{
		{DefaultConfig(), 100, 0, 1, true},
		{DefaultConfig(), 101, 1, 1, false},
		{Config{EveryEpochs: 2}, 100, 0, 1, false},
		{Config{EveryEpochs: 2}, 200, 1, 2, true},
		{Config{EveryEpochs: 2}, 2, 1, 3, true}, // one step completes epochs 2 and 3
		{Config{EveryEpochs: 3}, 2, 3, 5, false},
		{Config{EverySteps: 10}, 20, 0, 0, true},
		{Config{EverySteps: 10}, 21, 0, 1, false},
		{Config{EverySteps: 10, EveryEpochs: 1}, 21, 0, 1, true},
		{Config{}, 100, 0, 1, false},
	}
	for _, test := range tests {
		if got := test.config.Due(test.step, test.before, test.epochs); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}
