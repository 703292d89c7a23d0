package train

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
)

var fourTasks = []string{"colorization", "patch_location", "relative_position", "rotation"}

// slowReport is a step of a long run: its line is as wide as lines become.
func slowReport(step int) StepReport {
	report := StepReport{Position: Position{Step: step, Steps: 1_000_000}, Pictures: 1000, Duration: 80 * time.Millisecond}
	for range fourTasks {
		report.Tasks = append(report.Tasks, TaskResult{Loss: 2.34})
	}
	return report
}

// widestBar is the widest line that a bar has drawn, without what steers the cursor.
func widestBar(drawn string) string {
	escape := regexp.MustCompile("\x1b\\[[0-9]*[A-Za-z]")
	widest := ""
	for line := range strings.FieldsFuncSeq(escape.ReplaceAllString(drawn, ""), func(r rune) bool { return r == '\r' || r == '\n' }) {
		if utf8.RuneCountInString(line) > utf8.RuneCountInString(widest) {
			widest = line
		}
	}
	return widest
}

// TestTheBarFitsItsTerminal: the line leaves the last column free and says as much as fits; nothing in it is a colour.
func TestTheBarFitsItsTerminal(t *testing.T) {
	similar := []string{"relative_patch_location", "relative_patch_order", "relative_patch_size", "rotation"}
	long := 9 * 24 * time.Hour / 1_000_000
	for name, test := range map[string]struct {
		names    []string
		columns  int
		loss     float64
		duration time.Duration
		want     []string
	}{
		"four tasks":    {fourTasks, 80, 2.34, 80 * time.Millisecond, []string{"12500 pictures/s", "ETA 22h", "col 2.3", "pat 2.3", "rel 2.3", "rot 2.3"}},
		"unknown width": {fourTasks, 0, 2.34, 80 * time.Millisecond, []string{"12500 pictures/s", "rot 2.3"}},
		"diverged":      {fourTasks, 80, 1.5e38, time.Millisecond, []string{"1000000/s ETA 16m", "col 2e+38", "rot 2e+38"}},
		"not a number":  {fourTasks, 80, math.NaN(), long, []string{"pictures/s ETA 8d23h", "col NaN", "rot NaN"}},
		"large losses":  {fourTasks, 80, 54321, long, []string{"1286/s ETA 8d23h", "col 5e+04", "rot 5e+04"}},
		"similar names": {similar, 80, 2.5, 80 * time.Millisecond, []string{"12500/s ETA 22h", "loss 10.00"}},
		"wide":          {similar, 150, 2.5, 80 * time.Millisecond, []string{"12500 pictures/s", "relative_patch_l 2.5", "rot 2.5"}},
		"narrow":        {fourTasks, 50, 2.5, 80 * time.Millisecond, []string{"12500/s ETA 22h", "loss 10.00"}},
		"very narrow":   {fourTasks, 30, 2.5, 80 * time.Millisecond, []string{"12500/s ETA"}},
		"absurd":        {fourTasks, 12, 2.5, 80 * time.Millisecond, []string{"0%"}},
	} {
		t.Run(name, func(t *testing.T) {
			out := &console{}
			p := &progress{console: out, columns: func() int { return test.columns }}
			p.begin(test.names, Position{Steps: 1_000_000}, true)
			for step := 1; step <= 3; step++ {
				p.drawn = time.Time{}
				report := slowReport(step)
				report.Duration = test.duration
				for i := range report.Tasks {
					report.Tasks[i].Loss = test.loss
				}
				if err := p.AfterStep(t.Context(), report); err != nil {
					t.Fatal(err)
				}
			}
			p.end()
			line, most := widestBar(out.text.String()), max(test.columns, 17) // a bar takes 16 columns, whatever there is
			if test.columns == 0 {
				most = 80
			}
			if width := utf8.RuneCountInString(line); width >= most {
				t.Errorf("the bar has %d of %d columns: %q", width, most, line)
			}
			for _, part := range test.want {
				if !strings.Contains(line, part) {
					t.Errorf("%q does not tell %q", line, part)
				}
			}
			if colour := regexp.MustCompile("\x1b\\[[0-9;]*m"); colour.MatchString(out.text.String()) {
				t.Errorf("the bar is coloured: %q", out.text.String())
			}
		})
	}
}

// TestLinesWithoutATerminal: the last step gets a line with whole names; steps in quick succession get none.
func TestLinesWithoutATerminal(t *testing.T) {
	out := &console{}
	p := &progress{console: out}
	p.begin(fourTasks, Position{}, false)
	last := slowReport(3)
	last.Position.Steps = 3
	for _, report := range []StepReport{slowReport(1), slowReport(2), last} {
		if err := p.AfterStep(t.Context(), report); err != nil {
			t.Fatal(err)
		}
	}
	p.end()
	const want = "step 3/3  12500 pictures/s ETA 0s colorization 2.34 patch_location 2.34 relative_position 2.34 rotation 2.34\n"
	if got := out.text.String(); got != want {
		t.Errorf("got %q", got)
	}
}

// TestLogLinesStandAboveTheBar: a line of the log is whole, on a line of its own.
func TestLogLinesStandAboveTheBar(t *testing.T) {
	out := &console{}
	p := &progress{console: out}
	p.begin(fourTasks, Position{Steps: 10}, true)
	p.drawn = time.Time{}
	if err := p.AfterStep(t.Context(), slowReport(1)); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Write([]byte("a line of the log\n")); n != 18 || err != nil {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	p.end()
	const clearLine = "\x1b[2K\r"
	if !strings.Contains(out.text.String(), clearLine+"a line of the log\n") {
		t.Errorf("got %q", out.text.String())
	}
}

// TestLogGoesToConsoleAndFile: for people without date and braces, for machines as JSON; what was said before the file
// was opened is in it too.
func TestLogGoesToConsoleAndFile(t *testing.T) {
	out, file := &console{}, &lateFile{}
	log, err := newLogger(LoggingConfig{Level: "info"}, "r1", out, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "train.log")
	log.Info("early", zap.Int("step", 1))
	if err := file.open(path); err != nil {
		t.Fatal(err)
	}
	log.Debug("too detailed")
	log.Warn("late")
	file.close()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	for line := range strings.Lines(string(content)) {
		var entry struct{ Message, Level, Time, Run string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, err := time.Parse(time.RFC3339Nano, entry.Time); err != nil {
			t.Error(err)
		}
		messages = append(messages, entry.Run+" "+entry.Level+" "+entry.Message)
	}
	if !slices.Equal(messages, []string{"r1 info early", "r1 warn late"}) {
		t.Errorf("the file has %q", messages)
	}
	if got := out.text.String(); !regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d  info  early  \{"step": 1\}$`).MatchString(got) {
		t.Errorf("the console shows %q", got)
	}
	if _, err := newLogger(LoggingConfig{Level: "loud"}, "r1", out, file, nil); err == nil || !strings.Contains(err.Error(), "loud") {
		t.Errorf("an unknown level gives %v", err)
	}
}
