package search

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pretrain/eval"
	"pretrain/internal/perceptual"
)

// TestCosineAgainstFloat64, of lengths that vector instructions do not divide too.
func TestCosineAgainstFloat64(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cols := rapid.IntRange(1, 70).Draw(t, "cols")
		m := clustered(2, cols, 2, 1, rapid.Uint64().Draw(t, "seed"))
		var want float64
		for i, v := range m.Row(0) {
			want += float64(v) * float64(m.Row(1)[i])
		}
		if got := Cosine(m.Row(0), m.Row(1)); math.Abs(float64(got)-want) > 1e-6 {
			t.Fatalf("%g, want %g", got, want)
		}
	})
}

// TestExactListsEqualRowsInOrder: of copies, also those of other blocks, the first rows are listed first, and a query of one row
// gets what it gets among many.
func TestExactListsEqualRowsInOrder(t *testing.T) {
	engine := newEngine(t, 2)
	one := clustered(1, 6, 1, 1, 9)
	rows := blockRows + 40
	m := eval.Matrix{Rows: rows, Cols: 6, Data: slices.Repeat(one.Data, rows)}
	for i, n := range Exact(engine, m, one, 30)[0] {
		if n.Row != i || math.Abs(float64(n.Similarity)-1) > 1e-5 {
			t.Fatalf("neighbour %d is %+v", i, n)
		}
	}
	vectors, queries := clustered(700, 6, 9, 1, 1), clustered(30, 6, 9, 1, 2)
	together := Exact(engine, vectors, queries, 8)
	for i := range queries.Rows {
		alone := Exact(engine, vectors, eval.Matrix{Rows: 1, Cols: 6, Data: queries.Row(i)}, 8)[0]
		for j, n := range together[i] {
			if n.Row != alone[j].Row && math.Abs(float64(n.Similarity-alone[j].Similarity)) > rounding {
				t.Errorf("query %d: %v among others, %v alone", i, together[i], alone)
			}
		}
	}
}

// TestExactOfNothing: no rows, no queries and no neighbours wanted give as many empty answers as there are queries.
func TestExactOfNothing(t *testing.T) {
	engine := newEngine(t, 1)
	some, none := clustered(4, 3, 2, 1, 1), eval.Matrix{Cols: 3}
	for name, test := range map[string]struct {
		reference, queries eval.Matrix
		k, answers         int
	}{"no rows": {none, some, 3, 4}, "no queries": {some, none, 3, 0}, "nothing wanted": {some, some, 0, 4}} {
		found := Exact(engine, test.reference, test.queries, test.k)
		if len(found) != test.answers {
			t.Errorf("%s: %d answers", name, len(found))
		}
		for _, near := range found {
			if len(near) > 0 {
				t.Errorf("%s: found %v", name, near)
			}
		}
	}
}

// TestGraphsOfAwkwardSpaces: vectors on a line, in islands that are far apart, all in one place but one, and in pairs of opposites
// are all found among enough candidates.
func TestGraphsOfAwkwardSpaces(t *testing.T) {
	engine := newEngine(t, 2)
	const rows = 600
	r := rand.New(rand.NewPCG(4, 4))
	for name, place := range map[string]func(i int) []float32{
		"a line":      func(i int) []float32 { return []float32{1, float32(i) / rows, 0} },
		"islands":     func(i int) []float32 { return island(i%6, 1e-3*float32(r.NormFloat64())) },
		"one outside": func(i int) []float32 { return []float32{0, map[bool]float32{true: 1}[i == 300], 1} },
		"opposites": func(i int) []float32 {
			sign := float32(1 - i%2*2)
			return []float32{sign * (1 + float32(i/2)), sign * 50, 0}
		},
	} {
		m := eval.Matrix{Rows: rows, Cols: 3}
		for i := range rows {
			m.Data = append(m.Data, place(i)...)
		}
		m = m.Unit()
		g, err := NewGraph(engine, m)
		if err != nil {
			t.Fatal(err)
		}
		truth := Exact(engine, m, m, 5)
		if recall := Recall(truth, g.Search(engine, m, 5, 200)); recall < 0.99 {
			t.Errorf("%s: recall %.3f", name, recall)
		}
	}
}

// island is near the end of one of three axes, in either direction.
func island(number int, away float32) []float32 {
	place := []float32{away, away, away}
	place[number%3] += float32(1 - number/3*2)
	return place
}

// TestRecallIsAShare: everything found is 1, less is less, what is not asked for counts nothing, and farther rows count nothing.
func TestRecallIsAShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		similar := rapid.SliceOfN(rapid.Float32Range(0, 1), 1, 20).Draw(t, "similarities")
		slices.Sort(similar)
		slices.Reverse(similar)
		var truth []Neighbour
		for row, s := range similar {
			truth = append(truth, Neighbour{row, s})
		}
		kept := rapid.IntRange(0, len(truth)).Draw(t, "kept")
		found := slices.Clone(truth[:kept])
		for len(found) < len(truth) {
			found = append(found, Neighbour{100 + len(found), similar[len(similar)-1] - 0.1})
		}
		if got, want := Recall([][]Neighbour{truth}, [][]Neighbour{found}), float64(kept)/float64(len(truth)); got != want {
			t.Fatalf("%d of %d found are a recall of %g", kept, len(truth), got)
		}
	})
}

// TestNearHashesConnectsAllPairs: whatever hashes differ in at most so many bits end in one group, and no others.
func TestNearHashesConnectsAllPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(0, mostBits).Draw(t, "bits")
		base := rapid.Uint64().Draw(t, "base")
		var hashes []perceptual.Fingerprint
		for range rapid.IntRange(2, 12).Draw(t, "hashes") {
			hash := base
			for range rapid.IntRange(0, 24).Draw(t, "flips") {
				hash ^= 1 << rapid.IntRange(0, 63).Draw(t, "bit")
			}
			hashes = append(hashes, perceptual.Fingerprint(hash))
		}
		u, want := newUnion(len(hashes)), newUnion(len(hashes))
		nearHashes(hashes, most, func(i, j int) {
			if hashes[i].Distance(hashes[j]) > most {
				t.Fatalf("%x and %x are %d bits apart", hashes[i], hashes[j], hashes[i].Distance(hashes[j]))
			}
			u.join(i, j)
		})
		for i := range hashes {
			for j := range i {
				if hashes[i].Distance(hashes[j]) <= most {
					want.join(i, j)
				}
			}
		}
		if got, want := u.groups(), want.groups(); !slices.EqualFunc(got, want, func(a, b Group) bool { return slices.Equal(a, b) }) {
			t.Fatalf("groups %v, want %v", got, want)
		}
	})
}

// TestIndexesOfAnySize come back from their files as they were: one vector, no graph, many unreadable pictures with any reason.
func TestIndexesOfAnySize(t *testing.T) {
	engine := newEngine(t, 1)
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		x := &Index{Vectors: clustered(rapid.IntRange(1, 60).Draw(t, "rows"), rapid.IntRange(1, 9).Draw(t, "cols"), 3, rapid.IntRange(1, 5).Draw(t, "copies"), 1)}
		for picture := range rapid.IntRange(0, 4).Draw(t, "unreadable") {
			x.Unreadable = append(x.Unreadable, Unreadable{picture * 3, rapid.String().Draw(t, "reason")})
		}
		if rapid.Bool().Draw(t, "graph") {
			var err error
			if x.Graph, err = NewGraph(engine, x.Vectors); err != nil {
				t.Fatal(err)
			}
		}
		key := Key{rapid.String().Draw(t, "weights"), rapid.IntRange(1, 99).Draw(t, "layer"), rapid.String().Draw(t, "pictures")}
		path := filepath.Join(dir, "x.safetensors")
		if err := x.WriteFile(path, key); err != nil {
			t.Fatal(err)
		}
		read, err := ReadFile(path, key)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(read.Vectors.Data, x.Vectors.Data) || !slices.Equal(read.Unreadable, x.Unreadable) || (read.Graph == nil) != (x.Graph == nil) {
			t.Fatalf("read back %+v, want %+v", read, x)
		}
		if x.Graph == nil {
			return
		}
		if read.Graph.entry != x.Graph.entry || len(read.Graph.levels) != len(x.Graph.levels) {
			t.Fatalf("entry %d of %d levels", read.Graph.entry, len(read.Graph.levels))
		}
		for i := range x.Graph.levels {
			if a, b := x.Graph.levels[i], read.Graph.levels[i]; !slices.Equal(a.links, b.links) || !slices.Equal(a.slot, b.slot) {
				t.Fatalf("level %d differs", i)
			}
		}
	})
}
