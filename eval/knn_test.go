package eval

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pretrain/internal/kernel"
	"pretrain/internal/random"
)

func newEngine(t *testing.T, workers int) *kernel.Engine {
	t.Helper()
	engine, err := kernel.New(kernel.Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	return engine
}

// clusters draws count points around each of several centres on the axes, with the class as label.
func clusters(classes, count, dim int, spread float64, seed uint64) (Matrix, []int) {
	r := random.New(seed, "clusters")
	m := Matrix{Cols: dim}
	var labels []int
	for class := range classes {
		for range count {
			for j := range dim {
				x := r.NormFloat64() * spread
				if j == class {
					x += 3
				}
				m.Data = append(m.Data, float32(x))
			}
			m.Rows++
			labels = append(labels, class)
		}
	}
	return m, labels
}

func TestProbesSeparateClusters(t *testing.T) {
	engine := newEngine(t, 2)
	train, trainLabels := clusters(4, 40, 7, 0.5, 1)
	test, testLabels := clusters(4, 25, 7, 0.5, 2)
	for name, probe := range DefaultConfig().Probes(1) {
		predicted := probe.Predict(engine, train, trainLabels, test, 4)
		if accuracy := Accuracy(predicted, testLabels); accuracy < 0.98 {
			t.Errorf("%s: accuracy %g on clusters six deviations apart", name, accuracy)
		}
	}
}

// TestProbesFindNothingInNoise: on labels that have nothing to do with the features no probe beats chance.
func TestProbesFindNothingInNoise(t *testing.T) {
	engine := newEngine(t, 2)
	noise := func(rows int, seed uint64) (Matrix, []int) {
		r := random.New(seed, "noise")
		m, labels := Matrix{Rows: rows, Cols: 9}, make([]int, rows)
		for range rows * m.Cols {
			m.Data = append(m.Data, float32(r.NormFloat64()))
		}
		for i := range labels {
			labels[i] = r.IntN(4)
		}
		return m, labels
	}
	train, trainLabels := noise(200, 1)
	test, testLabels := noise(800, 2)
	for name, probe := range DefaultConfig().Probes(1) {
		predicted := probe.Predict(engine, train, trainLabels, test, 4)
		if accuracy := Accuracy(predicted, testLabels); accuracy < 0.18 || accuracy > 0.32 {
			t.Errorf("%s: accuracy %g where chance is 0.25", name, accuracy)
		}
	}
}

// TestKNNVotes computes one vote by hand: two neighbours of class 1 that are a little farther than one of class 0.
func TestKNNVotes(t *testing.T) {
	at := func(degrees float64) []float32 {
		return []float32{float32(math.Cos(degrees * math.Pi / 180)), float32(math.Sin(degrees * math.Pi / 180))}
	}
	train := Matrix{Rows: 4, Cols: 2, Data: slices.Concat(at(10), at(-12), at(12), at(170))}
	labels := []int{0, 1, 1, 0}
	query := Matrix{Rows: 1, Cols: 2, Data: []float32{5, 0}} // length plays no role
	engine := newEngine(t, 2)
	for _, test := range []struct {
		neighbours  int
		temperature float64
		want        int
	}{
		{1, 0.07, 0},  // the nearest alone
		{3, 0.07, 1},  // exp(cos 10°/T) < 2·exp(cos 12°/T)
		{3, 0.001, 0}, // a sharp vote is the nearest alone
	} {
		knn := KNN{Neighbours: test.neighbours, Temperature: test.temperature}
		if got := knn.Predict(engine, train, labels, query, 2)[0]; got != test.want {
			t.Errorf("%+v predicts %d, want %d", knn, got, test.want)
		}
	}
}

func TestNearestAgreesWithSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		similarities := rapid.SliceOfN(rapid.Float32Range(-1, 1), 1, 60).Draw(t, "similarities")
		n := rapid.IntRange(1, 70).Draw(t, "n")
		sorted := make([]int, len(similarities))
		for i := range sorted {
			sorted[i] = i
		}
		slices.SortStableFunc(sorted, func(a, b int) int { return cmp.Compare(similarities[b], similarities[a]) })
		want := sorted[:min(n, len(sorted))]
		if got := nearest(similarities, n); !slices.Equal(got, want) {
			t.Fatalf("nearest %d of %v: %v, want %v", n, similarities, got, want)
		}
	})
}

// TestKNNAgreesWithBruteForce computes every vote in float64.
func TestKNNAgreesWithBruteForce(t *testing.T) {
	engine := newEngine(t, 2)
	train, labels := clusters(3, 30, 5, 2, 1)
	test, _ := clusters(3, 100, 5, 2, 2) // more than one block of queries
	for _, neighbours := range []int{1, 7, 90, 1000} {
		knn := KNN{Neighbours: neighbours, Temperature: 0.5}
		got := knn.Predict(engine, train, labels, test, 3)
		for i := range test.Rows {
			votes := bruteForceVotes(knn, train, labels, test.Row(i))
			if best := slices.Max(votes[:]); votes[got[i]] < best*(1-1e-5) {
				t.Errorf("k = %d, query %d: class %d has %g of the votes %v", neighbours, i, got[i], votes[got[i]], votes)
			}
		}
	}
}

func bruteForceVotes(knn KNN, train Matrix, labels []int, query []float32) (votes [3]float64) {
	cosine := func(a, b []float32) float64 {
		var dot, aa, bb float64
		for i := range a {
			dot += float64(a[i]) * float64(b[i])
			aa += float64(a[i]) * float64(a[i])
			bb += float64(b[i]) * float64(b[i])
		}
		return dot / math.Sqrt(aa*bb)
	}
	rows := make([]int, train.Rows)
	for i := range rows {
		rows[i] = i
	}
	slices.SortFunc(rows, func(a, b int) int { return cmp.Compare(cosine(train.Row(b), query), cosine(train.Row(a), query)) })
	for _, row := range rows[:min(knn.Neighbours, len(rows))] {
		votes[labels[row]] += math.Exp(cosine(train.Row(row), query) / knn.Temperature)
	}
	return votes
}
