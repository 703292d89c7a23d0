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

// rowVariable makes the test binary behave as the program, for the processes that bench starts.
const rowVariable = "TEST_CHILD_IS_THE_PROGRAM"

// TestBench measures a few steps for real, each row in a process of its own.
func TestBench(t *testing.T) {
	t.Setenv(rowVariable, "1")
	file := filepath.Join(t.TempDir(), "bench.json")
	code, stdout, stderr := call(nil, "bench", "--models", "vit_t16_96", "--batch", "1", "--seconds", "0.01", "--threads",
		"1", "--precisions", "fp32", "--profile", "--json", file)
	if code != exitSuccess {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{
		"MODEL", "OF PEAK", "vit_t16_96   train     fp32       1", "vit_t16_96   features  fp32       1", "OPERATION",
		"LinearBackwardWeights", "written to " + file,
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
	checkBenchFile(t, file)
}

// checkBenchFile reads the report as others do: by the names of its keys.
func checkBenchFile(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report struct{ Rows []map[string]any }
	if err := json.Unmarshal(content, &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Rows) != 2 {
		t.Fatalf("%d rows, want 2:\n%s", len(report.Rows), content)
	}
	for _, row := range report.Rows {
		for _, key := range []string{"model", "mode", "precision", "kernels"} {
			if text, ok := row[key].(string); !ok || text == "" {
				t.Errorf("%s is %v", key, row[key])
			}
		}
		for _, key := range []string{"batch", "images_per_second", "share_of_peak", "peak_rss_bytes"} {
			if number, ok := row[key].(float64); !ok || !(number > 0) || key == "share_of_peak" && number > 1 {
				t.Errorf("%s is %v", key, row[key])
			}
		}
		if _, ok := row["cpu"].(string); !ok {
			t.Errorf("cpu is %v", row["cpu"])
		}
		profile, ok := row["profile"].([]any)
		if !ok || len(profile) < 5 {
			t.Fatalf("the profile is %v", row["profile"])
		}
		for _, key := range []string{"kind", "calls", "seconds", "share", "gigabytes_per_second"} {
			if _, ok := profile[0].(map[string]any)[key]; !ok {
				t.Errorf("the profile's rows have no %s: %v", key, profile[0])
			}
		}
	}
}

func TestBenchWritesToStandardOutput(t *testing.T) {
	t.Setenv(rowVariable, "1")
	code, stdout, stderr := call(nil, "bench", "--models", "vit_t16_96", "--modes", "features", "--batch", "1",
		"--seconds", "0.01", "--json", "-")
	var report bench.Report
	err := json.Unmarshal([]byte(stdout), &report)
	if code != exitSuccess || err != nil || len(report.Rows) == 0 || !strings.Contains(stderr, "MODEL") {
		t.Errorf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
}

func TestPrintScaling(t *testing.T) {
	var out strings.Builder
	scaling := &bench.Scaling{
		Axes: []bench.Axis{
			{
				Name:   "depth",
				Model:  "ViT/4",
				Time:   bench.Fit{Exponent: 1.02},
				FLOPs:  bench.Fit{Exponent: 1},
				Memory: bench.Fit{Exponent: 0.9},
			},
		},
		Together: bench.Row{StepSeconds: 0.5}, SumSeconds: 0.625,
	}
	if err := printScaling(&out, scaling); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"depth", "ViT/4", "1.02", "0.90", "500.0 ms", "625.0 ms", "ratio 0.80"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestCalibrate(t *testing.T) {
	var out bytes.Buffer
	rows := []bench.CalibrationRow{
		{Kernels: "avx512bf16", Float32: 200, BFloat16: 400, Preferred: true, Agrees: true},
		{Kernels: "avx2", Float32: 170, BFloat16: 160, Agrees: true},
	}
	if err := showCalibration(&out, rows); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "preferred, right") || strings.Contains(text, "wrong") {
		t.Errorf("a right table is shown as\n%s", text)
	}
	out.Reset()
	rows[1].Agrees = false
	if err := showCalibration(&out, rows); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "wrong here") || !strings.Contains(text, "PRETRAIN_KERNELS") {
		t.Errorf("a wrong table is shown as\n%s", text)
	}
}
