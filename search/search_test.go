package search

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"pretrain/eval"
	"pretrain/internal/kernel"
	"pretrain/internal/perceptual"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newEngine(t testing.TB, workers int) *kernel.Engine {
	t.Helper()
	engine, err := kernel.New(kernel.Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	return engine
}

// clustered draws unit vectors around so many centres, as features of pictures lie; copies repeats each so often.
func clustered(rows, cols, centres, copies int, seed uint64) eval.Matrix {
	r := rand.New(rand.NewPCG(seed, 1))
	middle := make([]float64, centres*cols)
	for i := range middle {
		middle[i] = r.NormFloat64()
	}
	m := eval.Matrix{Rows: rows, Cols: cols}
	for i := range rows {
		if i%copies > 0 {
			m.Data = append(m.Data, m.Data[len(m.Data)-cols:]...)
			continue
		}
		centre := middle[r.IntN(centres)*cols:]
		for j := range cols {
			m.Data = append(m.Data, float32(centre[j]+0.5*r.NormFloat64()))
		}
	}
	return m.Unit()
}

// naive is exact search in float64.
func naive(reference, queries eval.Matrix, k int) [][]Neighbour {
	found := make([][]Neighbour, queries.Rows)
	for i := range found {
		for j := range reference.Rows {
			var sum float64
			for c, v := range reference.Row(j) {
				sum += float64(v) * float64(queries.Row(i)[c])
			}
			found[i] = append(found[i], Neighbour{j, float32(sum)})
		}
		slices.SortStableFunc(found[i], func(a, b Neighbour) int { return cmp.Compare(b.Similarity, a.Similarity) })
		found[i] = found[i][:min(k, reference.Rows)]
	}
	return found
}

// TestExactFindsWhatSortingFinds, over block borders too, in order and with the right similarities.
func TestExactFindsWhatSortingFinds(t *testing.T) {
	engine := newEngine(t, 2)
	for _, size := range []struct{ rows, queries, cols, k int }{
		{1, 1, 3, 5}, {7, 3, 5, 7}, {300, blockQueries + 3, 8, 10}, {blockRows + 5, 2, 4, 3}, {20, 2, 4, 0},
	} {
		reference, queries := clustered(size.rows, size.cols, 5, 1, 1), clustered(size.queries, size.cols, 5, 1, 2)
		want := naive(reference, queries, size.k)
		for i, got := range Exact(engine, reference, queries, size.k) {
			if len(got) != len(want[i]) {
				t.Fatalf("%+v: %d neighbours, want %d", size, len(got), len(want[i]))
			}
			for j, n := range got {
				if math.Abs(float64(n.Similarity-want[i][j].Similarity)) > 1e-5 {
					t.Errorf("%+v: neighbour %d of query %d is %+v, want %+v", size, j, i, n, want[i][j])
				}
			}
			if !slices.IsSortedFunc(got, compare) {
				t.Errorf("%+v: not sorted: %v", size, got)
			}
		}
	}
}

func TestTopKeepsTheNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.IntRange(0, 9)).Draw(t, "values") // with many equal ones
		k := rapid.IntRange(0, 12).Draw(t, "k")
		kept := newTop(k)
		var all []Neighbour
		for row, value := range values {
			n := Neighbour{row, float32(value)}
			kept.add(n)
			all = append(all, n)
		}
		slices.SortFunc(all, compare)
		if want := all[:min(k, len(all))]; !slices.Equal(kept.found, want) {
			t.Fatalf("kept %v, want %v", kept.found, want)
		}
	})
}

func TestHeapGivesTheGreatestFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float32Range(-1, 1), 1, 50).Draw(t, "values")
		var h heap
		for i, v := range values {
			h.push(item{v, int32(i)})
		}
		slices.Sort(values)
		for _, want := range slices.Backward(values) {
			if got := h.pop(); got.key != want {
				t.Fatalf("got %g, want %g", got.key, want)
			}
		}
	})
}

// TestGraphFindsNearlyEverything on clustered vectors, with copies among them too, and more with more candidates.
func TestGraphFindsNearlyEverything(t *testing.T) {
	engine := newEngine(t, 0)
	for name, test := range map[string]struct{ rows, copies int }{"single": {3000, 1}, "five copies": {3000, 5}, "fifty copies": {2000, 50}} {
		t.Run(name, func(t *testing.T) {
			vectors, queries := clustered(test.rows, 16, 30, test.copies, 1), clustered(100, 16, 30, 1, 2)
			g, err := NewGraph(engine, vectors)
			if err != nil {
				t.Fatal(err)
			}
			truth := Exact(engine, vectors, queries, 10)
			few, many := Recall(truth, g.Search(engine, queries, 10, 10)), Recall(truth, g.Search(engine, queries, 10, Candidates))
			if few < 0.6 || many < 0.98 {
				t.Errorf("recall is %.3f with few candidates and %.3f with many", few, many)
			}
		})
	}
}

// TestGraphOfFewRows: everything is found when there is hardly anything, and in the right order.
func TestGraphOfFewRows(t *testing.T) {
	engine := newEngine(t, 2)
	for _, rows := range []int{1, 2, 3, 17, 40} {
		vectors := clustered(rows, 4, 3, 1, uint64(rows))
		g, err := NewGraph(engine, vectors)
		if err != nil {
			t.Fatal(err)
		}
		truth := Exact(engine, vectors, vectors, 5)
		if recall := Recall(truth, g.Search(engine, vectors, 5, Candidates)); recall != 1 {
			t.Errorf("%d rows: recall is %g", rows, recall)
		}
	}
	if _, err := NewGraph(engine, eval.Matrix{Cols: 3}); err == nil || !strings.Contains(err.Error(), "must be 1 to") {
		t.Errorf("no rows give %v", err)
	}
}

// TestGraphDoesNotDependOnWorkers, bit for bit.
func TestGraphDoesNotDependOnWorkers(t *testing.T) {
	vectors := clustered(1200, 8, 10, 2, 3)
	one, err := NewGraph(newEngine(t, 1), vectors)
	if err != nil {
		t.Fatal(err)
	}
	four, err := NewGraph(newEngine(t, 4), vectors)
	if err != nil {
		t.Fatal(err)
	}
	if one.entry != four.entry || len(one.levels) != len(four.levels) {
		t.Fatalf("entries %d and %d, %d and %d levels", one.entry, four.entry, len(one.levels), len(four.levels))
	}
	for i := range one.levels {
		if !slices.Equal(one.levels[i].links, four.levels[i].links) {
			t.Errorf("the links of level %d differ", i)
		}
	}
}

// TestGraphIsSound: links lead to other rows of the level, once each, and never more than there is room for.
func TestGraphIsSound(t *testing.T) {
	engine := newEngine(t, 2)
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.IntRange(1, 400).Draw(t, "rows")
		g, err := NewGraph(engine, clustered(rows, 4, 3, rapid.IntRange(1, 40).Draw(t, "copies"), rapid.Uint64().Draw(t, "seed")))
		if err != nil {
			t.Fatal(err)
		}
		if err := g.check(); err != nil {
			t.Fatal(err)
		}
		order := map[int]bool{}
		rowsLinked, _ := distinct(g.vectors)
		for _, row := range rowsLinked {
			order[row] = true
		}
		for i := range g.levels {
			for row := range rows {
				if g.levels[i].at(row) < 0 {
					continue
				}
				links := slices.Sorted(slices.Values(g.levels[i].of(row)))
				if slices.Contains(links, int32(row)) || len(slices.Compact(slices.Clone(links))) != len(links) {
					t.Fatalf("row %d of level %d has links %v", row, i, links)
				}
				if _, copied := order[row]; i == 0 && len(order) > 1 && (len(links) == 0) == copied {
					t.Fatalf("row %d has links %v, and is in the graph: %v", row, links, copied)
				}
			}
		}
	})
}

func TestRecallCountsEqualRows(t *testing.T) {
	truth := [][]Neighbour{{{0, 0.9}, {1, 0.5}}, {}}
	for _, test := range []struct {
		found []Neighbour
		want  float64
	}{
		{[]Neighbour{{0, 0.9}, {1, 0.5}}, 1}, {[]Neighbour{{0, 0.9}, {7, 0.5}}, 1}, {[]Neighbour{{0, 0.9}, {7, 0.4}}, 0.5}, {nil, 0},
	} {
		if got := Recall(truth, [][]Neighbour{test.found, nil}); got != test.want {
			t.Errorf("%v: recall %g, want %g", test.found, got, test.want)
		}
	}
	if Recall(nil, nil) != 1 {
		t.Error("nothing to find is found")
	}
}

var testKey = Key{Weights: "w", Layer: 3, Pictures: "p"}

// newIndex is an index with a graph and two pictures that could not be read.
func newIndex(t testing.TB, graph bool) *Index {
	t.Helper()
	x := &Index{Vectors: clustered(300, 6, 4, 1, 5), Unreadable: []Unreadable{{0, "broken"}, {5, "empty"}}}
	if graph {
		var err error
		if x.Graph, err = NewGraph(newEngine(t, 1), x.Vectors); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// TestFileKeepsTheIndex: what is read back finds the same.
func TestFileKeepsTheIndex(t *testing.T) {
	engine := newEngine(t, 1)
	for _, graph := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "search", "x.safetensors")
		x := newIndex(t, graph)
		if err := x.WriteFile(path, testKey); err != nil {
			t.Fatal(err)
		}
		read, err := ReadFile(path, testKey)
		if err != nil {
			t.Fatal(err)
		}
		if (read.Graph != nil) != graph || !slices.Equal(read.Unreadable, x.Unreadable) {
			t.Fatalf("graph %v, unreadable %v", read.Graph != nil, read.Unreadable)
		}
		queries := clustered(20, 6, 4, 1, 6)
		want, got := x.Search(engine, queries, 4), read.Search(engine, queries, 4)
		for i := range want {
			if !slices.Equal(want[i], got[i]) {
				t.Errorf("query %d: found %v, want %v", i, got[i], want[i])
			}
		}
		numbers := read.Pictures()
		if len(numbers) != 300 || !slices.Equal(numbers[:6], []int{1, 2, 3, 4, 6, 7}) || numbers[299] != 301 {
			t.Errorf("pictures %v", numbers[:6])
		}
	}
}

// TestFilesThatCannotServe say why.
func TestFilesThatCannotServe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := newIndex(t, true).WriteFile(path, testKey); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(content)
	flipped[len(flipped)-1] ^= 1
	for name, test := range map[string]struct {
		content []byte
		key     Key
		want    string
	}{
		"other weights":  {content, Key{"v", 3, "p"}, "weights"},
		"other layer":    {content, Key{"w", 2, "p"}, "layer"},
		"other pictures": {content, Key{"w", 3, "q"}, "pictures"},
		"flipped bit":    {flipped, testKey, "checksum"},
		"truncated":      {content[:len(content)-7], testKey, "truncated"},
		"empty":          {nil, testKey, "damaged"},
		"other version":  {[]byte(strings.Replace(string(content), format, "pretrain search index 0", 1)), testKey, "another version"},
	} {
		if err := os.WriteFile(path, test.content, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadFile(path, test.key)
		var stale *StaleError
		if !errors.As(err, &stale) || !strings.Contains(stale.Reason, test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	if _, err := ReadFile(path+"x", testKey); err == nil || !strings.Contains(err.Error(), "none is kept") {
		t.Errorf("a missing file gives %v", err)
	}
	if _, err := ReadFile(t.TempDir(), testKey); errors.As(err, new(*StaleError)) && err == nil {
		t.Error("a folder is an index")
	}
}

// FuzzReadFile: no content makes the reader panic, or a search of what it took.
func FuzzReadFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "x.safetensors")
	if err := newIndex(f, true).WriteFile(path, testKey); err != nil {
		f.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add(content[:100])
	engine := newEngine(f, 1)
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		x, err := ReadFile(path, testKey)
		if err != nil || x.Vectors.Rows == 0 || x.Vectors.Cols == 0 {
			return
		}
		x.Search(engine, eval.Matrix{Rows: 1, Cols: x.Vectors.Cols, Data: x.Vectors.Row(0)}, 3)
	})
}

// TestDuplicatesAreThoseOfAllPairs: grouping agrees with looking at every pair, by every criterion.
func TestDuplicatesAreThoseOfAllPairs(t *testing.T) {
	engine := newEngine(t, 2)
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.IntRange(1, 60).Draw(t, "rows")
		vectors := clustered(rows, 3, 4, 1, rapid.Uint64().Draw(t, "seed"))
		hashes := make([]perceptual.Fingerprint, rows)
		for i := range hashes { // few hashes, a few bits apart
			hashes[i] = perceptual.Fingerprint(rapid.SampledFrom([]uint64{0, 1 << 63, 7, 1<<40 | 1, 0xFFFF, 0xFF00FF << 20, 1<<63 | 3}).Draw(t, "hash"))
		}
		c := Criterion{By(rapid.SampledFrom(Bys()).Draw(t, "by")), rapid.Float64Range(0.8, 1).Draw(t, "similarity"), rapid.IntRange(0, mostBits).Draw(t, "bits")}
		got, err := Duplicates(engine, vectors, hashes, c)
		if err != nil {
			t.Fatal(err)
		}
		u := newUnion(rows)
		for i := range rows {
			for j := range i {
				alike := float64(Cosine(vectors.Row(i), vectors.Row(j))) >= c.Similarity-1e-6
				near := hashes[i].Distance(hashes[j]) <= c.Bits
				if map[By]bool{ByFeatures: alike, ByHash: near, ByEither: alike || near, ByBoth: alike && near}[c.By] {
					u.join(i, j)
				}
			}
		}
		if want := u.groups(); !slices.EqualFunc(got, want, func(a, b Group) bool { return slices.Equal(a, b) }) {
			t.Fatalf("%+v: groups %v, want %v", c, got, want)
		}
	})
}

// TestDuplicatesAcrossBlocks are found, and flat pictures, whose hashes are all equal, cost no more than others.
func TestDuplicatesAcrossBlocks(t *testing.T) {
	rows := blockRows + 10
	vectors := clustered(rows, 16, 4, 1, 1)
	copy(vectors.Row(rows-1), vectors.Row(2))
	groups, err := Duplicates(newEngine(t, 0), vectors, nil, Criterion{ByFeatures, 0.999999, 0})
	if err != nil || len(groups) != 1 || !slices.Equal(groups[0], Group{2, rows - 1}) {
		t.Errorf("groups %v, %v", groups, err)
	}
	flat, err := Duplicates(newEngine(t, 1), vectors, make([]perceptual.Fingerprint, rows), Criterion{ByHash, 1, 4})
	if err != nil || len(flat) != 1 || len(flat[0]) != rows {
		t.Errorf("%d groups, %v", len(flat), err)
	}
}

func TestCriterionErrors(t *testing.T) {
	for want, c := range map[string]Criterion{
		`by "smell"`: {"smell", 0.9, 4}, "similarity of 0": {ByHash, 0, 4}, "similarity of 1.1": {ByHash, 1.1, 4},
		"similarity of NaN": {ByHash, math.NaN(), 4}, "in -1 bits": {ByHash, 0.9, -1}, "in 16 bits": {ByHash, 0.9, 16},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", c, err, want)
		}
	}
}
