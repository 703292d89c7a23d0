package main

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"
)

// TestMediansReference holds medians against gonum's, which interpolates between the two in the middle.
func TestMediansReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Float64Range(0, 1e3), 1, 9).Draw(t, "numbers")
		var results []result
		for _, v := range numbers {
			results = append(results, result{ImagesPerSecond: v, PeakRSSBytes: 1e3 - v})
		}
		slices.Sort(numbers)
		want := numbers[len(numbers)/2]
		if len(numbers)%2 == 0 {
			want = stat.Mean(numbers[len(numbers)/2-1:][:2], nil)
		}
		got := medians(results)
		if math.Abs(got.ImagesPerSecond-want) > 1e-9 || math.Abs(got.PeakRSSBytes-(1e3-want)) > 1e-9 {
			t.Errorf("medians %+v, want %g", got, want)
		}
		for _, r := range results {
			if math.Abs(r.ImagesPerSecond+r.PeakRSSBytes-1e3) > 1e-9 {
				t.Fatal("the numbers of a result were sorted apart")
			}
		}
	})
}

// TestLines: what was not measured is a dash on its side and in the ratio, and has no other influence.
func TestLines(t *testing.T) {
	ours := result{Batch: 8, ImagesPerSecond: 100.04, PeakRSSBytes: 2.5e9, ShareOfPeak: 0.876}
	peer := result{Batch: 8, ImagesPerSecond: 40, PeakRSSBytes: 5e9}
	disturbed := peer
	disturbed.Disturbed = true
	for _, test := range []struct {
		ours, peers []result
		want        string
	}{
		{[]result{ours}, []result{peer}, "| m, 8 | train | fp32 | 100.0 | 88 % | 40.0 | 2.50 | 2500 MB | 5000 MB | 0.50 |\n"},
		{
			[]result{ours}, []result{disturbed, peer},
			"| m, 8 | train | fp32 | 100.0 | 88 % | 40.0 | 2.50 (disturbed) | 2500 MB | 5000 MB | 0.50 |\n",
		},
		{nil, []result{peer}, "| m, 8 | train | fp32 | – | – | 40.0 | – | – | 5000 MB | – |\n"},
		{[]result{ours}, nil, "| m, 8 | train | fp32 | 100.0 | 88 % | – | – | 2500 MB | – | – |\n"},
		{nil, nil, "| m, 0 | train | fp32 | – | – | – | – | – | – | – |\n"},
	} {
		p := &pair{model: "m", mode: "train", precision: "fp32", ours: test.ours, peers: test.peers}
		if got := p.line(); got != test.want {
			t.Errorf("got  %swant %s", got, test.want)
		}
		if bars := strings.Count(p.line(), "|"); bars != strings.Count(strings.Split(heading("1"), "\n")[0], "|") {
			t.Errorf("%d bars in %s", bars, p.line())
		}
	}
}

// TestPairsInOrder: models, then modes, then precisions, and pretext by its training alone.
func TestPairsInOrder(t *testing.T) {
	var got []string
	for _, p := range pairs(options{
		models: []string{"pretext", "resnet50"}, modes: []string{"features", "train"}, precisions: []string{"bf16", "fp32"},
	}) {
		got = append(got, p.model+" "+p.mode+" "+p.precision)
	}
	want := []string{
		"pretext train bf16", "pretext train fp32", "resnet50 features bf16", "resnet50 features fp32",
		"resnet50 train bf16", "resnet50 train fp32",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestMessagesOfFailures name the row, the side and what it said; only the exit code of bad usage means a dash.
func TestMessagesOfFailures(t *testing.T) {
	good := program(t, `echo '{"rows":[{"batch":1,"images_per_second":1}]}'`)
	for _, test := range []struct {
		name           string
		pretrain, peer string
		wants          []string
	}{
		{"a crash of ours", program(t, "echo out of memory >&2; exit 1"), good, []string{"bf16: exit status 1", "out of memory"}},
		{"no rows", program(t, `echo '{"rows":[]}'`), good, []string{"wrote 0 rows, want 1"}},
		{"two rows", program(t, `echo '{"rows":[{},{}]}'`), good, []string{"wrote 2 rows, want 1"}},
		{"no JSON", program(t, "echo fast"), good, []string{"wrote 0 rows", "invalid character"}},
		{"no program", "/nowhere/pretrain", good, []string{"/nowhere/pretrain"}},
		{"bad usage of the peer", good, program(t, "echo no such model >&2; exit 2"), []string{"exit status 2", "no such model"}},
		{"no result of the peer", good, program(t, "echo 12"), []string{"peer.py wrote no result"}},
		{"no peer", good, "/nowhere/python3", []string{"/nowhere/python3"}},
	} {
		o := options{pretrain: test.pretrain, python: test.peer, peer: "peer.py", repetitions: 1, threads: 1, seconds: 1}
		err := (&pair{model: "m", mode: "train", precision: "bf16"}).measure(t.Context(), o)
		for _, want := range append(test.wants, "m, train, bf16: ") {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error is %v, want %q in it", test.name, err, want)
			}
		}
		if errors.Is(err, errUnavailable) {
			t.Errorf("%s passes for what is not available", test.name)
		}
	}
}

// TestCompareStops at the first row that fails, with the rows before it printed, and where nobody reads.
func TestCompareStops(t *testing.T) {
	count := filepath.Join(t.TempDir(), "count")
	o := options{
		pretrain: program(t, `echo x >>`+count+`
[ $(wc -l <`+count+`) -lt 2 ] || exit 1
echo '{"rows":[{"batch":1,"images_per_second":1}]}'`),
		python: program(t, `case "$*" in *torch.__version__*) echo 2.0;; *) echo '{"batch":1,"images_per_second":1}';; esac`),
		models: []string{"a", "b", "c"}, modes: []string{"train"}, precisions: []string{"fp32"},
		repetitions: 1, threads: 1, seconds: 1,
	}
	var text strings.Builder
	err := compare(t.Context(), &text, o)
	if err == nil || !strings.Contains(err.Error(), "b, train, fp32") || strings.Count(text.String(), "\n") != 3 {
		t.Errorf("got %v after\n%s", err, text.String())
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("SKIPPED: there is no /dev/full")
	}
	defer full.Close()
	if err := compare(t.Context(), full, o); err == nil {
		t.Error("a table that was not written is no error")
	}
}

// TestCompareEnds with its context: programs that run are stopped.
func TestCompareEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	started := filepath.Join(t.TempDir(), "started")
	o := options{
		pretrain: program(t, `touch `+started+`; exec sleep 600`), python: program(t, "echo 2.0"),
		models: []string{"a"}, modes: []string{"train"}, precisions: []string{"fp32"}, repetitions: 1, threads: 1, seconds: 1,
	}
	ended := make(chan error)
	go func() { ended <- compare(ctx, &strings.Builder{}, o) }()
	for {
		if _, err := os.Stat(started); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v", err)
	}
}
