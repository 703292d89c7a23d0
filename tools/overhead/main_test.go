package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestMedianInterval(t *testing.T) {
	for _, test := range []struct {
		values            []float64
		low, middle, high float64
	}{
		{[]float64{3}, 3, 3, 3}, {[]float64{2, 1}, 1, 1.5, 2}, {[]float64{5, 1, 3}, 1, 3, 5},
		{[]float64{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, 1, 4.5, 8},
	} {
		if low, middle, high := medianInterval(test.values); low != test.low || middle != test.middle || high != test.high {
			t.Errorf("%v: %g (%g to %g)", test.values, middle, low, high)
		}
	}
}

// TestSpeed counts from the end of the first line's interval, since the first steps find nothing warm.
func TestSpeed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	text := ""
	for i, second := range []int{0, 1, 4} {
		text += fmt.Sprintf(`{"step":%d,"pictures":%d,"time":"2026-01-01T00:00:%02dZ"}`+"\n", i+1, 1000+100*i, second)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := speed(path); got != 50 || err != nil {
		t.Errorf("%g, %v", got, err)
	}
}
