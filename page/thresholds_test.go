package page

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pretrain/metrics"
)

// healthy is a run that learns, for tests that change one thing.
var healthy = story{loss: [2]float64{1.4, 0.5}, accuracy: [2]float64{0.25, 0.8}, probe: [2]float64{0.3, 0.5}, rank: 30, spread: 0.9}

// TestThresholds: on its good side a threshold changes nothing.
func TestThresholds(t *testing.T) {
	for _, test := range []struct {
		name      string
		good, bad func(*story)
		kind      Kind
	}{
		{"rank", func(s *story) { s.rank = collapsedRank }, func(s *story) { s.rank = collapsedRank - 0.01 }, Collapsed},
		{"spread", func(s *story) { s.spread = collapsedSpread }, func(s *story) { s.spread = collapsedSpread - 0.001 }, Collapsed},
		{"waiting", func(s *story) { s.wait = starving - 0.001 }, func(s *story) { s.wait = starving + 0.001 }, Starved},
		{"lines", func(s *story) { s.records = youngRecords }, func(s *story) { s.records = youngRecords - 1 }, Early},
	} {
		good, bad := healthy, healthy
		test.good(&good)
		test.bad(&bad)
		if v := Judge(good.run()); v.Kind != Learned {
			t.Errorf("%s: at the threshold the run is %s: %s", test.name, v.Kind, v.Text)
		}
		if v := Judge(bad.run()); v.Kind != test.kind {
			t.Errorf("%s: beyond the threshold the run is %s: %s", test.name, v.Kind, v.Text)
		}
	}
}

// TestThresholdsOfAlerts: page and alerts call the same features collapsed and the same waiting starved.
func TestThresholdsOfAlerts(t *testing.T) {
	content, err := os.ReadFile("../deploy/prometheus/rules/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("pretrain_feature_rank < %g or pretrain_feature_spread_ratio < %g", collapsedRank, collapsedSpread),
		fmt.Sprintf("< %g", fighting), fmt.Sprintf("> %g", starving),
	} {
		if !strings.Contains(string(content), want) {
			t.Errorf("no alert has %s, which the page has", want)
		}
	}
}

// fought is a healthy run with such cosines between two tasks, the last looks.
func fought(cosines []float64) Run {
	run := healthy.run()
	for i := range run.Records {
		run.Records[i].Inspection = nil
	}
	for i, cosine := range cosines {
		at := &run.Records[len(run.Records)-len(cosines)+i]
		at.Inspection = &metrics.Inspection{Cosines: []metrics.Cosine{{Task: "a", Other: "b", Cosine: metrics.Number(cosine)}}}
	}
	return run
}

// TestFights: what wavers around 0 is no fight, however low a single look was.
func TestFights(t *testing.T) {
	for _, test := range []struct {
		name    string
		cosines []float64
		want    bool
	}{
		{"never looked", nil, false},
		{"four looks are too few", []float64{-0.5, -0.5, -0.5, -0.5}, false},
		{"five that agree", []float64{-0.5, -0.5, -0.4, -0.5, -0.6}, true},
		{"noise of a short run", []float64{-0.16, -0.4, 0.1, -0.35, 0.05, -0.2}, false},
		{"small but steady", []float64{-0.09, -0.09, -0.09, -0.09, -0.09, -0.09}, false},
		{"looks that failed count for nothing", []float64{math.NaN(), -0.5, -0.5, -0.5, math.NaN(), -0.5}, false},
		{"a fight that is over", slices.Concat(slices.Repeat([]float64{-0.9}, 10), slices.Repeat([]float64{0.1, 0.2}, 10)), false},
		{"one that goes on", slices.Repeat([]float64{-0.05, -0.4}, 10), true},
	} {
		notes := strings.Join(Judge(fought(test.cosines)).Notes, " ")
		if got := strings.Contains(notes, "a and b pull the backbone in opposite directions"); got != test.want {
			t.Errorf("%s: it says %q", test.name, notes)
		}
	}
}

// TestOneTaskLags behind the other: the verdict says of which.
func TestOneTaskLags(t *testing.T) {
	run := healthy.run()
	run.Tasks = append(run.Tasks, "colorization")
	for i := range run.Records {
		run.Records[i].Tasks["colorization"] = metrics.Task{Loss: 5.5}
	}
	v := Judge(run)
	if v.Kind != Learned || !slices.Contains(v.Notes, "colorization has not begun to be learned.") {
		t.Errorf("%s: %v", v.Kind, v.Notes)
	}
	if !strings.Contains(v.Text, "the loss of colorization went from 5.50 to 5.50") {
		t.Errorf("it says %q", v.Text)
	}
}

// TestWithoutChance: runs of old versions did not record it, which is not called chance 0 %.
func TestWithoutChance(t *testing.T) {
	run := healthy.run()
	run.Chance = nil
	if v := Judge(run); v.Kind != Learned || strings.Contains(v.Text, "chance") {
		t.Errorf("%s: %s", v.Kind, v.Text)
	}
}

// TestTheLinearProbeCounts where there are both.
func TestTheLinearProbeCounts(t *testing.T) {
	run := healthy.run()
	for i := range run.Records {
		if run.Records[i].Probes != nil {
			run.Records[i].Probes = append(run.Records[i].Probes, metrics.Probe{Probe: "linear", Layer: "1", Accuracy: 0.7})
		}
	}
	if v := Judge(run); !strings.Contains(v.Text, "The linear probe of the frozen features went from 70 % to 70 %") {
		t.Errorf("it says %q", v.Text)
	}
	run.Layers = []Layer{{"pretrained", 1, "knn", 0.6, true}, {"random", 1, "knn", 0.4, true}}
	if v := Judge(run); !strings.Contains(v.Text, "60 % by the knn probe, against 40 %") {
		t.Errorf("it says %q", v.Text)
	}
}

// TestEveryRunIsJudged, however odd its numbers: with a kind that has a title, in words that end, and as JSON.
func TestEveryRunIsJudged(t *testing.T) {
	odd := rapid.OneOf(rapid.Float64Range(-1, 2), rapid.SampledFrom([]float64{0, 1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64}))
	number := rapid.Custom(func(t *rapid.T) metrics.Number { return metrics.Number(odd.Draw(t, "number")) })
	rapid.Check(t, func(t *rapid.T) {
		run := Run{About: About{
			State: rapid.SampledFrom([]string{"", "starting", "running", "finished", "failed"}).Draw(t, "state"),
			Steps: rapid.Int64Range(0, 100).Draw(t, "steps"), Tasks: []string{"a", "b"}[:rapid.IntRange(0, 2).Draw(t, "tasks")],
			Chance: map[string]float64{"a": odd.Draw(t, "chance")},
		}}
		for step := range rapid.IntRange(0, 30).Draw(t, "records") {
			record := metrics.Record{Step: int64(step), DataWaitRatio: number.Draw(t, "wait"), Tasks: map[string]metrics.Task{}}
			for _, name := range run.Tasks[:rapid.IntRange(0, len(run.Tasks)).Draw(t, "of them")] {
				accuracy := number.Draw(t, "accuracy")
				record.Tasks[name] = metrics.Task{Loss: number.Draw(t, "loss"), Accuracy: &accuracy}
			}
			if rapid.Bool().Draw(t, "measured") {
				record.Probes = []metrics.Probe{{Probe: "knn", Layer: "1", Accuracy: number.Draw(t, "probe")}}
				record.Inspection = &metrics.Inspection{
					Features: []metrics.FeatureHealth{{Layer: "1", Rank: number.Draw(t, "rank"), Spread: number.Draw(t, "spread")}},
					Cosines:  []metrics.Cosine{{Task: "a", Other: "b", Cosine: number.Draw(t, "cosine")}},
				}
			}
			run.Records = append(run.Records, record)
		}
		v := Judge(run)
		if titles[v.Kind] == "" || v.Title == "" {
			t.Fatalf("%+v has no title", v)
		}
		for _, text := range append([]string{v.Text}, v.Notes...) {
			if !strings.HasSuffix(text, ".") {
				t.Fatalf("%s: %q does not end", v.Kind, text)
			}
		}
		if _, err := json.Marshal(v); err != nil || v.Notes == nil {
			t.Fatalf("%+v is no JSON: %v", v, err)
		}
	})
}
