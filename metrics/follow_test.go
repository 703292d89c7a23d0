package metrics

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// lineOf is a record of a step, which tells by its epoch which run it belongs to.
func lineOf(epoch, step int) string { return fmt.Sprintf(`{"step":%d,"epoch":%d}`+"\n", step, epoch) }

func logOf(epoch int, steps ...int) string {
	var text strings.Builder
	for _, step := range steps {
		text.WriteString(lineOf(epoch, step))
	}
	return text.String()
}

// TestFollower: what a training does to its file between two looks, and what the next look finds.
func TestFollower(t *testing.T) {
	for name, test := range map[string]struct {
		before, after string
		steps         []int64
		again         bool
		broken        int
	}{
		"nothing new":      {logOf(0, 1, 2), logOf(0, 1, 2), nil, false, 0},
		"two more":         {logOf(0, 1, 2), logOf(0, 1, 2, 3, 4), []int64{3, 4}, false, 0},
		"begun":            {"", logOf(0, 1), []int64{1}, false, 0},
		"a line completed": {logOf(0, 1) + lineOf(0, 2)[:9], logOf(0, 1, 2), []int64{2}, false, 0},
		"torn":             {logOf(0, 1), logOf(0, 1) + lineOf(0, 2)[:9], nil, false, 0},
		"cut back":         {logOf(0, 1, 2, 3), logOf(0, 1), []int64{1}, true, 0},
		"cut and gone on":  {logOf(0, 1, 2, 3), logOf(0, 1) + logOf(1, 2, 3, 4), []int64{1, 2, 3, 4}, true, 0},
		"emptied":          {logOf(0, 1, 2), "", nil, true, 0},
		"another run":      {logOf(0, 1, 2), logOf(7, 1, 2, 3), []int64{1, 2, 3}, true, 0},
		"removed":          {logOf(0, 1), "-", nil, true, 0},
		"broken lines":     {logOf(0, 1), logOf(0, 1) + "null\n{\"step\":\n\n" + lineOf(0, 2), []int64{2}, false, 3},
		"broken last":      {logOf(0, 1) + "rubbish\n", logOf(0, 1) + "rubbish\n" + lineOf(0, 2), []int64{2}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "metrics.jsonl")
			f := Follow(path)
			if records, again, _, err := f.Poll(); len(records) > 0 || again || err != nil {
				t.Fatalf("a file that does not exist: %v, %v, %v", records, again, err)
			}
			put(t, path, test.before)
			if _, again, _, err := f.Poll(); again || err != nil {
				t.Fatalf("the first look: %v, %v", again, err)
			}
			put(t, path, test.after)
			records, again, broken, err := f.Poll()
			if err != nil {
				t.Fatal(err)
			}
			if got := stepsOf(records); !slices.Equal(got, test.steps) || again != test.again || broken != test.broken {
				t.Errorf("steps %v, again %v, %d broken; want %v, %v, %d", got, again, broken, test.steps, test.again, test.broken)
			}
		})
	}
}

// put writes a file, or removes it for "-".
func put(t *testing.T, path, text string) {
	t.Helper()
	err := os.Remove(path)
	if text != "-" {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

func stepsOf(records []Record) []int64 {
	var steps []int64
	for _, record := range records {
		steps = append(steps, record.Step)
	}
	return steps
}

// TestFollowerSeesWhatReadLogSees: however a file grows and is cut back, one who follows it knows in the end what one
// who reads it at the end knows.
func TestFollowerSeesWhatReadLogSees(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "metrics.jsonl")
		os.Remove(path)
		f, text, known, life := Follow(path), "", []Record(nil), 0
		for range rapid.IntRange(1, 12).Draw(t, "looks") {
			if rapid.IntRange(0, 3).Draw(t, "kind") == 0 { // a resumption, which writes other times than before
				whole := strings.SplitAfter(text, "\n")
				text = strings.Join(whole[:rapid.IntRange(0, len(whole)-1).Draw(t, "kept")], "")
				life++
			}
			for range rapid.IntRange(0, 3).Draw(t, "lines") {
				text += lineOf(life, strings.Count(text, "\n"))
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			records, again, _, err := f.Poll()
			if err != nil {
				t.Fatal(err)
			}
			if again {
				known = nil
			}
			known = append(known, records...)
		}
		want, err := ReadLog(path)
		if err != nil || !slices.EqualFunc(known, want, func(a, b Record) bool { return a.Step == b.Step && a.Epoch == b.Epoch }) {
			t.Fatalf("followed %v, read %v, %v", stepsOf(known), stepsOf(want), err)
		}
	})
}

// FuzzFollower: no file makes it fail or count a line twice.
func FuzzFollower(f *testing.F) {
	f.Add([]byte(logOf(0, 1, 2)), 10)
	f.Add([]byte("{}\n\nnull\n{\"step\":1"), 3)
	f.Fuzz(func(t *testing.T, content []byte, cut int) {
		path := filepath.Join(t.TempDir(), "metrics.jsonl")
		cut = min(max(cut, 0), len(content))
		follower, found := Follow(path), 0
		for _, part := range [][]byte{content[:cut], content} {
			put(t, path, string(part))
			records, again, broken, err := follower.Poll()
			if again || err != nil {
				t.Fatal(again, err)
			}
			found += len(records) + broken
		}
		if whole := strings.Count(string(content), "\n"); found != whole {
			t.Errorf("%d lines were seen of %d", found, whole)
		}
	})
}
