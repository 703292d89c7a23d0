package page

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pretrain/metrics"
)

// story makes a run of forty lines over ten epochs from what changes: all of these go straight from a first to a last value.
type story struct {
	loss, accuracy, probe [2]float64 // probe of 0 is none
	wait                  float64
	rank, spread          float64 // 0 is not measured
	cosine                float64
	records               int // 0 means 40
	state, failure        string
	layers                []Layer
}

func (s story) run() Run {
	count := s.records
	if count == 0 {
		count = 40
	}
	run := Run{About: About{State: s.state, Error: s.failure, Steps: 400, Tasks: []string{"rotation"}, Chance: map[string]float64{"rotation": 0.25}}, Layers: s.layers}
	for i := range count {
		at := func(v [2]float64) metrics.Number {
			return metrics.Number(v[0] + (v[1]-v[0])*float64(i)/math.Max(1, float64(count-1)))
		}
		accuracy := at(s.accuracy)
		record := metrics.Record{Step: int64(10 * (i + 1)), Epoch: int64((i + 1) / 4), DataWaitRatio: metrics.Number(s.wait),
			Tasks: map[string]metrics.Task{"rotation": {Loss: at(s.loss), Accuracy: &accuracy}}}
		if s.probe[0] > 0 && i%4 == 3 {
			record.Probes = []metrics.Probe{{Probe: "knn", Layer: "1", Accuracy: at(s.probe) - 0.1}, {Probe: "knn", Layer: "2", Accuracy: at(s.probe)}}
		}
		record.Inspection = &metrics.Inspection{Cosines: []metrics.Cosine{{Task: "a", Other: "b", Cosine: metrics.Number(s.cosine)}}}
		if s.rank > 0 {
			record.Inspection.Features = []metrics.FeatureHealth{{Layer: "1", Rank: 30, Spread: 1}, {Layer: "2", Rank: metrics.Number(s.rank), Spread: metrics.Number(s.spread)}}
		}
		run.Records = append(run.Records, record)
	}
	return run
}

func evaluation(pretrained, random float64) []Layer {
	return []Layer{
		{"pretrained", 2, "linear", metrics.Number(pretrained), true}, {"pretrained", 1, "linear", 0.99, false},
		{"random", 1, "linear", metrics.Number(random), true},
	}
}

func TestJudge(t *testing.T) {
	good := story{loss: [2]float64{1.4, 0.5}, accuracy: [2]float64{0.25, 0.8}, probe: [2]float64{0.3, 0.5}, rank: 30, spread: 0.9}
	but := func(change func(*story)) Run {
		changed := good
		change(&changed)
		return changed.run()
	}
	for _, test := range []struct {
		name  string
		run   Run
		kind  Kind
		title string
		says  []string // in the text or a note
	}{
		{"nothing yet", Run{}, Early, "Too early to say", []string{"Nothing has been recorded"}},
		{"all is well", good.run(), Learned, "Learns useful features", []string{"Rotation is right in 78 %", "chance 25 %", "from 32 % to 50 %"}},
		{"finished", but(func(s *story) { s.state = "finished" }), Learned, "Has learned useful features", nil},
		{"without a probe", but(func(s *story) { s.probe[0] = 0; s.state = "finished" }), Learned, "Has learned its tasks", []string{"nothing tells whether the features are of use"}},
		{"first lines", but(func(s *story) { s.records = 3 }), Early, "", nil},
		{"first lines while starving", but(func(s *story) { s.records = 6; s.wait = 0.6 }), Starved, "", []string{"60 %"}},
		{"not a number", but(func(s *story) { s.loss[1] = math.NaN() }), Diverged, "", []string{"loss of rotation is no number"}},
		{"ended by divergence", but(func(s *story) { s.failure = "step 3: the run has diverged; begin again"; s.records = 1 }), Diverged, "", []string{"step 3"}},
		{"losses climb", but(func(s *story) { s.loss = [2]float64{1.4, 4} }), Diverged, "", []string{"times as high as at the start"}},
		{"losses climb, but it is young", but(func(s *story) { s.loss = [2]float64{1.4, 4}; s.records = 3 }), Early, "", nil},
		{"one direction", but(func(s *story) { s.rank = 1.2 }), Collapsed, "", []string{"effective rank 1.2", "layer 2"}},
		{"one point", but(func(s *story) { s.spread = 0.01 }), Collapsed, "", []string{"0.01"}},
		{"random weights look collapsed", but(func(s *story) { s.rank = 1.2; s.records = 2 }), Early, "", nil},
		{"task solved, probe flat", but(func(s *story) { s.accuracy[1] = 1; s.probe[1] = 0.31; s.accuracy[0] = 0.9 }), Shortcut, "", []string{"solved by a trick"}},
		{"task solved, probe rises", but(func(s *story) { s.accuracy = [2]float64{0.9, 1} }), Learned, "", nil},
		{"probe flat, task not solved", but(func(s *story) { s.probe[1] = 0.31 }), Learned, "Learns its tasks", nil},
		{"evaluation no better than random", but(func(s *story) { s.layers = evaluation(0.5, 0.51) }), Shortcut, "", []string{"50 %", "51 %"}},
		{"evaluation better than random", but(func(s *story) { s.layers = evaluation(0.6, 0.51); s.probe[0] = 0 }), Learned, "Learns useful features", []string{"against 51 % for random weights"}},
		{"only the trained features evaluated", but(func(s *story) { s.layers = evaluation(0.6, 0)[:2]; s.probe[0] = 0 }), Learned, "Learns its tasks", []string{"random weights were not measured"}},
		{"waits", but(func(s *story) { s.wait = 0.4 }), Starved, "", []string{"40 %", "Rotation is right"}},
		{"waits a little", but(func(s *story) { s.wait = 0.15 }), Learned, "", []string{"15 % of the time is spent waiting"}},
		{"nothing moves", but(func(s *story) { s.loss = [2]float64{1.39, 1.38}; s.accuracy = [2]float64{0.25, 0.26} }), Stuck, "", []string{"chance 25 %"}},
		{"tasks fight", but(func(s *story) { s.cosine = -0.3 }), Learned, "", []string{"a and b pull the backbone in opposite directions (cosine -0.30)"}},
		{"solved at once", but(func(s *story) { s.accuracy = [2]float64{0.99, 0.99} }), Learned, "", []string{"within a tenth of the run"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := Judge(test.run)
			if v.Kind != test.kind || test.title != "" && v.Title != test.title {
				t.Fatalf("%s (%s): %s %v", v.Title, v.Kind, v.Text, v.Notes)
			}
			if all := v.Text + fmt.Sprint(v.Notes); strings.Contains(all, "NaN") && test.kind != Diverged {
				t.Errorf("it says %s", all)
			} else {
				for _, part := range test.says {
					if !strings.Contains(all, part) {
						t.Errorf("it says %q, not %q", all, part)
					}
				}
			}
		})
	}
}

// TestATaskWithoutAccuracy is judged by its loss.
func TestATaskWithoutAccuracy(t *testing.T) {
	run := story{loss: [2]float64{5, 3}}.run()
	for _, record := range run.Records {
		task := record.Tasks["rotation"]
		task.Accuracy = nil
		record.Tasks["rotation"] = task
	}
	if v := Judge(run); v.Kind != Learned || !strings.Contains(v.Text, "loss of rotation went from 4.97 to 3.08") {
		t.Errorf("%s: %s", v.Kind, v.Text)
	}
}
