package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pretrain/metrics"
)

// follower is what page.js makes of the events: a whole state, and changes to it.
type follower struct {
	run       Run
	snapshots int
}

func (f *follower) take(t rapid.TB, event []byte) {
	t.Helper()
	head, data, _ := bytes.Cut(bytes.TrimSuffix(event, []byte("\n\n")), []byte("\ndata: "))
	read := func(into any) {
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatalf("%s: %v", event, err)
		}
	}
	switch string(head) {
	case "event: snapshot":
		f.run = Run{}
		f.snapshots++
		read(&f.run)
	case "event: about":
		about := struct {
			About
			Verdict Verdict
		}{}
		read(&about)
		f.run.About, f.run.Verdict = about.About, about.Verdict
	case "event: record":
		var added struct {
			Record  metrics.Record
			Verdict Verdict
		}
		read(&added)
		f.run.Records, f.run.Verdict = append(f.run.Records, added.Record), added.Verdict
	case "event: log":
		var line string
		read(&line)
		f.run.Log = append(f.run.Log, line)
		f.run.Log = f.run.Log[max(0, len(f.run.Log)-logLimit):]
	case "event: pictures":
		read(&f.run.Pictures)
	default:
		t.Fatalf("the event is %.60q", event)
	}
}

// drain takes what waits, up to so many events.
func (f *follower) drain(t rapid.TB, h *Hub, c *client, most int) {
	for range most {
		select {
		case event := <-c.events:
			f.take(t, h.next(c, event))
		default:
			return
		}
	}
}

// shown is the state that a browser gets which opens the page now.
func shown(t rapid.TB, h *Hub) Run {
	var f follower
	c, ok := h.join()
	if !ok {
		t.Fatal("there is no room")
	}
	defer h.leave(c)
	f.take(t, h.snapshot(c))
	return f.run
}

// TestWhoFollowsSeesWhatWhoComesSees: whatever happens to a run, and however slowly a browser reads, after its last event it
// shows what a browser shows that opens the page then.
func TestWhoFollowsSeesWhatWhoComesSees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := NewHub()
		c, _ := h.join()
		var f follower
		f.take(t, h.snapshot(c))
		step := int64(0)
		publish := func(count int) {
			for range count {
				step++
				loss := metrics.Number(rapid.Float64Range(0, 9).Draw(t, "loss"))
				h.Publish(metrics.Record{Step: step, Tasks: map[string]metrics.Task{"rotation": {Loss: loss}}})
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish":       func(*rapid.T) { publish(1) },
			"publish much":  func(t *rapid.T) { publish(rapid.IntRange(1, 2*queueLimit).Draw(t, "records")) },
			"read a little": func(t *rapid.T) { f.drain(t, h, c, rapid.IntRange(1, 3).Draw(t, "events")) },
			"read all":      func(t *rapid.T) { f.drain(t, h, c, 1<<20) },
			"show":          func(*rapid.T) { h.Show([]byte("{}")) },
			"log":           func(*rapid.T) { fmt.Fprintf(h, "at step %d\n", step) },
			"describe": func(t *rapid.T) {
				state := rapid.SampledFrom([]string{"running", "finished", "failed"}).Draw(t, "state")
				h.Describe(About{State: state, Steps: 5000, Tasks: []string{"rotation"}, Chance: map[string]float64{"rotation": 0.25}})
			},
			"restore": func(*rapid.T) { h.Restore([]metrics.Record{{Step: step}}) },
		})
		f.drain(t, h, c, 1<<20)
		if diff := cmp.Diff(shown(t, h), f.run); diff != "" {
			t.Fatalf("after %d whole states it shows something else: %s", f.snapshots, diff)
		}
	})
}

// TestManyAtOnce: a training publishes, while browsers come, read at their own pace and go; none of them misses anything in
// the end, and the training waits for none. It is for the race detector too.
func TestManyAtOnce(t *testing.T) {
	h := NewHub()
	const steps, browsers = 400, 6
	done := make(chan struct{})
	var all sync.WaitGroup
	for b := range browsers {
		c := joined(t, h)
		all.Go(func() {
			var f follower
			f.take(t, h.snapshot(c))
			for reading := true; reading; {
				select {
				case event := <-c.events:
					f.take(t, h.next(c, event))
				case <-done:
					reading = false
				}
				if b%2 == 0 { // a slow one looks at the whole state again instead
					f.take(t, h.snapshot(c))
				}
			}
			f.drain(t, h, c, 1<<20)
			if n := len(f.run.Records); n != steps || f.run.Records[n-1].Step != steps || f.run.Pictures == 0 {
				t.Errorf("browser %d ends with %d records and pictures %d", b, n, f.run.Pictures)
			}
			h.leave(c)
		})
	}
	for step := range int64(steps) {
		h.Publish(metrics.Record{Step: step + 1})
		if step%50 == 0 {
			h.Show([]byte("{}"))
		}
	}
	close(done)
	all.Wait()
	if len(h.clients) != 0 || !h.Wanted() || h.Wanted() {
		t.Errorf("%d browsers are left", len(h.clients))
	}
}

// TestNobodyLooksNothingIsMade: no event is encoded for nobody.
func TestNobodyLooksNothingIsMade(t *testing.T) {
	h := NewHub()
	made := false
	h.mutex.Lock()
	h.send("record", func() any { made = true; return nil })
	h.mutex.Unlock()
	c := joined(t, h)
	h.leave(c)
	h.Publish(metrics.Record{Step: 1})
	if made || len(c.events) != 0 {
		t.Errorf("made %v, and %d events wait for a browser that is gone", made, len(c.events))
	}
}

// TestThinSpreadsEvenly: of what is not rare, neighbours that stay are equally far from each other, and all that is rare
// stays while it takes up to half of the room.
func TestThinSpreadsEvenly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(2, 60).Draw(t, "limit")
		rare := rapid.SliceOfN(rapid.Bool(), limit+1, 400).Draw(t, "rare")
		records, others, count := make([]metrics.Record, len(rare)), map[int64]int{}, 0
		for i := range records {
			if records[i].Step = int64(i); rare[i] && count < limit/2 {
				records[i].Inspection = &metrics.Inspection{}
				count++
			} else {
				others[records[i].Step] = len(others)
			}
		}
		kept := thin(slices.Clone(records), limit)
		last, gap := -1, 0
		for _, record := range kept {
			if isRare(record) {
				count--
				continue
			}
			at := others[record.Step]
			if last >= 0 && gap > 0 && at-last != gap {
				t.Fatalf("records are %d and %d apart", gap, at-last)
			}
			if last >= 0 {
				gap = at - last
			}
			last = at
		}
		if count != 0 {
			t.Fatalf("%d rare records are gone", count)
		}
	})
}
