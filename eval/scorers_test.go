package eval

import (
	"cmp"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pretrain/data"
	"pretrain/internal/random"
)

func scorersOf(seed uint64) map[string]Scorer { return DefaultConfig().Scorers(seed) }

// clusterSets are parts of well separated classes, and anomalies about the origin.
func clusterSets(spread float64) Sets {
	sets := Sets{Classes: 4}
	sets.Train, sets.TrainLabels = clusters(4, 40, 9, spread, 1)
	sets.Test, sets.TestLabels = clusters(4, 25, 9, spread, 2)
	sets.Anomalies, _ = clusters(1, 20, 9, spread, 3)
	for i := range sets.Anomalies.Rows {
		sets.Anomalies.Row(i)[0] -= 6 // opposite to class 0
	}
	return sets
}

// TestScorersOfSeparatedClusters: every measure is at its best, within its interval, except for what cannot be: one
// picture in twenty-five of a class is no outlier.
func TestScorersOfSeparatedClusters(t *testing.T) {
	sets := clusterSets(0.3)
	for name, scorer := range scorersOf(1) {
		found := scorer.Score(newEngine(t, 2), sets)
		if len(found.Values) == 0 || len(found.Notes) > 0 {
			t.Errorf("%s: %+v", name, found)
		}
		for _, score := range found.Values {
			if score.Value < 0.97 || score.Value > 1+1e-9 || score.Low > score.Value+1e-9 || score.High < score.Value-1e-9 {
				t.Errorf("%s: %+v", name, score)
			}
		}
	}
}

// TestScorersFindNothingInNoise: labels that have nothing to do with the features give what chance gives.
func TestScorersFindNothingInNoise(t *testing.T) {
	sets := clusterSets(1)
	r := random.New(1, "labels")
	r.Shuffle(len(sets.TrainLabels), func(i, j int) {
		sets.TrainLabels[i], sets.TrainLabels[j] = sets.TrainLabels[j], sets.TrainLabels[i]
	})
	r.Shuffle(len(sets.TestLabels), func(i, j int) { sets.TestLabels[i], sets.TestLabels[j] = sets.TestLabels[j], sets.TestLabels[i] })
	sets.Anomalies = spreadRows(sets.Test, 50)
	chance := map[string]float64{
		"accuracy_1": 0.25, "accuracy_5": 0.25, "accuracy_10": 0.25, "nmi": 0, "ari": 0, "accuracy": 0.3, "map": 0.26,
		"recall_1": 0.25, "recall_5": 0.76, "recall_10": 0.94, "auroc_knn": 0.5, "auroc_mahalanobis": 0.5,
	}
	for name, scorer := range scorersOf(1) {
		for _, score := range scorer.Score(newEngine(t, 2), sets).Values {
			if want, ok := chance[score.Measure]; !ok || math.Abs(score.Value-want) > 0.12 {
				t.Errorf("%s: %s is %.3f, chance gives %.3f", name, score.Measure, score.Value, want)
			}
		}
	}
}

// TestScorersDependOnTheSeedAlone: not on the number of workers, nor on how often they were asked.
func TestScorersDependOnTheSeedAlone(t *testing.T) {
	sets := clusterSets(2)
	for name := range scorers {
		first := scorersOf(1)[name].Score(newEngine(t, 1), sets)
		if again := scorersOf(1)[name].Score(newEngine(t, 3), sets); !reflect.DeepEqual(first, again) {
			t.Errorf("%s: %+v became %+v", name, first, again)
		}
		if other := scorersOf(2)[name].Score(newEngine(t, 1), sets); reflect.DeepEqual(first.Values, other.Values) {
			t.Errorf("%s: seed 2 gives the very numbers and intervals of seed 1", name)
		}
	}
}

// TestScorersOfEqualFeatures: a collapsed representation has finite measures.
func TestScorersOfEqualFeatures(t *testing.T) {
	for _, value := range []float32{0, 0.7} {
		sets := clusterSets(1)
		for _, m := range []Matrix{sets.Train, sets.Test, sets.Anomalies} {
			for i := range m.Data {
				m.Data[i] = value
			}
		}
		for name, scorer := range scorersOf(1) {
			for _, score := range scorer.Score(newEngine(t, 2), sets).Values {
				if !(score.Value >= 0 && score.Value <= 1) || math.IsNaN(score.Low) || math.IsNaN(score.High) {
					t.Errorf("features of %g, %s: %+v", value, name, score)
				}
			}
		}
	}
}

// TestFewShotAgreesWithItsDefinition computes every accuracy in float64.
func TestFewShotAgreesWithItsDefinition(t *testing.T) {
	sets := clusterSets(2)
	f := FewShot{Shots: []int{3}, Draws: 6, Seed: 4}
	mean := columnMeans(sets.Train)
	train, test := normalizeRows(centred(sets.Train, mean)), normalizeRows(centred(sets.Test, mean))
	got := f.accuracies(newEngine(t, 2), sets, train, test, 3)
	for draw := range f.Draws {
		right := 0
		shots := drawShots(sets.TrainLabels, sets.Classes, 3, f.Seed, draw)
		for query := range test.Rows {
			best, least := 0, math.Inf(1)
			for class, rows := range shots {
				if d := distanceToMean(test.Row(query), train.Select(rows)); d < least {
					best, least = class, d
				}
			}
			if best == sets.TestLabels[query] {
				right++
			}
		}
		if want := float64(right) / float64(test.Rows); math.Abs(got[draw]-want) > 1e-9 {
			t.Errorf("draw %d: accuracy %g, want %g", draw, got[draw], want)
		}
	}
}

func distanceToMean(x []float32, rows Matrix) (squares float64) {
	for j, mean := range columnMeans(rows) {
		squares += math.Pow(float64(x[j])-mean, 2)
	}
	return squares
}

// TestShotsAreDrawnClassByClass, as many as asked for or all that a class has, without repetition.
func TestShotsAreDrawnClassByClass(t *testing.T) {
	labels := []int{0, 1, 1, 1, 1, 2, 2}
	for class, rows := range drawShots(labels, 3, 2, 1, 0) {
		if want := []int{1, 2, 2}[class]; len(rows) != want || len(slices.Compact(slices.Sorted(slices.Values(rows)))) != want {
			t.Errorf("class %d has the rows %v", class, rows)
		}
		for _, row := range rows {
			if labels[row] != class {
				t.Errorf("row %d is not of class %d", row, class)
			}
		}
	}
	if reflect.DeepEqual(drawShots(labels, 3, 2, 1, 0), drawShots(labels, 3, 2, 1, 1)) &&
		reflect.DeepEqual(drawShots(labels, 3, 2, 1, 0), drawShots(labels, 3, 2, 1, 2)) {
		t.Error("three draws are the same")
	}
}

// TestMeanInterval is Student's interval of 1, 2, 3, whose quantile for two degrees of freedom is 4.3027.
func TestMeanInterval(t *testing.T) {
	mean, low, high := meanInterval([]float64{1, 2, 3})
	if half := 4.30265 / math.Sqrt(3); math.Abs(mean-2) > 1e-9 || math.Abs(low-2+half) > 1e-4 || math.Abs(high-2-half) > 1e-4 {
		t.Errorf("%g, %g to %g", mean, low, high)
	}
}

// TestKMeansOfFewRows: rows that coincide leave clusters empty, and nothing breaks.
func TestKMeansOfFewRows(t *testing.T) {
	rows := Matrix{Rows: 5, Cols: 2, Data: []float32{1, 0, 1, 0, 1, 0, 0, 1, 0, 1}}
	for clusters := 1; clusters <= 5; clusters++ {
		_, inertia := KMeans{Restarts: 3, Iterations: 20, Seed: 1}.Fit(newEngine(t, 2), rows, clusters)
		if want := map[bool]float64{true: 2.4, false: 0}[clusters == 1]; math.Abs(inertia-want) > 1e-6 {
			t.Errorf("%d clusters: inertia %g, want %g", clusters, inertia, want)
		}
	}
}

// TestAssignAgreesWithEveryPermutation of small tables.
func TestAssignAgreesWithEveryPermutation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "n")
		table := make([][]int, n)
		for i := range table {
			table[i] = rapid.SliceOfN(rapid.IntRange(0, 9), n, n).Draw(t, "row")
		}
		columns := Assign(table)
		if !slices.Equal(slices.Sorted(slices.Values(columns)), slices.Sorted(slices.Values(upTo(n)))) {
			t.Fatalf("%v is no permutation", columns)
		}
		if got, want := total(table, columns), bestTotal(table, upTo(n), 0); got != want {
			t.Fatalf("%v: the columns %v sum to %d, the best to %d", table, columns, got, want)
		}
	})
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func total(table [][]int, columns []int) (sum int) {
	for row, column := range columns {
		sum += table[row][column]
	}
	return sum
}

// bestTotal tries all orders of the columns from one position on.
func bestTotal(table [][]int, columns []int, from int) int {
	if from == len(columns) {
		return total(table, columns)
	}
	best := 0
	for i := from; i < len(columns); i++ {
		columns[from], columns[i] = columns[i], columns[from]
		best = max(best, bestTotal(table, columns, from+1))
		columns[from], columns[i] = columns[i], columns[from]
	}
	return best
}

func TestAgreementOfLabellings(t *testing.T) {
	for _, c := range []struct {
		a, b     []int
		nmi, ari float64
	}{
		{[]int{0, 0, 1, 1}, []int{1, 1, 0, 0}, 1, 1},
		{[]int{0, 0, 1, 1}, []int{0, 1, 0, 1}, 0, -0.5},
		{[]int{0, 0, 0, 0}, []int{0, 1, 2, 3}, 0, 0},
		{[]int{0, 0, 1, 2}, []int{0, 0, 1, 1}, 0.8, 0.5714285714285714}, // as scikit-learn documents it
		{[]int{2, 2}, []int{0, 0}, 1, 1},
		{[]int{0}, []int{3}, 1, 1},
	} {
		if nmi, ari := NMI(c.a, c.b), ARI(c.a, c.b); math.Abs(nmi-c.nmi) > 1e-9 || math.Abs(ari-c.ari) > 1e-9 {
			t.Errorf("%v and %v: NMI %.4f, want %.4f; ARI %.4f, want %.4f", c.a, c.b, nmi, c.nmi, ari, c.ari)
		}
	}
}

// TestAveragePrecision is computed by hand: relevant rows at the ranks 1, 3 and 4.
func TestAveragePrecision(t *testing.T) {
	similarities := []float32{0.9, 0.5, 0.5, -0.2, -0.9, float32(math.Copysign(0, -1)), 0}
	// ranking: row 0, then 1 and 2 in their order, 5 and 6, 3, 4
	if got := ranking(similarities); !slices.Equal(got, []int{0, 1, 2, 5, 6, 3, 4}) {
		t.Errorf("ranking %v", got)
	}
	average, first := averagePrecision(similarities, func(row int) bool { return row == 0 || row == 2 || row == 5 })
	if want := (1 + 2./3 + 3./4) / 3; math.Abs(average-want) > 1e-12 || first != 1 {
		t.Errorf("average precision %g, first %d; want %g, 1", average, first, want)
	}
	if average, first := averagePrecision(similarities, func(int) bool { return false }); average != 0 || first != math.MaxInt {
		t.Errorf("nothing relevant: %g, %d", average, first)
	}
}

func TestRankingAgreesWithSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		similarities := rapid.SliceOfN(rapid.Float32Range(-1, 1), 0, 50).Draw(t, "similarities")
		want := upTo(len(similarities))
		slices.SortStableFunc(want, func(a, b int) int { return cmp.Compare(similarities[b], similarities[a]) })
		if got := ranking(similarities); !slices.Equal(got, want) {
			t.Fatalf("%v: %v, want %v", similarities, got, want)
		}
	})
}

// TestAUROCCountsPairs: the definition, ties included.
func TestAUROCCountsPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) []float64 {
			var values []float64
			for _, v := range rapid.SliceOfN(rapid.IntRange(0, 6), 1, 20).Draw(t, name) {
				values = append(values, float64(v))
			}
			return values
		}
		normal, anomalies := draw("normal"), draw("anomalies")
		var want float64
		for _, n := range normal {
			for _, a := range anomalies {
				want += float64(cmp.Compare(a, n)+1) / 2 / float64(len(normal)*len(anomalies))
			}
		}
		if got := AUROC(normal, anomalies); math.Abs(got-want) > 1e-12 {
			t.Fatalf("%g, want %g", got, want)
		}
	})
}

func TestAUROCOfNothing(t *testing.T) {
	if AUROC(nil, []float64{1}) != 0 || AUROC([]float64{1}, nil) != 0 {
		t.Error("a missing part has an area")
	}
}

// TestMahalanobisOfManyNumbersIsLeftOut, with a note that says why.
func TestMahalanobisOfManyNumbersIsLeftOut(t *testing.T) {
	m := Matrix{Rows: 2, Cols: mostCovariances + 1, Data: make([]float32, 2*(mostCovariances+1))}
	found := Outliers{Neighbours: 1, Listed: 1}.Score(newEngine(t, 1), Sets{Train: m, Test: m, Anomalies: m})
	if len(found.Values) != 1 || len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "4097 numbers") {
		t.Errorf("%+v", found)
	}
}

func TestOutliersAreRanked(t *testing.T) {
	sets := clusterSets(0.3)
	copy(sets.Test.Row(7), sets.Anomalies.Row(0))
	found := scorersOf(1)["outlier"].Score(newEngine(t, 2), sets)
	if len(found.Outliers) != 10 || found.Outliers[0].Row != 7 || found.Outliers[5].Row != 7 {
		t.Errorf("row 7 is of none of the classes: %+v", found.Outliers)
	}
}

func TestChooseOfProbes(t *testing.T) {
	if want := []string{"knn", "linear", "few_shot", "kmeans", "outlier", "retrieval"}; !slices.Equal(ProbeNames(), want) {
		t.Errorf("%v", ProbeNames())
	}
	for _, c := range []struct {
		names          []string
		probes, scores string
		err            string
	}{
		{names: []string{"knn", "kmeans"}, probes: "knn", scores: "kmeans"},
		{names: []string{"all"}, probes: "knn linear", scores: "few_shot kmeans outlier retrieval"},
		{names: []string{"svm"}, err: "svm: must be among knn, linear, few_shot"},
	} {
		var e Evaluation
		err := e.Choose(c.names, DefaultConfig(), 1)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v: %v", c.names, err)
			}
			continue
		}
		if err != nil || strings.Join(sortedNames(e.Probes), " ") != c.probes || strings.Join(sortedNames(e.Scorers), " ") != c.scores {
			t.Errorf("%v: %v %v %v", c.names, err, e.Probes, e.Scorers)
		}
	}
}

// TestMeasuresOfAnEvaluation: every scorer has its lines for every layer and the pixels, and the outliers are named.
func TestMeasuresOfAnEvaluation(t *testing.T) {
	e, m := newEvaluation(t), newModel(t, "vit", 8, 2)
	e.Probes, e.Scorers = nil, scorersOf(1)
	anomalies := newMemory(6, 1, 9)
	anomalies.bad[2] = true
	e.Anomalies = anomalies
	var report Report
	if err := e.Model(t.Context(), "random", m, &report); err != nil {
		t.Fatal(err)
	}
	delete(e.Scorers, "outlier") // the covariance of 3072 pixels takes seconds
	if err := e.Pixels(t.Context(), standard, &report); err != nil {
		t.Fatal(err)
	}
	if report.Anomalies != 5 || report.Bad != 1 {
		t.Errorf("%d anomalies, %d unreadable", report.Anomalies, report.Bad)
	}
	lines := map[string]int{}
	for _, row := range report.Measures {
		lines[row.Features+" "+row.Probe]++
	}
	want := map[string]int{
		"random few_shot": 9, "random kmeans": 9, "random retrieval": 12, "random outlier": 6,
		"pixels few_shot": 3, "pixels kmeans": 3, "pixels retrieval": 4,
	}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("measures %v, want %v", lines, want)
	}
	for _, outlier := range report.Outliers {
		if !strings.HasPrefix(outlier.Path, "picture") || outlier.Value <= 0 {
			t.Errorf("%+v", outlier)
		}
	}
	e.Anomalies = &memory{examples: anomalies.examples[2:3], bad: map[int]bool{0: true}}
	if err := e.Pixels(t.Context(), standard, &report); err == nil || !strings.Contains(err.Error(), "anomalies: none of the 1") {
		t.Errorf("%v", err)
	}
}

// TestDivergedWeightsAreAnError and not a report that no JSON can hold.
func TestDivergedWeightsAreAnError(t *testing.T) {
	e := newEvaluation(t)
	e.Scorers = scorersOf(1)
	var parts [3]part
	for i := range parts {
		parts[i].features.Layers = []Matrix{{Rows: 1, Cols: 1, Data: []float32{float32(math.NaN())}}}
	}
	err := e.scores("pretrained", []int{1}, parts, 2, &Report{}, func(data.Dataset) (Features, error) { return Features{}, nil })
	if err == nil || !strings.Contains(err.Error(), "layer 1 are not all finite") {
		t.Errorf("%v", err)
	}
}

// TestBestLayerOfAReport: by the linear probe, else by k-NN, and only if all layers were measured.
func TestBestLayerOfAReport(t *testing.T) {
	rows := []Row{
		{Features: "pretrained", Layer: 1, Probe: "knn", Validation: 0.6, Chosen: true},
		{Features: "pretrained", Layer: 2, Probe: "knn", Validation: 0.5},
		{Features: "pretrained", Layer: 1, Probe: "linear", Validation: 0.4},
		{Features: "pretrained", Layer: 2, Probe: "linear", Validation: 0.7, Chosen: true},
		{Features: "random", Layer: 1, Probe: "linear", Validation: 0.9, Chosen: true},
	}
	if best := (Report{Rows: rows}).Best("pretrained", 2); best == nil || *best != (Best{2, "linear", 0.7}) {
		t.Errorf("%+v", best)
	}
	if best := (Report{Rows: rows[:3]}).Best("pretrained", 2); best == nil || *best != (Best{1, "knn", 0.6}) {
		t.Errorf("k-NN alone gives %+v", best)
	}
	if best := (Report{Rows: rows}).Best("pretrained", 3); best != nil {
		t.Errorf("two of three layers give %+v", best)
	}
}
