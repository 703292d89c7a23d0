package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"pretrain/history"
	"pretrain/internal/terminal"
	"pretrain/train"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a Source that tells one view after the other, then an error.
type script struct {
	views []View
	err   error
	looks int
}

func (s *script) Look(context.Context) (View, error) {
	if s.looks++; s.looks <= len(s.views) {
		return s.views[s.looks-1], nil
	}
	if s.err == nil && len(s.views) > 0 {
		return s.views[len(s.views)-1], nil
	}
	return View{}, s.err
}

// buffer is an output that tests read while it is written.
type buffer struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.String()
}

func view(state string, step int64, ended bool) View {
	return View{
		Title: "runs/first", State: state, About: "vit · avx2 · fp32", Steps: [2]int64{step, 100}, Done: float64(step) / 100, Epoch: "3", Left: 75,
		Measure: []Measure{
			{Name: "loss", Value: "2.34", Past: []float64{3, 2, 1}, Beside: []string{"lr 0.001", "gradient 1.00"}},
			{Name: "relative_position", Value: "1.00", Past: []float64{1, 1}, Beside: []string{"50.0 % right"}},
			{Name: "pictures/s", Value: "100", Beside: []string{"50.0 % waits for data"}, Alarm: true},
		},
		Checkpoint: "step 10, 3s ago, 1 MiB", Notes: []string{"a note"}, Ended: ended,
	}
}

func TestRunEndsWithTheRun(t *testing.T) {
	for name, test := range map[string]struct {
		source Source
		want   string // in the error; empty for none
	}{
		"finished":       {&script{views: []View{view("running", 1, false), view("finished", 100, true)}}, ""},
		"failed":         {&script{views: []View{view("running", 1, false), {State: train.StateFailed, Why: "disk full", Ended: true}}}, "disk full"},
		"failed, unsaid": {&script{views: []View{{State: train.StateFailed, Ended: true}}}, "failed"},
		"lost":           {&script{views: []View{view("running", 1, false)}, err: errors.New("cut off")}, "cut off"},
		"never there":    {&script{err: errors.New("refused")}, "refused"},
	} {
		for _, size := range []func() (int, int){nil, func() (int, int) { return 80, 24 }} {
			t.Run(fmt.Sprint(name, size != nil), func(t *testing.T) {
				err := Run(t.Context(), test.source, Screen{Out: &buffer{}, Size: size}, time.Millisecond)
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				if s, ok := test.source.(*script); ok {
					s.looks = 0
				}
			})
		}
	}
}

var errStop = errors.New("Ctrl-C")

// TestATerminalIsLeftAsItWas: the other screen is left, whatever ends the watching, and the last view stays.
func TestATerminalIsLeftAsItWas(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	out, sizes := &buffer{}, 0
	size := func() (int, int) {
		if sizes++; sizes == 3 { // has been drawn at one size, and the terminal is narrowed now
			cancel(errStop)
		}
		return map[bool]int{true: 80, false: 40}[sizes < 2], 24
	}
	source := &script{views: []View{view("running", 7, false)}}
	if err := Run(ctx, source, Screen{Out: out, Size: size, Colour: true}, time.Hour); !errors.Is(err, errStop) {
		t.Errorf("got %v", err)
	}
	text := out.String()
	before, after, left := strings.Cut(text, leaveScreen)
	if !strings.HasPrefix(text, enterScreen) || !left {
		t.Fatalf("the screens are not kept apart: %q", text)
	}
	if pictures := strings.Count(before, goHome); pictures != 2 {
		t.Errorf("%d pictures for two sizes: %q", pictures, before)
	}
	if !strings.Contains(after, "step 7/100") || strings.Contains(after, goHome) {
		t.Errorf("what is left is %q", after)
	}
}

// TestLinesForALog: one at the beginning and one at the end, none in between that says the same or comes too soon, and
// nothing that steers a terminal.
func TestLinesForALog(t *testing.T) {
	out := &buffer{}
	views := []View{view("running", 1, false), view("running", 1, false), view("running", 2, false), view("finished", 100, true)}
	views[3].Notes = []string{"\x1b[31mred\nnext"}
	if err := Run(t.Context(), &script{views: views}, Screen{Out: out}, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "running  step 1/100  ETA 1m15s  loss 2.34") || !strings.Contains(lines[1], "finished  step 100/100  loss") {
		t.Errorf("got %q", lines)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("a log with escapes: %q", out.String())
	}
}

func TestOnceShowsASnapshot(t *testing.T) {
	out := &buffer{}
	if err := Once(t.Context(), &script{views: []View{view("running", 7, false)}}, Screen{Out: out}); err != nil {
		t.Fatal(err)
	}
	const want = `runs/first  running  vit · avx2 · fp32
[#---------------]  step 7/100  7.0 %  epoch 3  ETA 1m15s

loss               2.34  █▅▁       lr 0.001  gradient 1.00
relative_position  1.00  ▁▁        50.0 % right
pictures/s          100            50.0 % waits for data

checkpoint  step 10, 3s ago, 1 MiB
a note
`
	got := strings.Replace(out.String(), "[##----------------------------]", "[#---------------]", 1)
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

// TestEveryLineFits: whatever a run is called and measures, on a terminal of whatever width, with and without colours; and
// without colours nothing steers the terminal.
func TestEveryLineFits(t *testing.T) {
	states := []string{train.StateRunning, train.StateInterrupted, train.StateFailed, train.StateFinished, history.StateKilled, history.StateStopped}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		v := View{
			Title: text.Draw(t, "title"), State: rapid.SampledFrom(states).Draw(t, "state"), Why: text.Draw(t, "why"), About: text.Draw(t, "about"),
			Steps: [2]int64{rapid.Int64Range(0, 1e9).Draw(t, "step"), rapid.Int64Range(0, 1e9).Draw(t, "steps")},
			Done:  rapid.SampledFrom([]float64{nan, 0, 0.5, 1, 1.5, -1}).Draw(t, "done"), Left: rapid.SampledFrom([]float64{nan, 0, 1e9, math.Inf(1)}).Draw(t, "left"),
			Sign: time.Unix(rapid.Int64Range(0, 2e9).Draw(t, "sign"), 0), Notes: rapid.SliceOf(text).Draw(t, "notes"), Checkpoint: text.Draw(t, "checkpoint"),
		}
		for range rapid.IntRange(0, 6).Draw(t, "measures") {
			v.Measure = append(v.Measure, Measure{
				Name: text.Draw(t, "name"), Value: terminal.Loss(rapid.Float64().Draw(t, "value")), Past: rapid.SliceOf(rapid.Float64()).Draw(t, "past"),
				Beside: rapid.SliceOf(text).Draw(t, "beside"), Alarm: rapid.Bool().Draw(t, "alarm"),
			})
		}
		style := Style{Columns: rapid.IntRange(1, 130).Draw(t, "columns")}
		plain := style.Lines(v, time.Unix(2e9, 0))
		for _, line := range plain {
			if terminal.Width(line) > style.Columns || terminal.Clean(line) != line {
				t.Fatalf("%d columns for %q", style.Columns, line)
			}
		}
		style.Colour = true
		coloured := strings.Join(style.Lines(v, time.Unix(2e9, 0)), "\n")
		for _, code := range []string{bold, red, green, yellow, "0"} {
			coloured = strings.ReplaceAll(coloured, "\x1b["+code+"m", "")
		}
		if coloured != strings.Join(plain, "\n") {
			t.Fatalf("colours change the text to\n%q from\n%q", coloured, plain)
		}
	})
}

// TestNarrowTerminals: what has no room goes in the order of its worth: words first, then the curve.
func TestNarrowTerminals(t *testing.T) {
	for columns, want := range map[int]string{
		80: "loss               2.34  █▅▁       lr 0.001  gradient 1.00",
		56: "loss               2.34  █▅▁       lr 0.001",
		40: "loss           2.34  █▅▁",
		24: "loss      2.34",
		12: "loss  2.34",
	} {
		if got := (Style{Columns: columns}).Lines(view("running", 7, false), time.Now())[3]; got != want {
			t.Errorf("in %d columns: %q, want %q", columns, got, want)
		}
	}
}
