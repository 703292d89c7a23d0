package watch

import (
	"fmt"
	"math"
	"strings"
	"time"

	"pretrain/history"
	"pretrain/internal/terminal"
	"pretrain/train"
)

// Style says how a view is drawn.
type Style struct {
	Columns int  // no line is wider
	Colour  bool // bold, red, yellow and green may be used
}

// Codes of ANSI terminals.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s Style) paint(code, text string) string {
	if !s.Colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

var stateColours = map[string]string{
	train.StateRunning: green, train.StateFinished: green, train.StateImported: green, train.StateInterrupted: yellow, history.StateStopped: yellow,
	history.StateKilled: red, train.StateFailed: red, history.StateBroken: red,
}

// Lines draws a view.
func (s Style) Lines(v View, now time.Time) []string {
	s.Columns = max(s.Columns, 1)
	lines := []string{s.head(v), s.progress(v, now), ""}
	lines = append(lines, s.table(v.Measure)...)
	if len(v.Measure) == 0 {
		lines = append(lines, s.cut("nothing was measured yet"))
	}
	lines = append(lines, "")
	if v.Checkpoint != "" {
		lines = append(lines, s.cut("checkpoint  "+v.Checkpoint))
	}
	if v.Why != "" {
		lines = append(lines, s.paint(stateColours[v.State], s.cut(v.State+": "+v.Why)))
	}
	for _, note := range v.Notes {
		lines = append(lines, s.paint(yellow, s.cut(note)))
	}
	return lines
}

func (s Style) cut(text string) string { return terminal.Shorten(terminal.Clean(text), s.Columns) }

// head is title, state and what the run is, as far as they fit: of the title the middle goes first.
func (s Style) head(v View) string {
	about := "  " + terminal.Clean(v.About)
	room := s.Columns - terminal.Width(v.State) - 2
	if v.About == "" || room-terminal.Width(about) < 12 {
		about = ""
	}
	title := terminal.Shorten(terminal.Clean(v.Title), max(0, room-terminal.Width(about)))
	if room < 1 {
		return s.cut(v.State)
	}
	return s.paint(bold, title) + "  " + s.paint(stateColours[v.State], v.State) + about
}

// progress is a bar between the numbers, as wide as there is room for.
func (s Style) progress(v View, now time.Time) string {
	var parts []string
	if v.Steps[1] > 0 {
		parts = append(parts, fmt.Sprintf("step %d/%d", v.Steps[0], v.Steps[1]))
	}
	if !math.IsNaN(v.Done) {
		parts = append(parts, fmt.Sprintf("%.1f %%", 100*v.Done))
	}
	if v.Epoch != "" {
		parts = append(parts, "epoch "+v.Epoch)
	}
	if !math.IsNaN(v.Left) && !v.Ended {
		parts = append(parts, "ETA "+terminal.Duration(v.Left))
	}
	if !v.Sign.IsZero() {
		parts = append(parts, "last sign "+terminal.Age(now.Sub(v.Sign).Seconds())+" ago")
	}
	text := strings.Join(parts, "  ")
	width := min(30, s.Columns-terminal.Width(text)-4)
	if width >= 5 && !math.IsNaN(v.Done) {
		full := int(math.Round(min(max(v.Done, 0), 1) * float64(width)))
		text = "[" + strings.Repeat("#", full) + strings.Repeat("-", width-full) + "]  " + text
	}
	return s.cut(text)
}

// narrowestCurve is the least that a curve is drawn in, widestCurve the most.
const (
	narrowestCurve = 8
	widestCurve    = 60
)

// table has a line a measure: name, value, curve, and beside it as much as fits all lines.
func (s Style) table(all []Measure) []string {
	names, values, most, longest := 0, 0, 0, narrowestCurve
	for _, m := range all {
		names, values = max(names, terminal.Width(terminal.Clean(m.Name))), max(values, len(m.Value))
		most, longest = max(most, len(m.Beside)), max(longest, len(m.Past))
	}
	names = min(names, max(3, s.Columns/3))
	beside, width := 0, 0
	for shown := most; shown >= 0; shown-- { // fewer words before a curve too narrow to read
		width = besideWidth(all, shown)
		if beside = shown; s.Columns-names-values-width-6 >= narrowestCurve {
			break
		}
	}
	curve := min(widestCurve, longest, s.Columns-names-values-width-6)
	var lines []string
	for _, m := range all {
		line := terminal.Pad(terminal.Shorten(terminal.Clean(m.Name), names), names) + "  " + fmt.Sprintf("%*s", values, m.Value)
		if curve >= narrowestCurve {
			line += "  " + terminal.Pad(terminal.Sparkline(m.Past, curve), curve)
		}
		line = terminal.Cut(strings.TrimRight(line+"  "+besideText(m, beside), " "), s.Columns)
		if m.Alarm {
			line = s.paint(red, line)
		}
		lines = append(lines, line)
	}
	return lines
}

func besideText(m Measure, shown int) string {
	return terminal.Clean(strings.Join(m.Beside[:min(shown, len(m.Beside))], "  "))
}

func besideWidth(all []Measure, shown int) int {
	width := 0
	for _, m := range all {
		width = max(width, terminal.Width(besideText(m, shown)))
	}
	return width
}

// Line is a view in one line, for a log.
func (v View) Line() string {
	parts := []string{v.State}
	if v.Steps[1] > 0 {
		parts = append(parts, fmt.Sprintf("step %d/%d", v.Steps[0], v.Steps[1]))
	} else if !math.IsNaN(v.Done) {
		parts = append(parts, fmt.Sprintf("%.1f %%", 100*v.Done))
	}
	if !math.IsNaN(v.Left) && !v.Ended {
		parts = append(parts, "ETA "+terminal.Duration(v.Left))
	}
	for _, m := range v.Measure {
		parts = append(parts, m.Name+" "+m.Value)
	}
	parts = append(parts, v.Notes...)
	if v.Why != "" {
		parts = append(parts, v.Why)
	}
	return terminal.Clean(strings.Join(parts, "  "))
}
