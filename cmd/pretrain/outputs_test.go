package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOutputsBelowAFile: where a file stands in the way of an output's folder, commands say which, before any work, and leave it.
func TestOutputsBelowAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pictures.txt")
	if err := os.WriteFile(file, []byte("a list"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, arguments := range map[string][]string{
		"sample":       {"sample", file},
		"sample below": {"sample", filepath.Join(file, "a", "b")},
		"bench":        {"bench", "--models", "vit_t4_32", "--json", filepath.Join(file, "bench.json")},
		"bench deeper": {"bench", "--models", "vit_t4_32", "--json", filepath.Join(file, "a", "bench.json")},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, exitUsage, []string{file + " is a file, not a folder"}, arguments...)
		})
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "a list" {
		t.Errorf("the file holds %q, %v", content, err)
	}
}
