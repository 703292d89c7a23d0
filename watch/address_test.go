package watch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pretrain/metrics"
	"pretrain/train"
)

// running is a run that serves its metrics.
func running(t *testing.T) (*metrics.Series, *httptest.Server) {
	t.Helper()
	series := metrics.NewSeries()
	series.SetRunInfo(metrics.RunInfo{Backbone: "vit", Kernels: "avx2"})
	server := httptest.NewServer(promhttp.HandlerFor(series.Registry(), promhttp.HandlerOpts{}))
	t.Cleanup(server.Close)
	return series, server
}

// step is one of 64 pictures in 0.5 seconds, of which a fifth waits for data.
func step(series *metrics.Series, progress float64) {
	accuracy := metrics.Number(0.25)
	series.ObserveStep(metrics.Step{
		Seconds: 0.5, Phases: metrics.Phases{Data: 0.1}, Pictures: 64, Loss: 3, LearningRate: 0.001, RunProgress: progress, RemainingSeconds: 40,
		Tasks: map[string]metrics.Task{"rotation": {Loss: 1.5, Weight: 1, Accuracy: &accuracy, Metrics: map[string]metrics.Number{"psnr": 20}}},
	})
}

func look(t *testing.T, source Source) View {
	t.Helper()
	v, err := source.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func measure(t *testing.T, v View, name string) Measure {
	t.Helper()
	i := slices.IndexFunc(v.Measure, func(m Measure) bool { return m.Name == name })
	if i < 0 {
		t.Fatalf("%s is missing among %+v", name, v.Measure)
	}
	return v.Measure[i]
}

func TestWatchingAnAddress(t *testing.T) {
	series, server := running(t)
	step(series, 0.01)
	series.ObserveProbe("knn", "1", 0.5)
	series.ObserveProbe("knn", "2", 0.6)
	series.ObserveCheckpoint(1, 1, float64(time.Now().Add(-time.Hour).Unix()))
	source, err := Address(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	v := look(t, source)
	if v.State != train.StateRunning || v.Done != 0.01 || v.About != "vit · avx2" || v.Checkpoint != "1h ago" || v.Ended {
		t.Errorf("got %+v", v)
	}
	if rate := measure(t, v, "pictures/s"); rate.Value != "128" || rate.Beside[0] != "20.0 % waits for data" || !rate.Alarm {
		t.Errorf("got %+v", rate)
	}
	if task := measure(t, v, "rotation"); task.Value != "1.50" || !slices.Equal(task.Beside, []string{"25.0 % right", "psnr 20.00"}) {
		t.Errorf("got %+v", task)
	}
	if probe := measure(t, v, "knn probe"); probe.Value != "0.600" || probe.Beside[0] != "layer 2" {
		t.Errorf("got %+v", probe)
	}
	step(series, 0.02)
	v = look(t, source)
	look(t, source) // nothing new is no new point
	if loss := measure(t, look(t, source), "loss"); len(loss.Past) != 2 {
		t.Errorf("two steps were seen, and the curve has %d points", len(loss.Past))
	}
	if !(v.Left > 0) {
		t.Errorf("the time to the end is %g after two looks", v.Left)
	}
}

// TestARunThatDoesNotAnswer is waited for a while; that it had finished is known only if it said so.
func TestARunThatDoesNotAnswer(t *testing.T) {
	for progress, want := range map[float64]string{0.5: "50.0 % done", 1: ""} {
		series, server := running(t)
		step(series, progress)
		source, err := Address(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		look(t, source)
		server.Close()
		v, err := source.Look(t.Context())
		ended := progress == 1
		if err != nil || v.Ended != ended || (v.State == train.StateFinished) != ended || strings.Contains(strings.Join(v.Notes, " "), "no answer") == ended {
			t.Errorf("soon after: %+v, %v", v, err)
		}
		source.(*address).seen = time.Now().Add(-2 * silence)
		_, err = source.Look(t.Context())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("long after: %v, want %q", err, want)
		}
	}
}

// TestANewProcess starts to count at 0, which must not give negative speeds.
func TestANewProcess(t *testing.T) {
	var handler atomic.Pointer[http.Handler]
	begin := func() *metrics.Series {
		series := metrics.NewSeries()
		h := promhttp.HandlerFor(series.Registry(), promhttp.HandlerOpts{})
		handler.Store(&h)
		return series
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*handler.Load()).ServeHTTP(w, r) }))
	defer server.Close()
	source, err := Address(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	series := begin()
	for range 3 {
		step(series, 0.5)
		look(t, source)
	}
	series = begin()
	step(series, 0.4)
	if rate := measure(t, look(t, source), "pictures/s"); rate.Value != "128" {
		t.Errorf("got %+v", rate)
	}
}

// TestPagesThatAreNone are errors that name the address and what is wrong, without a password.
func TestPagesThatAreNone(t *testing.T) {
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/html":
			_, _ = io.WriteString(w, "<html>\x1b[31m</html>")
		case "/other":
			_, _ = io.WriteString(w, "# TYPE go_goroutines gauge\ngo_goroutines 7\n")
		case "/stalls":
			<-stop
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	defer close(stop)
	host := strings.TrimPrefix(server.URL, "http://")
	for text, want := range map[string]string{
		server.URL + "/html":                  "not in the text format of Prometheus",
		"http://me:secret@" + host + "/other": "not that of a run",
		host:                                  "403 Forbidden",
		server.URL + "/stalls":                "no answer within",
		"127.0.0.1:1":                         "refused",
	} {
		source, err := Address(text)
		if err != nil {
			t.Fatal(err)
		}
		source.(*address).client.Timeout = 200 * time.Millisecond
		_, err = source.Look(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "127.0.0.1:") || strings.ContainsAny(err.Error(), "\x1b\n") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	source, err := Address(server.URL + "/stalls")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errStop) })
	if _, err := source.Look(ctx); !errors.Is(err, errStop) {
		t.Errorf("a look that was stopped returned %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"host:9464": "http://host:9464/metrics", ":9464": "http://127.0.0.1:9464/metrics", "https://host/": "https://host/metrics",
		"http://host/x/metrics": "http://host/x/metrics", "[::1]:80": "http://[::1]:80/metrics",
		"ftp://host": "", "http://": "", "http://[::1": "", "http:///metrics": "", "host:0": "", "host:99999": "",
	} {
		page, err := pageOf(text)
		if page != want || (want == "") != (err != nil) {
			t.Errorf("%q: %q, %v; want %q", text, page, err, want)
		}
		if _, err := Address(text); want == "" && !errors.As(err, new(*train.UsageError)) {
			t.Errorf("%q: %v is no usage error", text, err)
		}
	}
}

// TestLongPastsAreThinned: a watch of days takes no more memory, and the newest value stays the last.
func TestLongPastsAreThinned(t *testing.T) {
	a := &address{past: map[string][]float64{}}
	for i := range 100_000 {
		a.add("x", float64(i))
	}
	past := a.past["x"]
	if len(past) > 2048 || past[len(past)-1] != 99_999 || !slices.IsSorted(past) {
		t.Errorf("%d values from %g to %g", len(past), past[0], past[len(past)-1])
	}
}

// FuzzPage: no page makes the reading fail otherwise than by an error.
func FuzzPage(f *testing.F) {
	f.Add("# TYPE pretrain_run_progress_ratio gauge\npretrain_run_progress_ratio 0.5\n")
	f.Add("pretrain_run_progress_ratio 1\npretrain_task_loss{task=\"\\n\"} NaN\npretrain_probe_accuracy_ratio 1\npretrain_step_duration_seconds 3\n")
	f.Add("# TYPE pretrain_step_duration_seconds histogram\npretrain_run_progress_ratio 1\npretrain_step_duration_seconds_count 3\n")
	f.Fuzz(func(t *testing.T, text string) {
		a := &address{url: "http://host/metrics", past: map[string][]float64{}}
		page, err := a.parse(strings.NewReader(text))
		if err != nil {
			return
		}
		now := time.Now()
		for _, line := range (Style{Columns: 40}).Lines(a.view(page, now), now) {
			if strings.ContainsAny(line, "\x1b\n\r") {
				t.Errorf("%q steers a terminal", line)
			}
		}
	})
}
