package layout

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"pretrain/eval"
	"pretrain/internal/kernel"
	"pretrain/search"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newEngine(t *testing.T) *kernel.Engine {
	t.Helper()
	engine, err := kernel.New(kernel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	return engine
}

// stretched draws rows that vary more along the first columns.
func stretched(rows, cols int) eval.Matrix {
	r := rand.New(rand.NewPCG(1, 1))
	m := eval.Matrix{Rows: rows, Cols: cols}
	for range rows {
		for j := range cols {
			m.Data = append(m.Data, float32(3+r.NormFloat64()*float64(cols-j)))
		}
	}
	return m
}

// TestPCAAgreesWithGonum: variances, directions up to their sign, and projections of the singular value decomposition.
func TestPCAAgreesWithGonum(t *testing.T) {
	engine, m := newEngine(t), stretched(5000, 6) // two blocks
	got, err := PCA(engine, m, 3)
	if err != nil {
		t.Fatal(err)
	}
	dense := mat.NewDense(m.Rows, m.Cols, nil)
	for i := range m.Rows {
		for j, v := range m.Row(i) {
			dense.Set(i, j, float64(v))
		}
	}
	var want stat.PC
	if !want.PrincipalComponents(dense, nil) {
		t.Fatal("gonum finds no components")
	}
	variances := want.VarsTo(nil)
	var vectors mat.Dense
	want.VectorsTo(&vectors)
	var total float64
	for _, v := range variances {
		total += v
	}
	if math.Abs(got.Total-total) > 1e-4*total {
		t.Errorf("total variance %g, want %g", got.Total, total)
	}
	projected := got.Project(engine, m)
	for k := range 3 {
		if math.Abs(got.Variance[k]-variances[k]) > 1e-4*variances[k] {
			t.Errorf("variance %d is %g, want %g", k, got.Variance[k], variances[k])
		}
		var along, sum, squares float64
		for j, v := range got.Directions.Row(k) {
			along += float64(v) * vectors.At(j, k)
		}
		for i := range m.Rows {
			v := float64(projected.Row(i)[k])
			sum, squares = sum+v, squares+v*v
		}
		if math.Abs(along) < 0.9999 || slices.Max(got.Directions.Row(k)) < -slices.Min(got.Directions.Row(k)) {
			t.Errorf("direction %d is %v; its cosine with gonum's is %g", k, got.Directions.Row(k), along)
		}
		if spread := squares / float64(m.Rows-1); math.Abs(spread-variances[k]) > 1e-3*variances[k] || math.Abs(sum) > 1 {
			t.Errorf("projections on %d have variance %g and sum %g", k, spread, sum)
		}
	}
}

func TestPCAErrors(t *testing.T) {
	engine := newEngine(t)
	broken := stretched(10, 3)
	broken.Data[4] = float32(math.NaN())
	for name, test := range map[string]struct {
		m          eval.Matrix
		components int
		want       string
	}{
		"no components": {stretched(10, 3), 0, "0 components"}, "too many": {stretched(10, 3), 4, "4 components"},
		"one row": {stretched(1, 3), 1, "need 2 rows"}, "not a number": {broken, 1, "not finite"},
	} {
		if _, err := PCA(engine, test.m, test.components); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// groups draws unit vectors around so many distant centres, and finds their neighbours.
func groups(t *testing.T, rows, centres int) (labels []int, near [][]search.Neighbour) {
	r := rand.New(rand.NewPCG(2, 2))
	m := eval.Matrix{Rows: rows, Cols: 16}
	for i := range rows {
		labels = append(labels, i%centres)
		for j := range m.Cols {
			v := 0.15 * r.NormFloat64()
			if j == i%centres {
				v++
			}
			m.Data = append(m.Data, float32(v))
		}
	}
	m = m.Unit()
	for i, found := range search.Exact(newEngine(t), m, m, 11) {
		near = append(near, slices.DeleteFunc(found, func(n search.Neighbour) bool { return n.Row == i }))
	}
	return labels, near
}

// scattered is a first layout without meaning.
func scattered(n int) []Point {
	r := rand.New(rand.NewPCG(3, 3))
	points := make([]Point, n)
	for i := range points {
		points[i] = Point{r.NormFloat64(), r.NormFloat64()}
	}
	return points
}

// TestUMAPPutsGroupsTogether, from a layout without meaning: the nearest point of nearly every point is of its group, and
// far more neighbours are kept than at first. The result is a function of the seed.
func TestUMAPPutsGroupsTogether(t *testing.T) {
	labels, near := groups(t, 240, 4)
	first := scattered(len(labels))
	points, err := UMAP{Seed: 1}.Layout(t.Context(), near, first)
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	for i := range points {
		if labels[nearestPoints(points, i, 1)[0]] == labels[i] {
			right++
		}
	}
	if share := float64(right) / float64(len(points)); share < 0.97 {
		t.Errorf("%.2f of the points have one of their group beside them", share)
	}
	before, after := Preserved(near, first), Preserved(near, points)
	if after < 0.3 || after < 4*before {
		t.Errorf("%.2f of the neighbours are kept, %.2f before", after, before)
	}
	again, _ := UMAP{Seed: 1}.Layout(t.Context(), near, first)
	other, _ := UMAP{Seed: 2}.Layout(t.Context(), near, first)
	if !slices.Equal(points, again) || slices.Equal(points, other) {
		t.Error("the layout is not a function of the seed")
	}
}

// TestUMAPOfAwkwardPoints: few, in one place, copies of each other.
func TestUMAPOfAwkwardPoints(t *testing.T) {
	copies := [][]search.Neighbour{{{Row: 1, Similarity: 1}, {Row: 2, Similarity: 1}}, {{Row: 0, Similarity: 1}, {Row: 2, Similarity: 1}}, {{Row: 0, Similarity: 1}, {Row: 1, Similarity: 1}}}
	for name, near := range map[string][][]search.Neighbour{"none": {}, "one": {{}}, "copies": copies} {
		points, err := UMAP{Epochs: 50}.Layout(t.Context(), near, make([]Point, len(near)))
		if err != nil || len(points) != len(near) {
			t.Fatalf("%s: %v, %v", name, points, err)
		}
		for _, p := range points {
			if math.IsNaN(p.X+p.Y) || math.IsInf(p.X+p.Y, 0) {
				t.Errorf("%s: a point at %v", name, p)
			}
		}
	}
	if _, err := (UMAP{}).Layout(t.Context(), copies, nil); err == nil || !strings.Contains(err.Error(), "must be equal") {
		t.Errorf("points without neighbours give %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (UMAP{}).Layout(ended, copies, make([]Point, 3)); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled layout gives %v", err)
	}
}

// TestCurve: a and b fit the curve that the paper wants better than any others nearby (section 3.2, definition 11).
func TestCurve(t *testing.T) {
	loss := func(a, b float64) (sum float64) {
		for i := range 300 {
			d := 3 * float64(i) / 299
			want := math.Min(1, math.Exp(0.1-d))
			got := 1 / (1 + a*math.Pow(d, 2*b))
			sum += (got - want) * (got - want)
		}
		return sum
	}
	best := loss(curveA, curveB)
	for _, step := range [][2]float64{{0.02, 0}, {-0.02, 0}, {0, 0.01}, {0, -0.01}} {
		if loss(curveA+step[0], curveB+step[1]) < best {
			t.Errorf("a and b fit better when changed by %v", step)
		}
	}
}

// TestWeights: the nearest neighbour counts fully, all sum to log2 of their number, and farther ones count less.
func TestWeights(t *testing.T) {
	var near []search.Neighbour
	for i := range 15 {
		near = append(near, search.Neighbour{Row: i, Similarity: 0.9 - 0.02*float32(i)})
	}
	given := weights(near)
	var sum float64
	for _, w := range given {
		sum += w
	}
	if math.Abs(given[0]-1) > 1e-9 || math.Abs(sum-4) > 1e-4 || !slices.IsSortedFunc(given, func(a, b float64) int { return int(math.Copysign(1, b-a)) }) {
		t.Errorf("weights %v sum to %g", given, sum)
	}
}

// TestJoinEdges: weights a and b of the two directions become a+b−ab in both.
func TestJoinEdges(t *testing.T) {
	near := [][]search.Neighbour{{{Row: 1, Similarity: 0.9}, {Row: 2, Similarity: 0.5}}, {{Row: 0, Similarity: 0.9}}, {{Row: 0, Similarity: 0.5}}}
	a, b := weights(near[0]), weights(near[2])
	edges := joinEdges(near)
	if len(edges) != 4 {
		t.Fatalf("edges %v", edges)
	}
	want := a[1] + b[0] - a[1]*b[0]
	for _, e := range edges {
		if e.from+e.to == 2 && math.Abs(e.weight-want) > 1e-12 {
			t.Errorf("edge %+v, want weight %g", e, want)
		}
	}
}
