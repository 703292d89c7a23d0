package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pretrain/metrics"
)

// TestFaults: what a server may get over is tried again, and what it will say again is not.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		status  int
		body    string
		refused bool
		says    string
	}{
		{400, `{"error_code": "INVALID_PARAMETER_VALUE", "message": "too long"}`, true, "400 INVALID_PARAMETER_VALUE: too long"},
		{401, "Unauthorized", true, `401 : "Unauthorized"`},
		{403, `{"message": "not you"}`, true, "403 : not you"},
		{404, `{"error_code": "RESOURCE_DOES_NOT_EXIST"}`, true, "RESOURCE_DOES_NOT_EXIST"},
		{408, "", false, "408"},
		{429, `{"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "slower"}`, false, "slower"},
		{500, "<html>" + strings.Repeat("x", 1000), false, "500"},
		{503, "", false, "503"},
	} {
		err := faultOf(test.status, []byte(test.body))
		var refused *refusal
		if errors.As(err, &refused) != test.refused || !strings.Contains(err.Error(), test.says) || len(err.Error()) > 300 {
			t.Errorf("%d: %v", test.status, err)
		}
		if missing(err) != strings.Contains(test.body, "RESOURCE_DOES_NOT_EXIST") {
			t.Errorf("%d: missing is %v", test.status, missing(err))
		}
	}
}

// TestRefusalsOnTheWay: wherever in its life a run is refused, that is said once with the reason, and the run ends in time.
func TestRefusalsOnTheWay(t *testing.T) {
	for _, path := range []string{"get-by-name", "experiments/create", "runs/search", "runs/create", "runs/log-batch", "runs/update"} {
		t.Run(path, func(t *testing.T) {
			server, address := newStub(t)
			behind, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			pass := httputil.NewSingleHostReverseProxy(behind)
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, path) {
					w.WriteHeader(http.StatusForbidden)
					fmt.Fprintf(w, `{"error_code": "PERMISSION_DENIED", "message": "not %s"}`, path)
					return
				}
				pass.ServeHTTP(w, r)
			}))
			defer http.DefaultTransport.(*http.Transport).CloseIdleConnections() // those of the proxy
			defer front.Close()
			var w warnings
			tracked := tracker(t, configFor(front.URL), described, &w)
			tracked.Start(t.Context())
			tracked.Append(record(1))
			tracked.Close(Finished)
			if len(w.text) != 1 || !strings.Contains(w.text[0], "no more is sent to "+front.URL) || !strings.Contains(w.text[0], "not "+path) {
				t.Errorf("warnings: %v", w.text)
			}
			if run := server.runs["run1"]; run != nil && run.status == "FINISHED" {
				t.Error("and yet the server holds a finished run")
			}
		})
	}
}

// TestAnswersThatAreNone: a server that is no MLflow is tried again, as what stands before one may be in its place for a while.
func TestAnswersThatAreNone(t *testing.T) {
	for name, body := range map[string]string{"a page": "<html>welcome</html>", "nothing": "", "a list": "[]", "half": `{"experiment": {`} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		var w warnings
		tracked := tracker(t, configFor(server.URL), described, &w)
		tracked.patience = 5 * time.Millisecond
		tracked.Start(t.Context())
		tracked.Append(record(1))
		tracked.Close(Finished)
		if len(w.text) != 1 || !strings.Contains(w.text[0], "is tried again") {
			t.Errorf("%s: warnings %v", name, w.text)
		}
		server.Close()
	}
}

// TestARunThatIsCancelled ends its goroutine without Close waiting.
func TestARunThatIsCancelled(t *testing.T) {
	server, address := newStub(t)
	server.fault = func(int) (int, string) { return http.StatusServiceUnavailable, "" }
	ctx, cancel := context.WithCancel(t.Context())
	var w warnings
	tracked := tracker(t, configFor(address), described, &w)
	tracked.retry, tracked.patience = time.Hour, time.Hour
	tracked.Start(ctx)
	<-server.answered
	cancel()
	<-tracked.ended
	tracked.Append(record(1))
	tracked.Close(Killed)
	if len(w.text) > 1 {
		t.Errorf("warnings: %v", w.text)
	}
}

// TestStepsOfAnyServer: 64 bits come as a number or in quotes, and a run without numbers has none.
func TestStepsOfAnyServer(t *testing.T) {
	for body, want := range map[string]int64{
		`{"metrics": [{"step": 7}, {"step": 12}]}`:      12,
		`{"metrics": [{"step": "9007199254740993"}]}`:   9007199254740993,
		`{"metrics": [{"key": "loss"}, {"step": "3"}]}`: 3,
		`{"metrics": []}`: 0, `{}`: 0,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "get-by-name"):
				fmt.Fprint(w, `{"experiment": {"experiment_id": "1"}}`)
			case strings.HasSuffix(r.URL.Path, "runs/search"):
				fmt.Fprintf(w, `{"runs": [{"info": {"run_id": "r"}, "data": %s}]}`, body)
			default:
				fmt.Fprint(w, `{}`)
			}
		}))
		tracked := tracker(t, configFor(server.URL), described, &warnings{})
		if err := tracked.begin(t.Context()); err != nil || tracked.before != want || tracked.run != "r" {
			t.Errorf("%s: the last step is %d, %v", body, tracked.before, err)
		}
		server.Close()
	}
}

// TestManyParameters go in requests of the allowed size, each once.
func TestManyParameters(t *testing.T) {
	server, address := newStub(t)
	large := described
	var text strings.Builder
	for i := range 2*parametersAtOnce + 1 {
		fmt.Fprintf(&text, "key%d: %d\n", i, i)
	}
	large.Configuration = text.String()
	var w warnings
	tracked := tracker(t, configFor(address), large, &w)
	tracked.Start(t.Context())
	tracked.Close(Finished)
	if got := len(server.runs["run1"].params); got != 2*parametersAtOnce+1 || len(w.text) > 0 {
		t.Errorf("%d parameters, warnings %v", got, w.text)
	}
}

func TestFlatten(t *testing.T) {
	for document, want := range map[string][]tag{
		"":                                 nil,
		"# nothing\n":                      nil,
		"a: 1\nb: {c: x, d: {e: true}}\n":  {{"a", "1"}, {"b.c", "x"}, {"b.d.e", "true"}},
		"a: \"\"\nb: null\nc: ~\n":         {{"b", "null"}, {"c", "~"}},
		"a: [1, [2, x]]\nb: []\n":          {{"a", "[1 [2 x]]"}, {"b", "[]"}},
		"\"odd:key\": 1\nü: 2\n":           {{"odd_key", "1"}, {"_", "2"}},
		"a: |\n  two\n  lines\n":           {{"a", "two\nlines\n"}},
		"just text\n":                      {{"", "just text"}},
		"a: " + strings.Repeat("x", 600):   {{"a", strings.Repeat("x", valueLimit-len("…")) + "…"}},
		strings.Repeat("k", 300) + ": 1\n": {{strings.Repeat("k", nameLimit), "1"}},
	} {
		got, err := flatten(document)
		if err != nil {
			t.Errorf("%.30q: %v", document, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.30q: %s", document, diff)
		}
	}
}

// TestAnyNameIsAllowed: whatever a task or a key is called, the server takes it, and what it takes already stays.
func TestAnyNameIsAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(1, 300, -1).Draw(t, "name")
		got := allowed(name)
		if !validName.MatchString(got) || allowed(got) != got || validName.MatchString(name) && got != name {
			t.Fatalf("%q became %q", name, got)
		}
	})
}

// TestWhatIsNotFinite has no place in JSON: it is left out, and the rest is sent.
func TestWhatIsNotFinite(t *testing.T) {
	server, address := newStub(t)
	var w warnings
	tracked := tracker(t, configFor(address), described, &w)
	odd := record(3)
	odd.GradientNorm = 1 / metrics.Number(len(w.text))
	odd.LearningRate = odd.GradientNorm - odd.GradientNorm
	tracked.Start(t.Context())
	tracked.Append(odd)
	tracked.Close(Failed)
	run := server.runs["run1"]
	if len(w.text) > 0 || run.status != "FAILED" || len(run.losses()) != 1 {
		t.Errorf("warnings %v, the server holds %+v", w.text, run)
	}
}
