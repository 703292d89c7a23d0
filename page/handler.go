package page

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	beat      = 15 * time.Second // between signs of life, by which a browser that went away is noticed
	writeTime = 10 * time.Second // for one event
)

// files are the static parts of the live page, by path.
var files = map[string]struct{ name, kind string }{
	"/{$}":            {"live.html", "text/html; charset=utf-8"},
	"/live/page.css":  {"page.css", "text/css; charset=utf-8"},
	"/live/page.js":   {"page.js", "text/javascript; charset=utf-8"},
	"/live/uplot.css": {"uplot.css", "text/css; charset=utf-8"},
	"/live/uplot.js":  {"uplot.js", "text/javascript; charset=utf-8"},
}

// Register gives the paths of the live page, in the patterns of http.ServeMux, to handle. They are for GET and HEAD.
func (h *Hub) Register(handle func(path string, handler http.Handler)) {
	for path, file := range files {
		handle(path, static(asset(file.name), file.kind))
	}
	handle("/live/events", http.HandlerFunc(h.serveEvents))
	handle("/live/pictures.json", http.HandlerFunc(h.servePictures))
}

// static serves a file that browsers ask for again, because another version of the program may run at the same address.
func static(content, kind string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = io.WriteString(w, content) // a client that went away is no error of ours
	})
}

// servePictures serves the gallery.
func (h *Hub) servePictures(w http.ResponseWriter, _ *http.Request) {
	gallery, version := h.pictures()
	if gallery == nil {
		http.Error(w, "there are no pictures yet", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Length", strconv.Itoa(len(gallery)))
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, version))
	_, _ = w.Write(gallery)
}

// serveEvents sends the whole state and then every change, as server-sent events, until the browser goes away or the hub
// is closed.
func (h *Hub) serveEvents(w http.ResponseWriter, r *http.Request) {
	c, ok := h.join()
	if !ok {
		w.Header().Set("Retry-After", "30")
		http.Error(w, fmt.Sprintf("%d browsers look at this run already: close one", clientLimit), http.StatusServiceUnavailable)
		return
	}
	defer h.leave(c)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return
	}
	stream := stream{w, http.NewResponseController(w)}
	if stream.send(h.snapshot(c)) == nil {
		h.stream(r, c, stream)
	}
}

func (h *Hub) stream(r *http.Request, c *client, out stream) {
	alive := time.NewTicker(beat)
	defer alive.Stop()
	for {
		var event []byte
		select {
		case event = <-c.events:
			event = h.next(c, event)
		case <-alive.C:
			event = []byte(": alive\n\n")
		case <-r.Context().Done():
			return
		case <-h.closed:
			return
		}
		if out.send(event) != nil {
			return
		}
	}
}

// stream writes events to a browser, each within a time of its own, whatever the time limit of the server's answers.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s stream) send(event []byte) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	if _, err := s.w.Write(event); err != nil {
		return err
	}
	return s.control.Flush()
}
