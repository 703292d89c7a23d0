package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pretrain/metrics"
)

// TestATermInTheLastMeasurement: a run that is told to end while its last step is being measured, as a batch system does when
// the time is up, saves that step; resumed, it trains no more, measures what a run measures that was left alone, and has its
// weights.
func TestATermInTheLastMeasurement(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data := pictures(t, false)
	labelled := longList(t, data, 300)
	config := write(t, tiny)
	arguments := func(run string) []string {
		return []string{"train", config, "--data", data, "--out", run, "--set", "train.batch_size=12",
			"--set", "eval.every_epochs=1", "--set", "eval.train=" + data, "--set", "eval.test=" + labelled}
	}
	folder := t.TempDir()
	whole, stopped := filepath.Join(folder, "whole"), filepath.Join(folder, "stopped")
	expect(t, exitSuccess, nil, arguments(whole)...)
	child := exec.Command(self, arguments(stopped)...)
	child.Env = append(os.Environ(), rowVariable+"=1")
	said, code := interrupt(t, child, syscall.SIGTERM, "step 1/1")
	if code != 143 || !strings.Contains(said, "stopped at step 1") || strings.Contains(said, "online evaluation") {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	if line := lastLine(t, stopped); line.Step != 1 || line.Probes != nil {
		t.Errorf("the line of the last step is %+v", line)
	}
	expect(t, exitSuccess, []string{"online evaluation"}, append(arguments(stopped), "--resume")...)
	if diff := cmp.Diff(lastLine(t, whole).Probes, lastLine(t, stopped).Probes); diff != "" {
		t.Errorf("it measures something else: %s", diff)
	}
	if !bytes.Equal(exportedWeights(t, whole), exportedWeights(t, stopped)) {
		t.Error("its weights are others")
	}
}

// longList is a list of labelled pictures that has each picture of the folder so many times, and so takes long to measure.
func longList(t *testing.T, folder string, times int) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*", "*.jpg"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d pictures, %v", len(paths), err)
	}
	var list strings.Builder
	for _, path := range paths {
		list.WriteString(strings.Repeat(fmt.Sprintf("%s\t%s\n", path, filepath.Base(filepath.Dir(path))), times))
	}
	path := filepath.Join(t.TempDir(), "labelled.txt")
	put(t, path, []byte(list.String()))
	return path
}

func lastLine(t *testing.T, run string) metrics.Record {
	t.Helper()
	records, err := metrics.ReadLog(filepath.Join(run, "metrics.jsonl"))
	if err != nil || len(records) == 0 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	return records[len(records)-1]
}

func exportedWeights(t *testing.T, run string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(run, "exported", "backbone.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
