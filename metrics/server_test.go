package metrics

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server and returns its URL and a function that stops it and waits.
func serve(t *testing.T, config Config, registry *prometheus.Registry) (url string, stop func() error) {
	t.Helper()
	server, err := Listen(config, registry)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	return "http://" + server.Address(), func() error { cancel(); return <-ended }
}

// request makes a request on a connection of its own.
func request(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestServer(t *testing.T) {
	url, stop := serve(t, Config{Address: "127.0.0.1:0"}, filled().Registry())
	tests := []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/healthz", 200, "ok\n"},
		{"GET", "/metrics", 200, "pretrain_task_loss{task=\"rotation\"} 1.25\n"},
		{"HEAD", "/metrics", 200, ""},
		{"POST", "/metrics", 405, ""},
		{"DELETE", "/healthz", 405, ""},
		{"GET", "/debug/pprof/", 404, ""},
		{"GET", "/metrics/../etc", 404, ""},
	}
	for _, test := range tests {
		status, body := request(t, test.method, url+test.path)
		if status != test.status || !strings.Contains(body, test.body) {
			t.Errorf("%s %s: status %d, body %.200q", test.method, test.path, status, body)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("Serve gave %v", err)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
		t.Error("still listening after the stop")
	}
}

func TestHeadersAreLimited(t *testing.T) {
	url, stop := serve(t, Config{Address: "127.0.0.1:0"}, prometheus.NewRegistry())
	defer stop()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	r.Header.Set("X-Long", strings.Repeat("x", 2*headerLimit))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", response.StatusCode)
	}
}

// blocking is a collector whose scrape waits until it is released.
type blocking struct{ entered, release chan struct{} }

func (b blocking) Describe(chan<- *prometheus.Desc) {}
func (b blocking) Collect(chan<- prometheus.Metric) {
	close(b.entered)
	<-b.release
}

func TestStopLetsAScrapeFinish(t *testing.T) {
	b := blocking{make(chan struct{}), make(chan struct{})}
	registry := prometheus.NewRegistry()
	registry.MustRegister(b)
	url, stop := serve(t, Config{Address: "127.0.0.1:0"}, registry)
	scraped := make(chan int, 1)
	go func() {
		response, err := http.Get(url + "/metrics")
		if err != nil {
			scraped <- 0
			return
		}
		response.Body.Close()
		scraped <- response.StatusCode
	}()
	<-b.entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for { // until the server no longer takes anyone new
		connection, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			break
		}
		connection.Close()
		time.Sleep(time.Millisecond)
	}
	close(b.release)
	if status := <-scraped; status != 200 {
		t.Errorf("the scrape under way got status %d", status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestDefaultPortGivesWay(t *testing.T) {
	// Whoever holds the default port, this test or another process, it is taken now.
	if taken, err := net.Listen("tcp", DefaultAddress); err == nil {
		defer taken.Close()
	}
	server, err := Listen(DefaultConfig(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	host, port, err := net.SplitHostPort(server.Address())
	if err != nil || host != "127.0.0.1" || port == "0" || server.Address() == DefaultAddress {
		t.Errorf("listening on %s", server.Address())
	}
	if !strings.Contains(server.Warning(), DefaultAddress) {
		t.Errorf("warning %q", server.Warning())
	}
}

func TestNamedPortThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	_, err = Listen(Config{Address: address}, prometheus.NewRegistry())
	if !errors.Is(err, ErrAddress) || !strings.Contains(err.Error(), address) {
		t.Errorf("error %v", err)
	}
}

func TestServeEndsWhenItsListenerFails(t *testing.T) {
	server, err := Listen(Config{Address: "127.0.0.1:0"}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if server.Warning() != "" {
		t.Errorf("warning %q", server.Warning())
	}
	server.Close()
	if err := server.Serve(t.Context()); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), server.Address()) {
		t.Errorf("error %v", err)
	}
}

func TestValidate(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:0", ":9000", "0.0.0.0:65535", "[::1]:1", "localhost:9464"} {
		if err := (Config{Address: address}).Validate(); err != nil {
			t.Error(err)
		}
	}
	for address, want := range map[string]string{
		"9464":            `"9464": must be host:port`,
		"localhost":       "must be host:port",
		"localhost:http":  `port "http" must be a number`,
		"localhost:65536": `port "65536" must be a number from 0`,
		"localhost:-1":    `port "-1" must be`,
		"localhost:":      `port "" must be`,
	} {
		err := (Config{Address: address}).Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", address, err, want)
		}
		if _, err := Listen(Config{Address: address}, prometheus.NewRegistry()); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: Listen gave %v", address, err)
		}
	}
}
