package terminal

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Columns of a terminal that nobody measured, and of what the bar's line has besides its description: percentage, bar
// of five, spaces, and the last column, which would make some terminals go on to the next line.
const (
	usualColumns = 80
	barColumns   = 16
)

// LinePeriod is the time between two plain lines about progress, where there is no bar.
const LinePeriod = 10 * time.Second

// BarPeriod is the time between two drawings of a bar.
const BarPeriod = 200 * time.Millisecond

// NewBar begins a bar of so many steps, which clears its line in the end. It is drawn when it is set.
func NewBar(console io.Writer, steps int) *progressbar.ProgressBar {
	return progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(console), progressbar.OptionSetWidth(5), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false), progressbar.OptionUseANSICodes(true))
}

// BarRoom is the number of columns for the description of a bar. The function tells the columns of the terminal; it may be
// nil, and its result 0, where that is unknown.
func BarRoom(columns func() int) int {
	width := 0
	if columns != nil {
		width = columns()
	}
	if width <= 0 {
		width = usualColumns
	}
	return max(0, width-barColumns)
}

// Progress shows a person how many pictures are done: a bar on a terminal, otherwise a plain line every LinePeriod, so that
// what takes less says nothing. It belongs to one goroutine. End ends it.
type Progress struct {
	Console io.Writer
	Bar     bool             // Console is a terminal
	Columns func() int       // see BarRoom
	Now     func() time.Time // the clock; nil = time.Now

	bar   *progressbar.ProgressBar
	from  int       // pictures that were done when it began
	begun time.Time // zero before the first Show
	drawn time.Time
	lines int
}

// Show says that so many pictures of a total are done. The first call begins the count, and its pictures cost no time: call it
// before any are computed. With all of them done the bar vanishes, and a next call begins anew.
func (p *Progress) Show(done, total int) {
	now := time.Now()
	if p.Now != nil {
		now = p.Now()
	}
	if p.begun.IsZero() {
		p.begin(now, done, total)
	}
	if due := now.Sub(p.drawn) >= p.period(); due || done >= total {
		p.drawn = now
		p.draw(done, total, now.Sub(p.begun).Seconds())
	}
	if done >= total {
		p.End()
	}
}

func (p *Progress) begin(now time.Time, done, total int) {
	p.from, p.begun, p.drawn = done, now, now
	if p.Bar && done < total {
		p.bar = NewBar(p.Console, total)
	}
}

func (p *Progress) period() time.Duration {
	if p.bar != nil {
		return BarPeriod
	}
	return LinePeriod
}

func (p *Progress) draw(done, total int, seconds float64) {
	speed := float64(done-p.from) / max(seconds, 1e-9)
	left := Duration(float64(total-done) / speed) // unknown before the first
	if p.bar != nil {
		p.bar.Describe(Cut(fmt.Sprintf("%d/%d pictures %.0f/s ETA %s", done, total, speed, left), BarRoom(p.Columns)))
		_ = p.bar.Set(done) // a terminal that cannot be written to is no reason to stop
		return
	}
	if done < total || p.lines > 0 {
		p.lines++
		fmt.Fprintf(p.Console, "pictures %d/%d  %.0f pictures/s ETA %s\n", done, total, speed, left)
	}
}

// End removes the bar.
func (p *Progress) End() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	p.bar, p.begun, p.lines = nil, time.Time{}, 0
}
