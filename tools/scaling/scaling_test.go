package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pretrain/bench"
)

// measured writes a report of four axes that follow laws exactly.
func measured(t *testing.T) string {
	t.Helper()
	axis := bench.Axis{
		Name: "width", Unit: "channels", Model: "a ViT", Time: bench.Fit{Exponent: 2, Factor: 1e-6}, FLOPs: bench.Fit{Exponent: 1.9}, Memory: bench.Fit{
			Exponent: 1,
		},
	}
	for _, n := range []float64{64, 128, 256} {
		axis.Points = append(axis.Points, bench.Point{
			Value: n, Row: bench.Row{Batch: 2, StepSeconds: 1e-6 * n * n, FLOPsPerImage: n * n, PeakFLOPs: 1e8},
		})
	}
	single := bench.Row{
		Model: "pretext", Variant: &bench.Variant{Tasks: []string{"rotation"}}, StepSeconds: 0.5, ViewsPerImage: 1,
	}
	report := bench.Report{Scaling: &bench.Scaling{
		Axes: []bench.Axis{axis, axis, axis, axis}, Tasks: []bench.Row{single, single}, Together: bench.Row{StepSeconds: 0.9, ViewsPerImage: 2}, SumSeconds: 1,
	}}
	content, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, string(content))
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "scaling.json")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestScaling(t *testing.T) {
	from := measured(t)
	for format, begins := range map[string]string{"svg": "<?xml", "png": "\x89PNG"} {
		out := filepath.Join(t.TempDir(), "scaling."+format)
		var text bytes.Buffer
		if err := scaling(&text, from, out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"| width | a ViT | 64 to 256 channels | 2.00 | 1.90 | 1.00 |", "| rotation | 1 | 500 |",
			"| all in one step | 2 | 900 (0.90 of the sum) |",
		} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%q is not in\n%s", want, text.String())
			}
		}
		picture, err := os.ReadFile(out)
		if err != nil || !strings.HasPrefix(string(picture), begins) {
			t.Errorf("%s begins with %q (%v)", out, picture[:min(8, len(picture))], err)
		}
	}
}

func TestBadUsage(t *testing.T) {
	from := measured(t)
	out := filepath.Join(t.TempDir(), "x.svg")
	axis := func(factor, points string) string {
		return file(t, `{"scaling": {"axes": [{"name": "width", "model": "a ViT", "time": {"factor": `+factor+`}, "points": [`+points+`]}]}}`)
	}
	const good = `{"value": 64, "row": {"batch": 2, "step_seconds": 1, "flops_per_image": 1e6, "peak_flops_per_second": 1e9}}`
	const still = `{"value": 64, "row": {"batch": 2, "step_seconds": 0, "flops_per_image": 1e6, "peak_flops_per_second": 1e9}}`
	for _, test := range []struct{ want, measured, out string }{
		{"must be given", "", out},
		{"must be given", from, ""},
		{".svg or .png", from, "x.pdf"},
		{".svg or .png", from, "svg"},
		{"no such file", "nowhere.json", out},
		{"has no scaling", file(t, `{"rows":[]}`), out},
		{"has no scaling", file(t, `{"rows":[],"scaling":{"axes":[]}}`), out},
		{"invalid character ", file(t, "no JSON"), out},
		{"width of a ViT: 0 points were measured, want 2 or more", axis("1", ""), out},
		{"1 points were measured", axis("1", good), out},
		{"the point at 64 has a number that is not above 0", axis("1", good+","+still), out},
		{"the point at 0 has", axis("1", good+`,{}`), out},
		{"the law of time has the factor 0", axis("0", good+","+good), out},
	} {
		if err := scaling(&bytes.Buffer{}, test.measured, test.out); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("the error is %v, want %q in it", err, test.want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatalf("%s: a picture was drawn", test.want)
		}
	}
}

// axisOf is an axis of three steps.
func axisOf(t *testing.T) bench.Axis {
	t.Helper()
	s, err := read(measured(t))
	if err != nil {
		t.Fatal(err)
	}
	return s.Axes[0]
}

// TestLinesOfAPanel: the points are the steps in milliseconds, the law goes through them from end to end, and the bound
// is what the products take at the machine's peak.
func TestLinesOfAPanel(t *testing.T) {
	axis := axisOf(t)
	steps := series(axis, func(row bench.Row) float64 { return 1000 * row.StepSeconds })
	law := fitted(axis)
	if len(steps) != 3 || len(law) != 2 {
		t.Fatalf("%d points and a law of %d", len(steps), len(law))
	}
	for i, end := range []int{0, 2} {
		if steps[end].X != law[i].X || math.Abs(steps[end].Y/law[i].Y-1) > 1e-9 {
			t.Errorf("the law is at %v and the step at %v", law[i], steps[end])
		}
	}
	if steps[1].X != 128 || math.Abs(steps[1].Y-1000*1e-6*128*128) > 1e-9 {
		t.Errorf("the step of 128 is at %v", steps[1])
	}
	for _, tick := range ticksAt(values(axis)) {
		if tick.Label != fmt.Sprint(tick.Value) {
			t.Errorf("the tick at %v is labelled %q", tick.Value, tick.Label)
		}
	}
}

// TestPanelSaysWhatItShows: title, axes and exponents are in the picture as text, one panel for each axis.
func TestPanelSaysWhatItShows(t *testing.T) {
	axis := axisOf(t)
	for panels := 1; panels <= 4; panels++ {
		s := &bench.Scaling{}
		for range panels {
			s.Axes = append(s.Axes, axis)
		}
		picture, err := render(s, "svg")
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{
			"width", "a ViT", "channels", "ms a step", "measured, ~ n^2.00", "arithmetic at the peak, ~ n^1.90",
		} {
			if got := strings.Count(string(picture), ">"+text+"<"); got != panels {
				t.Errorf("%q is %d times in a picture of %d panels", text, got, panels)
			}
		}
	}
}

// TestNamesOfRows: a row is named by its tasks, and by its model if it has all of them.
func TestNamesOfRows(t *testing.T) {
	for want, row := range map[string]bench.Row{
		"pretext":             {Model: "pretext"},
		"rotation":            {Model: "pretext", Variant: &bench.Variant{Tasks: []string{"rotation"}}},
		"rotation + location": {Model: "pretext", Variant: &bench.Variant{Tasks: []string{"rotation", "location"}}},
	} {
		if got := nameOf(row); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
