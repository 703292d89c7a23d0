package metrics

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func exampleRecord(step int64) Record {
	seen := exampleInspection()
	return Record{
		Step: step, Epoch: 1, Time: time.Date(2025, 1, 2, 3, 4, 5, 6e6, time.UTC), Pictures: 64 * step, Views: 256 * step,
		PicturesPerSecond: 812.5, LearningRate: 1e-3, GradientNorm: 1.25, DataWaitRatio: 0.015, Loss: 3.5,
		Phases:     Phases{Data: 0.01, Forward: 0.06, Backward: 0.11, Optimizer: 0.015, Other: 0.005},
		Operations: 1e11, PeakShare: 0.75, Remaining: 90,
		Tasks: map[string]Task{
			"rotation":     {Loss: 1.5, Weight: 1, Accuracy: number(0.25)},
			"colorization": {Loss: 4, Weight: 0.5, Metrics: map[string]Number{"psnr": 19.5}},
		},
		Probes: []Probe{{"knn", "12", 0.5}}, Inspection: &seen,
	}
}

// equalNaNs makes all numbers that JSON cannot hold equal.
var equalNaNs = cmp.Comparer(func(a, b Number) bool { return a == b || math.IsNaN(float64(a)) && math.IsNaN(float64(b)) })

// lines are the lines of records of these steps, in the bytes that Log writes.
func lines(t testing.TB, steps ...int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	log, err := OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		if err := log.Append(exampleRecord(step)); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func store(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLine fixes the names of the fields: people's notebooks depend on them.
func TestLine(t *testing.T) {
	const want = `{"step":2,"epoch":1,"time":"2025-01-02T03:04:05.006Z","pictures":128,"views":512,"pictures_per_second":812.5,` +
		`"learning_rate":0.001,"gradient_norm":1.25,"data_wait_ratio":0.015,` +
		`"phase_seconds":{"data":0.01,"forward":0.06,"backward":0.11,"optimizer":0.015,"other":0.005},` +
		`"operations_per_second":100000000000,"peak_share":0.75,"remaining_seconds":90,"loss":3.5,"tasks":{` +
		`"colorization":{"loss":4,"weight":0.5,"metrics":{"psnr":19.5}},"rotation":{"loss":1.5,"weight":1,"accuracy":0.25}},` +
		`"probes":[{"probe":"knn","layer":"12","accuracy":0.5}],` +
		`"inspection":{"step":1,"task_gradient_norms":{"colorization":0.5,"rotation":2},` +
		`"cosines":[{"task":"colorization","other":"rotation","cosine":-0.25}],"parameter_norm":60,` +
		`"updates":{"blocks.0":0.001,"tasks.rotation":0.01},"features":[{"layer":"12","rank":40.5,"spread":0.9}]}}` + "\n"
	if diff := cmp.Diff(want, lines(t, 2)); diff != "" {
		t.Error(diff)
	}
}

func TestRoundTrip(t *testing.T) {
	found, err := ReadLog(store(t, lines(t, 1, 2, 3)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Record{exampleRecord(1), exampleRecord(2), exampleRecord(3)}, found); diff != "" {
		t.Error(diff)
	}
}

func TestNumbersThatJSONLacks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	log, err := OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	record := exampleRecord(1)
	record.Loss, record.GradientNorm = Number(math.NaN()), Number(math.Inf(1))
	if err := log.Append(record); err != nil {
		t.Fatal(err)
	}
	found, err := ReadLog(path) // before Close: a killed process loses no line
	if err != nil {
		t.Fatal(err)
	}
	record.GradientNorm = Number(math.NaN())
	if diff := cmp.Diff([]Record{record}, found, equalNaNs); diff != "" {
		t.Error(diff)
	}
	if text := read(t, path); !strings.Contains(text, `"loss":null`) {
		t.Error(text)
	}
}

func TestCutBack(t *testing.T) {
	whole := lines(t, 5, 10, 15)
	tests := map[string]struct {
		text string
		step int64
		want string
	}{
		"nothing to cut":      {whole, 15, whole},
		"between":             {whole, 12, lines(t, 5, 10)},
		"exactly":             {whole, 10, lines(t, 5, 10)},
		"all":                 {whole, 4, ""},
		"empty":               {"", 4, ""},
		"torn last line":      {whole + `{"step":20,"ep`, 100, whole},
		"torn newline":        {whole + `{"step":20}`, 100, whole},
		"only a torn line":    {`{"st`, 100, ""},
		"zeros after a crash": {whole + "\x00\x00\x00", 100, whole},
		"unknown fields":      {`{"step":1,"later":[1]}` + "\n" + whole, 3, `{"step":1,"later":[1]}` + "\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := store(t, test.text)
			if err := CutBack(path, test.step); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, read(t, path)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCutBackOfNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	if err := CutBack(path, 1); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("CutBack made a file")
	}
	if _, err := ReadLog(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadLog gave %v", err)
	}
}

func TestDamageInTheMiddleIsNamed(t *testing.T) {
	for _, line := range []string{"\n", "null\n", "[]\n", `{"step":"x"}` + "\n", `{"step":1}}` + "\n"} {
		text := lines(t, 1) + line + lines(t, 2)
		path := store(t, text)
		if _, err := ReadLog(path); err == nil || !strings.Contains(err.Error(), path+": line 2 is no record") {
			t.Errorf("%q: ReadLog gave %v", line, err)
		}
		if err := CutBack(path, 1); err == nil || !strings.Contains(err.Error(), path+": line 2 is no record") {
			t.Errorf("%q: CutBack gave %v", line, err)
		}
		if read(t, path) != text {
			t.Errorf("%q: CutBack changed a file it does not understand", line)
		}
	}
}

func TestOpenLogGoesOnAfterATornLine(t *testing.T) {
	path := store(t, lines(t, 1)+`{"step":2,"epo`)
	log, err := OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Append(exampleRecord(2)); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lines(t, 1, 2), read(t, path)); diff != "" {
		t.Error(diff)
	}
	if err := log.Append(exampleRecord(3)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Append after Close gave %v", err)
	}
}

// TestAResumedLogEqualsAnUninterruptedOne: killed anywhere, in the middle of a line too, cut back and written on.
func TestAResumedLogEqualsAnUninterruptedOne(t *testing.T) {
	want := lines(t, 1, 2, 3, 4)
	rapid.Check(t, func(r *rapid.T) {
		path := store(t, want[:rapid.IntRange(0, len(want)).Draw(r, "killed after")])
		checkpoint := rapid.Int64Range(0, 4).Draw(r, "checkpoint")
		if err := CutBack(path, checkpoint); err != nil {
			r.Fatal(err)
		}
		records, err := ReadLog(path)
		if err != nil {
			r.Fatal(err)
		}
		log, err := OpenLog(path)
		if err != nil {
			r.Fatal(err)
		}
		defer log.Close()
		// A checkpoint is never ahead of the log, so the run goes on from what is there.
		for step := int64(len(records)) + 1; step <= 4; step++ {
			if err := log.Append(exampleRecord(step)); err != nil {
				r.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, read(t, path)); diff != "" {
			r.Error(diff)
		}
	})
}

// FuzzLog feeds arbitrary text: never a panic, ReadLog and CutBack agree on what is damaged, and a file that was cut back
// holds exactly the records up to the step.
func FuzzLog(f *testing.F) {
	f.Add([]byte(lines(f, 1, 2)), int64(1))
	f.Add([]byte(`{"step":1}`+"\n"+`{"step":2,"loss":null}`+"\n{"), int64(5))
	f.Add([]byte("null\n"), int64(0))
	f.Fuzz(func(t *testing.T, text []byte, step int64) {
		path := store(t, string(text))
		before, readErr := ReadLog(path)
		cutErr := CutBack(path, step)
		if (readErr == nil) != (cutErr == nil) {
			t.Fatalf("ReadLog: %v, CutBack: %v", readErr, cutErr)
		}
		if readErr != nil {
			return
		}
		after, err := ReadLog(path)
		if err != nil {
			t.Fatal(err)
		}
		var want []Record
		for _, record := range before {
			if record.Step <= step {
				want = append(want, record)
			}
		}
		if diff := cmp.Diff(want, after, equalNaNs); diff != "" {
			t.Error(diff)
		}
	})
}

// TestReplaceLast puts a record in the place of the last one and leaves the others, and refuses another step.
func TestReplaceLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	log, err := OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	for step := range int64(3) {
		if err := log.Append(Record{Step: step}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceLast(path, Record{Step: 2, Probes: []Probe{{Probe: "knn", Layer: "1", Accuracy: 1}}}); err != nil {
		t.Fatal(err)
	}
	before := read(t, path)
	if err := ReplaceLast(path, Record{Step: 1}); err == nil || !strings.Contains(err.Error(), "not of step 1") || read(t, path) != before {
		t.Errorf("another step gives %v", err)
	}
	records, err := ReadLog(path)
	if err != nil || len(records) != 3 || records[1].Step != 1 || records[1].Probes != nil || len(records[2].Probes) != 1 {
		t.Errorf("%+v, %v", records, err)
	}
}
