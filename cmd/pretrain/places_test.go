package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pretrain/eval"
)

// TestPlacesOfOthers: folders that hold something else, files in the place of folders, and runs that another process works on
// are refused before any work, by name and with what to do; nothing in them is touched.
func TestPlacesOfOthers(t *testing.T) {
	directory, data := trained(t)
	config, weights := write(t, tiny), filepath.Join(directory, "exported", "backbone.safetensors")
	letters, file, empty := t.TempDir(), filepath.Join(t.TempDir(), "file"), t.TempDir()
	put(t, filepath.Join(letters, "dear.txt"), []byte("dear all"))
	put(t, file, []byte("a file"))
	for name, test := range map[string]struct {
		words []string
		want  []string
	}{
		"train into letters":    {[]string{"train", config, "--data", data, "--out", letters}, []string{letters, "not empty and holds no run", "--out"}},
		"overwrite letters":     {[]string{"train", config, "--data", data, "--out", letters, "--overwrite"}, []string{letters, "not empty and holds no run"}},
		"resume letters":        {[]string{"train", config, "--data", data, "--out", letters, "--resume"}, []string{letters, "no run to resume", "--resume"}},
		"resume nothing":        {[]string{"train", config, "--data", data, "--out", filepath.Join(empty, "x"), "--resume"}, []string{"does not exist", "--resume"}},
		"train into a file":     {[]string{"train", config, "--data", data, "--out", file}, []string{file, "not a directory"}},
		"train below a file":    {[]string{"train", config, "--data", data, "--out", filepath.Join(file, "x")}, []string{file, "not a directory"}},
		"import into letters":   {[]string{"import", weights, "--out", letters}, []string{letters, "not empty and holds no run"}},
		"import over letters":   {[]string{"import", weights, "--out", letters, "--overwrite"}, []string{letters, "not empty and holds no run"}},
		"import into a file":    {[]string{"import", weights, "--out", file}, []string{file, "not a directory"}},
		"eval of letters":       {[]string{"eval", letters, "--train", data, "--test", data}, []string{letters, "not the directory of a run", "config.resolved.yaml"}},
		"search in letters":     {[]string{"search", letters, "--index", data, "--query", data}, []string{letters, "not the directory of a run"}},
		"dedupe by a file":      {[]string{"dedupe", file, "--data", data}, []string{file, "not the directory of a run"}},
		"map of letters":        {[]string{"map", letters, "--data", data, "--out", filepath.Join(empty, "m.html")}, []string{letters, "not the directory of a run"}},
		"look by letters":       {[]string{"look", letters, file, "--out", filepath.Join(empty, "l")}, []string{letters, "not the directory of a run"}},
		"report on letters":     {[]string{"report", letters}, []string{letters, "not the directory of a run"}},
		"runs in a file":        {[]string{"runs", file}, []string{file, "not a directory"}},
		"compare with a file":   {[]string{"compare", directory, file}, []string{file, "is a file", "pretrain train --out"}},
		"watch a file":          {[]string{"watch", file}, []string{file, "is a file"}},
		"search letters":        {[]string{"search", directory, "--index", letters, "--query", data}, []string{"--index: ", letters}},
		"extract letters":       {[]string{"extract", directory, "--data", letters, "--out", filepath.Join(empty, "x.npy")}, []string{letters}},
		"map over a map":        {[]string{"map", directory, "--data", data, "--out", file}, []string{file, "already exists", "--overwrite"}},
		"export over a file":    {[]string{"export", directory, "--out", file}, []string{file, "already exists", "--overwrite"}},
		"export beside its own": {[]string{"export", directory, "--out", weights}, []string{weights, "already exists"}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, exitUsage, test.want, test.words...) })
	}
	for path, want := range map[string]string{filepath.Join(letters, "dear.txt"): "dear all", file: "a file"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s holds %q (%v)", path, got, err)
		}
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("left are %v (%v)", left, err)
	}
}

// TestARunThatSomebodyWorksOn is shown as running, read by all that read, and neither resumed, replaced nor imported over.
func TestARunThatSomebodyWorksOn(t *testing.T) {
	directory, data := trained(t)
	config, weights := write(t, tiny), filepath.Join(directory, "exported", "backbone.safetensors")
	lock, err := os.Open(directory)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Skip("SKIPPED: this file system has no locks: ", err)
	}
	put(t, filepath.Join(directory, "run.json"), []byte(`{"state":"running","step":1,"steps":3}`))
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"run.json", "metrics.jsonl", "train.log"} {
		if err := os.Chtimes(filepath.Join(directory, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	begin := []string{"train", config, "--data", data, "--out", directory, "--set", "data.max_bad_ratio=0.5"}
	for _, more := range []string{"--resume", "--overwrite"} {
		expect(t, exitUsage, []string{directory, "another process"}, append(begin, more)...)
	}
	other := filepath.Join(t.TempDir(), "exported")
	if err := os.CopyFS(other, os.DirFS(filepath.Dir(weights))); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(weights); err != nil {
		t.Errorf("the refused commands have deleted the run: %v", err)
	}
	expect(t, exitSuccess, []string{"running"}, "runs", directory)
	expect(t, exitSuccess, []string{"running"}, "watch", directory, "--once")
	expect(t, exitSuccess, nil, "search", directory, "--index", data, "--query", first(t, data), "-k", "1")
	expect(t, exitSuccess, nil, "report", directory, "--out", filepath.Join(t.TempDir(), "report.html"))
	expect(t, exitUsage, []string{directory, "another process"}, "import", filepath.Join(other, "backbone.safetensors"), "--out", directory, "--overwrite")
	if _, err := os.Stat(weights); err != nil {
		t.Errorf("an import has deleted a run under somebody's hands: %v", err)
	}
}

// TestEvaluationsAsJSON: --json - leaves the table on the other output, and a file of it is whole or not there.
func TestEvaluationsAsJSON(t *testing.T) {
	directory, data := trained(t)
	arguments := []string{"eval", directory, "--train", data, "--test", data, "--features", "pretrained", "--probe", "knn,kmeans"}
	stdout, stderr := split(t, exitSuccess, append(arguments, "--json", "-")...)
	var report eval.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Rows) != 2 || len(report.Measures) == 0 || report.Train != 11 {
		t.Fatalf("%v: %+v", err, report)
	}
	if !strings.Contains(stderr, "best layer: ") {
		t.Errorf("the other output has %q", stderr)
	}
	file := filepath.Join(t.TempDir(), "new", "eval.json")
	expect(t, exitSuccess, []string{"written to " + file, "Probe kmeans"}, append(arguments, "--json", file)...)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, exitUsage, []string{"--grid 99", "must be 1 to "}, append(arguments, "--json", file, "--grid", "99")...)
	expect(t, exitUsage, []string{"--layers", "0"}, append(arguments, "--json", file, "--layers", "0")...)
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, before) {
		t.Errorf("a refused evaluation has changed the file (%v)", err)
	}
	for part, want := range map[string]string{
		"--train": "training part: found 1 class(es)", "--test": `test part: class "" does not occur in the training part, which has ["bridge" "fig"]`, "--val": "validation part: class",
	} {
		expect(t, exitUsage, []string{want}, append(arguments, part, filepath.Join(data, "bridge"))...)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("left are %v (%v)", left, err)
	}
}
