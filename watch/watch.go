package watch

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"pretrain/train"
)

// Screen is where a run is shown.
type Screen struct {
	Out    io.Writer
	Size   func() (columns, rows int) // asked anew for every picture; nil where Out is no terminal
	Colour bool
}

// columns of text that is for no terminal.
const usualColumns = 80

// Once shows a run as it is now.
func Once(ctx context.Context, source Source, screen Screen) error {
	view, err := source.Look(ctx)
	if err != nil {
		return err
	}
	return screen.print(view)
}

// Run shows a run until it has finished or failed, the latter being an error, or until ctx ends, whose cause is returned
// then. It looks every so often. On a terminal the picture is redrawn in place, on another screen than that with the
// shell's lines, and the last one is left behind; otherwise there is a line of text every ten seconds in which something
// has changed.
func Run(ctx context.Context, source Source, screen Screen, every time.Duration) (err error) {
	view, err := source.Look(ctx)
	if err != nil {
		return err
	}
	if screen.Size == nil {
		view, err = follow(ctx, source, view, every, (&lines{out: screen.Out}).show)
	} else {
		view, err = screen.live(ctx, source, view, every)
	}
	switch {
	case err != nil:
		return err
	case view.State == train.StateFailed && view.Why != "":
		return fmt.Errorf("the run failed: %s", view.Why)
	case view.State == train.StateFailed:
		return fmt.Errorf("the run failed")
	}
	return nil
}

// redraw is how soon a changed size of the terminal is noticed.
const redraw = 200 * time.Millisecond

// follow shows view after view until one has ended. show is also called between two looks.
func follow(ctx context.Context, source Source, view View, every time.Duration, show func(View) error) (View, error) {
	ticker := time.NewTicker(min(every, redraw))
	defer ticker.Stop()
	looked := time.Now()
	for {
		if err := show(view); err != nil || view.Ended {
			return view, err
		}
		select {
		case <-ctx.Done():
			return view, context.Cause(ctx)
		case <-ticker.C:
		}
		if time.Since(looked) < every {
			continue
		}
		next, err := source.Look(ctx)
		if err != nil {
			return view, err
		}
		view, looked = next, time.Now()
	}
}

// lines writes views for a log.
type lines struct {
	out   io.Writer
	shown time.Time
	last  string
}

func (l *lines) show(v View) error {
	line := v.Line()
	if line == l.last || time.Since(l.shown) < 10*time.Second && !v.Ended {
		return nil
	}
	l.last, l.shown = line, time.Now()
	_, err := fmt.Fprintf(l.out, "%s  %s\n", l.shown.Format(time.TimeOnly), line)
	return err
}

// Sequences of ANSI terminals.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the other screen, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	goHome      = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// live draws in place, and leaves the last picture on the screen of the shell however it ends.
func (s Screen) live(ctx context.Context, source Source, view View, every time.Duration) (last View, err error) {
	if _, err := io.WriteString(s.Out, enterScreen); err != nil {
		return view, err
	}
	last = view
	defer func() {
		if _, failed := io.WriteString(s.Out, leaveScreen); err == nil {
			err = failed
		}
		if failed := s.print(last); err == nil {
			err = failed
		}
	}()
	drawn := ""
	return follow(ctx, source, view, every, func(v View) error {
		last = v
		picture := s.picture(v)
		if picture == drawn {
			return nil
		}
		drawn = picture
		_, err := io.WriteString(s.Out, picture)
		return err
	})
}

// picture is a view that fills the screen from its upper left corner, without the lines that have no room.
func (s Screen) picture(v View) string {
	columns, rows := s.Size()
	all := s.style(columns).Lines(v, time.Now())
	all = append(all, s.style(columns).cut("Ctrl-C ends the watching, not the run"))
	if rows > 0 && len(all) > rows {
		all = all[:rows]
	}
	return goHome + strings.Join(all, clearLine+"\r\n") + clearLine + clearBelow
}

func (s Screen) style(columns int) Style {
	if columns <= 0 {
		columns = usualColumns
	}
	return Style{Columns: columns, Colour: s.Colour}
}

// print leaves a view where it is, as lines.
func (s Screen) print(v View) error {
	columns := 0
	if s.Size != nil {
		columns, _ = s.Size()
	}
	_, err := io.WriteString(s.Out, strings.Join(s.style(columns).Lines(v, time.Now()), "\n")+"\n")
	return err
}
