package main

import (
	"encoding/csv"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"
)

// TestSpreadReference holds mean, deviation and standard error against gonum's.
func TestSpreadReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1, 1), 2, 12).Draw(t, "values")
		g, number := &group{}, func(text string) float64 {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		for _, v := range values {
			g.rows = append(g.rows, row{Accuracy: v})
		}
		mean, deviation := stat.MeanStdDev(values, nil)
		for text, want := range map[string][2]float64{
			g.spread(func(r row) float64 { return r.Accuracy }): {mean, deviation},
			meanAndError(values): {mean, stat.StdErr(deviation, float64(len(values)))},
		} {
			first, second, found := strings.Cut(text, " ± ")
			if !found || math.Abs(number(first)-want[0]) > 0.00051 || math.Abs(number(second)-want[1]) > 0.00051 {
				t.Errorf("%v: %s, want %.4f ± %.4f", values, text, want[0], want[1])
			}
		}
	})
}

// TestGoldenTables is the whole of what is printed, for two models of two seeds.
func TestGoldenTables(t *testing.T) {
	rows := []row{
		chosen("m-all", "1", "pretrained", 3, 0.6), chosen("m-all", "2", "pretrained", 3, 0.62),
		chosen("m-rotation", "1", "pretrained", 4, 0.5), chosen("m-rotation", "2", "pretrained", 2, 0.54),
		chosen("m-rotation", "1", "pixels", 0, 0.2),
	}
	var text strings.Builder
	if err := printTables(&text, rows); err != nil {
		t.Fatal(err)
	}
	want := `
| features | probe | layer | accuracy on test | balanced | 95 % of test pictures | mean of 10 splits | pictures | minutes |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| m-all | linear | 3,3 | 0.610 ± 0.014 | 0.510 ± 0.014 | 0.56–0.66 | 0.620 ± 0.014 | 61360 | 8.0 |
| m-rotation | linear | 4,2 | 0.520 ± 0.028 | 0.420 ± 0.028 | 0.47–0.57 | 0.530 ± 0.028 | 61360 | 8.0 |
| m-rotation: pixels | linear | 0 | 0.200 | 0.100 | 0.15–0.25 | 0.210 | 61360 | 8.0 |

| all tasks against | probe | seed by seed, mean of 10 splits | mean ± standard error |
| --- | --- | --- | --- |
| m-rotation | linear | +0.100 +0.080 | +0.090 ± 0.010 |

| features | probe | accuracy on test, layer by layer |
| --- | --- | --- |
| m-all | linear | 0.610 |
| m-rotation | linear | 0.540 0.500 |
| m-rotation: pixels | linear | 0.200 |
`
	var got strings.Builder
	got.WriteString("\n")
	for line := range strings.Lines(text.String()) {
		got.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

// TestColumnsAlign: however long names are, the bars of a table stand below each other.
func TestColumnsAlign(t *testing.T) {
	rows := []row{chosen("m-all", "1", "pretrained", 3, 0.6), chosen("m-a_very_long_name_of_a_task", "1", "pretrained", 12, 1)}
	var text strings.Builder
	if err := printTables(&text, rows); err != nil {
		t.Fatal(err)
	}
	for table := range strings.SplitSeq(strings.TrimSpace(text.String()), "\n\n") {
		lines := strings.Split(table, "\n")
		for _, line := range lines[1:] {
			if got, want := bars(line), bars(lines[0]); !slices.Equal(got, want) {
				t.Errorf("bars at %v, want %v as in the heading:\n%s", got, want, table)
				break
			}
		}
	}
}

// bars are the places of the bars in a line, in characters.
func bars(line string) (places []int) {
	for i, c := range []rune(line) {
		if c == '|' {
			places = append(places, i)
		}
	}
	return places
}

// TestGroupsKeepTheirOrder: rows of one experiment and probe come together where the first of them stood.
func TestGroupsKeepTheirOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var rows []row
	for range 60 {
		rows = append(rows, row{
			Experiment: []string{"a", "b"}[r.IntN(2)], Features: []string{"pretrained", "random"}[r.IntN(2)],
			Probe: []string{"knn", "linear"}[r.IntN(2)], Seed: strconv.Itoa(r.IntN(9)),
		})
	}
	count, last := 0, -1
	for _, g := range groupsOf(rows, func(r row) bool { return r.Seed != "0" }) {
		first := slices.Index(rows, g.rows[0])
		if first < last {
			t.Errorf("group %s, %s stands behind one that began later", g.name, g.probe)
		}
		last = first
		for _, member := range g.rows {
			name := member.Experiment + map[string]string{"random": ": random"}[member.Features]
			if name != g.name || member.Probe != g.probe || member.Seed == "0" {
				t.Errorf("%+v is in the group %s, %s", member, g.name, g.probe)
			}
			count++
		}
	}
	if want := len(slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.Seed == "0" })); count != want {
		t.Errorf("%d rows are in groups, want %d", count, want)
	}
}

// TestCSVHoldsWhatWasMeasured, five digits of it, whatever stands in a name.
func TestCSVHoldsWhatWasMeasured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.csv")
	rows := []row{
		{
			Experiment: `odd "name", really`, Seed: "1", Pictures: 64, Seconds: 1234.5678, Features: "random", Layer: 2, Probe: "knn",
			Accuracy: 1. / 3, Balanced: 0.25, Interval: [2]float64{0, 1}, Validation: 1e-7,
		},
		{Accuracy: math.NaN()},
	}
	if err := writeCSV(path, rows); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{`odd "name", really`, "1", "64", "1234.6", "random", "2", "knn", "0.33333", "0.25", "0", "1", "1e-07", "false"},
		{"", "", "0", "0", "", "0", "", "NaN", "0", "0", "0", "0", "false"},
	}
	if diff := cmp.Diff(want, lines[1:]); diff != "" {
		t.Error(diff)
	}
	if err := writeCSV(filepath.Join(path, "below"), rows); err == nil {
		t.Error("a file below a file was written")
	}
}

// TestReportsThatAreMissing or of another shape are named.
func TestReportsThatAreMissing(t *testing.T) {
	run := t.TempDir()
	report := filepath.Join(run, "eval.json")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := readRows(experiment{}, "1", run, report); err == nil || !strings.Contains(err.Error(), report) {
		t.Errorf("without a report: %v", err)
	}
	write(report, `{"rows": [{"layer": "third"}]}`)
	if _, err := readRows(experiment{}, "1", run, report); err == nil || !strings.Contains(err.Error(), report) {
		t.Errorf("with a layer in words: %v", err)
	}
	write(report, `{"rows": [{"layer": 3, "features": "pretrained", "probe": "knn"}],
		"splits": [{"features": "random", "probe": "knn", "mean": 1}]}`)
	if _, err := readRows(experiment{}, "1", run, report); err == nil || !strings.Contains(err.Error(), "run.json") {
		t.Errorf("without a record of the run: %v", err)
	}
	write(filepath.Join(run, "run.json"), `{"step": 7, "seconds": 1.5}`)
	rows, err := readRows(experiment{name: "e"}, "2", run, report)
	want := []row{{
		Experiment: "e", Seed: "2", Pictures: 7 * batch, Seconds: 1.5, Features: "pretrained", Probe: "knn", Layer: 3,
	}}
	if diff := cmp.Diff(want, rows); err != nil || diff != "" {
		t.Errorf("splits of other features were taken, or (%v): %s", err, diff)
	}
}

// failing is a writer that has room for some bytes.
type failing struct{ room int }

func (f *failing) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

// TestTablesThatCannotBePrinted are errors, wherever the room ends.
func TestTablesThatCannotBePrinted(t *testing.T) {
	rows := []row{chosen("m-all", "1", "pretrained", 3, 0.6), chosen("m-rotation", "1", "pretrained", 4, 0.5)}
	var whole strings.Builder
	if err := printTables(&whole, rows); err != nil {
		t.Fatal(err)
	}
	for room := 0; room < whole.Len(); room += 97 {
		if err := printTables(&failing{room}, rows); err == nil {
			t.Errorf("with room for %d of %d bytes nothing failed", room, whole.Len())
		}
	}
}

// TestSeeds: experiments made once take the first seed, wherever it comes from.
func TestSeeds(t *testing.T) {
	s := suite{seeds: []string{"7", "8"}}
	if got := s.seedsOf(experiment{}); !slices.Equal(got, s.seeds) {
		t.Errorf("got %v", got)
	}
	if got := s.seedsOf(experiment{}.oneSeed()); !slices.Equal(got, []string{"7"}) {
		t.Errorf("made once: %v", got)
	}
	for grid, want := range map[int]string{0: "", 1: "", 2: "-grid2"} {
		if got := (suite{grid: grid}).reading(); got != want {
			t.Errorf("a grid of %d is %q, want %q", grid, got, want)
		}
	}
}

// TestFailedEvaluation leaves a trained run, which is evaluated the next time without training it again.
func TestFailedEvaluation(t *testing.T) {
	s, log := newSuite(t)
	good, err := os.ReadFile(s.pretrain)
	if err != nil {
		t.Fatal(err)
	}
	broken := regexp.MustCompile(`(?s)eval\)\n.*;;`).ReplaceAllString(string(good), "eval) exit 1 ;;")
	if err := os.WriteFile(s.pretrain, []byte(broken), 0o700); err != nil {
		t.Fatal(err)
	}
	e := together("resnet18", "clothing-resnet18", 20)
	if _, err := s.measure(e, "1"); err == nil {
		t.Fatal("an evaluation that failed passed")
	}
	log()
	if err := os.WriteFile(s.pretrain, good, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.measure(e, "1"); err != nil {
		t.Fatal(err)
	}
	lines := log()
	if len(lines) != 2 || !strings.HasSuffix(lines[0], " --resume") || !strings.HasPrefix(lines[1], "eval ") {
		t.Errorf("asked %q, want to go on and to evaluate", lines)
	}
}
