package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pretrain/history"
	"pretrain/page"
	"pretrain/train"
)

var embedded = regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`)

// readReport is what a report shows.
func readReport(t *testing.T, path string) (report page.Report) {
	t.Helper()
	found := embedded.FindSubmatch(read(t, path))
	if found == nil {
		t.Fatalf("%s holds no data", path)
	}
	if err := json.Unmarshal(found[1], &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// TestReports trains two runs and reads the report that each has left, then one on both.
func TestReports(t *testing.T) {
	data := filepath.Join(samples, "train")
	one := trained(t, data)
	other := filepath.Join(t.TempDir(), "other")
	resolved := load(t, data, "train.epochs=1", "train.max_steps=3", "metrics.pictures=false")
	if err := Train(t.Context(), resolved, TrainOptions{Directory: other, Console: io.Discard}); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(one, "eval", "eval.json"), []byte(`{"rows":[{"features":"pretrained","layer":2,"probe":"knn","accuracy":0.5,"chosen":true}]}`))
	t.Run("of one", func(t *testing.T) { testReportOfOne(t, one) })
	t.Run("without pictures", func(t *testing.T) {
		if run := readReport(t, filepath.Join(other, "report.html")).Runs[0]; run.Gallery != nil {
			t.Error("there are pictures in spite of metrics.pictures: false")
		}
	})
	t.Run("of two", func(t *testing.T) { testReportOfTwo(t, one, other) })
	t.Run("of a damaged run", func(t *testing.T) { testReportOfDamaged(t, other) })
	t.Run("mistakes", func(t *testing.T) { testReportMistakes(t, one, other) })
}

func testReportOfOne(t *testing.T, directory string) {
	run := readReport(t, filepath.Join(directory, "report.html")).Runs[0]
	if run.Name != "run" || run.State != "finished" || len(run.Records) != 2 || len(run.Tasks) != 4 || run.Chance["rotation"] != 0.25 || len(run.Log) != 0 {
		t.Errorf("%s, %s, %d records, tasks %v, chance %v, log %q", run.Name, run.State, len(run.Records), run.Tasks, run.Chance, run.Log)
	}
	if run.Layers != nil || run.Verdict.Kind != page.Early {
		t.Errorf("layers %v, verdict %s", run.Layers, run.Verdict.Kind)
	}
	if strings.Contains(string(read(t, filepath.Join(directory, "report.html"))), samples) {
		t.Error("the report tells where the pictures lie")
	}
	var gallery struct{ Sheets []struct{ Title string } }
	if err := json.Unmarshal(run.Gallery, &gallery); err != nil || len(gallery.Sheets) != 6 {
		t.Errorf("%d sheets, %v", len(gallery.Sheets), err)
	}
}

func testReportOfTwo(t *testing.T, one, other string) {
	out, plots := filepath.Join(t.TempDir(), "both.html"), filepath.Join(t.TempDir(), "new", "figures")
	written, problems, err := Report(ReportOptions{Runs: []string{one, other}, Out: out, Plots: plots})
	if err != nil || problems != nil {
		t.Fatal(err, problems)
	}
	report := readReport(t, out)
	if len(report.Runs) != 2 || len(report.Runs[0].Layers) != 1 || report.Runs[0].Layers[0].Accuracy != 0.5 {
		t.Errorf("runs: %+v", report.Runs)
	}
	keys := map[string][]string{}
	for _, difference := range report.Differences {
		keys[difference.Key] = difference.Values
	}
	if got := keys["train.max_steps"]; len(keys) != 2 || len(got) != 2 || got[0] != "2" || got[1] != "3" {
		t.Errorf("differences: %v", keys)
	}
	names := map[string]bool{}
	for _, path := range written {
		names[filepath.Base(path)] = true
		if content := read(t, path); filepath.Ext(path) == ".svg" && !bytes.Contains(content, []byte("<svg")) {
			t.Errorf("%s is no SVG", path)
		} else if filepath.Ext(path) == ".png" {
			if picture, err := png.Decode(bytes.NewReader(content)); err != nil || picture.Bounds().Dx() < 300 {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	for _, name := range []string{"both.html", "loss.svg", "loss.png", "accuracy.svg", "cosines.svg", "layers.svg", "throughput.png"} {
		if !names[name] {
			t.Errorf("no %s among %v", name, names)
		}
	}
	if names["probes.svg"] {
		t.Error("there is a figure of probes, which nobody measured")
	}
}

// testReportOfDamaged leaves out what cannot be read, and says so.
func testReportOfDamaged(t *testing.T, directory string) {
	for name, content := range map[string]string{"metrics.jsonl": "{}\nrubbish\n", "pictures.json": "{", "run.json": "]", "eval/eval.json": "x", "train.log": "rubbish\n{\"time\":1}\n"} {
		write(t, filepath.Join(directory, name), []byte(content))
	}
	_, problems, err := Report(ReportOptions{Runs: []string{directory}})
	if err != nil {
		t.Fatal(err)
	}
	text := errors.Join(problems...).Error()
	for _, part := range []string{"metrics.jsonl", "pictures.json", "run.json", "eval.json"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not mention %s", text, part)
		}
	}
	if run := readReport(t, filepath.Join(directory, "report.html")).Runs[0]; run.Config == "" || run.Verdict.Kind != page.Early || run.Log[0] != "rubbish" {
		t.Errorf("the report holds %+v", run)
	}
}

func testReportMistakes(t *testing.T, one, other string) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	for name, test := range map[string]struct {
		options ReportOptions
		says    string
	}{
		"no run":             {ReportOptions{Runs: []string{t.TempDir()}}, "not the directory of a run"},
		"no such directory":  {ReportOptions{Runs: []string{filepath.Join(one, "nowhere")}}, "no such file"},
		"two without --out":  {ReportOptions{Runs: []string{one, other}}, "--out is missing"},
		"out below a file":   {ReportOptions{Runs: []string{one}, Out: filepath.Join(file, "report.html")}, file},
		"plots below a file": {ReportOptions{Runs: []string{one}, Plots: filepath.Join(file, "plots")}, file},
	} {
		_, _, err := Report(test.options)
		if usage := (*train.UsageError)(nil); !errors.As(err, &usage) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestAReportThatFailsBreaksNoTraining puts a folder where the report is to be written.
func TestAReportThatFailsBreaksNoTraining(t *testing.T) {
	directory := trained(t, filepath.Join(samples, "train"))
	report := filepath.Join(directory, "report.html")
	if err := os.Remove(report); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(report, "kept"), nil)
	var console bytes.Buffer
	resolved := load(t, filepath.Join(samples, "train"), "train.epochs=1", "train.max_steps=2")
	if err := Train(t.Context(), resolved, TrainOptions{Directory: directory, Start: train.StartResume, Console: &console}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(console.String(), "the report is not complete") || !strings.Contains(console.String(), "pretrain report "+directory) {
		t.Errorf("the console says %q", console.String())
	}
}

func TestReportNames(t *testing.T) {
	got := reportNames([]string{"/a/first", "/b/second/", "/b/first", "/c/b/first"})
	if want := []string{"first", "second", "b/first", "c/b/first"}; strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFoldersOfOneName differ though their last elements do not.
func TestFoldersOfOneName(t *testing.T) {
	setting := func(path string) *history.Run {
		return &history.Run{Settings: []history.Setting{{Path: "data.path", Value: path}}}
	}
	got := differences([]*history.Run{setting("/a/train"), setting("/b/train"), setting("/a/train"), setting("/c/other")})
	want := []page.Difference{{Key: "data.path", Values: []string{"train", "train (elsewhere)", "train", "other"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
