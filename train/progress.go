package train

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"pretrain/internal/terminal"
)

// progress shows a person how far a run is: a bar on a terminal, otherwise a plain line every ten seconds and at the
// end. Log lines reach the console through it, so that they do not tear the bar. It may be used by many goroutines.
type progress struct {
	mutex   sync.Mutex
	console io.Writer
	columns func() int // of the terminal; nil or 0 where unknown
	names   []string   // of the tasks; on a bar cut short
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
		p.names = terminal.ShortNames(names)
		p.bar = terminal.NewBar(p.console, position.Steps)
		_ = p.bar.Set(position.Step)
	}
}

// AfterStep redraws the bar or prints a line, if it is time to.
func (p *progress) AfterStep(_ context.Context, report StepReport) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	speed := p.speed.add(report.Pictures, report.Duration)
	due := terminal.LinePeriod
	if p.bar != nil {
		due = terminal.BarPeriod
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

// describe is one line: pictures a second, time to go, each task's loss. On a bar it takes the fullest wording that
// leaves room for the bar, and at last the beginning of the shortest one.
func (p *progress) describe(report StepReport, speed float64) string {
	left := terminal.Duration(float64((report.Position.Steps-report.Position.Step)*report.Pictures) / speed)
	losses, sum := p.losses(report.Tasks)
	full := fmt.Sprintf("%.0f pictures/s ETA %s%s", speed, left, losses)
	if p.bar == nil {
		return full
	}
	room := terminal.BarRoom(p.columns)
	short := fmt.Sprintf("%.0f/s ETA %s loss %s", speed, left, terminal.Loss(sum))
	for _, wording := range []string{full, fmt.Sprintf("%.0f/s ETA %s%s", speed, left, losses), short} {
		if len(wording) <= room {
			return wording
		}
	}
	return short[:min(len(short), room)]
}

// losses lists the losses of the tasks, and adds them up.
func (p *progress) losses(tasks []TaskResult) (text string, sum float64) {
	var line strings.Builder
	for i, result := range tasks {
		fmt.Fprintf(&line, " %s %s", p.names[i], terminal.Loss(result.Loss))
		sum += result.Loss
	}
	return line.String(), sum
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
