package main

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pretrain/history"
	"pretrain/internal/terminal"
	"pretrain/metrics"
)

// shelf is a folder with a finished run, one of another machine that has long been silent, and a broken one.
func shelf(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	line := `{"step":100,"epoch":4,"pictures_per_second":64.5,"loss":9.5,"tasks":{"colorization":{"loss":4.25},"patch_location":{"loss":1.5},` +
		`"relative_position":{"loss":1.25},"rotation":{"loss":0.5,"accuracy":0.75}},"probes":[{"probe":"knn","layer":"2","accuracy":0.625}]}` + "\n"
	for name, record := range map[string]string{
		"finished": `{"state":"finished","backbone":"vit","step":100,"steps":100,"seconds":60,"kernels":"avx2"}`,
		"group/a-run-with-a-name-that-no-table-has-room-for": `{"state":"running","step":80,"steps":1000,"host":"elsewhere","kernels":"avx512"}`,
		"torn": `{"state":`,
	} {
		put(t, filepath.Join(dir, name, "run.json"), []byte(record))
		put(t, filepath.Join(dir, name, "config.resolved.yaml"), []byte("train: {seed: 1, name: "+filepath.Base(name)+"}\n"))
		put(t, filepath.Join(dir, name, "metrics.jsonl"), []byte(line))
		for _, file := range []string{"run.json", "metrics.jsonl"} {
			old := time.Now().Add(-5 * time.Hour)
			if err := os.Chtimes(filepath.Join(dir, name, file), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func TestRunsAsATable(t *testing.T) {
	code, stdout, stderr := call(nil, "runs", shelf(t))
	if code != exitSuccess || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if table, _, _ := strings.Cut(stdout, "\n\n"); widest(table) > usualColumns {
		t.Errorf("the table is wider than %d columns:\n%s", usualColumns, stdout)
	}
	for _, part := range []string{
		"finished  100/100   col 4.25 pat 1.50 rel 1.25 rot 0.50  0.625 knn  64      -\n", "  stopped?  100/1000  col", "…", "torn", "broken",
		"\ngroup/a-run-with-a-name-that-no-table-has-room-for: nothing was written for 5h", "\ntorn: run.json cannot be read",
	} {
		if !strings.Contains(stdout, part) {
			t.Errorf("%q is missing:\n%s", part, stdout)
		}
	}
}

// TestRunsFitTheTerminal: 80 columns have no room for the losses of all tasks.
func TestRunsFitTheTerminal(t *testing.T) {
	dir := shelf(t)
	for _, columns := range []int{76, 80, 100, 140} {
		var stdout, stderr bytes.Buffer
		code := execute(program{arguments: []string{"runs", dir}, stdout: &stdout, stderr: &stderr, size: func() (int, int) { return columns, 24 }})
		table, _, _ := strings.Cut(stdout.String(), "\n\n")
		if code != exitSuccess || widest(table) > columns || strings.Contains(table, "rot 0.50") != (columns >= 100) {
			t.Errorf("exit code %d, %d of %d columns:\n%s", code, widest(table), columns, table)
		}
	}
}

func TestRunsAsJSON(t *testing.T) {
	code, stdout, stderr := call(nil, "runs", shelf(t), "--json")
	var summaries []history.Summary
	if err := json.Unmarshal([]byte(stdout), &summaries); code != exitSuccess || err != nil || len(summaries) != 3 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	if s := summaries[0]; s.Name != "finished" || s.Loss != 9.5 || s.Probe.Accuracy != 0.625 || s.Tasks["rotation"].Loss != 0.5 {
		t.Errorf("got %+v", s)
	}
	if summaries[1].State != history.StateStopped || summaries[2].State != history.StateBroken || summaries[2].Why == "" {
		t.Errorf("got %+v", summaries[1:])
	}
}

func TestCompareShowsWhatDiffers(t *testing.T) {
	dir := shelf(t)
	long := filepath.Join(dir, "group", "a-run-with-a-name-that-no-table-has-room-for")
	code, stdout, stderr := call(nil, "compare", filepath.Join(dir, "finished"), long, filepath.Join(dir, "torn"))
	if code != exitSuccess || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, part := range []string{
		"A  " + dir, "\nCONFIGURATION  A         B", "\ntrain.name     finished  a-run", "  torn\n", "\nkernels        avx2      avx512   (none)\n",
		"\nrotation accuracy       0.75   0.75   0.75\n", "The weights of A and B were not compared: ", "note: " + filepath.Join(dir, "torn") + ": run.json cannot be read",
	} {
		if !strings.Contains(stdout, part) {
			t.Errorf("%q is missing:\n%s", part, stdout)
		}
	}
	if strings.Contains(stdout, "train.seed") {
		t.Errorf("what is the same is shown:\n%s", stdout)
	}
	code, stdout, _ = call(nil, "compare", filepath.Join(dir, "finished"), long, "--json")
	var comparison history.Comparison
	if err := json.Unmarshal([]byte(stdout), &comparison); code != exitSuccess || err != nil || len(comparison.Settings) != 1 {
		t.Errorf("exit code %d, %v: %s", code, err, stdout)
	}
}

// TestWatchOnce shows a directory and an address as they are, without colours where there is no terminal or NO_COLOR.
func TestWatchOnce(t *testing.T) {
	series := metrics.NewSeries()
	series.ObserveStep(metrics.Step{Seconds: 1, Pictures: 64, Loss: 9.5, RunProgress: 0.25})
	server := httptest.NewServer(promhttp.HandlerFor(series.Registry(), promhttp.HandlerOpts{}))
	defer server.Close()
	directory := filepath.Join(shelf(t), "finished")
	size := func() (int, int) { return 60, 24 }
	for name, test := range map[string]struct {
		program program
		colour  bool
		want    []string
	}{
		"directory": {program{arguments: []string{"watch", directory, "--once"}}, false, []string{"finished  vit", "step 100/100", "rotation", "75.0 % right", "knn probe"}},
		"address":   {program{arguments: []string{"watch", strings.TrimPrefix(server.URL, "http://"), "--once"}}, false, []string{"running", "25.0 %", "loss", "9.50"}},
		"terminal":  {program{arguments: []string{"watch", directory, "--once"}, size: size}, true, []string{"step 100/100"}},
		"NO_COLOR":  {program{arguments: []string{"watch", directory, "--once"}, size: size, environment: []string{"NO_COLOR=1"}}, false, []string{"step 100/100"}},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			test.program.stdout, test.program.stderr = &stdout, &stderr
			if code := execute(test.program); code != exitSuccess {
				t.Fatalf("exit code %d: %s", code, stderr.String())
			}
			if coloured := strings.Contains(stdout.String(), "\x1b["); coloured != test.colour {
				t.Errorf("coloured: %v, want %v: %q", coloured, test.colour, stdout.String())
			}
			for _, part := range test.want {
				if !strings.Contains(stdout.String(), part) {
					t.Errorf("%q is missing:\n%s", part, stdout.String())
				}
			}
		})
	}
}

// TestWatchEndsByItself when the run has finished, at once here, and fails when it failed.
func TestWatchEndsByItself(t *testing.T) {
	dir := shelf(t)
	if code, stdout, stderr := call(nil, "watch", filepath.Join(dir, "finished")); code != exitSuccess || !strings.Contains(stdout, "finished  step 100/100") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	put(t, filepath.Join(dir, "finished", "run.json"), []byte(`{"state":"failed","error":"no space left"}`))
	if code, _, stderr := call(nil, "watch", filepath.Join(dir, "finished")); code != exitFailure || !strings.Contains(stderr, "no space left") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestBadUsageOfReaders: what is no run, no folder of runs and no address.
func TestBadUsageOfReaders(t *testing.T) {
	empty := t.TempDir()
	run := filepath.Join(shelf(t), "finished")
	for _, test := range []struct {
		words []string
		code  int
		want  []string
	}{
		{[]string{"runs"}, exitUsage, []string{"DIR is missing"}},
		{[]string{"runs", empty}, exitUsage, []string{empty, "holds no run"}},
		{[]string{"runs", empty + "/nowhere"}, exitUsage, []string{"nowhere", "no such file"}},
		{[]string{"compare", run}, exitUsage, []string{"at least 2"}},
		{[]string{"compare", run, ""}, exitUsage, []string{"empty"}},
		{[]string{"compare", run, empty}, exitUsage, []string{empty, "not the directory of a run"}},
		{[]string{"watch", empty}, exitUsage, []string{empty, "not the directory of a run"}},
		{[]string{"watch", "nowhere"}, exitUsage, []string{"nowhere", "neither the directory of a run nor an address"}},
		{[]string{"watch", run, "--every", "1ms"}, exitUsage, []string{"--every", "1ms", "100ms"}},
		{[]string{"watch", "ftp://host:1"}, exitUsage, []string{"ftp://host:1", "http://"}},
		{[]string{"watch", "127.0.0.1:1"}, exitFailure, []string{"http://127.0.0.1:1/metrics", "refused"}},
	} {
		code, _, stderr := call(nil, test.words...)
		if code != test.code {
			t.Errorf("%q: exit code %d, want %d: %s", test.words, code, test.code, stderr)
		}
		for _, part := range test.want {
			if !strings.Contains(stderr, part) {
				t.Errorf("%q: %q is missing: %s", test.words, part, stderr)
			}
		}
	}
}

func TestLetters(t *testing.T) {
	for i, want := range map[int]string{0: "A", 25: "Z", 26: "A1", 52: "A2"} {
		if got := letter(i); got != want {
			t.Errorf("run %d is %q, want %q", i, got, want)
		}
	}
	if widest("a\nbcd\n"+terminal.Cut("日本", 2)) != 3 {
		t.Error("the widest line is not found")
	}
}
