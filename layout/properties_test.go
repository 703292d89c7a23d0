package layout

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pretrain/eval"
	"pretrain/internal/random"
	"pretrain/search"
)

// TestPCARefuses what has no components, and says what there is.
func TestPCARefuses(t *testing.T) {
	engine := newEngine(t)
	for name, test := range map[string]struct {
		rows, cols, components int
		want                   string
	}{
		"none":      {5, 3, 0, "0 components of 5 rows of 3 features"},
		"too many":  {5, 3, 4, "4 components of 5 rows of 3 features"},
		"one row":   {1, 3, 1, "1 components of 1 rows"},
		"no rows":   {0, 3, 1, "of 0 rows"},
		"no number": {5, 3, 2, "not finite"},
	} {
		m := stretched(test.rows, test.cols)
		if name == "no number" {
			m.Data[4] = float32(math.NaN())
		}
		if _, err := PCA(engine, m, test.components); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

// TestPCAIsABasis: directions are orthonormal with a positive greatest entry, variances fall, and what is projected has them, is
// centred and is uncorrelated. All components together keep the lengths.
func TestPCAIsABasis(t *testing.T) {
	engine := newEngine(t)
	rapid.Check(t, func(t *rapid.T) {
		rows, cols := rapid.IntRange(3, 40).Draw(t, "rows"), rapid.IntRange(1, 6).Draw(t, "cols")
		r := random.New(rapid.Uint64().Draw(t, "seed"), "rows")
		m := eval.Matrix{Rows: rows, Cols: cols}
		for i := range rows * cols {
			m.Data = append(m.Data, float32(r.NormFloat64()*float64(1+i%cols)+5))
		}
		c, err := PCA(engine, m, cols)
		if err != nil {
			t.Fatal(err)
		}
		for i := range cols {
			for j := range i + 1 {
				dot := float64(search.Cosine(c.Directions.Row(i), c.Directions.Row(j)))
				if want := map[bool]float64{true: 1}[i == j]; math.Abs(dot-want) > 1e-5 {
					t.Fatalf("directions %d and %d have product %g", i, j, dot)
				}
			}
			greatest := slices.MaxFunc(c.Directions.Row(i), func(a, b float32) int { return cmp.Compare(max(a, -a), max(b, -b)) })
			if greatest < 0 || i > 0 && c.Variance[i] > c.Variance[i-1] {
				t.Fatalf("direction %d: %v, variances %v", i, c.Directions.Row(i), c.Variance)
			}
		}
		checkProjection(t, c, m, c.Project(engine, m))
	})
}

// checkProjection holds projected rows against the variances of their components.
func checkProjection(t *rapid.T, c Components, m, projected eval.Matrix) {
	n := m.Cols
	covariance, sum := make([]float64, n*n), make([]float64, n)
	for i := range m.Rows {
		var length, before float64
		for j, x := range projected.Row(i) {
			sum[j] += float64(x)
			length += float64(x) * float64(x)
			d := float64(m.Row(i)[j]) - c.Mean[j]
			before += d * d
			for k, y := range projected.Row(i) {
				covariance[j*n+k] += float64(x) * float64(y) / float64(m.Rows-1)
			}
		}
		if math.Abs(length-before) > 1e-3*(1+before) {
			t.Fatalf("row %d has the square %g, and %g when projected", i, before, length)
		}
	}
	for j := range n {
		if math.Abs(sum[j]) > 1e-3*float64(m.Rows) {
			t.Fatalf("component %d has the mean %g", j, sum[j]/float64(m.Rows))
		}
		for k := range n {
			want := 0.0
			if j == k {
				want = c.Variance[j]
			}
			if math.Abs(covariance[j*n+k]-want) > 1e-3*(1+c.Total) {
				t.Fatalf("components %d and %d have the covariance %g, want %g", j, k, covariance[j*n+k], want)
			}
		}
	}
}

// TestWeightsOfAnyNeighbours: between 0 and 1, one at the nearest, never more for a farther one, and numbers for equal and for
// opposite neighbours too.
func TestWeightsOfAnyNeighbours(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		similar := rapid.SliceOfN(rapid.Float32Range(-1, 1), 1, 20).Draw(t, "similarities")
		if rapid.Bool().Draw(t, "equal") {
			similar = slices.Repeat(similar[:1], len(similar))
		}
		slices.SortFunc(similar, func(a, b float32) int { return cmp.Compare(b, a) })
		var near []search.Neighbour
		for i, s := range similar {
			near = append(near, search.Neighbour{Row: i + 1, Similarity: s})
		}
		given := weights(near)
		if given[0] != 1 {
			t.Fatalf("the nearest of %v counts %g", similar, given[0])
		}
		for i, w := range given {
			if !(w >= 0 && w <= 1) || i > 0 && w > given[i-1] {
				t.Fatalf("%v count %v", similar, given)
			}
		}
	})
}

// randomNeighbours are the k nearest of points on a line, as they would be found by features.
func randomNeighbours(places []float64, k int) [][]search.Neighbour {
	near := make([][]search.Neighbour, len(places))
	for i, p := range places {
		for j, q := range places {
			if i != j {
				near[i] = append(near[i], search.Neighbour{Row: j, Similarity: float32(1 - math.Abs(p-q)/2)})
			}
		}
		slices.SortStableFunc(near[i], func(a, b search.Neighbour) int { return cmp.Compare(b.Similarity, a.Similarity) })
		near[i] = near[i][:min(k, len(near[i]))]
	}
	return near
}

// TestEdgesAreSymmetric: each in both directions with one weight, none from a point to itself, in order and once.
func TestEdgesAreSymmetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		places := rapid.SliceOfN(rapid.Float64Range(0, 1), 2, 25).Draw(t, "places")
		edges := joinEdges(randomNeighbours(places, rapid.IntRange(1, 8).Draw(t, "k")))
		weight := map[[2]int32]float64{}
		for i, e := range edges {
			if e.from == e.to || !(e.weight >= 0 && e.weight <= 1+1e-12) {
				t.Fatalf("edge %+v", e)
			}
			if i > 0 && cmp.Or(cmp.Compare(edges[i-1].from, e.from), cmp.Compare(edges[i-1].to, e.to)) >= 0 {
				t.Fatalf("edge %+v follows %+v", e, edges[i-1])
			}
			weight[[2]int32{e.from, e.to}] = e.weight
		}
		for _, e := range edges {
			if back := weight[[2]int32{e.to, e.from}]; math.Abs(back-e.weight) > 1e-12 {
				t.Fatalf("edge %+v weighs %g on the way back", e, back)
			}
		}
	})
}

// TestFrequentEdges: the greatest weight becomes 1, and one that comes up less than once is left out.
func TestFrequentEdges(t *testing.T) {
	edges := []edge{{0, 1, 0.5}, {1, 0, 0.05}, {1, 2, 0.049}, {2, 1, 0.25}}
	kept := frequent(edges, 10)
	if len(kept) != 3 || kept[0].weight != 1 || math.Abs(kept[1].weight-0.1) > 1e-12 || kept[2].weight != 0.5 {
		t.Errorf("kept %v", kept)
	}
	if left := frequent(nil, 10); len(left) != 0 {
		t.Errorf("of none %v are left", left)
	}
}

// TestSpreadOut: the farthest coordinate is at the extent, points in one place part, and the arguments stay.
func TestSpreadOut(t *testing.T) {
	for name, first := range map[string][]Point{
		"far":  {{1e6, 0}, {0, -2e6}, {5, 5}},
		"near": {{1e-9, 0}, {0, -2e-9}, {0, 0}},
	} {
		kept := slices.Clone(first)
		points := spreadOut(first)
		if !slices.Equal(first, kept) || math.Abs(points[1].Y+extent) > 1e-3 || math.Abs(points[0].X-extent/2) > 1e-3 {
			t.Errorf("%s: %v of %v", name, points, first)
		}
	}
	points := spreadOut(make([]Point, 50))
	slices.SortFunc(points, func(a, b Point) int { return cmp.Or(cmp.Compare(a.X, b.X), cmp.Compare(a.Y, b.Y)) })
	if len(slices.Compact(points)) != 50 {
		t.Error("points in one place stay in one")
	}
}

// TestStepPullsAndPushes: the ends of an edge come nearer, by no more than the longest step, at a rate of 0 nothing moves, and
// points in one place stay finite.
func TestStepPullsAndPushes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		coordinate := rapid.Float64Range(-20, 20)
		points := []Point{{coordinate.Draw(t, "x"), coordinate.Draw(t, "y")}, {coordinate.Draw(t, "x2"), coordinate.Draw(t, "y2")}}
		if rapid.Bool().Draw(t, "same place") {
			points[1] = points[0]
		}
		before := slices.Clone(points)
		r := random.New(rapid.Uint64().Draw(t, "seed"), "steps")
		if step(points, edge{0, 1, 1}, 0, r); !slices.Equal(points, before) {
			t.Fatalf("at rate 0 %v became %v", before, points)
		}
		step(points, edge{0, 1, 1}, 0.5, r)
		for i, p := range points {
			moved := max(math.Abs(p.X-before[i].X), math.Abs(p.Y-before[i].Y))
			if !(moved <= 0.5*longestStep*(1+repulsions)+1e-9) {
				t.Fatalf("%v moved to %v", before[i], p)
			}
		}
	})
	far := []Point{{0, 0}, {3, 0}}
	step(far, edge{0, 1, 1}, 0.01, random.New(1, "steps"))
	if far[1].X >= 3 || far[1].Y != 0 {
		t.Errorf("the other end of an edge went to %v", far[1])
	}
}

// TestPreserved: a layout that is the space itself keeps all neighbours, one that turns it inside out few, and none of none is none.
func TestPreserved(t *testing.T) {
	var places []float64
	var line, shuffled []Point
	for i := range 600 { // more than are sampled
		places = append(places, float64(i)/600)
		line = append(line, Point{X: float64(i), Y: 3})
		shuffled = append(shuffled, Point{X: float64(i * 271 % 600)})
	}
	near := randomNeighbours(places, 1) // more would have ties
	for i := range near {
		near[i][0].Row = max(i-1, 1-i) // of the two beside it the first, whatever rounding says
	}
	if share := Preserved(near, line); share != 1 {
		t.Errorf("a line keeps %g of its neighbours", share)
	}
	if share := Preserved(near, shuffled); share > 0.05 {
		t.Errorf("a shuffled line keeps %g of its neighbours", share)
	}
	if share := Preserved(nil, nil); share != 0 {
		t.Errorf("no points keep %g", share)
	}
	if got := nearestPoints([]Point{{0, 0}, {1, 0}, {-1, 0}, {0, 3}}, 0, 9); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("nearest points, equal ones by their number: %v", got)
	}
}
