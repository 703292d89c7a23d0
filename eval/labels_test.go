package eval

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pretrain/data"
)

// labelledFolder opens a picture of each class.
func labelledFolder(t *testing.T, classes ...string) data.Dataset {
	t.Helper()
	dir := t.TempDir()
	for _, class := range classes {
		if err := os.MkdirAll(filepath.Join(dir, class), 0o755); err != nil {
			t.Fatal(err)
		}
		file, err := os.Create(filepath.Join(dir, class, "picture.png"))
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(file, image.NewGray(image.Rect(0, 0, 4, 4))); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	opened, err := Open(t.Context(), dir, data.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// TestLabelsAreCheckedFirst: what is wrong with labels is told before a picture is read, in the words in which it would be
// told afterwards; parts whose labels nobody knows before are taken as they are.
func TestLabelsAreCheckedFirst(t *testing.T) {
	both, more := labelledFolder(t, "a", "b"), labelledFolder(t, "a", "c")
	for name, test := range map[string]struct {
		evaluation Evaluation
		want       string
	}{
		"right":              {Evaluation{Train: both, Test: both, Val: both}, ""},
		"fewer in the test":  {Evaluation{Train: both, Test: labelledFolder(t, "a")}, ""},
		"one class":          {Evaluation{Train: labelledFolder(t, "a"), Test: both}, `training part: found 1 class(es) ["a"]`},
		"another in test":    {Evaluation{Train: both, Test: more}, `test part: class "c" does not occur in the training part, which has ["a" "b"]`},
		"another in val":     {Evaluation{Train: both, Test: both, Val: more}, `validation part: class "c"`},
		"unknown before":     {Evaluation{Train: newMemory(4, 1, 1), Test: more}, ""},
		"test is not known":  {Evaluation{Train: both, Test: newMemory(4, 4, 1)}, ""},
		"anomalies are free": {Evaluation{Train: both, Test: both, Anomalies: more}, ""},
	} {
		err := test.evaluation.CheckLabels()
		if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
