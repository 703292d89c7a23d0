package sample

import (
	"errors"
	"image"
	_ "image/jpeg"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPartsHaveTheSameClasses opens every picture: all are 64×64, every class has enough of both parts, and every
// class is credited.
func TestPartsHaveTheSameClasses(t *testing.T) {
	files, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	credits, err := fs.ReadFile(files, "CREDITS.md")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]map[string]int{"train": {}, "test": {}}
	names, _ := fs.Glob(files, "*/*/*.jpg")
	for _, name := range names {
		part, class := path.Dir(path.Dir(name)), path.Base(path.Dir(name))
		counts[part][class]++
		if config := decodeConfig(t, files, name); config.Width != 64 || config.Height != 64 {
			t.Errorf("%s is %d×%d", name, config.Width, config.Height)
		}
	}
	if len(counts["train"]) != 14 {
		t.Errorf("%d classes, want 14", len(counts["train"]))
	}
	for class, count := range counts["train"] {
		if count < 40 || counts["test"][class] < 20 {
			t.Errorf("class %s has %d training and %d test pictures", class, count, counts["test"][class])
		}
		if !strings.Contains(string(credits), "| "+class+" |") {
			t.Errorf("class %s is not credited", class)
		}
	}
}

func decodeConfig(t *testing.T, files fs.FS, name string) image.Config {
	file, err := files.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	config, _, err := image.DecodeConfig(file)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return config
}

func TestExtractMayBeRepeated(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := Extract(dir); err != nil {
			t.Fatal(err)
		}
	}
	files, _ := Open()
	names, _ := fs.Glob(files, "*/*/*.jpg")
	var extracted []string
	for _, part := range []string{"train", "test"} {
		found, _ := fs.Glob(os.DirFS(dir), part+"/*/*.jpg")
		extracted = append(extracted, found...)
	}
	if len(extracted) != len(names) || len(names) == 0 {
		t.Errorf("extracted %d of %d pictures", len(extracted), len(names))
	}
}

// TestNoPictureIsInBothParts: what is tested on was not trained on, and no picture is there twice.
func TestNoPictureIsInBothParts(t *testing.T) {
	files, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	names, _ := fs.Glob(files, "*/*/*.jpg")
	seen := map[string]string{}
	for _, name := range names {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		if first, ok := seen[string(content)]; ok {
			t.Errorf("%s and %s are the same picture", first, name)
		}
		seen[string(content)] = name
	}
}

// TestExtractReplacesWhatIsOlder and leaves other files alone; the bytes are those of the archive.
func TestExtractReplacesWhatIsOlder(t *testing.T) {
	dir := t.TempDir()
	older, other := filepath.Join(dir, "CREDITS.md"), filepath.Join(dir, "train", "mine.jpg")
	for _, path := range []string{older, other} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("older"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Extract(dir); err != nil {
		t.Fatal(err)
	}
	files, _ := Open()
	want, err := fs.ReadFile(files, "CREDITS.md")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(older); err != nil || string(got) != string(want) {
		t.Errorf("CREDITS.md holds %q (%v)", got, err)
	}
	if got, err := os.ReadFile(other); err != nil || string(got) != "older" {
		t.Errorf("a file that is not of the sample holds %q (%v)", got, err)
	}
}

// TestExtractTellsWhatIsInTheWay: a file where a folder is to be, and a folder where a file is to be, are named.
func TestExtractTellsWhatIsInTheWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Extract(file); !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
	dir := t.TempDir()
	folder := filepath.Join(dir, "CREDITS.md")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Extract(dir); err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("got %v", err)
	}
}
