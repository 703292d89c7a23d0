package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pretrain/sample"
)

// tiny is a run of moments.
const tiny = `
data: {size: 32, cache_side: 32, workers: 1}
backbone: {name: vit, vit: {patch: 8, width: 16, depth: 2, heads: 2}}
tasks: {rotation: {}}
train: {epochs: 1, batch_size: 4, threads: 1, calibration_pictures: 4}
logging: {every_steps: 1}
metrics: {enabled: false}
`

// pictures writes a few pictures of two classes of the sample, and one that is broken if wanted.
func pictures(t *testing.T, broken bool) string {
	t.Helper()
	files, err := sample.Open()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, class := range []string{"bridge", "fig"} {
		names, err := fs.Glob(files, "train/"+class+"/*.jpg")
		if err != nil || len(names) < 6 {
			t.Fatalf("%d pictures of class %s (%v)", len(names), class, err)
		}
		for i, name := range names[:6] {
			content, err := fs.ReadFile(files, name)
			if err != nil {
				t.Fatal(err)
			}
			if broken && i == 5 && class == "fig" {
				content = content[:len(content)/2]
			}
			put(t, filepath.Join(folder, class, filepath.Base(name)), content)
		}
	}
	return folder
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// expect calls the program, wants an exit code, and wants each text in what it said on either output.
func expect(t *testing.T, code int, want []string, arguments ...string) (stdout string) {
	t.Helper()
	got, stdout, stderr := call(nil, arguments...)
	if got != code {
		t.Fatalf("%q: exit code %d, want %d\n%s%s", arguments, got, code, stdout, stderr)
	}
	for _, text := range want {
		if !strings.Contains(stdout+stderr, text) {
			t.Errorf("%q: %q is not in\n%s%s", arguments, text, stdout, stderr)
		}
	}
	return stdout
}

// TestLifeOfARun goes the way of a user: train, try again, resume, evaluate, extract, export, with the exit code and the
// words of each step.
func TestLifeOfARun(t *testing.T) {
	data, out := pictures(t, false), t.TempDir()
	run, config := filepath.Join(out, "run"), write(t, tiny)
	begin := []string{"train", config, "--data", data, "--out", run}
	expect(t, exitSuccess, nil, begin...)
	for _, name := range []string{
		"config.resolved.yaml", "run.json", "train.log", "metrics.jsonl", "checkpoints/last.ckpt", "exported/backbone.safetensors",
	} {
		if _, err := os.Stat(filepath.Join(run, name)); err != nil {
			t.Error(err)
		}
	}
	expect(t, exitUsage, []string{"--resume", "--overwrite"}, begin...)
	expect(t, exitUsage, []string{"--set: train.seed = 9", "the run was begun with 1"},
		append(begin, "--resume", "--set", "train.seed=9")...)
	expect(t, exitSuccess, nil, append(begin, "--resume", "--set", "data.workers=2")...)
	expect(t, exitSuccess, nil, append(begin, "--overwrite", "--set", "train.seed=9")...)

	t.Run("eval", func(t *testing.T) { checkEval(t, run, data) })
	t.Run("extract", func(t *testing.T) { checkExtract(t, run) })
	file := filepath.Join(out, "backbone.safetensors")
	expect(t, exitSuccess, []string{"written to " + file}, "export", run, "--out", file)
	expect(t, exitUsage, []string{file, "--overwrite"}, "export", run, "--out", file)
	expect(t, exitSuccess, nil, "export", run, "--out", file, "--overwrite")
}

// checkEval reads the measurements as others do: by the names of their keys.
func checkEval(t *testing.T, run, data string) {
	arguments := []string{"eval", run, "--train", data, "--test", data, "--probe", "knn"}
	stdout := expect(t, exitSuccess, nil, append(arguments, "--json", "-")...)
	var report struct{ Rows []map[string]any }
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	seen := map[string]int{}
	for _, row := range report.Rows {
		seen[fmt.Sprint(row["features"])]++
		for _, key := range []string{"accuracy", "balanced_accuracy"} {
			if share, ok := row[key].(float64); !ok || share < 0 || share > 1 {
				t.Errorf("%s is %v", key, row[key])
			}
		}
		if row["probe"] != "knn" || row["layer"] == nil || row["seconds"] == nil {
			t.Errorf("the row is %v", row)
		}
	}
	if seen["pretrained"] != 2 || seen["random"] != 2 || seen["pixels"] != 1 {
		t.Errorf("two layers, of trained and random weights, and pixels were to be measured: %v", seen)
	}
	saved := filepath.Join(run, "eval", "eval.json")
	expect(t, exitSuccess, []string{"FEATURES", "written to " + saved},
		append(arguments, "--layers", "2", "--features", "pretrained")...)
	if _, err := os.Stat(saved); err != nil {
		t.Error(err)
	}
	expect(t, exitSuccess, []string{"WARNING", "best layer: ", "(knn, "}, append(arguments, "--features", "pretrained")...)
	expect(t, exitSuccess, []string{"no layer is kept for --layer best", "without --grid"},
		append(arguments, "--features", "pretrained", "--grid", "2")...)
	expect(t, exitSuccess, []string{"Probe retrieval", "RECALL_10", "Health", "RANKME"},
		append(arguments, "--probe", "retrieval", "--health", "--leaks=false", "--layers", "1")...)
	expect(t, exitUsage, []string{"layer 3"}, append(arguments, "--layers", "3")...)
	expect(t, exitUsage, []string{"--anomalies", "add --probe outlier"}, append(arguments, "--anomalies", data)...)
	expect(t, exitUsage, []string{"--probe svm: must be among knn, linear, few_shot, kmeans, outlier, retrieval, or all"}, append(arguments, "--probe", "svm")...)
	expect(t, exitUsage, []string{"--features hog: must be among pretrained, random, pixels"},
		append(arguments, "--features", "hog")...)
	expect(t, exitUsage, []string{"--json: " + run, "as a folder: name a file"}, append(arguments, "--json", run)...)
	expect(t, exitUsage, []string{"--splits 3", "needs --val"}, append(arguments, "--splits", "3")...)
	expect(t, exitUsage, []string{"--test: "}, "eval", run, "--train", data, "--test", filepath.Join(data, "nowhere"))
}

// checkExtract: a picture that cannot be read has no row and is listed; everything else has one, in the order of paths.
func checkExtract(t *testing.T, run string) {
	data := pictures(t, true)
	file := filepath.Join(t.TempDir(), "features.csv")
	arguments := []string{"extract", run, "--data", data, "--out", file}
	expect(t, exitSuccess,
		[]string{"11 pictures × 16 features", "1 pictures could not be read", file + ".unreadable.txt"}, arguments...)
	expect(t, exitUsage, []string{"--shard", "0/4 to 3/4"}, append(arguments, "--overwrite", "--shard", "4/4")...)
	expect(t, exitSuccess, nil, append(arguments, "--overwrite", "--layer", "best")...) // chosen by the evaluation before
	expect(t, exitSuccess, []string{"layer1 16×16, layer2 16×16 features", "all.layer1.npy"},
		"extract", run, "--data", data, "--out", filepath.Join(t.TempDir(), "all.npy"), "--layer", "all", "--pool", "map")
	expect(t, exitUsage, []string{file, "--overwrite"}, arguments...)
	expect(t, exitSuccess, nil, append(arguments, "--overwrite", "--layer", "1")...)
	expect(t, exitUsage, []string{"layer 3"}, append(arguments, "--overwrite", "--layer", "3")...)
	expect(t, exitUsage, []string{".npy"}, "extract", run, "--data", data, "--out", filepath.Join(data, "features.xls"))
	content, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	rows, err := csv.NewReader(content).ReadAll()
	if err != nil || len(rows) != 12 {
		t.Fatalf("%d lines, want a heading and 11 (%v)", len(rows), err)
	}
	if !slices.IsSortedFunc(rows[1:], func(a, b []string) int { return strings.Compare(a[0], b[0]) }) {
		t.Errorf("the rows are not in the order of their paths: %v", rows)
	}
}

// TestPicturesThatCannotBeTrainedOn end the command before any work, with the folder in the message.
func TestPicturesThatCannotBeTrainedOn(t *testing.T) {
	empty, texts := t.TempDir(), t.TempDir()
	put(t, filepath.Join(texts, "notes.txt"), []byte("no picture"))
	for _, data := range []string{empty, texts} {
		run := filepath.Join(t.TempDir(), "run")
		expect(t, exitUsage, []string{data}, "train", write(t, tiny), "--data", data, "--out", run)
		if _, err := os.Stat(run); err == nil {
			t.Errorf("%s: the refused command has made the run's directory", data)
		}
	}
}

// TestSignalsEndARunInOrder: SIGINT and SIGTERM save a checkpoint, say how to go on and give the exit code that shells
// know; the command that was said then goes on.
func TestSignalsEndARunInOrder(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data := pictures(t, false)
	for signal, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		run := filepath.Join(t.TempDir(), "run")
		arguments := []string{"train", write(t, tiny), "--data", data, "--out", run, "--set", "train.epochs=100000"}
		child := exec.Command(self, arguments...)
		child.Env = append(os.Environ(), rowVariable+"=1")
		said, got := interrupt(t, child, signal, "step")
		if got != code {
			t.Errorf("%v: exit code %d, want %d\n%s", signal, got, code, said)
		}
		if !strings.Contains(said, "To go on: ") || !strings.Contains(said, strings.Join(arguments[2:], " ")+" --resume") {
			t.Errorf("%v: the command to go on with is not in\n%s", signal, said)
		}
		if _, err := os.Stat(filepath.Join(run, "checkpoints", "last.ckpt")); err != nil {
			t.Errorf("%v: %v", signal, err)
		}
	}
}

// interrupt sends the signal at the first line with a sign, and returns the end of what the child said.
func interrupt(t *testing.T, child *exec.Cmd, signal syscall.Signal, sign string) (said string, code int) {
	t.Helper()
	errors, err := child.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	sent := false
	var last []string
	lines := bufio.NewScanner(errors)
	for lines.Scan() {
		last = append(last, lines.Text())
		if !sent && strings.Contains(lines.Text(), sign) {
			sent = true
			if err := child.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // the exit code says it
	return strings.Join(last[max(0, len(last)-20):], "\n"), child.ProcessState.ExitCode()
}
