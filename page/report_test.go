package page

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"pretrain/metrics"
)

var embedded = regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`)

func TestWriteReport(t *testing.T) {
	run := story{loss: [2]float64{1, 0.4}, accuracy: [2]float64{0.3, 0.8}}.run()
	run.Name, run.Config, run.Log = "</script><b>first", "a: 1\n", []string{"</script>"}
	for range 4 * historyLimit {
		run.Records = append(run.Records, run.Records[len(run.Records)-1])
	}
	run.Gallery = json.RawMessage(`{"sheets":[]}`)
	var page bytes.Buffer
	report := Report{Runs: []Run{run}}
	if err := WriteReport(&page, report, "1.2", time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	if n := strings.Count(text, "</script>"); n != 3 {
		t.Errorf("%d ends of scripts, want 3: what is shown ends none", n)
	}
	for _, sign := range []string{`src="`, `href="http`, `href="/`} {
		if strings.Contains(text, sign) {
			t.Errorf("the page fetches something: it holds %s", sign)
		}
	}
	if !strings.Contains(text, "<h1>&lt;/script&gt;&lt;b&gt;first</h1>") || !strings.Contains(text, "Learns its tasks") {
		t.Error("without scripts the verdict is missing")
	}
	found := embedded.FindStringSubmatch(text)
	var read Report
	if err := json.Unmarshal([]byte(found[1]), &read); err != nil {
		t.Fatal(err)
	}
	got := read.Runs[0]
	if got.Name != run.Name || len(got.Records) > historyLimit || got.Verdict.Kind != Learned || string(got.Gallery) != string(run.Gallery) {
		t.Errorf("it holds %s, %d records, %+v, %s", got.Name, len(got.Records), got.Verdict, got.Gallery)
	}
	if read.Made != "Report of pretrain 1.2, 4 March 2026, 05:06 UTC" {
		t.Errorf("made: %q", read.Made)
	}
}

func TestLogLine(t *testing.T) {
	for line, want := range map[string]string{
		`{"level":"info","time":"2026-11-25T01:32:11.5Z","message":"training","steps":3,"name":"x"}`: `01:32:11  info  training  {"name":"x","steps":3}`,
		`{"level":"warn","message":"late"}`: `  warn  late`,
		`no JSON`:                           `no JSON`,
		`{"torn`:                            `{"torn`,
	} {
		if got := LogLine(line); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// TestNumbersThatAreNone travel as null.
func TestNumbersThatAreNone(t *testing.T) {
	run := story{loss: [2]float64{1, 0.4}}.run()
	run.Layers = []Layer{{Accuracy: metrics.Number(0.5)}}
	run.Records[3].Loss = metrics.Number(1) / metrics.Number(zero())
	var page bytes.Buffer
	if err := WriteReport(&page, Report{Runs: []Run{run}}, "1", time.Time{}); err != nil || !strings.Contains(page.String(), `"loss":null`) {
		t.Errorf("error %v", err)
	}
}

func zero() float64 { return 0 }
