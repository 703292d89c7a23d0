package terminal

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// work shows some pictures a second for so many seconds, from a count on, and returns what stands on the console.
func work(p *Progress, from, total, speed int, seconds float64) string {
	var console strings.Builder
	now := time.Unix(1000, 0)
	p.Console, p.Now = &console, func() time.Time { return now }
	p.Show(from, total)
	const step = 100 * time.Millisecond
	for passed := step; passed.Seconds() <= seconds+1e-9; passed += step {
		now = time.Unix(1000, 0).Add(passed)
		p.Show(min(total, from+int(passed.Seconds()*float64(speed)+0.5)), total)
	}
	return console.String()
}

// TestProgressInLines: one line in ten seconds, with the speed of what was done since the start; the end has a line only where
// one stood before, so that short work is silent.
func TestProgressInLines(t *testing.T) {
	for name, test := range map[string]struct {
		from, total, speed int
		seconds            float64
		want               string
	}{
		"short":     {0, 90, 10, 9, ""},
		"none":      {0, 0, 0, 0, ""},
		"all there": {50, 50, 0, 0, ""},
		"long": {0, 25000, 1000, 25, "pictures 10000/25000  1000 pictures/s ETA 15s\n" +
			"pictures 20000/25000  1000 pictures/s ETA 5s\npictures 25000/25000  1000 pictures/s ETA 0s\n"},
		"stopped":    {0, 9000, 2, 19, "pictures 20/9000  2 pictures/s ETA 1h14m\n"},
		"gone on":    {40_000, 100_000, 600, 12, "pictures 46000/100000  600 pictures/s ETA 1m30s\n"},
		"stuck":      {7, 100, 0, 10, "pictures 7/100  0 pictures/s ETA unknown\n"},
		"very large": {0, 1 << 40, 100, 10, "pictures 1000/1099511627776  100 pictures/s ETA 127258d06h\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, work(&Progress{}, test.from, test.total, test.speed, test.seconds)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestProgressTwice: the pictures of a second count begin at nothing, with a silence of their own.
func TestProgressTwice(t *testing.T) {
	p := &Progress{}
	if got := work(p, 0, 1200, 100, 12); strings.Count(got, "\n") != 2 {
		t.Errorf("the first count printed %q", got)
	}
	if got := work(p, 0, 50, 10, 5); got != "" {
		t.Errorf("the second count printed %q", got)
	}
}

var escapes = regexp.MustCompile("\x1b\\[[0-9]*[A-Za-z]")

// drawnLines are the states of a bar's line.
func drawnLines(console string) []string {
	return strings.FieldsFunc(escapes.ReplaceAllString(console, ""), func(r rune) bool { return r == '\r' || r == '\n' })
}

// TestProgressAsABar: a line at once, five a second, nothing left at the end or when it is stopped, and never a new line.
func TestProgressAsABar(t *testing.T) {
	for _, seconds := range []float64{4, 2} {
		p := &Progress{Bar: true}
		console := work(p, 100, 500, 100, seconds)
		before := console
		if seconds == 2 {
			p.End()
			if console = p.Console.(*strings.Builder).String(); console == before {
				t.Error("a bar that is stopped stays")
			}
		}
		lines := drawnLines(console)
		if len(lines) < int(seconds*5) || !strings.Contains(lines[0], "120/500 pictures 100/s ETA 4s") {
			t.Errorf("drew %d lines, the first %q", len(lines), lines[:min(1, len(lines))])
		}
		if strings.Contains(console, "\n") || !strings.HasSuffix(console, "\x1b[2K\r") {
			t.Errorf("the end of the bar is %q", console[max(0, len(console)-40):])
		}
	}
}

// TestBarFits: whatever the counts and the terminal, the line leaves the last column free.
func TestBarFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(0, 200).Draw(t, "columns")
		p := &Progress{Bar: true, Columns: func() int { return columns }}
		total := rapid.IntRange(1, 1<<50).Draw(t, "total")
		console := work(p, 0, total, rapid.IntRange(0, 1<<40).Draw(t, "speed"), 0.5)
		most := columns
		if columns == 0 {
			most = usualColumns
		}
		for _, line := range drawnLines(console) {
			if width := Width(line); width >= max(most, barColumns+1) {
				t.Fatalf("the bar has %d of %d columns: %q", width, most, line)
			}
		}
	})
}
