package page

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pretrain/metrics"
)

// served is a hub behind a server that gives an answer only so much time; 0 is any.
func served(t *testing.T, limit time.Duration) (*Hub, *httptest.Server) {
	t.Helper()
	h, mux := NewHub(), http.NewServeMux()
	h.Register(func(path string, handler http.Handler) { mux.Handle("GET "+path, handler) })
	server := httptest.NewUnstartedServer(mux)
	server.Config.WriteTimeout = limit
	server.Start()
	t.Cleanup(func() { h.Close(); server.Close() })
	return h, server
}

func get(t *testing.T, method, address string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(content)
}

func TestFilesOfTheLivePage(t *testing.T) {
	h, server := served(t, 0)
	for _, test := range []struct {
		method, path string
		status       int
		kind, holds  string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", `<script src="/live/page.js">`},
		{"HEAD", "/", 200, "text/html; charset=utf-8", ""},
		{"GET", "/live/page.js", 200, "text/javascript; charset=utf-8", "EventSource"},
		{"GET", "/live/uplot.js", 200, "text/javascript; charset=utf-8", "uPlot (v1.6.32)"},
		{"GET", "/live/uplot.css", 200, "text/css; charset=utf-8", ".uplot"},
		{"GET", "/live/page.css", 200, "text/css; charset=utf-8", "prefers-color-scheme"},
		{"GET", "/live/pictures.json", 404, "", "no pictures yet"},
		{"HEAD", "/live/events", 200, "text/event-stream", ""},
		{"GET", "/live/page.go", 404, "", ""},
		{"GET", "/nowhere", 404, "", ""},
		{"POST", "/", 405, "", ""},
		{"POST", "/live/events", 405, "", ""},
	} {
		response, content := get(t, test.method, server.URL+test.path)
		if response.StatusCode != test.status || !strings.Contains(content, test.holds) {
			t.Errorf("%s %s: %d %.60q", test.method, test.path, response.StatusCode, content)
		}
		if kind := response.Header.Get("Content-Type"); test.kind != "" && kind != test.kind {
			t.Errorf("%s: of type %q", test.path, kind)
		}
	}
	h.Show([]byte(`{"step":7}`))
	if response, content := get(t, "GET", server.URL+"/live/pictures.json"); content != `{"step":7}` || response.Header.Get("ETag") != `"1"` {
		t.Errorf("pictures: %q %q", content, response.Header.Get("ETag"))
	}
}

// TestNothingIsFetchedFromElsewhere: the parts of the page name no address but that of a namespace.
func TestNothingIsFetchedFromElsewhere(t *testing.T) {
	for _, name := range []string{"live.html", "page.css", "page.js", "uplot.css", "uplot.js"} {
		content := asset(name)
		for _, harmless := range []string{"http://www.w3.org/2000/svg", "https://github.com/leeoniya/uPlot"} {
			content = strings.ReplaceAll(content, harmless, "")
		}
		for _, sign := range []string{"http:", "https:", "@import", "url(", "</script>"} {
			if strings.Contains(content, sign) && !(name == "live.html" && sign == "</script>") {
				t.Errorf("%s holds %s", name, sign)
			}
		}
	}
}

// listen opens the stream of events and returns its lines.
func listen(t *testing.T, ctx context.Context, address string) (lines *bufio.Scanner, status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, "GET", address+"/live/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	lines = bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	return lines, response.StatusCode
}

// await reads until a line begins so.
func await(t *testing.T, lines *bufio.Scanner, beginning string) {
	t.Helper()
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), beginning) {
			return
		}
	}
	t.Fatalf("the stream ended before %q: %v", beginning, lines.Err())
}

// TestTheStreamOutlivesTheLimitOfAnswers sends events far apart for a server that gives an answer 50 ms, until the hub is
// closed.
func TestTheStreamOutlivesTheLimitOfAnswers(t *testing.T) {
	h, server := served(t, 50*time.Millisecond)
	h.Publish(metrics.Record{Step: 1})
	lines, _ := listen(t, t.Context(), server.URL)
	await(t, lines, "event: snapshot")
	await(t, lines, `data: {"name":"","state":"starting"`)
	for step := range int64(3) {
		time.Sleep(60 * time.Millisecond)
		h.Publish(metrics.Record{Step: 2 + step})
		await(t, lines, "event: record")
	}
	h.Close()
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream ended badly: %v", err)
	}
}

// TestBrowsersAreBounded: one browser too many is told so, and has room when another goes away.
func TestBrowsersAreBounded(t *testing.T) {
	_, server := served(t, 0)
	first, leave := context.WithCancel(t.Context())
	for i := range clientLimit {
		ctx := t.Context()
		if i == 0 {
			ctx = first
		}
		lines, status := listen(t, ctx, server.URL)
		if status != 200 {
			t.Fatalf("browser %d: %d", i, status)
		}
		await(t, lines, "event: snapshot")
	}
	if response, content := get(t, "GET", server.URL+"/live/events"); response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d %q", response.StatusCode, content)
	}
	leave()
	for {
		if _, status := listen(t, t.Context(), server.URL); status == 200 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
