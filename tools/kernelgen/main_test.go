package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTreeIsUpToDate compares what the generator writes with what stands in package kernel.
func TestTreeIsUpToDate(t *testing.T) {
	dir := t.TempDir()
	for _, f := range files {
		if err := write(filepath.Join(dir, f.name+"_amd64"), f.emit); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		for _, suffix := range []string{"_amd64.s", "_amd64.go"} {
			want, err := os.ReadFile(filepath.Join(dir, f.name+suffix))
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join("../../internal/kernel", f.name+suffix))
			if err != nil || string(got) != string(want) {
				t.Errorf("internal/kernel/%s is not what the generator writes (%v): run go generate ./internal/kernel", f.name+suffix, err)
			}
		}
	}
}
