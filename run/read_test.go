package run

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pretrain/configs"
	"pretrain/eval"
	"pretrain/export"
	"pretrain/train"
)

// trained trains the small configuration on a few pictures.
func trained(t *testing.T, data string) string {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "run")
	resolved := load(t, data, "train.epochs=1", "train.max_steps=2")
	if err := Train(t.Context(), resolved, TrainOptions{Directory: directory, Console: io.Discard}); err != nil {
		t.Fatal(err)
	}
	return directory
}

func open(t *testing.T, directory string) *Run {
	t.Helper()
	opened, err := Open(directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

// few copies count pictures of the sample into a folder with one label, and adds two that cannot be read: a broken
// header, which is found at once, and a broken body, which is found when it is decoded.
func few(t *testing.T, from string, count int) string {
	t.Helper()
	dir := t.TempDir()
	found, err := filepath.Glob(filepath.Join(from, "*", "*"))
	if err != nil || len(found) < count {
		t.Fatalf("%d pictures in %s, %v", len(found), from, err)
	}
	for i, path := range found[:count] {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "label", strconv.Itoa(100+i)+filepath.Ext(path)), content)
		if i == 0 {
			write(t, filepath.Join(dir, "label", "broken-body"+filepath.Ext(path)), content[:len(content)-len(content)/8])
			write(t, filepath.Join(dir, "label", "broken-header"+filepath.Ext(path)), content[:12])
		}
	}
	return dir
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestReadingARun(t *testing.T) {
	directory := trained(t, filepath.Join(samples, "train"))
	opened := open(t, directory)
	opened.Config.Data.MaxBadRatio = 0.5
	t.Run("extract", func(t *testing.T) { testExtract(t, opened, few(t, filepath.Join(samples, "train"), 7)) })
	t.Run("export", func(t *testing.T) { testExport(t, opened) })
	t.Run("export mistakes", func(t *testing.T) { testExportMistakes(t, opened) })
	t.Run("import", func(t *testing.T) { testImport(t, opened) })
	t.Run("import mistakes", func(t *testing.T) { testImportMistakes(t, opened) })
	t.Run("evaluate", func(t *testing.T) { testEvaluate(t, opened) })
	t.Run("best layer", func(t *testing.T) { testBestLayer(t, opened) })
	t.Run("all probes", func(t *testing.T) { testAllProbes(t, opened) })
	t.Run("mistakes", func(t *testing.T) { testMistakes(t, opened) })
	t.Run("resume with another configuration", func(t *testing.T) {
		resolved := load(t, filepath.Join(samples, "train"), "train.epochs=1", "train.max_steps=2", "optimizer.learning_rate=0.5")
		err := Train(t.Context(), resolved, TrainOptions{Directory: directory, Start: train.StartResume, Console: io.Discard})
		if changed := (*configs.Error)(nil); !errors.As(err, &changed) || !strings.Contains(err.Error(), "optimizer.learning_rate") {
			t.Errorf("got %v", err)
		}
	})
}

// testExtract: table and array hold the readable pictures in the order of their paths, with the same numbers, and the
// unreadable ones are listed beside them.
func testExtract(t *testing.T, opened *Run, data string) {
	dir := t.TempDir()
	table, array := filepath.Join(dir, "features.csv"), filepath.Join(dir, "features.npy")
	for _, out := range []string{table, array} {
		result, err := opened.Extract(t.Context(), ExtractOptions{Data: data, Out: out})
		if err != nil {
			t.Fatal(err)
		}
		if result.Rows != 7 || !slices.Equal(result.Columns[0].Shape, []int{16}) || len(result.Bad) != 2 {
			t.Errorf("%+v", result)
		}
		list := string(read(t, result.BadFile))
		if !strings.Contains(list, "broken-body") || !strings.Contains(list, "broken-header") || strings.Count(list, "\n") != 2 {
			t.Errorf("%s holds %q", result.BadFile, list)
		}
	}
	lines, err := csv.NewReader(bytes.NewReader(read(t, table))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	numbers := read(t, array)[128:]
	for i, line := range lines[1:] {
		if want := strconv.Itoa(100 + i); !strings.HasPrefix(filepath.Base(line[0]), want) || line[1] != "label" {
			t.Errorf("row %d is of %s, %s", i, line[0], line[1])
		}
		for j, text := range line[4:] {
			number, err := strconv.ParseFloat(text, 32)
			if bits := binary.LittleEndian.Uint32(numbers[4*(i*16+j):]); err != nil || bits != math.Float32bits(float32(number)) {
				t.Fatalf("row %d, column %d: %s in the table, %g in the array", i, j, text, math.Float32frombits(bits))
			}
		}
	}
	testOverwrite(t, opened, data, table)
}

// testOverwrite: an existing file is refused unless told otherwise; a list of unreadable pictures goes with its file.
func testOverwrite(t *testing.T, opened *Run, data, out string) {
	before := read(t, out)
	_, err := opened.Extract(t.Context(), ExtractOptions{Data: data, Out: out, Layer: "1"})
	if usage := (*train.UsageError)(nil); !errors.As(err, &usage) || !errors.Is(err, export.ErrExists) {
		t.Errorf("an existing file gives %v", err)
	}
	if !bytes.Equal(before, read(t, out)) {
		t.Error("the refused file has changed")
	}
	for _, name := range []string{"broken-body", "broken-header"} {
		found, _ := filepath.Glob(filepath.Join(data, "label", name+"*"))
		if err := os.Remove(found[0]); err != nil {
			t.Fatal(err)
		}
	}
	result, err := opened.Extract(t.Context(), ExtractOptions{Data: data, Out: out, Layer: "1", Overwrite: true})
	if err != nil || result.Rows != 7 || result.BadFile != "" {
		t.Errorf("%+v, %v", result, err)
	}
	if bytes.Equal(before, read(t, out)) {
		t.Error("layer 1 has the features of layer 2")
	}
	if exists(out + ".unreadable.txt") {
		t.Error("the list of unreadable pictures outlives them")
	}
}

func testEvaluate(t *testing.T, opened *Run) {
	report, err := opened.Evaluate(t.Context(), EvaluateOptions{
		Train: filepath.Join(samples, "train"), Test: filepath.Join(samples, "test"), Probes: []string{"knn"}, Layers: []int{2},
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, row := range report.Rows {
		names = append(names, row.Features+" "+row.Probe+" "+strconv.Itoa(row.Layer))
	}
	if !slices.Equal(names, []string{"pretrained knn 2", "random knn 2", "pixels knn 0"}) {
		t.Errorf("rows %v", names)
	}
	part, err := opened.Evaluate(t.Context(), EvaluateOptions{
		Train: filepath.Join(samples, "train"), Test: filepath.Join(samples, "test"), Probes: []string{"knn"}, Layers: []int{2},
		Features: []string{"pixels", "pretrained"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(part.Rows) != 2 || part.Rows[0].Accuracy != report.Rows[0].Accuracy || part.Rows[1].Accuracy != report.Rows[2].Accuracy {
		t.Errorf("features of choice give %+v", part.Rows)
	}
}

// testBestLayer: an evaluation of all layers keeps its choice in the run; one of a part of them, of other features or of
// grids does not.
func testBestLayer(t *testing.T, opened *Run) {
	evaluate := func(options EvaluateOptions) eval.Report {
		t.Helper()
		options.Train, options.Test = filepath.Join(samples, "train"), filepath.Join(samples, "test")
		options.Probes = []string{"knn"}
		report, err := opened.Evaluate(t.Context(), options)
		if err == nil {
			err = opened.KeepBestLayer(report)
		}
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	for name, options := range map[string]EvaluateOptions{
		"one layer": {Layers: []int{2}}, "random": {Features: []string{"random"}},
		"grid": {Grid: 2, Features: []string{"pretrained"}},
	} {
		if report := evaluate(options); report.BestLayer != nil {
			t.Errorf("%s: %+v", name, report.BestLayer)
		}
	}
	if _, err := opened.Layer("best"); err == nil {
		t.Error("there is a best layer without a choice among all")
	}
	report := evaluate(EvaluateOptions{Features: []string{"pretrained"}})
	kept, err := opened.BestLayer()
	if want := (BestLayer{Layer: report.BestLayer.Layer, Probe: "knn", Validation: report.BestLayer.Validation, Grid: 1}); err != nil || kept != want {
		t.Errorf("kept %+v, want %+v (%v)", kept, want, err)
	}
	for _, row := range report.Rows {
		if row.Chosen != (row.Layer == kept.Layer) {
			t.Errorf("layer %d is kept, and %+v", kept.Layer, row)
		}
	}
	evaluate(EvaluateOptions{Grid: 2, Features: []string{"pretrained"}})
	if again, err := opened.BestLayer(); err != nil || again != kept {
		t.Errorf("an evaluation of grids changed the choice %+v to %+v (%v)", kept, again, err)
	}
	if layer, err := opened.Layer("best"); err != nil || layer != kept.Layer {
		t.Errorf("layer best is %d (%v)", layer, err)
	}
	testUnusableChoices(t, opened, kept)
}

// testUnusableChoices: a choice that was made otherwise, is damaged, or is of another network is not taken for one.
func testUnusableChoices(t *testing.T, opened *Run, kept BestLayer) {
	file := filepath.Join(string(opened.Directory), "eval", "best_layer.json")
	whole := read(t, file)
	for content, want := range map[string]string{
		`{"layer": 1, "probe": "knn", "validation": 0.5, "grid": 4}`: "grid of 4×4 cells",
		`{"layer": 9, "probe": "knn", "validation": 0.5, "grid": 1}`: "layer 9",
		`{"layer": 0}`:       "layer 0",
		`{"layer": "first"}`: "evaluate the run again",
		string(whole[:9]):    "evaluate the run again",
		``:                   "evaluate the run again",
	} {
		write(t, file, []byte(content))
		if layer, err := opened.Layer("best"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives layer %d, %v; want an error with %q", content, layer, err, want)
		}
	}
	for _, layer := range []int{0, 3} {
		if err := opened.StoreBestLayer(BestLayer{Layer: layer, Grid: 1}); err == nil {
			t.Errorf("layer %d is kept in a run of two layers", layer)
		}
	}
	if err := opened.StoreBestLayer(kept); err != nil || !bytes.Equal(read(t, file), whole) {
		t.Errorf("what was kept cannot be kept again: %v", err)
	}
}

// testAllProbes: every measure is there, a second evaluation finds the same ones, and the test part leaks into itself.
func testAllProbes(t *testing.T, opened *Run) {
	part := filepath.Join(samples, "test")
	evaluate := func() eval.Report {
		report, err := opened.Evaluate(t.Context(), EvaluateOptions{
			Train: part, Test: part, Anomalies: part, Probes: []string{"all"}, Layers: []int{2}, Features: []string{"pretrained"},
			Health: true, Leaks: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range report.Rows {
			report.Rows[i].Seconds = 0
		}
		for i := range report.Measures {
			report.Measures[i].Seconds = 0
		}
		return report
	}
	report := evaluate()
	if len(report.Rows) != 2 || len(report.Measures) != 3+3+4+2 || len(report.Health) != 1 || len(report.Outliers) == 0 {
		t.Errorf("%+v", report)
	}
	if report.Leaks.TestPictures != report.Test || report.Anomalies != report.Test {
		t.Errorf("%d of %d test pictures are training pictures; %d anomalies", report.Leaks.TestPictures, report.Test, report.Anomalies)
	}
	if again := evaluate(); !reflect.DeepEqual(again, report) {
		t.Errorf("%+v became %+v", report, again)
	}
}

// testMistakes: each is a usage error that names what is wrong.
func testMistakes(t *testing.T, opened *Run) {
	train1, test1 := filepath.Join(samples, "train"), filepath.Join(samples, "test")
	evaluate := func(options EvaluateOptions) error {
		_, err := opened.Evaluate(t.Context(), options)
		return err
	}
	extract := func(options ExtractOptions) error {
		_, err := opened.Extract(t.Context(), options)
		return err
	}
	out := filepath.Join(t.TempDir(), "x.npy")
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"evaluate: layer":    {evaluate(EvaluateOptions{Train: train1, Test: test1, Layers: []int{3}}), "layers 1 to 2"},
		"evaluate: probe":    {evaluate(EvaluateOptions{Train: train1, Test: test1, Probes: []string{"svm"}}), "svm"},
		"evaluate: features": {evaluate(EvaluateOptions{Train: train1, Test: test1, Features: []string{"learned"}}), "pretrained, random, pixels"},
		"evaluate: no test":  {evaluate(EvaluateOptions{Train: train1}), "--test"},
		"evaluate: no train": {evaluate(EvaluateOptions{Test: test1}), "--train"},
		"evaluate: folder":   {evaluate(EvaluateOptions{Train: train1, Test: test1, Val: samples + "x"}), "--val"},
		"evaluate: splits of no probe": {
			evaluate(EvaluateOptions{Train: train1, Test: test1, Val: test1, Splits: 2, Probes: []string{"kmeans"}}), "needs --probe knn or linear",
		},
		"evaluate: anomalies for nobody": {evaluate(EvaluateOptions{Train: train1, Test: test1, Anomalies: test1}), "add --probe outlier"},
		"evaluate: no such anomalies": {
			evaluate(EvaluateOptions{Train: train1, Test: test1, Anomalies: samples + "x", Probes: []string{"outlier"}}), "--anomalies",
		},
		"extract: layer":     {extract(ExtractOptions{Data: train1, Out: out, Layer: "3"}), "layers 1 to 2"},
		"extract: pool":      {extract(ExtractOptions{Data: train1, Out: out, Pool: "max"}), "mean, cls, map"},
		"extract: precision": {extract(ExtractOptions{Data: train1, Out: out, Precision: "fp8"}), "fp32, bf16, auto"},
		"extract: shard":     {extract(ExtractOptions{Data: train1, Out: out, Shard: "4/4"}), "0/4 to 3/4"},
		"extract: csv map":   {extract(ExtractOptions{Data: train1, Out: out + ".csv", Pool: "map"}), ".parquet"},
		"extract: folder":    {extract(ExtractOptions{Data: samples + "x", Out: out}), "does not exist"},
		"extract: format":    {extract(ExtractOptions{Data: train1, Out: out + ".xls"}), ".xls"},
	} {
		var usage *train.UsageError
		if !errors.As(test.err, &usage) || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: got %v, want a usage error with %q", name, test.err, test.want)
		}
	}
}

func TestOpenOfNoRun(t *testing.T) {
	begun := t.TempDir()
	text, err := load(t, begun).YAML()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(begun, "config.resolved.yaml"), []byte(text))
	for directory, want := range map[string]string{
		filepath.Join(begun, "missing"): "not the directory of a run",
		t.TempDir():                     "config.resolved.yaml",
		begun:                           "no usable checkpoint",
	} {
		_, err := Open(directory)
		var usage *train.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a usage error with %q", err, want)
		}
	}
}

func TestOpenWithUnknownKernels(t *testing.T) {
	directory := trained(t, filepath.Join(samples, "train"))
	t.Setenv(kernelsVariable, "abacus")
	_, err := Open(directory)
	if usage := (*train.UsageError)(nil); !errors.As(err, &usage) || !strings.Contains(err.Error(), kernelsVariable) {
		t.Errorf("got %v", err)
	}
}
