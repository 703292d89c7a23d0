package watch

import (
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pretrain/internal/terminal"
	"pretrain/train"
)

// server answers with a page that a test may change at any time.
type server struct {
	*httptest.Server
	mutex  sync.Mutex
	page   string
	status int
}

func serve(t *testing.T, page string) *server {
	t.Helper()
	s := &server{page: page, status: http.StatusOK}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		w.WriteHeader(s.status)
		_, _ = io.WriteString(w, s.page)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) answer(status int, page string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.status, s.page = status, page
}

func (s *server) watched(t *testing.T) *address {
	t.Helper()
	source, err := Address(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return source.(*address)
}

// TestPagesOfOtherVersions: what a page does not have is not shown, and what it has is, whatever the type of its series.
func TestPagesOfOtherVersions(t *testing.T) {
	for name, test := range map[string]struct {
		page    string
		state   string
		done    float64
		measure map[string]string
	}{
		"the least": {"pretrain_run_progress_ratio 0.5\n", train.StateRunning, 0.5, map[string]string{"loss": "NaN", "pictures/s": "-"}},
		"counters": {
			"# TYPE pretrain_run_progress_ratio counter\npretrain_run_progress_ratio 0.25\n# TYPE pretrain_loss gauge\npretrain_loss 12345\n",
			train.StateRunning, 0.25, map[string]string{"loss": "1e+04"},
		},
		"a histogram instead": {
			"# TYPE pretrain_run_progress_ratio gauge\npretrain_run_progress_ratio 0.5\n# TYPE pretrain_loss histogram\npretrain_loss_bucket{le=\"+Inf\"} 3\npretrain_loss_sum 6\npretrain_loss_count 3\n",
			train.StateRunning, 0.5, map[string]string{"loss": "NaN"},
		},
		"failed": {"pretrain_run_progress_ratio 0.5\npretrain_run_failed 1\n", train.StateFailed, 0.5, nil},
		"a metric of no task": {
			"pretrain_run_progress_ratio 0.5\npretrain_task_accuracy_ratio{task=\"a\"} 0.5\npretrain_task_metric{task=\"a\",metric=\"m\"} 1\n",
			train.StateRunning, 0.5, nil,
		},
		"a task alone": {
			"pretrain_run_progress_ratio 0.5\npretrain_task_loss{task=\"a\\nb\"} NaN\n", train.StateRunning, 0.5, map[string]string{"a\nb": "NaN"},
		},
		"probes": {
			"pretrain_run_progress_ratio 0.5\npretrain_probe_accuracy_ratio{probe=\"knn\",layer=\"1\"} NaN\npretrain_probe_accuracy_ratio{probe=\"knn\",layer=\"2\"} 0.25\n",
			train.StateRunning, 0.5, map[string]string{"knn probe": "0.250"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := serve(t, test.page).watched(t).Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if v.State != test.state || v.Done != test.done || v.Ended != (test.state == train.StateFailed) {
				t.Errorf("got %+v", v)
			}
			for name, want := range test.measure {
				if got := measure(t, v, name); got.Value != want {
					t.Errorf("%s is %q, want %q", name, got.Value, want)
				}
			}
			for _, line := range (Style{Columns: 80}).Lines(v, time.Now()) {
				if terminal.Width(line) > 80 || terminal.Clean(line) != line {
					t.Errorf("the line %q", line)
				}
			}
		})
	}
}

// TestPagesThatTurnBad: a run that answers badly after it has answered well is waited for as one that is silent, with the
// last view on show.
func TestPagesThatTurnBad(t *testing.T) {
	s := serve(t, "pretrain_run_progress_ratio 0.5\npretrain_loss 2\n")
	source := s.watched(t)
	look(t, source)
	for _, page := range []struct {
		status int
		text   string
	}{{http.StatusServiceUnavailable, "busy"}, {http.StatusOK, "<html>"}, {http.StatusOK, ""}, {http.StatusOK, "go_goroutines 7\n"}} {
		s.answer(page.status, page.text)
		v := look(t, source)
		if len(v.Notes) != 1 || !strings.HasPrefix(v.Notes[0], "no answer for ") || measure(t, v, "loss").Value != "2.00" {
			t.Errorf("%d %q: %+v", page.status, page.text, v)
		}
	}
	s.answer(http.StatusOK, "pretrain_run_progress_ratio 0.6\npretrain_loss 1\n")
	if v := look(t, source); len(v.Notes) > 0 || v.Done != 0.6 || measure(t, v, "loss").Value != "1.00" {
		t.Errorf("when it answers again: %+v", v)
	}
}

// TestAnyPageIsAnErrorOrAView: whatever is served at the address, the watching tells why it ends or shows lines that fit.
func TestAnyPageIsAnErrorOrAView(t *testing.T) {
	s := serve(t, "")
	part := rapid.OneOf(
		rapid.SampledFrom([]string{
			"pretrain_run_progress_ratio 0.5\n", "# TYPE pretrain_run_progress_ratio gauge\n", "pretrain_run_progress_ratio{a=\"b\"} NaN\n",
			"pretrain_loss -Inf\n", "pretrain_run_remaining_seconds 1e300\n", "pretrain_images_total NaN\n", "pretrain_task_loss{task=\"\x1b[31m\"} 1\n",
			"pretrain_step_duration_seconds_sum 1\n", "# TYPE pretrain_step_duration_seconds histogram\n", "pretrain_checkpoint_timestamp_seconds 1e18\n",
			"pretrain_run_info{backbone=\"\\n\",kernels=\"x\"} 1\n", "pretrain_probe_accuracy_ratio{probe=\"\",layer=\"\"} 2\n",
		}),
		rapid.StringMatching(`[a-z_]{1,9}(\{[a-z="]{0,6}\})? [0-9eNa+.-]{0,5}\n`),
		rapid.String(),
	)
	rapid.Check(t, func(rt *rapid.T) {
		s.answer(http.StatusOK, strings.Join(rapid.SliceOfN(part, 0, 8).Draw(rt, "page"), ""))
		source := s.watched(t)
		for range 2 {
			v, err := source.Look(t.Context())
			if err != nil {
				if strings.ContainsAny(err.Error(), "\x1b\n") || !strings.Contains(err.Error(), s.URL) {
					rt.Fatalf("told as %q", err)
				}
				return
			}
			for _, line := range append((Style{Columns: 40}).Lines(v, time.Now()), v.Line()) {
				if terminal.Clean(line) != line || strings.Contains(line, "-9223") {
					rt.Fatalf("the line %q", line)
				}
			}
		}
	})
}

// TestLongPagesAreNotReadToTheEnd: an address may be anybody's, and must not fill the memory of who looks at it.
func TestLongPagesAreNotReadToTheEnd(t *testing.T) {
	sent := make(chan int, 1)
	line := strings.Repeat("#"+strings.Repeat(" x", 511)+"\n", 1024)
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n, total := 0, 0
		for err := error(nil); err == nil && total < 8*pageLimit; total += n {
			n, err = io.WriteString(w, line)
		}
		sent <- total
	}))
	defer endless.Close()
	source, err := Address(endless.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "not that of a run") && !strings.Contains(err.Error(), "text format") {
		t.Errorf("got %v", err)
	}
	if total := <-sent; total >= 8*pageLimit {
		t.Errorf("%d bytes were taken of a page that may have %d", total, pageLimit)
	}
}

// TestRatesLookBackTenSeconds: of the points of the past the newest that is as old as that counts, or the oldest.
func TestRatesLookBackTenSeconds(t *testing.T) {
	begin := time.Now()
	at := func(second, pictures, wait, steps float64) point {
		return point{time: begin.Add(time.Duration(second * float64(time.Second))), pictures: pictures, wait: wait, stepSeconds: steps}
	}
	for name, test := range map[string]struct {
		points         []point
		pictures, wait float64
	}{
		"one":         {[]point{at(0, 64, 0.1, 0.5)}, 128, 0.2},
		"two":         {[]point{at(0, 64, 0.1, 0.5), at(1, 164, 0.1, 1.5)}, 100, 0},
		"many":        {[]point{at(0, 0, 0, 0), at(5, 5000, 0, 5), at(10, 5100, 1, 10), at(15, 5200, 2, 15)}, 20, 0.2},
		"nothing new": {[]point{at(0, 64, 0, 1), at(1, 64, 0, 1)}, nan, nan},
		"unknown":     {[]point{at(0, nan, nan, 1), at(1, nan, nan, 2)}, nan, nan},
	} {
		a := &address{points: test.points}
		pictures, wait := a.rates()
		if !same(pictures, test.pictures) || !same(wait, test.wait) {
			t.Errorf("%s: %g pictures a second, %g waiting; want %g and %g", name, pictures, wait, test.pictures, test.wait)
		}
	}
}

func same(a, b float64) bool { return math.Abs(a-b) < 1e-9 || math.IsNaN(a) && math.IsNaN(b) }

// TestTimeLeft is what the run says, or what follows from the progress that was seen.
func TestTimeLeft(t *testing.T) {
	begin := time.Now()
	page := func(text string) families {
		t.Helper()
		a := &address{url: "http://host/metrics"}
		parsed, err := a.parse(strings.NewReader("pretrain_run_progress_ratio 0.5\n" + text))
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	seen := func(ratios ...float64) *address {
		a := &address{}
		for i, ratio := range ratios {
			a.points = append(a.points, point{time: begin.Add(time.Duration(i) * 5 * time.Second), ratio: ratio})
		}
		return a
	}
	for name, test := range map[string]struct {
		address *address
		page    families
		want    float64
	}{
		"said":      {seen(0.1), page("pretrain_run_remaining_seconds 33\n"), 33},
		"once":      {seen(0.1), page(""), nan},
		"followed":  {seen(0.1, 0.2), page(""), 40},
		"steady":    {seen(0.1, 0.2, 0.3, 0.4), page(""), 30},
		"backwards": {seen(0.2, 0.1), page(""), nan},
		"at rest":   {seen(0.2, 0.2), page(""), nan},
	} {
		if got := test.address.left(test.page); !same(got, test.want) {
			t.Errorf("%s: %g, want %g", name, got, test.want)
		}
	}
}

// TestThePastDoesNotGrow: a run of weeks is watched with the memory of hours, and its curve keeps its ends and its order.
func TestThePastDoesNotGrow(t *testing.T) {
	a := &address{past: map[string][]float64{}}
	for i := range 10_000 {
		a.add("loss", float64(i))
	}
	past := a.past["loss"]
	if len(past) > 2048 || len(past) < 1024 || past[0] != 0 || past[len(past)-1] != 9999 || !slices.IsSorted(past) {
		t.Errorf("%d points from %g to %g", len(past), past[0], past[len(past)-1])
	}
}

// failing is an output that breaks after some writes.
type failing struct{ left int }

var errOutput = errors.New("the pipe is broken")

func (f *failing) Write(p []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errOutput
	}
	return len(p), nil
}

// TestOutputsThatBreak end the watching with their error, whichever write it is that fails.
func TestOutputsThatBreak(t *testing.T) {
	views := []View{view("running", 1, false), view("running", 2, false), view("finished", 100, true)}
	for writes := range 6 {
		for _, size := range []func() (int, int){nil, func() (int, int) { return 80, 24 }} {
			out := &failing{left: writes}
			err := Run(t.Context(), &script{views: views}, Screen{Out: out, Size: size}, time.Millisecond)
			if broke := out.left < 0; broke != errors.Is(err, errOutput) || broke != (err != nil) {
				t.Errorf("%d writes, on a terminal: %v: %v", writes, size != nil, err)
			}
		}
	}
	if err := Once(t.Context(), &script{views: views}, Screen{Out: &failing{}}); !errors.Is(err, errOutput) {
		t.Errorf("got %v", err)
	}
	if err := Once(t.Context(), &script{err: errStop}, Screen{Out: &buffer{}}); !errors.Is(err, errStop) {
		t.Errorf("got %v", err)
	}
}

// TestLowTerminals: what has no row is left out, from below, and a terminal that does not tell its size has 80 columns.
func TestLowTerminals(t *testing.T) {
	for rows, want := range map[int]int{1: 1, 3: 3, 24: 10, 0: 10} {
		screen := Screen{Out: &buffer{}, Size: func() (int, int) { return 60, rows }}
		if got := strings.Count(screen.picture(view("running", 7, false)), "\r\n") + 1; got != want {
			t.Errorf("%d lines in %d rows, want %d", got, rows, want)
		}
	}
	for columns, want := range map[int]int{0: usualColumns, -1: usualColumns, 1: 1, 200: 200} {
		if got := (Screen{}).style(columns).Columns; got != want {
			t.Errorf("%d columns count as %d, want %d", columns, got, want)
		}
	}
}
