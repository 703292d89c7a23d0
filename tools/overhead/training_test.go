package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pretrain/metrics"
)

// script is a shell script in place of pretrain. PAGE in it is the address of a page, OUT the directory of the run.
func script(t *testing.T, address, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pretrain")
	head := "#!/bin/sh\nwhile [ \"$1\" != --out ]; do shift; done\nOUT=$2\nmkdir -p $OUT\nPAGE=" + address + "\n"
	if err := os.WriteFile(path, []byte(head+body), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// trains writes a line of metrics every 10 ms, of two steps and 128 pictures, and ends as an interrupted training does.
const trains = `echo '{"time":"2026-01-01T00:00:00Z","message":"training"}' >$OUT/train.log
echo '{"time":"2026-01-01T00:00:10Z","message":"pictures","took":0.5}' >>$OUT/train.log
echo "the page is at $PAGE" >&2
step=0
while [ $step -lt 200 ]; do
	step=$((step + 2))
	now=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
	echo "{\"step\":$step,\"epoch\":0,\"time\":\"$now\",\"pictures\":$((step * 64))}" >>$OUT/metrics.jsonl
	sleep 0.01
done
echo '{"time":"2026-01-01T00:01:40Z","message":"interrupted"}' >>$OUT/train.log
exit 130
`

// TestRun measures a script that stands for a training: pairs are printed, kept, and counted with those of before.
func TestRun(t *testing.T) {
	p := newPage(t, false, "pictures")
	kept := filepath.Join(t.TempDir(), "pairs")
	one := slice{Steps: 1, Pictures: 64, Seconds: 1, Processor: 1}
	earlier := pair{Unseen: one, Seen: one}
	if err := addPairs(kept, []pair{earlier}); err != nil {
		t.Fatal(err)
	}
	o := options{
		pretrain: script(t, p.URL+"/", trains), config: "quickstart", data: "pictures", pairs: kept,
		time: time.Minute, slice: 100 * time.Millisecond, scrape: 10 * time.Millisecond,
	}
	var out bytes.Buffer
	if err := o.run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	pairs, err := readPairs(kept)
	if err != nil || len(pairs) < 2 || pairs[0] != earlier {
		t.Fatalf("%d pairs are kept (%v)", len(pairs), err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if got, want := len(lines), len(pairs)-1+4; got != want {
		t.Errorf("%d lines, want %d: one a new pair, and four of all\n%s", got, want, out.String())
	}
	for _, s := range []slice{pairs[1].Unseen, pairs[1].Seen} {
		if s.Pictures != 64*s.Steps || s.Seconds < 0.1 {
			t.Errorf("%+v is no slice of 64 pictures a step", s)
		}
	}
	want := "pictures for the page: drawn 1 times in 100 s, the first time for 0.50 s, then for 0.0000 of the time"
	if last := lines[len(lines)-1]; last != want {
		t.Errorf("the log says %q, want %q", last, want)
	}
	if p.count("/metrics") == 0 || p.count("/live/pictures.json") == 0 {
		t.Error("nobody looked")
	}
}

// TestTrainingsThatDoNotTrain end the measurement with what they said.
func TestTrainingsThatDoNotTrain(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"fails at once":     {"echo no such folder >&2; exit 2", "ended before it had a page: exit status 2\nno such folder"},
		"ends at once":      {"exit 0", "ended before it had a page: it had nothing more to do"},
		"fails later":       {"echo \"$PAGE\" >&2; sleep 0.1; echo out of memory >&2; exit 1", "ended by itself: exit status 1"},
		"ends by itself":    {"echo \"$PAGE\" >&2", "ended by itself: it had nothing more to do"},
		"writes no metrics": {"echo \"$PAGE\" >&2; echo '{}' >$OUT/train.log; exit 130", "no pair of slices was complete"},
		"writes no log":     {"echo \"$PAGE\" >&2; exit 130", "train.log: no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options{
				pretrain: script(t, newPage(t, false).URL+"/", test.body), data: "pictures",
				time: time.Minute, slice: time.Second, scrape: time.Second,
			}
			err := o.run(t.Context(), io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "%!") {
				t.Errorf("the error is %v, want %q in it", err, test.want)
			}
		})
	}
	o := options{pretrain: "/nowhere/pretrain", data: "d", time: time.Second}
	if err := o.run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "/nowhere/pretrain") {
		t.Errorf("without the program the error is %v", err)
	}
	o.pairs = t.TempDir()
	if err := o.run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), o.pairs) {
		t.Errorf("with a folder for -pairs the error is %v", err)
	}
}

// TestArguments of the training: its own settings come first, so that those of -set win.
func TestArguments(t *testing.T) {
	o, err := parse([]string{"-data", "D", "-config", "C", "-set", "train.threads=1", "-set", "logging.every_steps=4"})
	if err != nil {
		t.Fatal(err)
	}
	got := o.arguments("RUN")
	if want := []string{"train", "C", "--data", "D", "--out", "RUN"}; !slices.Equal(got[:6], want) {
		t.Errorf("%q, want %q first", got, want)
	}
	if want := []string{"--set", "train.threads=1", "--set", "logging.every_steps=4"}; !slices.Equal(got[len(got)-4:], want) {
		t.Errorf("%q, want %q last", got, want)
	}
	if !slices.Contains(got, "metrics.address=127.0.0.1:0") || o.set.String() != "train.threads=1 logging.every_steps=4" {
		t.Errorf("%q of %q", got, o.set.String())
	}
	for _, arguments := range [][]string{
		{"-time", "soon"}, {"-what"}, {"-data", "d", "-scrape", "0s"}, {"-data", "d", "-slice", "2s", "-time", "3s"},
	} {
		if _, err := parse(arguments); err == nil {
			t.Errorf("%q was taken", arguments)
		}
	}
}

// TestListenFindsThePage in whatever line names it, once, and keeps all lines.
func TestListenFindsThePage(t *testing.T) {
	tr := &training{said: &strings.Builder{}, read: make(chan struct{})}
	found := make(chan string, 1)
	text := "reading pictures\nlive page: http://127.0.0.1:4711/ (open it)\nagain http://127.0.0.1:4712/\nhttp://example.org/\n"
	tr.listen(strings.NewReader(text), found)
	if got := <-found; got != "http://127.0.0.1:4711/" || tr.said.String() != text {
		t.Errorf("found %q in %q", got, tr.said)
	}
	select {
	case <-tr.read:
	default:
		t.Error("nobody was told of the end")
	}
}

// TestMarks: records that are found together share what was used until then, of a process that is there.
func TestMarks(t *testing.T) {
	records := []metrics.Record{{Step: 2, Epoch: 1, Pictures: 128}, {Step: 4, Epoch: 1, Pictures: 256}}
	got, err := marks(records, os.Getpid())
	if err != nil || len(got) != 2 {
		t.Fatalf("%d marks, %v", len(got), err)
	}
	if last := got[1]; last.step != 4 || last.pictures != 256 || last.epoch != 1 {
		t.Errorf("%+v is not of the last record", last)
	}
	if got[0].processor != got[1].processor || got[0].watcher <= 0 {
		t.Errorf("%+v: what was used is not shared, or nothing", got)
	}
	const nobody = 1 << 30 // above what Linux gives out
	if _, err := marks(records, nobody); err == nil {
		t.Error("a process that is not there used nothing")
	}
}

// TestLinesEnd with the context, and with the training.
func TestLinesEnd(t *testing.T) {
	tr := &training{directory: t.TempDir(), read: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := tr.lines()(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("with the context: %v", err)
	}
	close(tr.read)
	if _, err := tr.lines()(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("with the training: %v", err)
	}
	tr.directory = filepath.Join(tr.directory, "file")
	if err := os.WriteFile(tr.directory, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.lines()(t.Context()); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("metrics that cannot be read: %v", err)
	}
}

// TestDamagedLogs are named.
func TestDamagedLogs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "train.log")
	if _, err := readDrawings(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a log: %v", err)
	}
	for _, text := range []string{"no JSON", `{"message":"pictures","took":"long"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readDrawings(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", `{"time":"2026-`} { // the last line may be being written
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readDrawings(path); err != nil || got != (drawings{}) {
			t.Errorf("a log of %q: %+v, %v", text, got, err)
		}
	}
}
