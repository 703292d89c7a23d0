package train

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows a person how far a run is: a bar on a terminal, otherwise a plain line every ten seconds and at the
// end. Log lines reach the console through it, so that they do not tear the bar. It may be used by many goroutines.
type progress struct {
	mutex   sync.Mutex
	console io.Writer
	names   []string // of the tasks; on a bar cut short
	bar     *progressbar.ProgressBar
	drawn   time.Time // when the bar or a line was last shown
	speed   speed
}

// speed is the pictures a second over the recent past: a mean that forgets with a half-life of some twenty steps.
type speed struct{ pictures, seconds float64 }

func (s *speed) add(pictures int, duration time.Duration) float64 {
	const keep = 0.966
	s.pictures = keep*s.pictures + float64(pictures)
	s.seconds = keep*s.seconds + duration.Seconds()
	return s.pictures / s.seconds
}

// begin starts to show a run from a position on, as a bar if asked for.
func (p *progress) begin(names []string, position Position, bar bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.names, p.drawn = names, time.Now()
	if bar && !position.Done() {
		p.names = shortNames(names)
		p.bar = progressbar.NewOptions(position.Steps,
			progressbar.OptionSetWriter(p.console), progressbar.OptionSetWidth(5), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false), progressbar.OptionUseANSICodes(true))
		_ = p.bar.Set(position.Step)
	}
}

// AfterStep redraws the bar or prints a line, if it is time to.
func (p *progress) AfterStep(_ context.Context, report StepReport) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	speed := p.speed.add(report.Pictures, report.Duration)
	due := linePeriod
	if p.bar != nil {
		due = 200 * time.Millisecond
	}
	if time.Since(p.drawn) < due && !report.Position.Done() {
		return nil
	}
	p.drawn = time.Now()
	if p.bar == nil {
		_, err := fmt.Fprintf(p.console, "step %d/%d  %s\n", report.Position.Step, report.Position.Steps, p.describe(report, speed))
		return err
	}
	p.bar.Describe(p.describe(report, speed))
	return p.bar.Set(report.Position.Step)
}

// describe is one line: pictures a second, time to go, each task's loss.
func (p *progress) describe(report StepReport, speed float64) string {
	left := float64((report.Position.Steps-report.Position.Step)*report.Pictures) / speed
	var line strings.Builder
	fmt.Fprintf(&line, "%.0f pictures/s ETA %s", speed, roughly(left))
	for i, result := range report.Tasks {
		fmt.Fprintf(&line, " %s %.2f", p.names[i], result.Loss)
	}
	return line.String()
}

// roughly writes seconds as 59s, 59m59s or 59h59m.
func roughly(seconds float64) string {
	whole := int(math.Round(seconds))
	switch {
	case whole < 60:
		return fmt.Sprintf("%ds", whole)
	case whole < 3600:
		return fmt.Sprintf("%dm%02ds", whole/60, whole%60)
	}
	return fmt.Sprintf("%dh%02dm", whole/3600, whole/60%60)
}

// shortNames cuts names to three letters, or as many as tell them apart, so that a bar with four tasks fits a line of
// 80 columns.
func shortNames(names []string) []string {
	short := make([]string, len(names))
	for i, name := range names {
		length := min(3, len(name))
		for length < len(name) && slices.ContainsFunc(names, func(other string) bool {
			return other != name && strings.HasPrefix(other, name[:length])
		}) {
			length++
		}
		short[i] = name[:length]
	}
	return short
}

// Write prints a log line above the bar.
func (p *progress) Write(line []byte) (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.bar == nil {
		return p.console.Write(line)
	}
	_ = p.bar.Clear()
	n, err := p.console.Write(line)
	_ = p.bar.RenderBlank()
	return n, err
}

// end removes the bar.
func (p *progress) end() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}
