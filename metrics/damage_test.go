package metrics

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestBestProbe(t *testing.T) {
	nan := Number(math.NaN())
	for _, test := range []struct {
		name     string
		probes   []Probe
		best     float64
		measured bool
	}{
		{"none", nil, 0, false},
		{"another one", []Probe{{"linear", "1", 0.9}}, 0, false},
		{"layers", []Probe{{"knn", "1", 0.2}, {"knn", "2", 0.5}, {"knn", "3", 0.4}, {"linear", "1", 0.9}}, 0.5, true},
		{"all wrong", []Probe{{"knn", "1", 0}}, 0, true},
		{"no number", []Probe{{"knn", "1", nan}}, 0, false},
		{"no number before", []Probe{{"knn", "1", nan}, {"knn", "2", 0.5}}, 0.5, true},
		{"no number after", []Probe{{"knn", "1", 0.5}, {"knn", "2", nan}}, 0.5, true},
	} {
		if best, measured := (Record{Probes: test.probes}).BestProbe("knn"); best != test.best || measured != test.measured {
			t.Errorf("%s: %g, %v", test.name, best, measured)
		}
	}
}

// TestNumbersOfAnyKind come back as they went, and what JSON lacks as no number.
func TestNumbersOfAnyKind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1)})).Draw(t, "value")
		text, err := json.Marshal(Number(value))
		if err != nil {
			t.Fatal(err)
		}
		var got Number
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		finite := !math.IsNaN(value) && !math.IsInf(value, 0)
		if finite && float64(got) != value || !finite && !math.IsNaN(float64(got)) {
			t.Fatalf("%g became %s and %g", value, text, float64(got))
		}
	})
}

// TestDamageAnywhere: whatever a crash or a bad disk does to a log, who follows it reads every line that is whole, counts the
// others, and comes to no harm.
func TestDamageAnywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var lines [][]byte
		for step := range rapid.IntRange(1, 8).Draw(rt, "lines") {
			line, err := json.Marshal(Record{Step: int64(step + 1)})
			if err != nil {
				rt.Fatal(err)
			}
			lines = append(lines, line)
		}
		want := []int64{}
		broken := 0
		for i := range lines {
			switch rapid.SampledFrom([]string{"whole", "whole", "zeros", "torn", "empty"}).Draw(rt, "damage") {
			case "whole":
				want = append(want, int64(i+1))
				continue
			case "zeros": // as some file systems leave them after a power cut
				lines[i] = make([]byte, len(lines[i]))
			case "torn":
				lines[i] = lines[i][:rapid.IntRange(1, len(lines[i])-1).Draw(rt, "bytes")]
			case "empty":
				lines[i] = nil
			}
			broken++
		}
		path := filepath.Join(t.TempDir(), "metrics.jsonl")
		if err := os.WriteFile(path, append(bytes.Join(lines, []byte("\n")), '\n'), 0o644); err != nil {
			rt.Fatal(err)
		}
		records, again, counted, err := Follow(path).Poll()
		if err != nil || again || counted != broken {
			rt.Fatalf("again %v, %d of %d broken lines, %v", again, counted, broken, err)
		}
		got := []int64{}
		for _, record := range records {
			got = append(got, record.Step)
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("steps %v, want %v", got, want)
		}
	})
}

// TestLogsThatAreNone: what stands in the way of a log is named, whoever asks.
func TestLogsThatAreNone(t *testing.T) {
	folder := t.TempDir()
	for name, ask := range map[string]func() error{
		"open":         func() error { _, err := OpenLog(folder); return err },
		"read":         func() error { _, err := ReadLog(folder); return err },
		"cut back":     func() error { return CutBack(folder, 1) },
		"replace last": func() error { return ReplaceLast(folder, Record{}) },
		"follow":       func() error { _, _, _, err := Follow(folder).Poll(); return err },
	} {
		if err := ask(); err == nil || !strings.Contains(err.Error(), folder) {
			t.Errorf("%s: a folder gives %v", name, err)
		}
	}
}

// TestAFileThatIsNoLog does not fill the memory of who follows it.
func TestAFileThatIsNoLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, longestLine+1); err != nil { // a hole, which takes no room
		t.Fatal(err)
	}
	if _, _, _, err := Follow(path).Poll(); err == nil || !strings.Contains(err.Error(), "it is no log of metrics") {
		t.Errorf("got %v", err)
	}
}

// TestALogOnAFullDisk: the step that could not be logged is an error.
func TestALogOnAFullDisk(t *testing.T) {
	file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	log := &Log{file}
	defer log.Close()
	if err := log.Append(Record{Step: 1}); err == nil || !strings.Contains(err.Error(), "metrics log") || !strings.Contains(err.Error(), "no space") {
		t.Errorf("got %v", err)
	}
}
