package mlflow

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pretrain/metrics"
)

// warnings collects what a tracker complains of.
type warnings struct {
	mutex sync.Mutex
	text  []string
}

func (w *warnings) add(err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.text = append(w.text, err.Error())
}

func tracker(t *testing.T, config Config, description Description, w *warnings) *Tracker {
	t.Helper()
	tracked, err := New(config, description, w.add)
	if err != nil {
		t.Fatal(err)
	}
	tracked.retry = time.Millisecond
	return tracked
}

func configFor(url string) Config {
	config := DefaultConfig()
	config.URI = url
	return config
}

var described = Description{
	ID: "r1", Name: "first", Version: "v1", Started: time.UnixMilli(1700000000000),
	Configuration: "train:\n  epochs: 3  # default\n  milestones: [0.3, 0.6]\ndata:\n  path: \"\"\n  mean: [0.5]\n",
}

func record(step int64) metrics.Record {
	return metrics.Record{
		Step: step, Time: time.UnixMilli(1700000000000 + step), Loss: metrics.Number(float64(step)),
		Tasks: map[string]metrics.Task{"odd:name": {Loss: 1}},
	}
}

// losses lists the steps at which the stub holds a loss, once for each time.
func (r *stubRun) losses() (steps []int64) {
	for _, m := range r.metrics {
		if m.Key == "loss/weighted" && m.Value == float64(m.Step) && m.Timestamp == 1700000000000+m.Step {
			steps = append(steps, m.Step)
		}
	}
	return steps
}

// TestRun is the whole life of a run on the server: parameters, numbers, end.
func TestRun(t *testing.T) {
	t.Setenv("TOKEN", "sesame")
	server, url := newStub(t)
	server.token = "Bearer sesame"
	config := configFor(url + "/")
	config.TokenVariable = "TOKEN"
	var w warnings
	tracked := tracker(t, config, described, &w)
	tracked.Start(t.Context())
	for step := range int64(3) {
		tracked.Append(record(step + 1))
	}
	tracked.Close(Finished)

	run := server.runs["run1"]
	if run == nil || run.status != "FINISHED" || run.ended == 0 ||
		run.name != "first" || run.tags["pretrain.run"] != "r1" || run.experiment != server.experiments["pretrain"] {
		t.Fatalf("the server holds %+v", run)
	}
	want := map[string]string{"train.epochs": "3", "train.milestones": "[0.3 0.6]", "data.mean": "[0.5]"}
	if diff := cmp.Diff(want, run.params); diff != "" {
		t.Errorf("parameters: %s", diff)
	}
	if !slices.Equal(run.losses(), []int64{1, 2, 3}) {
		t.Errorf("the losses are of steps %v", run.losses())
	}
	if !slices.ContainsFunc(run.metrics, func(m metric) bool { return m.Key == "loss/odd_name" }) {
		t.Error("a name that MLflow does not take is lost")
	}
	if len(w.text) > 0 {
		t.Errorf("warnings: %v", w.text)
	}
}

// TestResume goes on with the same run and repeats no step, whatever the checkpoint was.
func TestResume(t *testing.T) {
	server, url := newStub(t)
	var w warnings
	for _, part := range []struct {
		steps  []int64
		status Status
	}{{[]int64{1, 2, 3, 4}, Killed}, {[]int64{3, 4, 5}, Finished}} {
		described := described
		if part.status == Finished {
			described.Configuration = "train:\n  threads: 7\n" // may change, which parameters of MLflow may not
		}
		tracked := tracker(t, configFor(url), described, &w)
		tracked.Start(t.Context())
		for _, step := range part.steps {
			tracked.Append(record(step))
		}
		tracked.Close(part.status)
		if got := server.runs["run1"].status; got != string(part.status) {
			t.Errorf("the status is %s, want %s", got, part.status)
		}
	}
	if run := server.runs["run1"]; len(server.runs) != 1 || !slices.Equal(run.losses(), []int64{1, 2, 3, 4, 5}) {
		t.Errorf("%d runs, the first with losses of steps %v", len(server.runs), run.losses())
	}
	if len(w.text) > 0 {
		t.Errorf("warnings: %v", w.text)
	}
}

// TestServerThatComesBack: what could not be sent is sent later, after one warning a request.
func TestServerThatComesBack(t *testing.T) {
	server, url := newStub(t)
	server.fault = func(request int) (int, string) {
		if request < 4 {
			return http.StatusServiceUnavailable, "busy"
		}
		return 0, ""
	}
	var w warnings
	tracked := tracker(t, configFor(url), described, &w)
	tracked.Start(t.Context())
	tracked.Append(record(1))
	for path := range server.answered {
		if strings.HasSuffix(path, "log-batch") {
			break
		}
	}
	tracked.Close(Finished)
	if run := server.runs["run1"]; run.status != "FINISHED" || !slices.Equal(run.losses(), []int64{1}) {
		t.Errorf("the server holds %+v", run)
	}
	if len(w.text) != 1 || !strings.Contains(w.text[0], "503") || !strings.Contains(w.text[0], "logging.mlflow.uri") {
		t.Errorf("warnings: %v", w.text)
	}
}

// TestServerThatRefuses is asked no more.
func TestServerThatRefuses(t *testing.T) {
	server, url := newStub(t)
	server.fault = func(int) (int, string) {
		return http.StatusForbidden, `{"error_code": "PERMISSION_DENIED", "message": "not you"}`
	}
	var w warnings
	tracked := tracker(t, configFor(url), described, &w)
	tracked.Start(t.Context())
	<-server.answered
	<-tracked.ended
	for range 2 * queueLimit {
		tracked.Append(record(1))
	}
	tracked.Close(Finished)
	if server.requests != 1 || len(w.text) != 1 || !strings.Contains(w.text[0], "PERMISSION_DENIED: not you") {
		t.Errorf("%d requests, warnings %v", server.requests, w.text)
	}
}

// TestServerThatNeverAnswers: neither the training nor its end wait for it. Records beyond the queue are left out, with
// one warning.
func TestServerThatNeverAnswers(t *testing.T) {
	server, url := newStub(t)
	server.mutex.Lock() // every request hangs
	var w warnings
	tracked := tracker(t, configFor(url), described, &w)
	tracked.patience = time.Millisecond
	tracked.Start(t.Context())
	for step := range int64(3 * queueLimit) {
		tracked.Append(record(step))
	}
	tracked.Close(Finished)
	server.mutex.Unlock()
	if len(w.text) == 0 || !strings.Contains(w.text[0], "too slowly") || len(w.text) > 2 {
		t.Errorf("warnings: %v", w.text)
	}
}

// TestServerThatStaysAway is warned of once, and not again when the run ends.
func TestServerThatStaysAway(t *testing.T) {
	server, url := newStub(t)
	server.fault = func(int) (int, string) { return http.StatusServiceUnavailable, "busy" }
	var w warnings
	tracked := tracker(t, configFor(url), described, &w)
	tracked.patience = time.Millisecond
	tracked.Start(t.Context())
	tracked.Append(record(1))
	<-server.answered
	<-server.answered
	tracked.Close(Finished)
	if len(w.text) != 1 || !strings.Contains(w.text[0], "is tried again") {
		t.Errorf("warnings: %v", w.text)
	}
}

// TestManyNumbers go in requests of the allowed size.
func TestManyNumbers(t *testing.T) {
	server, url := newStub(t)
	var w warnings
	tracked := tracker(t, configFor(url), described, &w)
	wide := record(1)
	wide.Tasks = map[string]metrics.Task{}
	for i := range 800 {
		wide.Tasks[fmt.Sprintf("task%d", i)] = metrics.Task{Loss: 1, Weight: 1}
	}
	tracked.Append(wide)
	tracked.Start(t.Context())
	tracked.Close(Finished)
	if got := len(server.runs["run1"].metrics); got < 1600 || len(w.text) > 0 {
		t.Errorf("%d numbers, warnings %v", got, w.text)
	}
}

func TestMistakes(t *testing.T) {
	config := configFor("http://host")
	config.TokenVariable = "NOT_SET_ANYWHERE"
	if _, err := New(config, described, nil); err == nil || !strings.Contains(err.Error(), "NOT_SET_ANYWHERE") {
		t.Errorf("a missing token gives %v", err)
	}
	if err := configFor("host:5000").Validate(); err == nil || !strings.Contains(err.Error(), "logging.mlflow.uri") {
		t.Errorf("no scheme gives %v", err)
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	broken := described
	broken.Configuration = "a: ["
	if _, err := New(configFor("http://host"), broken, nil); err == nil {
		t.Error("a configuration that is no YAML is taken")
	}
}

func TestShorten(t *testing.T) {
	for _, text := range []string{strings.Repeat("a", 600), strings.Repeat("ä", 300), strings.Repeat("€", 200)} {
		if short := shorten(text); len(short) > valueLimit || len(short) < valueLimit-5 ||
			!strings.HasSuffix(short, "…") || strings.Contains(short, "\uFFFD") {
			t.Errorf("%d bytes became %q", len(text), short)
		}
	}
	if got := shorten("short"); got != "short" {
		t.Error(got)
	}
	if got := allowed(strings.Repeat("x", 300) + "\n"); len(got) != nameLimit {
		t.Errorf("a name of %d bytes", len(got))
	}
}
