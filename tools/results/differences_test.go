package main

import (
	"strings"
	"testing"
)

// TestDifferencesArePairedBySeed: a seed that only one side has does not count, and other models stay out.
func TestDifferencesArePairedBySeed(t *testing.T) {
	measured := func(experiment, seed string, mean float64) row {
		return row{
			Experiment: experiment, Seed: seed, Features: "pretrained", Probe: "knn", Chosen: true,
			Splits: splitRow{Mean: mean},
		}
	}
	rows := []row{
		measured("resnet18-rotation", "1", 0.5), measured("resnet18-rotation", "2", 0.6),
		measured("resnet18-all", "1", 0.53), measured("resnet18-all", "2", 0.61), measured("resnet18-all", "3", 0.9),
		measured("resnet18-colorization", "1", 0.4), measured("vit-rotation", "1", 0.1),
	}
	var text strings.Builder
	if err := printDifferences(&text, rows); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want a heading of two and two comparisons:\n%s", len(lines), text.String())
	}
	for i, want := range []string{"+0.030 +0.010", "+0.130"} {
		if !strings.Contains(lines[2+i], want) {
			t.Errorf("line %q lacks %q", lines[2+i], want)
		}
	}
	if !strings.Contains(lines[2], "+0.020 ± 0.010") {
		t.Errorf("line %q lacks the mean and its error", lines[2])
	}
}
