package metrics

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// pushed is a request that a stub of a Pushgateway saw.
type pushed struct{ method, path, user, password, body string }

// gateway answers every push with a status and hands it over.
func gateway(t *testing.T, status int) (url string, seen chan pushed) {
	t.Helper()
	seen = make(chan pushed, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		seen <- pushed{r.Method, r.URL.Path, user, password, string(body)}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server.URL, seen
}

// pushing runs a pusher that pushes often, and returns what stops it.
func pushing(t *testing.T, config PushConfig, failed func(error)) (stop func()) {
	t.Helper()
	pusher, err := NewPusher(config, filled().Registry(), "r1", failed)
	if err != nil {
		t.Fatal(err)
	}
	pusher.every = time.Millisecond
	return running(t, pusher)
}

// running lets a pusher push until stop is called.
func running(t *testing.T, pusher *Pusher) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); pusher.Run(ctx) }()
	return func() { cancel(); <-ended }
}

func noFailure(t *testing.T) func(error) { return func(err error) { t.Error(err) } }

// TestPush: again and again, and once more at the end, all series under the job and the instance, by PUT, which replaces
// the group.
func TestPush(t *testing.T) {
	t.Setenv("PUSH_SECRET", "sesame")
	url, seen := gateway(t, http.StatusOK)
	config := DefaultPushConfig()
	config.URL, config.Username, config.PasswordVariable = url, "someone", "PUSH_SECRET"
	stop := pushing(t, config, noFailure(t))
	<-seen
	got := <-seen
	want := pushed{"PUT", "/metrics/job/pretrain/instance/r1", "someone", "sesame", got.body}
	if got != want || !strings.Contains(got.body, "pretrain_task_loss") {
		t.Errorf("pushed %.300q", got)
	}
	stop()
	for len(seen) > 0 {
		<-seen
	}
	config.Instance, config.EverySeconds = "host-1", 3600
	pusher, err := NewPusher(config, filled().Registry(), "r1", noFailure(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	pusher.Run(ctx)
	if last := <-seen; last.path != "/metrics/job/pretrain/instance/host-1" {
		t.Errorf("the last push went to %s", last.path)
	}
}

// TestAGatewayThatFailsIsToldOnce and is tried again.
func TestAGatewayThatFailsIsToldOnce(t *testing.T) {
	t.Run("refuses", func(t *testing.T) {
		url, seen := gateway(t, http.StatusInternalServerError)
		failures := failuresOf(t, url, func() { <-seen; <-seen; <-seen })
		if failures != 1 {
			t.Errorf("%d warnings", failures)
		}
	})
	t.Run("is away", func(t *testing.T) {
		closed, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		closed.Close()
		if failures := failuresOf(t, "http://"+closed.Addr().String(), func() {}); failures != 1 {
			t.Errorf("%d warnings", failures)
		}
	})
}

func failuresOf(t *testing.T, url string, wait func()) int32 {
	var failures atomic.Int32
	config := DefaultPushConfig()
	config.URL = url
	stop := pushing(t, config, func(err error) {
		failures.Add(1)
		if !strings.Contains(err.Error(), "metrics.push.url") {
			t.Errorf("the warning is %v", err)
		}
	})
	wait()
	stop()
	return failures.Load()
}

func TestMistakesInPush(t *testing.T) {
	for name, test := range map[string]struct {
		config PushConfig
		want   string
	}{
		"no scheme": {PushConfig{URL: "gateway:9091"}, "metrics.push.url is \"gateway:9091\""},
		"password":  {PushConfig{URL: "http://a:b@gateway"}, "metrics.push.password_variable"},
		"user only": {PushConfig{URL: "http://gateway", Username: "a"}, "metrics.push.password_variable is empty"},
	} {
		if err := (Config{Push: test.config}).Validate(); err == nil ||
			!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), ":b@") {
			t.Errorf("%s: %v", name, err)
		}
	}
	unset := PushConfig{URL: "http://gateway", PasswordVariable: "NOT_SET_ANYWHERE", EverySeconds: 1, Job: "a"}
	if _, err := NewPusher(unset, filled().Registry(), "r1", nil); err == nil ||
		!strings.Contains(err.Error(), "NOT_SET_ANYWHERE, which is not set") {
		t.Errorf("a missing password gives %v", err)
	}
}

// TestRealPushgateway pushes to the program of that name and reads back what it holds.
func TestRealPushgateway(t *testing.T) {
	program, err := exec.LookPath("prometheus-pushgateway")
	if err != nil {
		skip(t, "prometheus-pushgateway, from the Debian package of that name")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	command := exec.Command(program, "--web.listen-address="+address, "--persistence.file="+filepath.Join(t.TempDir(), "kept"))
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { command.Process.Kill(); command.Wait() }()
	waitFor(t, "http://"+address+"/-/ready")
	config := DefaultPushConfig()
	config.URL = "http://" + address
	pushing(t, config, noFailure(t))()
	_, body := request(t, "GET", "http://"+address+"/metrics")
	for _, want := range []string{
		`pretrain_task_loss{instance="r1",job="pretrain",task="rotation"} 1.25`,
		`push_failure_time_seconds{instance="r1",job="pretrain"} 0`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the gateway does not hold %s", want)
		}
	}
}

// waitFor asks until a server answers that it is ready.
func waitFor(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		response, err := http.Get(url)
		if err == nil {
			response.Body.Close()
			http.DefaultClient.CloseIdleConnections()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal(errors.Join(errors.New(url+" never was ready"), ctx.Err()))
}
