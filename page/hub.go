package page

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"pretrain/metrics"
)

const (
	logLimit    = 100 // lines of the log that are shown
	queueLimit  = 64  // events that wait for a browser
	clientLimit = 16  // browsers at once
)

// Hub holds what the live page shows of a run, and passes changes on to the browsers that look. Training never waits for
// a browser: one that is slower than the run misses events and gets the whole state again. A nil Hub takes everything
// and shows nothing. It may be used by many goroutines.
type Hub struct {
	mutex   sync.Mutex
	about   About
	history history
	log     []string
	gallery []byte // JSON
	version int64  // of the gallery
	asked   bool   // somebody looked since Wanted was called
	clients map[*client]bool
	closed  chan struct{}
	close   sync.Once
}

// client is a browser's queue of events. The hub's mutex guards behind.
type client struct {
	events chan []byte
	behind bool // events were lost
}

// NewHub shows a run that is about to start.
func NewHub() *Hub {
	return &Hub{about: About{State: "starting"}, clients: map[*client]bool{}, closed: make(chan struct{})}
}

// Describe replaces what is known of the run.
func (h *Hub) Describe(about About) {
	if h == nil {
		return
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.about = about
	h.send("about", func() any {
		return struct {
			About
			Verdict Verdict `json:"verdict"`
		}{about, h.judge()}
	})
}

// Restore shows the records of earlier processes of the run; see thin. They belong to the hub.
func (h *Hub) Restore(records []metrics.Record) {
	if h == nil {
		return
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.history.records = thin(records, historyLimit)
	h.resend()
}

// Publish shows a record, which must not change any more.
func (h *Hub) Publish(record metrics.Record) {
	if h == nil {
		return
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.history.add(record)
	h.send("record", func() any {
		return struct {
			Record  metrics.Record `json:"record"`
			Verdict Verdict        `json:"verdict"`
		}{record, h.judge()}
	})
}

// Show replaces the pictures by a look.Gallery in JSON, which must not change any more.
func (h *Hub) Show(gallery []byte) {
	if h == nil {
		return
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.gallery = gallery
	h.version++
	h.send("pictures", func() any { return h.version })
}

// Write shows a line of the log. It never fails.
func (h *Hub) Write(line []byte) (int, error) {
	if h == nil {
		return len(line), nil
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	shown := HidePaths(strings.TrimRight(string(line), "\n"))
	h.log = append(h.log, shown)
	if len(h.log) > 2*logLimit {
		h.log = slices.Clone(h.log[len(h.log)-logLimit:])
	}
	h.send("log", func() any { return shown })
	return len(line), nil
}

// Wanted reports whether somebody looks now or has looked since the last call.
func (h *Hub) Wanted() bool {
	if h == nil {
		return false
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	wanted := h.asked || len(h.clients) > 0
	h.asked = false
	return wanted
}

// Close ends the answers that are under way.
func (h *Hub) Close() {
	if h != nil {
		h.close.Do(func() { close(h.closed) })
	}
}

// judge needs the mutex.
func (h *Hub) judge() Verdict { return Judge(Run{About: h.about, Records: h.history.records}) }

// send queues an event for all browsers; its content is made only if there are any. It needs the mutex.
func (h *Hub) send(name string, content func() any) {
	if len(h.clients) == 0 {
		return
	}
	event := encode(name, content())
	for c := range h.clients {
		select {
		case c.events <- event:
		default:
			c.forget()
		}
	}
}

// resend makes all browsers get the whole state. It needs the mutex.
func (h *Hub) resend() {
	for c := range h.clients {
		c.forget()
	}
}

// forget empties the queue and leaves a sign that events are missing.
func (c *client) forget() {
	for len(c.events) > 0 {
		select {
		case <-c.events:
		default:
		}
	}
	c.behind = true
	c.events <- nil
}

// encode writes a server-sent event. JSON has no line breaks, so one line of data suffices.
func encode(name string, content any) []byte {
	text, err := json.Marshal(content)
	if err != nil { // numbers that are not finite are metrics.Numbers, so that nothing here can fail
		panic("page: " + err.Error())
	}
	return slices.Concat([]byte("event: "+name+"\ndata: "), text, []byte("\n\n"))
}

// join adds a browser; false if there are too many.
func (h *Hub) join() (*client, bool) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if len(h.clients) >= clientLimit {
		return nil, false
	}
	c := &client{events: make(chan []byte, queueLimit)}
	h.clients[c] = true
	return c, true
}

func (h *Hub) leave(c *client) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	delete(h.clients, c)
	h.asked = true
}

// snapshot is the whole state as an event. The queue of the browser that it is for is emptied, since the snapshot holds
// what waited there. The state is copied under the mutex and encoded after it, so that training does not wait for it.
func (h *Hub) snapshot(c *client) []byte {
	h.mutex.Lock()
	for len(c.events) > 0 {
		<-c.events
	}
	c.behind = false
	run := Run{
		About: h.about, Records: slices.Clone(h.history.records), Pictures: h.version,
		Log: slices.Clone(h.log[max(0, len(h.log)-logLimit):]),
	}
	h.mutex.Unlock()
	run.Verdict = Judge(run)
	return encode("snapshot", run)
}

// next is the next event for a browser: the whole state if it has missed some.
func (h *Hub) next(c *client, event []byte) []byte {
	h.mutex.Lock()
	behind := c.behind
	h.mutex.Unlock()
	if behind {
		return h.snapshot(c)
	}
	return event
}

// pictures is the gallery that is shown, and its version.
func (h *Hub) pictures() ([]byte, int64) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.asked = true
	return h.gallery, h.version
}
