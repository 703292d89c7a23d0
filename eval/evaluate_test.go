package eval

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pretrain/data"
)

func newEvaluation(t *testing.T) Evaluation {
	t.Helper()
	return Evaluation{
		Train: newMemory(30, 3, 1), Test: newMemory(12, 3, 2), Engine: newEngine(t, 2), Seed: 1,
		Probes: DefaultConfig().Probes(1),
	}
}

func measure(t *testing.T, e Evaluation, m *Model) Report {
	t.Helper()
	var report Report
	if err := e.Model(t.Context(), "random", m, &report); err != nil {
		t.Fatal(err)
	}
	if err := e.Pixels(t.Context(), standard, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// TestReportHasARowForEachLayerAndProbe, in the JSON that scripts read.
func TestReportHasARowForEachLayerAndProbe(t *testing.T) {
	m := newModel(t, "vit", 8, 2)
	text, err := json.Marshal(measure(t, newEvaluation(t), m))
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Rows []map[string]any
	}
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if want := 2*m.Layers() + 2; len(read.Rows) != want {
		t.Errorf("%d rows, want %d", len(read.Rows), want)
	}
	chosen := map[string]int{}
	for _, row := range read.Rows {
		for _, key := range []string{"features", "layer", "probe", "accuracy", "balanced_accuracy", "seconds"} {
			if _, ok := row[key]; !ok {
				t.Errorf("%v has no %s", row, key)
			}
		}
		if accuracy := row["accuracy"].(float64); accuracy < 0 || accuracy > 1 {
			t.Errorf("accuracy %g", accuracy)
		}
		if row["chosen"].(bool) {
			chosen[row["features"].(string)+" "+row["probe"].(string)]++
		}
	}
	for _, name := range []string{"random knn", "random linear", "pixels knn", "pixels linear"} {
		if chosen[name] != 1 {
			t.Errorf("%d layers are chosen for %s", chosen[name], name)
		}
	}
}

// TestNothingIsChosenOnTheTestPart: other test pictures, with other labels, leave every validation and choice as it was.
func TestNothingIsChosenOnTheTestPart(t *testing.T) {
	m := newModel(t, "vit", 8, 2)
	for name, val := range map[string]data.Dataset{"held out": nil, "validation part": newMemory(15, 3, 3)} {
		t.Run(name, func(t *testing.T) {
			e := newEvaluation(t)
			e.Val = val
			first := measure(t, e, m)
			other := newMemory(9, 3, 4)
			for i := range other.examples {
				other.examples[i].Label = "class2"
			}
			e.Test = other
			second := measure(t, e, m)
			for i, row := range first.Rows {
				if again := second.Rows[i]; row.Validation != again.Validation || row.Chosen != again.Chosen {
					t.Errorf("%+v became %+v", row, again)
				}
			}
		})
	}
}

func TestValidationPartIsUsed(t *testing.T) {
	e := newEvaluation(t)
	e.Val, e.Layers = e.Test, []int{2}
	for _, row := range measure(t, e, newModel(t, "vit", 8, 2)).Rows {
		if row.Validation != row.Accuracy {
			t.Errorf("the same pictures give %g as validation part and %g as test part", row.Validation, row.Accuracy)
		}
	}
}

// TestSplitsAreReportedIfAskedFor: a mean for each features and probe, and none without being asked.
func TestSplitsAreReportedIfAskedFor(t *testing.T) {
	e, m := newEvaluation(t), newModel(t, "vit", 8, 2)
	e.Val = newMemory(9, 3, 3)
	for _, splits := range []int{0, 2} {
		e.Splits = splits
		report := measure(t, e, m)
		if want := min(splits, 1) * 4; len(report.Splits) != want {
			t.Errorf("%d splits: %d rows, want %d", splits, len(report.Splits), want)
		}
		for _, row := range report.Splits {
			if len(row.Accuracies) != splits || len(row.Layers) != splits || row.Mean < 0 || row.Mean > 1 {
				t.Errorf("%+v", row)
			}
		}
	}
}

func TestKeepAllChoosesNothing(t *testing.T) {
	e := newEvaluation(t)
	e.KeepAll = true
	for _, row := range measure(t, e, newModel(t, "vit", 8, 2)).Rows {
		if row.Chosen || row.Validation != 0 {
			t.Errorf("%+v", row)
		}
	}
}

func TestChoosePrefersTheLowerLayer(t *testing.T) {
	rows := []Row{{Layer: 1, Probe: "knn", Validation: 0.5}, {Layer: 2, Probe: "knn", Validation: 0.6}, {Layer: 3, Probe: "knn", Validation: 0.6}}
	choose(rows)
	if rows[0].Chosen || !rows[1].Chosen || rows[2].Chosen {
		t.Errorf("%+v", rows)
	}
}

func TestMistakesInLabelledPictures(t *testing.T) {
	oneClass, unreadable := newMemory(4, 1, 1), newMemory(2, 2, 1)
	unreadable.bad = map[int]bool{0: true, 1: true}
	for name, test := range map[string]struct {
		change func(*Evaluation)
		want   []string
	}{
		"a single class":       {func(e *Evaluation) { e.Train = oneClass }, []string{"training part", "class0", "at least 2", "first folder"}},
		"an unknown class":     {func(e *Evaluation) { e.Test = newMemory(8, 4, 1) }, []string{"test part", "class3"}},
		"nothing to read":      {func(e *Evaluation) { e.Test = unreadable }, []string{"test part", "none of its 2 pictures"}},
		"a layer too many":     {func(e *Evaluation) { e.Layers = []int{1, 9} }, []string{"layer 9", "1 to 3"}},
		"an unknown val class": {func(e *Evaluation) { e.Val = newMemory(8, 4, 1) }, []string{"validation part", "class3"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEvaluation(t)
			test.change(&e)
			var report Report
			err := e.Model(t.Context(), "random", newModel(t, "vit", 8, 1), &report)
			for _, part := range test.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("%v does not mention %q", err, part)
				}
			}
		})
	}
}

func TestReportCountsPictures(t *testing.T) {
	e := newEvaluation(t)
	train := newMemory(30, 3, 1)
	train.bad[3] = true
	e.Train, e.Layers = train, []int{1}
	report := measure(t, e, newModel(t, "vit", 8, 1))
	if report.Train != 29 || report.Test != 12 || report.Val != 0 || report.Bad != 1 {
		t.Errorf("%+v", report)
	}
	if !slices.Equal(report.Classes, []string{"class0", "class1", "class2"}) {
		t.Errorf("classes %v", report.Classes)
	}
}

// TestConfigOfOnlineEvaluation: folders and the epochs between two evaluations go together.
func TestConfigOfOnlineEvaluation(t *testing.T) {
	for _, c := range []struct {
		every       int
		train, test string
		want        string // in the error; empty for none
	}{
		{0, "", "", ""},
		{2, "a", "b", ""},
		{2, "a", "", "eval.test is empty"},
		{2, "", "b", "eval.train is empty"},
		{0, "a", "b", "eval.every_epochs is 0"},
		{0, "", "b", "eval.every_epochs is 0"},
	} {
		config := DefaultConfig()
		config.EveryEpochs, config.Train, config.Test = c.every, c.train, c.test
		err := config.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}
