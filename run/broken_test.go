package run

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pretrain/checkpoints"
	"pretrain/configs"
	"pretrain/train"
)

// copied is a run that a test may damage.
func copied(t *testing.T, directory string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "run")
	if err := os.CopyFS(to, os.DirFS(directory)); err != nil {
		t.Fatal(err)
	}
	return to
}

// checkpointsOf are the files of a run's checkpoints by their steps, the newest last.
func checkpointsOf(t *testing.T, directory string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(directory, "checkpoints", "step=*.ckpt"))
	if err != nil || len(found) < 2 {
		t.Fatalf("checkpoints %q, %v", found, err)
	}
	return found
}

// damage cuts files short.
func damage(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		stat, err := os.Stat(path)
		if err == nil {
			err = os.Truncate(path, stat.Size()/2)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestBrokenRuns are read and resumed as far as they are whole, and else refused by the file, its fault and what to do.
func TestBrokenRuns(t *testing.T) {
	data := filepath.Join(samples, "train")
	whole := filepath.Join(t.TempDir(), "whole")
	if err := Train(t.Context(), load(t, data), TrainOptions{Directory: whole, Console: io.Discard}); err != nil {
		t.Fatal(err)
	}
	stopped := filepath.Join(t.TempDir(), "stopped")
	stopAt(t, load(t, data, "logging.level=debug"), stopped, 3)
	t.Run("open", func(t *testing.T) { testOpenBroken(t, whole) })
	t.Run("resume", func(t *testing.T) { testResumeBroken(t, whole, stopped) })
	t.Run("refused", func(t *testing.T) { testResumeRefused(t, stopped) })
	t.Run("unreadable", func(t *testing.T) { testResumeUnreadable(t, stopped) })
	t.Run("best layer", func(t *testing.T) { testBrokenBestLayer(t, copied(t, whole)) })
	t.Run("report", func(t *testing.T) { testReportOfStates(t, stopped) })
}

// testOpenBroken: a configuration or checkpoint that cannot be read is named; a newest checkpoint that is damaged is passed
// over for the one before.
func testOpenBroken(t *testing.T, whole string) {
	for name, test := range map[string]struct {
		damage func(directory string)
		usage  bool
		want   []string
	}{
		"configuration of another version": {
			func(directory string) {
				path := filepath.Join(directory, "config.resolved.yaml")
				write(t, path, append(read(t, path), "novelty: {strength: 1}\n"...))
			}, true, []string{"config.resolved.yaml", "novelty", "unknown"},
		},
		"torn configuration": {
			func(directory string) {
				write(t, filepath.Join(directory, "config.resolved.yaml"), []byte("train: {epochs: [1\n"))
			}, true, []string{"config.resolved.yaml"},
		},
		"half a configuration": {
			func(directory string) {
				write(t, filepath.Join(directory, "config.resolved.yaml"), []byte("data:\n  size: 32\n"))
			}, true, []string{"config.resolved.yaml", "nothing to learn"},
		},
		"no checkpoints": {
			func(directory string) { os.RemoveAll(filepath.Join(directory, "checkpoints")) }, true,
			[]string{directoryWord, "cannot be read yet", "--resume"},
		},
		"all damaged": {
			func(directory string) {
				damage(t, checkpointsOf(t, directory)...)
				os.Remove(filepath.Join(directory, "checkpoints", "last.ckpt"))
			}, true, []string{"no usable checkpoint", "step=", "truncated"},
		},
		"another network": {
			func(directory string) {
				path := filepath.Join(directory, "config.resolved.yaml")
				write(t, path, bytes.Replace(read(t, path), []byte("    width: 16"), []byte("    width: 32"), 1))
			}, false, []string{".ckpt", "32"},
		},
	} {
		directory := copied(t, whole)
		test.damage(directory)
		_, err := Open(directory)
		if err == nil {
			t.Errorf("%s: the run is opened", name)
			continue
		}
		var config *configs.Error
		if usage := errors.As(err, new(*train.UsageError)) || errors.As(err, &config); usage != test.usage {
			t.Errorf("%s: %v is a usage error: %v", name, err, usage)
		}
		for _, want := range test.want {
			if want = strings.ReplaceAll(want, directoryWord, directory); !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not mention %q", name, err, want)
			}
		}
	}
	directory := copied(t, whole)
	found := checkpointsOf(t, directory)
	damage(t, found[len(found)-1])
	os.Remove(filepath.Join(directory, "checkpoints", "last.ckpt"))
	before, err := checkpoints.Load(found[len(found)-2])
	if err != nil {
		t.Fatal(err)
	}
	if opened := open(t, directory); opened.Step != before.Step {
		t.Errorf("opened is step %d, the newest whole one is of step %d", opened.Step, before.Step)
	}
}

// directoryWord stands for the directory of a run that is not there yet.
const directoryWord = "DIRECTORY"

// testResumeBroken: whatever is damaged beside the checkpoints, and the newest of these, the resumed run ends as the whole
// one did, bit for bit, and its metrics have every step once.
func testResumeBroken(t *testing.T, whole, stopped string) {
	for name, hurt := range map[string]func(directory string){
		"nothing":             func(string) {},
		"no record":           func(directory string) { os.Remove(filepath.Join(directory, "run.json")) },
		"torn record":         func(directory string) { damage(t, filepath.Join(directory, "run.json")) },
		"rubbish for record":  func(directory string) { write(t, filepath.Join(directory, "run.json"), []byte("[1]")) },
		"no log":              func(directory string) { os.Remove(filepath.Join(directory, "train.log")) },
		"no exports":          func(directory string) { os.RemoveAll(filepath.Join(directory, "exported")) },
		"torn last line":      func(directory string) { appendTo(t, filepath.Join(directory, "metrics.jsonl"), `{"step":7,"lo`) },
		"lines of the future": func(directory string) { appendTo(t, filepath.Join(directory, "metrics.jsonl"), `{"step":99}`+"\n") },
		"leftovers": func(directory string) {
			write(t, filepath.Join(directory, "checkpoints", "step=00000006.ckpt.0123456789abcdef.tmp"), []byte("x"))
		},
		"damaged checkpoint": func(directory string) {
			found := checkpointsOf(t, directory)
			damage(t, found[len(found)-1])
			os.Remove(filepath.Join(directory, "checkpoints", "last.ckpt"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			directory := copied(t, stopped)
			hurt(directory)
			var console bytes.Buffer
			resolved := load(t, filepath.Join(samples, "train"), "logging.level=warn")
			if err := Train(t.Context(), resolved, TrainOptions{Directory: directory, Start: train.StartResume, Console: &console}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(weights(t, directory), weights(t, whole)) {
				t.Error("the exported weights differ from those of the whole run")
			}
			sameMetrics(t, whole, directory)
			if told := strings.Contains(console.String(), "a damaged checkpoint is left aside"); told != (name == "damaged checkpoint") {
				t.Errorf("the console says %q", console.String())
			}
			record, err := train.Directory(directory).ReadRecord()
			if err != nil || record.State != train.StateFinished || record.Step != record.Steps {
				t.Errorf("run.json says %+v, %v", record, err)
			}
			if left, _ := filepath.Glob(filepath.Join(directory, "*", "*.tmp")); len(left) > 0 {
				t.Errorf("left are %q", left)
			}
		})
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	write(t, path, append(read(t, path), text...))
}

// testResumeRefused: what would give other bits is refused by key, both values and the keys that may change; the run is left
// as it was.
func testResumeRefused(t *testing.T, stopped string) {
	directory := copied(t, stopped)
	before := listing(t, directory)
	for _, override := range []string{
		"train.seed=9", "train.epochs=4", "train.batch_size=4", "data.cache_side=48", "data.max_pictures=25", "backbone.vit.depth=3", "losses.weighter=fixed",
		"tasks.rotation.weight=2", "tasks.patch_location.share=1", "optimizer.learning_rate=0.5", "checkpoints.every_steps=1", "train.precision=bf16",
		"data.augmentation.flip=0.25",
	} {
		key, value, _ := strings.Cut(override, "=")
		resolved := load(t, filepath.Join(samples, "train"), override)
		err := Train(t.Context(), resolved, TrainOptions{Directory: directory, Start: train.StartResume, Console: io.Discard})
		var config *configs.Error
		if !errors.As(err, &config) || len(config.Problems) != 1 {
			t.Errorf("%s: got %v", override, err)
			continue
		}
		for _, want := range []string{"--set: " + key + " = " + value, "the run was begun with ", "may change data.workers"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not mention %q", override, err, want)
			}
		}
	}
	other := load(t, filepath.Join(samples, "test"))
	err := Train(t.Context(), other, TrainOptions{Directory: directory, Start: train.StartResume, Console: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "data.path") {
		t.Errorf("other pictures: %v", err)
	}
	if after := listing(t, directory); !slices.Equal(before, after) {
		t.Errorf("the refused run has changed from %q to %q", before, after)
	}
}

// listing is what lies in a run, with sizes and times.
func listing(t *testing.T, directory string) (files []string) {
	t.Helper()
	err := filepath.Walk(directory, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			files = append(files, fmt.Sprint(path, info.ModTime(), info.Size()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// testResumeUnreadable: a run whose configuration or checkpoints are all damaged cannot go on, and is not begun anew over
// what is left of it.
func testResumeUnreadable(t *testing.T, stopped string) {
	for name, test := range map[string]struct {
		hurt func(directory string)
		want []string
	}{
		"configuration": {
			func(directory string) {
				write(t, filepath.Join(directory, "config.resolved.yaml"), []byte("{"))
			}, []string{"config.resolved.yaml"},
		},
		"half a configuration": {
			func(directory string) {
				write(t, filepath.Join(directory, "config.resolved.yaml"), []byte("data:\n  size: 32\n"))
			}, []string{"config.resolved.yaml", "nothing to learn"},
		},
		"checkpoints": {
			func(directory string) {
				found, _ := filepath.Glob(filepath.Join(directory, "checkpoints", "*.ckpt"))
				damage(t, found[:len(found)-1]...)
				os.Remove(found[len(found)-1])
			}, []string{"no usable checkpoint", "checkpoints"},
		},
		"kernels": {
			func(string) { t.Setenv(kernelsVariable, "abacus") }, []string{"kernels", "abacus"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			directory := copied(t, stopped)
			test.hurt(directory)
			if name == "kernels" {
				t.Setenv(kernelsVariable, "abacus")
			}
			before := listing(t, directory)
			err := Train(t.Context(), load(t, filepath.Join(samples, "train")), TrainOptions{Directory: directory, Start: train.StartResume, Console: io.Discard})
			if err == nil {
				t.Fatal("the run goes on")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not mention %q", err, want)
				}
			}
			if after := listing(t, directory); !slices.Equal(before, after) {
				t.Errorf("the run has changed from %q to %q", before, after)
			}
		})
	}
}

// testBrokenBestLayer: a choice that cannot be read, or of a layer that is not there, is told with its file and the remedy.
func testBrokenBestLayer(t *testing.T, directory string) {
	opened := open(t, directory)
	for content, want := range map[string]string{
		"":              "unexpected end",
		"[]":            "cannot unmarshal",
		`{"layer": 9}`:  "layer 9",
		`{"layer": -1}`: "layer -1",
		`{}`:            "layer 0",
	} {
		write(t, opened.bestLayerFile(), []byte(content))
		_, err := opened.Layer("best")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "best_layer.json") || !strings.Contains(err.Error(), "evaluate the run again") {
			t.Errorf("%q: %v", content, err)
		}
	}
	if err := opened.StoreBestLayer(BestLayer{Layer: 9}); err == nil || !strings.Contains(err.Error(), "layer 9") {
		t.Errorf("a layer that is not there is stored: %v", err)
	}
	if err := opened.StoreBestLayer(BestLayer{Layer: 1, Probe: "knn", Validation: 0.5}); err != nil {
		t.Error(err)
	}
	if layer, err := opened.Layer("best"); layer != 1 || err != nil {
		t.Errorf("layer %d, %v", layer, err)
	}
	for name, want := range map[string]int{"": 2, "last": 2, "1": 1, "2": 2} {
		if layer, err := opened.Layer(name); layer != want || err != nil {
			t.Errorf("layer %q is %d, %v", name, layer, err)
		}
	}
	for _, name := range []string{"0", "3", "-1", "first", "1.5", " 1", "LAST"} {
		if _, err := opened.Layer(name); !errors.As(err, new(*train.UsageError)) || !strings.Contains(err.Error(), "1 to 2") {
			t.Errorf("layer %q: %v", name, err)
		}
	}
}

// testReportOfStates: a report tells a run that was interrupted, has failed or was killed for what it is, and why.
func testReportOfStates(t *testing.T, stopped string) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for want, record := range map[string]string{
		"interrupted": "",
		"failed":      `{"state":"failed","error":"no space left on device","steps":9}`,
		"killed":      `{"state":"running","locked":true,"host":"` + host + `","steps":9}`,
		"broken":      `{"state":"dancing","steps":9}`,
	} {
		directory := copied(t, stopped)
		if record != "" {
			write(t, filepath.Join(directory, "run.json"), []byte(record))
		}
		if _, _, err := Report(ReportOptions{Runs: []string{directory}}); err != nil {
			t.Fatal(err)
		}
		shown := readReport(t, filepath.Join(directory, "report.html")).Runs[0]
		if shown.State != want || (shown.Error == "") != (want == "interrupted") {
			t.Errorf("%s is shown as %s because %q", want, shown.State, shown.Error)
		}
		if len(shown.Records) == 0 {
			t.Errorf("%s: nothing of its metrics is shown", want)
		}
		if after := read(t, filepath.Join(directory, "run.json")); record != "" && string(after) != record {
			t.Errorf("a report changes run.json to %s", after)
		}
	}
}
