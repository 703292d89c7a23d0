package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTreeIsUpToDate compares what the generator writes with what stands in the packages.
func TestTreeIsUpToDate(t *testing.T) {
	dir := t.TempDir()
	for name, all := range files {
		for _, f := range all {
			if err := write(filepath.Join(dir, f.name+"_amd64"), name, f.emit); err != nil {
				t.Fatalf("%s: %v", f.name, err)
			}
			for _, suffix := range []string{"_amd64.s", "_amd64.go"} {
				compareWithTree(t, filepath.Join(dir, f.name+suffix), filepath.Join("../../internal", name, f.name+suffix))
			}
		}
	}
}

func compareWithTree(t *testing.T, written, kept string) {
	t.Helper()
	want, err := os.ReadFile(written)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(kept)
	if err != nil || string(got) != string(want) {
		t.Errorf("%s is not what the generator writes (%v): run make generate", kept, err)
	}
}
