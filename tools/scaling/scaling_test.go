package main

import (
	"bytes"
	"encoding/json"
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
		Name: "width", Unit: "channels", Model: "a ViT", Time: bench.Fit{Exponent: 2, Factor: 1e-6}, FLOPs: bench.Fit{Exponent: 1.9}, Memory: bench.Fit{Exponent: 1},
	}
	for _, n := range []float64{64, 128, 256} {
		axis.Points = append(axis.Points, bench.Point{Value: n, Row: bench.Row{Batch: 2, StepSeconds: 1e-6 * n * n, FLOPsPerImage: n * n, PeakFLOPs: 1e8}})
	}
	single := bench.Row{Model: "pretext", Variant: &bench.Variant{Tasks: []string{"rotation"}}, StepSeconds: 0.5, ViewsPerImage: 1}
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
		for _, want := range []string{"| width | a ViT | 64 to 256 channels | 2.00 | 1.90 | 1.00 |", "| rotation | 1 | 500 |", "| all in one step | 2 | 900 (0.90 of the sum) |"} {
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
	for want, arguments := range map[string][2]string{
		"must be given":      {"", "x.svg"},
		".svg or .png":       {from, "x.pdf"},
		"no such file":       {"nowhere.json", "x.svg"},
		"has no scaling":     {file(t, `{"rows":[]}`), "x.svg"},
		"invalid character ": {file(t, "no JSON"), "x.svg"},
	} {
		if err := scaling(&bytes.Buffer{}, arguments[0], arguments[1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: the error is %v, want %q in it", arguments, err, want)
		}
	}
}
