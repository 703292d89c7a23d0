package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// page is a server in place of a training's, which counts what is asked for.
type page struct {
	*httptest.Server
	mutex sync.Mutex
	asked map[string]int
}

// newPage sends some events, and then holds the connection unless it is to close it.
func newPage(t *testing.T, closes bool, events ...string) *page {
	p := &page{asked: map[string]int{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mutex.Lock()
		p.asked[r.URL.Path]++
		p.mutex.Unlock()
		switch r.URL.Path {
		case "/live/events":
			for _, event := range events {
				fmt.Fprintf(w, "event: %s\ndata: {}\n\n", event)
			}
			w.(http.Flusher).Flush()
			if !closes {
				<-r.Context().Done()
			}
		case "/metrics", "/live/pictures.json":
			fmt.Fprintln(w, "something")
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *page) count(path string) int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.asked[path]
}

// until waits for something that takes a moment.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not happen", what)
		}
	}
}

// TestAudienceLooks: pictures are fetched as often as an event tells of new ones, and metrics scraped again and again, until
// the context ends, which is no error.
func TestAudienceLooks(t *testing.T) {
	p := newPage(t, false, "pictures", "step", "step", "pictures", "pictures")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- audience{page: p.URL + "/", every: time.Millisecond}.look(ctx) }()
	until(t, "looking", func() bool { return p.count("/live/pictures.json") == 3 && p.count("/metrics") > 3 })
	stop()
	if err := <-ended; err != nil {
		t.Errorf("a look that was ended says %v", err)
	}
	if p.count("/live/events") != 1 {
		t.Errorf("the page was opened %d times", p.count("/live/events"))
	}
}

// TestAudienceSeesNothing: a page that says an error or is not there ends the look with the reason.
func TestAudienceSeesNothing(t *testing.T) {
	nobody := httptest.NewServer(nil)
	nobody.Close()
	for name, test := range map[string]struct{ page, want string }{
		"no page":   {newPage(t, false).URL + "/elsewhere/", "/elsewhere/live/events: 404 Not Found"},
		"no server": {nobody.URL + "/", "connection refused"},
		"rubbish":   {":/", "missing protocol scheme"},
	} {
		err := audience{page: test.page, every: time.Millisecond}.look(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "sees nothing any more") {
			t.Errorf("%s: got %v, want %q in it", name, err, test.want)
		}
	}
}

// TestPageCloses: events that end while somebody looks are an error of looking, and none of reading them.
func TestPageCloses(t *testing.T) {
	p := newPage(t, true, "step", "pictures")
	if err := (audience{page: p.URL + "/"}).watch(t.Context()); err != nil {
		t.Errorf("a page that closes is the error %v", err)
	}
	if p.count("/live/pictures.json") != 1 {
		t.Errorf("pictures were read %d times", p.count("/live/pictures.json"))
	}
	closing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/live/events" {
			http.Error(w, "gone", http.StatusGone)
		}
	}))
	defer closing.Close()
	err := audience{page: closing.URL + "/", every: time.Millisecond}.look(t.Context())
	if err == nil || strings.Count(err.Error(), "sees nothing any more") != 2 {
		t.Errorf("got %v, want that neither the page nor the metrics are seen", err)
	}
}

// TestScrapeFails when /metrics does.
func TestScrapeFails(t *testing.T) {
	p := newPage(t, false)
	err := audience{page: p.URL + "/missing/", every: time.Millisecond}.scrape(t.Context())
	if err == nil || !strings.Contains(err.Error(), "/missing/metrics: 404") {
		t.Errorf("got %v", err)
	}
}

// TestPicturesFail: an event that tells of pictures which are not there is an error, and other events are not.
func TestPicturesFail(t *testing.T) {
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/live/events" {
			fmt.Fprint(w, "event: step\n\nevent: pictures\n\n")
			return
		}
		http.Error(w, "gone", http.StatusGone)
	}))
	defer broken.Close()
	err := audience{page: broken.URL + "/"}.watch(t.Context())
	if err == nil || !strings.Contains(err.Error(), "/live/pictures.json: 410 Gone") {
		t.Errorf("got %v", err)
	}
}
