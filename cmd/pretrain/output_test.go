package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pretrain/history"
	"pretrain/metrics"
)

// fullDisk is an output that has room for some bytes.
type fullDisk struct {
	room int
	bytes.Buffer
}

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.room {
		n := d.room
		d.room = 0
		d.Buffer.Write(p[:n])
		return n, errBroken
	}
	d.room -= len(p)
	return d.Buffer.Write(p)
}

// TestADiskThatFillsUp: wherever in its output it happens, the command fails and says so; with just enough room it does not.
func TestADiskThatFillsUp(t *testing.T) {
	dir := shelf(t)
	finished, long := filepath.Join(dir, "finished"), filepath.Join(dir, "group", "a-run-with-a-name-that-no-table-has-room-for")
	for _, words := range [][]string{
		{"runs", dir}, {"runs", dir, "--json"}, {"compare", finished, long}, {"compare", finished, long, "--json"}, {"watch", finished, "--once"},
		{"watch", finished}, {"report", finished}, {"tasks"}, {"backbones"}, {"version"}, {"config", "show", "quickstart"}, {"config", "schema"},
		{"config", "check", "quickstart"},
	} {
		_, whole, _ := call(nil, words...)
		for _, room := range []int{0, 1, len(whole) / 3, len(whole) / 2, len(whole) - 1, len(whole)} {
			var stderr bytes.Buffer
			out := &fullDisk{room: room}
			code := execute(program{arguments: words, stdout: out, stderr: &stderr})
			want := exitFailure
			if room == len(whole) {
				want = exitSuccess
			}
			if code != want || (code == exitFailure) != strings.Contains(stderr.String(), errBroken.Error()) {
				t.Errorf("%q with room for %d of %d bytes: exit code %d, want %d\n%s", words, room, len(whole), code, want, stderr.String())
			}
		}
	}
}

// TestEveryFlagIsChecked: of every command, flags that do not exist, values of the wrong type, required flags that are left
// out and arguments too many are usage errors that name what is wrong, and nothing is written.
func TestEveryFlagIsChecked(t *testing.T) {
	t.Chdir(t.TempDir())
	everyCommand(t, func(t *testing.T, command *cobra.Command) {
		words := strings.Fields(command.CommandPath())[1:]
		if len(words) == 0 {
			return
		}
		refused := func(want string, more ...string) {
			t.Helper()
			code, stdout, stderr := call(nil, append(slices.Clone(words), more...)...)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, want) || !strings.Contains(stderr, "--help") {
				t.Errorf("%q: exit code %d, %q is not in\n%s%s", more, code, want, stdout, stderr)
			}
		}
		refused("unknown flag: --no-such-flag", "--no-such-flag")
		command.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			switch flag.Value.Type() {
			case "int", "uint64", "float64", "duration":
				refused(fmt.Sprintf("invalid argument %q for", "many"), "--"+flag.Name, "many")
			case "bool":
				refused(fmt.Sprintf("invalid argument %q for", "perhaps"), "--"+flag.Name+"=perhaps")
			default:
				refused("flag needs an argument: --"+flag.Name, "--"+flag.Name)
			}
		})
		if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
			t.Errorf("left are %v (%v)", left, err)
		}
	})
	for name, words := range map[string][]string{
		"out": {"map", "run", "--data", "x"}, "data": {"dedupe", "run"}, "index": {"search", "run", "--query", "x"}, "test": {"eval", "run", "--train", "x"},
		"train": {"eval", "run", "--test", "x"},
	} {
		expect(t, exitUsage, []string{fmt.Sprintf("required flag(s) %q not set", name)}, words...)
	}
}

// keysOf are the names at the first level of JSON.
func keysOf(t *testing.T, text string) []string {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return slices.Sorted(maps.Keys(object))
}

// TestShapesOfJSON: programs read these by their names; a name that is gone or another breaks them.
func TestShapesOfJSON(t *testing.T) {
	dir := shelf(t)
	finished, torn := filepath.Join(dir, "finished"), filepath.Join(dir, "torn")
	_, stdout, _ := call(nil, "compare", finished, torn, "--json")
	if got := keysOf(t, stdout); !slices.Equal(got, []string{"names", "problems", "results", "settings", "surroundings", "weights"}) {
		t.Errorf("compare has %q", got)
	}
	_, stdout, _ = call(nil, "runs", dir, "--json")
	var runs []json.RawMessage
	if err := json.Unmarshal([]byte(stdout), &runs); err != nil || len(runs) != 3 {
		t.Fatalf("%v: %s", err, stdout)
	}
	want := []string{"backbone", "best_probe", "epoch", "loss", "name", "pictures_per_second", "seconds", "state", "step", "steps", "tasks"}
	if got := keysOf(t, string(runs[0])); !slices.Equal(got, want) {
		t.Errorf("a run has %q, want %q", got, want)
	}
	put(t, filepath.Join(torn, "metrics.jsonl"), []byte("rubbish\n"))
	_, stdout, _ = call(nil, "runs", torn, "--json")
	if !strings.Contains(stdout, `"loss": null`) || !strings.Contains(stdout, `"pictures_per_second": null`) || strings.Contains(stdout, "NaN") {
		t.Errorf("what is not known is no null in\n%s", stdout)
	}
}

// TestWordsAboutWeights: equal, different with and without a reason, and not compared.
func TestWordsAboutWeights(t *testing.T) {
	many := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for want, same := range map[string]history.SameWeight{
		"The weights of A and B were not compared: the runs have?none.":                                                  {Note: "the runs have\nnone"},
		"A and B have the same weights, byte for byte (7 tensors of the checkpoints of step 9).":                         {Compared: true, Equal: true, Tensors: 7, What: "checkpoints of step 9"},
		"A and B differ in 3 of 7 tensors of the exported backbones, and nothing that is recorded explains it.":          {Compared: true, Tensors: 7, Different: 3, What: "exported backbones"},
		"A and B differ in 3 of 7 tensors of the exported backbones; what may explain it: train.seed, kernels.":          {Compared: true, Tensors: 7, Different: 3, What: "exported backbones", Because: []string{"train.seed", "kernels"}},
		"A and B differ in 3 of 7 tensors of the exported backbones; what may explain it: a, b, c, d, e, f.":             {Compared: true, Tensors: 7, Different: 3, What: "exported backbones", Because: many[:6]},
		"A and B differ in 3 of 7 tensors of the exported backbones; what may explain it: a, b, c, d, e and 3 more.":     {Compared: true, Tensors: 7, Different: 3, What: "exported backbones", Because: many},
		"A and B differ in 1 of 7 tensors of the checkpoints of step 9; what may explain it: tasks.colour?ization.loss.": {Compared: true, Tensors: 7, Different: 1, What: "checkpoints of step 9", Because: []string{"tasks.colour\x1bization.loss"}},
	} {
		if got := weightsText("A", "B", same); got != want {
			t.Errorf("got\n%s, want\n%s", got, want)
		}
	}
}

func TestNumbersOfResults(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0", 12: "12", -3: "-3", 0.123456: "0.1235", 1234.56: "1234.6", 1e15: "1000000000000000.0", 1e-9: "1e-09", math.Inf(1): "+Inf", 999.99: "1000",
	} {
		if got := resultText(metrics.Number(value)); got != want {
			t.Errorf("%g is written %q, want %q", value, got, want)
		}
	}
	if got := resultText(metrics.Number(math.NaN())); got != "-" {
		t.Errorf("what is not known is written %q", got)
	}
}

// TestCellsOfRuns: what is not known is a dash, in every column.
func TestCellsOfRuns(t *testing.T) {
	now := time.Now()
	known := history.Summary{
		Step: 5, Steps: 10, Loss: 2.5, Tasks: map[string]metrics.Task{"rotation": {Loss: 1.25}, "colour\x1b": {Loss: metrics.Number(math.NaN())}},
		Probe: &history.BestProbe{Probe: "knn", Accuracy: 0.5}, PicturesPerSecond: 99.6,
		Checkpoint: &history.LastCheckpoint{Step: 4, Written: now.Add(-90 * time.Minute)},
	}
	nan := metrics.Number(math.NaN())
	for name, test := range map[string]struct {
		summary history.Summary
		want    []string
	}{
		"known":       {known, []string{"5/10", "col NaN rot 1.25", "2.50", "0.500 knn", "100", "4, 1h"}},
		"unknown":     {history.Summary{Loss: nan, PicturesPerSecond: nan}, []string{"-", "-", "-", "-", "-", "-"}},
		"future":      {history.Summary{Checkpoint: &history.LastCheckpoint{Step: 1, Written: now.Add(time.Hour)}}, []string{"-", "-", "-", "-", "0", "1, 0s"}},
		"before one":  {history.Summary{Steps: 7, PicturesPerSecond: nan}, []string{"0/7", "-", "-", "-", "-", "-"}},
		"odd probe":   {history.Summary{Probe: &history.BestProbe{Probe: "k\nn", Accuracy: nan}, PicturesPerSecond: nan}, []string{"-", "-", "-", "NaN k?n", "-", "-"}},
		"no progress": {history.Summary{Step: 3, PicturesPerSecond: 0}, []string{"-", "-", "-", "-", "0", "-"}},
	} {
		s := test.summary
		got := []string{stepsText(s), lossesText(s, true), lossesText(s, false), probeText(s.Probe), rateText(s.PicturesPerSecond), ageText(s.Checkpoint, now)}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestManyRunsAreCompared: thirty runs have letters of their own and are all told of, in lines that a terminal shows.
func TestManyRunsAreCompared(t *testing.T) {
	dir := t.TempDir()
	words := []string{"compare"}
	for i := range 30 {
		run := filepath.Join(dir, fmt.Sprintf("run%02d", i))
		put(t, filepath.Join(run, "run.json"), []byte(`{"state":"finished"}`))
		put(t, filepath.Join(run, "config.resolved.yaml"), fmt.Appendf(nil, "train: {seed: %d, note: \"\x1b[2J\"}\n", i))
		words = append(words, run)
	}
	stdout := expect(t, exitSuccess, []string{"A  " + filepath.Join(dir, "run00"), "Z  ", "D1  " + filepath.Join(dir, "run29"), "COMPUTED WITH: no differences"}, words...)
	if strings.Contains(stdout, "\x1b") || strings.Count(stdout, "were not compared") != 29 {
		t.Errorf("got\n%s", stdout)
	}
	same := expect(t, exitSuccess, []string{"CONFIGURATION: no differences", "COMPUTED WITH: no differences"}, "compare", words[1], words[1])
	if strings.Contains(same, "train.seed") {
		t.Errorf("a run differs from itself:\n%s", same)
	}
}

// interrupting is standard error of somebody who presses Ctrl-C at the first line.
type interrupting struct {
	bytes.Buffer
	t    *testing.T
	sent bool
}

func (i *interrupting) Write(p []byte) (int, error) {
	if !i.sent {
		i.sent = true
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			i.t.Error(err)
		}
		time.Sleep(200 * time.Millisecond) // until it is caught
	}
	return i.Buffer.Write(p)
}

// TestCtrlCEndsTheReaders: commands that read pictures end with 130, say what stopped them, and leave no half files.
func TestCtrlCEndsTheReaders(t *testing.T) {
	directory, data := trained(t)
	out := filepath.Join(t.TempDir(), "out.html")
	query := first(t, data)
	for _, words := range [][]string{
		{"search", directory, "--index", data, "--query", query, "-k", "1"}, {"search", directory, "--index", data, "--query", query, "-k", "1", "--html", out},
		{"dedupe", directory, "--data", data}, {"map", directory, "--data", data, "--out", out, "--neighbours", "2"},
	} {
		var stdout bytes.Buffer
		stderr := &interrupting{t: t}
		code := execute(program{arguments: words, stdout: &stdout, stderr: stderr})
		if code != exitSignal+int(syscall.SIGINT) || stdout.Len() > 0 {
			t.Errorf("%q: exit code %d\n%s%s", words, code, stdout.String(), stderr.String())
		}
		if said := stderr.String(); !strings.Contains(said, "pretrain: stopped by SIGINT\n") || strings.Contains(said, "context canceled") {
			t.Errorf("%q: said was\n%s", words, said)
		}
		for _, left := range []string{filepath.Dir(out), filepath.Join(directory, "search")} {
			if entries, err := os.ReadDir(left); len(entries) > 0 {
				t.Errorf("%q: left are %v (%v)", words, entries, err)
			}
		}
	}
}
