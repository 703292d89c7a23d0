package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"pretrain/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parsed is the content of an event.
func parsed[T any](t *testing.T, event []byte, name string) (content T) {
	t.Helper()
	head, data, ok := bytes.Cut(event, []byte("\ndata: "))
	if !ok || string(head) != "event: "+name || !bytes.HasSuffix(data, []byte("\n\n")) {
		t.Fatalf("the event is %.80q, want one of %s", event, name)
	}
	if err := json.Unmarshal(data, &content); err != nil {
		t.Fatal(err)
	}
	return content
}

func joined(t *testing.T, h *Hub) *client {
	t.Helper()
	c, ok := h.join()
	if !ok {
		t.Fatal("there is no room")
	}
	return c
}

// TestASlowBrowserGetsTheWholeState: a browser that does not read holds a bounded number of events and holds up nobody;
// when it reads again, it misses nothing.
func TestASlowBrowserGetsTheWholeState(t *testing.T) {
	h := NewHub()
	c := joined(t, h)
	const records = 10 * queueLimit
	for step := range int64(records) {
		h.Publish(metrics.Record{Step: step})
		if len(c.events) > queueLimit {
			t.Fatalf("%d events wait", len(c.events))
		}
	}
	run := parsed[Run](t, h.next(c, <-c.events), "snapshot")
	if len(run.Records) != records || run.Records[records-1].Step != records-1 {
		t.Errorf("the browser gets %d records", len(run.Records))
	}
	if len(c.events) != 0 {
		t.Errorf("%d events wait beside the whole state, which holds them", len(c.events))
	}
	h.Publish(metrics.Record{Step: records})
	if got := parsed[struct{ Record metrics.Record }](t, h.next(c, <-c.events), "record"); got.Record.Step != records {
		t.Errorf("then it gets step %d", got.Record.Step)
	}
}

func TestEventsOfAHub(t *testing.T) {
	h := NewHub()
	c := joined(t, h)
	h.Describe(About{Name: "first", State: "running", Steps: 9})
	if got := parsed[Run](t, <-c.events, "about"); got.Name != "first" || got.Verdict.Kind != Early {
		t.Errorf("about: %+v", got)
	}
	if _, err := h.Write([]byte("opened /home/somebody/pictures/a.jpg\n")); err != nil {
		t.Error(err)
	}
	if got := parsed[string](t, <-c.events, "log"); got != "opened a.jpg" {
		t.Errorf("log: %q", got)
	}
	h.Show([]byte(`{}`))
	if got := parsed[int64](t, <-c.events, "pictures"); got != 1 {
		t.Errorf("pictures: version %d", got)
	}
	h.Restore([]metrics.Record{{Step: 4}})
	if got := parsed[Run](t, h.next(c, <-c.events), "snapshot"); len(got.Records) != 1 || got.Pictures != 1 || len(got.Log) != 1 {
		t.Errorf("after a resumption: %+v", got)
	}
}

func TestTheLogIsBounded(t *testing.T) {
	h := NewHub()
	for i := range 10 * logLimit {
		fmt.Fprintf(h, "line %d\n", i)
	}
	run := parsed[Run](t, h.snapshot(joined(t, h)), "snapshot")
	if len(run.Log) != logLimit || run.Log[logLimit-1] != fmt.Sprintf("line %d", 10*logLimit-1) || len(h.log) > 2*logLimit {
		t.Errorf("%d of %d lines, the last is %q", len(run.Log), len(h.log), run.Log[len(run.Log)-1])
	}
}

func TestWanted(t *testing.T) {
	h := NewHub()
	check := func(when string, want bool) {
		t.Helper()
		if h.Wanted() != want {
			t.Errorf("%s: wanted is %v", when, !want)
		}
	}
	check("nobody has looked", false)
	c := joined(t, h)
	check("somebody looks", true)
	check("somebody still looks", true)
	h.leave(c)
	check("somebody has looked", true)
	check("nobody has looked since", false)
	h.pictures()
	check("somebody has fetched pictures", true)
}

// TestNoPageIsNoBurden: a training whose page is not served calls the same methods.
func TestNoPageIsNoBurden(t *testing.T) {
	var h *Hub
	h.Describe(About{})
	h.Restore(nil)
	h.Publish(metrics.Record{})
	h.Show(nil)
	h.Close()
	if n, err := h.Write([]byte("x")); n != 1 || err != nil || h.Wanted() {
		t.Errorf("%d, %v", n, err)
	}
}

// TestThin: whatever the records, the result is bounded, in order, ends with the last one, and keeps probes as long as
// there is room.
func TestThin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count, limit := rapid.IntRange(1, 500).Draw(t, "records"), rapid.IntRange(1, 100).Draw(t, "limit")
		every := rapid.IntRange(1, 50).Draw(t, "records a probe")
		var records []metrics.Record
		for i := range count {
			record := metrics.Record{Step: int64(i)}
			if i%every == 0 {
				record.Probes = []metrics.Probe{{}}
			}
			records = append(records, record)
		}
		kept := thin(records, limit)
		if len(kept) > limit || len(kept) == 0 || kept[len(kept)-1].Step != int64(count-1) || count <= limit && len(kept) != count {
			t.Fatalf("%d of %d records, limit %d", len(kept), count, limit)
		}
		for i := range kept[1:] {
			if kept[i].Step >= kept[i+1].Step {
				t.Fatalf("step %d comes before %d", kept[i].Step, kept[i+1].Step)
			}
		}
	})
}

func TestHistoryKeepsProbes(t *testing.T) {
	var h history
	for i := range 5 * historyLimit {
		record := metrics.Record{Step: int64(i)}
		if i%1000 == 0 {
			record.Probes = []metrics.Probe{{Accuracy: 1}}
		}
		h.add(record)
	}
	probes := 0
	for _, record := range h.records {
		probes += len(record.Probes)
	}
	if probes != 8 || len(h.records) >= 2*historyLimit {
		t.Errorf("%d probes among %d records", probes, len(h.records))
	}
}

func TestHidePaths(t *testing.T) {
	for text, want := range map[string]string{
		"nothing to hide":                              "nothing to hide",
		"open /srv/data/cats/1.jpg: no such file":      "open 1.jpg: no such file",
		`{"path": "/home/a b/x.png", "n": 3}`:          `{"path": "x.png", "n": 3}`,
		`C:\Users\me\pictures\x.png is damaged`:        "x.png is damaged",
		"open /srv/our pictures/a b/1.jpg: permission": "open 1.jpg: permission",
		"weights=/a/b/c.safetensors, kept":             "weights=c.safetensors, kept",
		"http://127.0.0.1:9464/metrics":                "http://127.0.0.1:9464/metrics",
		"3/4 of 1 / 2 and runs/first":                  "3/4 of 1 / 2 and runs/first",
		"~/secret/run and /":                           "run and /",
	} {
		if got := HidePaths(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestHideConfigPaths(t *testing.T) {
	config := "# of /home/me\ndata:\n  path: customers/acme/pictures/\n  size: 64\nmetrics:\n  push: {url: 'https://me:word@gate.example:9091/x/y'}\neval: {train: \"C:\\\\data\\\\train\"}\n"
	want := "data:\n  path: pictures\n  size: 64\nmetrics:\n  push: {url: 'https://gate.example:9091'}\neval: {train: \"train\"}\n"
	if got := HideConfigPaths(config); got != want {
		t.Errorf("got %q", got)
	}
	if got := HideConfigPaths(": no yaml: [ /home/me/x"); strings.Contains(got, "home") {
		t.Errorf("got %q", got)
	}
}
