package train

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// filled makes a directory of these files.
func filled(t *testing.T, names ...string) Directory {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		write(t, filepath.Join(dir, name), "content of "+name)
	}
	return Directory(dir)
}

func TestCheckOfADirectory(t *testing.T) {
	const run, leftover = "config.resolved.yaml", "config.resolved.yaml.0123456789abcdef.tmp"
	for _, test := range []struct {
		name                     string
		files                    []string
		fresh, resume, overwrite string // part of the error; empty = may start
	}{
		{"empty", nil, "", "--resume", ""},
		{"a run", []string{run, "run.json", "notes.txt"}, "--overwrite", "", ""},
		{"killed in its first moment", []string{leftover}, "", "--resume", ""},
		{"foreign file", []string{"letter.txt"}, "not empty", "--resume", "not empty"},
		{"foreign folder with a name of ours", []string{"features/mine.npy"}, "not empty", "--resume", "not empty"},
		{"foreign file and a leftover", []string{leftover, "train.log"}, "not empty", "--resume", "not empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			directory := filled(t, test.files...)
			for start, want := range map[Start]string{StartFresh: test.fresh, StartResume: test.resume, StartOverwrite: test.overwrite} {
				err := directory.Check(start)
				if want == "" && err != nil {
					t.Errorf("start %d: %v", start, err)
				}
				var usage *UsageError
				if want != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), want)) {
					t.Errorf("start %d: got %v, want a usage error with %q", start, err, want)
				}
			}
		})
	}
}

func TestCheckOfNoDirectory(t *testing.T) {
	missing := Directory(filepath.Join(t.TempDir(), "missing"))
	for start, fine := range map[Start]bool{StartFresh: true, StartResume: false, StartOverwrite: true} {
		if err := missing.Check(start); (err == nil) != fine {
			t.Errorf("start %d of a missing directory: %v", start, err)
		}
	}
	if err := filled(t, "file").Check(StartFresh); err == nil {
		t.Error("a directory with a file passes")
	}
	if err := Directory(filled(t, "file").file("file")).Check(StartFresh); err == nil {
		t.Error("a file passes as a directory")
	}
}

// TestBeginDeletesOnlyWhatRunsWrite: overwriting takes away what a run writes, and nothing that a person put beside
// it or among it; resuming and beginning take away nothing but leftovers.
func TestBeginDeletesOnlyWhatRunsWrite(t *testing.T) {
	ours := []string{"run.json", "train.log", "metrics.jsonl", "pictures.json", "report.html", "checkpoints/last.ckpt", "checkpoints/step=00000001.ckpt",
		"exported/backbone.safetensors", "exported/model.json", "features/train.npy", "features/train.paths.csv", "eval/eval.json"}
	foreign := []string{"notes.txt", "features/notes.md", "checkpoints/mine/copy.ckpt", "eval.txt", "data/picture.jpg"}
	const leftover = "checkpoints/step=00000002.ckpt.0123456789abcdef.tmp"
	for _, start := range []Start{StartFresh, StartResume, StartOverwrite} {
		directory := filled(t, append(append([]string{"config.resolved.yaml", leftover, "run.json.0123456789abcdef.tmp"}, ours...), foreign...)...)
		if err := directory.begin(start, "new: configuration\n"); err != nil {
			t.Fatal(err)
		}
		for _, name := range ours {
			if _, err := os.Stat(directory.file(name)); (err == nil) != (start != StartOverwrite) {
				t.Errorf("start %d: %s: %v", start, name, err)
			}
		}
		for _, name := range foreign {
			if content, err := os.ReadFile(directory.file(name)); err != nil || string(content) != "content of "+name {
				t.Errorf("start %d: the foreign %s is gone or changed: %v", start, name, err)
			}
		}
		if _, err := os.Stat(directory.file("run.json.0123456789abcdef.tmp")); err == nil {
			t.Errorf("start %d: a leftover stays", start)
		}
		if content, _ := os.ReadFile(directory.Config()); string(content) != "new: configuration\n" {
			t.Errorf("start %d: the configuration is %q", start, content)
		}
		if start == StartOverwrite {
			if _, err := os.Stat(directory.Exported()); err == nil {
				t.Error("an emptied folder stays")
			}
		}
	}
}

func TestRecordRoundTrip(t *testing.T) {
	directory := filled(t)
	want := Record{State: StateFailed, Step: 3, Steps: 9, Error: "no space left"}
	if err := directory.writeRecord(want); err != nil {
		t.Fatal(err)
	}
	if got, err := directory.ReadRecord(); err != nil || !cmp.Equal(got, want) {
		t.Errorf("read %+v, %v", got, err)
	}
	write(t, directory.Record(), "{")
	if _, err := directory.ReadRecord(); err == nil || !strings.Contains(err.Error(), "run.json") {
		t.Errorf("a torn record gives %v", err)
	}
}

func TestUsageUnlessCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var usage *UsageError
	if err := UsageUnlessCancelled(ctx, errors.New("bad folder")); !errors.As(err, &usage) {
		t.Errorf("got %v", err)
	}
	cancel()
	if err := UsageUnlessCancelled(ctx, ctx.Err()); errors.As(err, &usage) {
		t.Errorf("the end of the context became %v", err)
	}
	if Usage(nil) != nil {
		t.Error("no error became one")
	}
}

// TestTheLastWordOnAFullDisk goes into the run.json that is there, shorter or longer than before; what needs another block,
// or has no file to go into, leaves things as they are.
func TestTheLastWordOnAFullDisk(t *testing.T) {
	d := Directory(t.TempDir())
	if err := d.overwriteRecord([]byte("{}")); err == nil || d.HoldsRun() {
		t.Errorf("without a run.json: %v", err)
	}
	if err := d.writeRecord(Record{State: StateRunning, Version: strings.Repeat("v", 100)}); err != nil {
		t.Fatal(err)
	}
	for _, reason := range []string{"", "no space left on device: " + strings.Repeat("x", 1000)} {
		content, err := json.Marshal(Record{State: StateFailed, Error: reason})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.overwriteRecord(content); err != nil {
			t.Fatal(err)
		}
		if got, err := d.ReadRecord(); err != nil || got.State != StateFailed || got.Error != reason {
			t.Errorf("run.json holds %+v, %v", got, err)
		}
	}
	if err := d.overwriteRecord(make([]byte, blockSize+1)); err == nil {
		t.Error("more than a block was written")
	}
	if got, err := d.ReadRecord(); err != nil || got.State != StateFailed {
		t.Errorf("run.json holds %+v, %v", got, err)
	}
}
