package train

import (
	"encoding/json"
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

func TestABarWithFourTasksFitsALine(t *testing.T) {
	out := &console{}
	p := &progress{console: out}
	p.begin(fourTasks, Position{Steps: 1_000_000}, true)
	for step := 1; step <= 3; step++ {
		p.drawn = time.Time{}
		if err := p.AfterStep(t.Context(), slowReport(step)); err != nil {
			t.Fatal(err)
		}
	}
	p.end()
	escape := regexp.MustCompile("\x1b\\[[0-9]*[A-Za-z]")
	widest := ""
	for line := range strings.FieldsFuncSeq(escape.ReplaceAllString(out.text.String(), ""), func(r rune) bool { return r == '\r' || r == '\n' }) {
		if utf8.RuneCountInString(line) > utf8.RuneCountInString(widest) {
			widest = line
		}
	}
	if width := utf8.RuneCountInString(widest); width > 79 {
		t.Errorf("the bar has %d columns: %q", width, widest)
	}
	for _, part := range []string{"12500 pictures/s", "ETA 22h", "col 2.3", "pat 2.3", "rel 2.3", "rot 2.3"} {
		if !strings.Contains(widest, part) {
			t.Errorf("%q does not tell %q", widest, part)
		}
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

func TestRoughly(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0s", 59.4: "59s", 59.6: "1m00s", 3599: "59m59s", 3600: "1h00m", 95000: "26h23m"} {
		if got := roughly(seconds); got != want {
			t.Errorf("%g seconds: %q, want %q", seconds, got, want)
		}
	}
}

func TestShortNamesStayDifferent(t *testing.T) {
	for _, test := range [][2][]string{
		{fourTasks, {"col", "pat", "rel", "rot"}},
		{{"patch_location", "patch_order", "ab"}, {"patch_l", "patch_o", "ab"}},
		{{"patch", "patches"}, {"patch", "patche"}},
	} {
		if got := shortNames(test[0]); !slices.Equal(got, test[1]) {
			t.Errorf("%v became %v, want %v", test[0], got, test[1])
		}
	}
}

// TestLogGoesToConsoleAndFile: for people without date and braces, for machines as JSON; what was said before the file
// was opened is in it too.
func TestLogGoesToConsoleAndFile(t *testing.T) {
	out, file := &console{}, &lateFile{}
	log, err := newLogger(LoggingConfig{Level: "info"}, "r1", out, file)
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
	if _, err := newLogger(LoggingConfig{Level: "loud"}, "r1", out, file); err == nil || !strings.Contains(err.Error(), "loud") {
		t.Errorf("an unknown level gives %v", err)
	}
}
