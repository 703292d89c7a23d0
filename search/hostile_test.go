package search

import (
	"errors"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pretrain/eval"
	"pretrain/internal/atomicfile"
	"pretrain/internal/tensorfile"
)

// parts are what the file of an index is made of, so that a test can spoil one and have right checksums all the same.
type parts struct {
	tensors  map[string]tensorfile.Tensor
	metadata map[string]string
}

// taken reads the parts of a whole file.
func taken(t *testing.T, path string) parts {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	reader, err := tensorfile.NewReader(file, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	all, err := reader.All()
	if err != nil {
		t.Fatal(err)
	}
	p := parts{map[string]tensorfile.Tensor{}, reader.Metadata}
	for _, tensor := range all {
		p.tensors[tensor.Name] = tensor
	}
	return p
}

func (p parts) clone() parts {
	c := parts{map[string]tensorfile.Tensor{}, maps.Clone(p.metadata)}
	for name, tensor := range p.tensors {
		tensor.Data = slices.Clone(tensor.Data)
		c.tensors[name] = tensor
	}
	return c
}

func (p parts) write(t *testing.T, path string) {
	t.Helper()
	var all []tensorfile.Tensor
	for _, name := range slices.Sorted(maps.Keys(p.tensors)) {
		all = append(all, p.tensors[name])
		p.metadata[checksumPrefix+name] = checksum(p.tensors[name])
	}
	err := atomicfile.Write(path, true, func(w io.Writer) error { return tensorfile.Write(w, all, p.metadata) })
	if err != nil {
		t.Fatal(err)
	}
}

// reshaped gives a tensor another shape of as many numbers.
func (p parts) reshaped(name string, shape ...int) {
	tensor := p.tensors[name]
	tensor.Shape = shape
	p.tensors[name] = tensor
}

// TestFilesOfAnotherMaking: what has right checksums and says wrong things is stale too, and not a search that goes astray.
func TestFilesOfAnotherMaking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := newIndex(t, true).WriteFile(path, testKey); err != nil {
		t.Fatal(err)
	}
	whole := taken(t, path)
	upper := whole.tensors[rowsName(1)].Data
	var below float32 // a row of the base that is on no level above
	for slices.Contains(upper, below) {
		below++
	}
	for name, test := range map[string]struct {
		spoil func(parts)
		want  string
	}{
		"nothing is wrong":       {func(parts) {}, ""},
		"entry is no number":     {func(p parts) { p.metadata[entryKey] = "first" }, "entry"},
		"entry below zero":       {func(p parts) { p.metadata[entryKey] = "-1" }, "entry row -1"},
		"entry out of range":     {func(p parts) { p.metadata[entryKey] = "300" }, "entry row 300"},
		"entry is not on top":    {func(p parts) { p.metadata[entryKey] = strconv.Itoa(int(below)) }, "not on the highest level"},
		"link out of range":      {func(p parts) { p.tensors[linksName(0)].Data[3] = 300 }, "link to row 300"},
		"link far out of range":  {func(p parts) { p.tensors[linksName(0)].Data[3] = 1e9 }, "which is not there"},
		"link to a lower row":    {func(p parts) { p.tensors[linksName(1)].Data[0] = below }, "level 1 has a link"},
		"row out of range":       {func(p parts) { p.tensors[rowsName(1)].Data[0] = 300 }, "which is not there"},
		"a row less":             {func(p parts) { delete(p.tensors, rowsName(1)) }, "not those of its level"},
		"base of half the rows":  {func(p parts) { p.reshaped(linksName(0), 150, 64) }, "not those of its level"},
		"links in a line":        {func(p parts) { p.reshaped(linksName(0), 300*linksBase) }, "expected rows and links"},
		"no levels":              {func(p parts) { delete(p.tensors, linksName(0)) }, "no levels"},
		"vectors in a line":      {func(p parts) { p.reshaped(vectorsName, 1800) }, "expected rows and columns"},
		"no vectors":             {func(p parts) { delete(p.tensors, vectorsName) }, "expected rows and columns"},
		"unreadable is no list":  {func(p parts) { p.metadata[unreadableKey] = "{" }, "unreadable pictures"},
		"unreadable is missing":  {func(p parts) { delete(p.metadata, unreadableKey) }, "unreadable pictures"},
		"no version":             {func(p parts) { delete(p.metadata, formatKey) }, "another version"},
		"weights are not told":   {func(p parts) { delete(p.metadata, weightsKey) }, "weights"},
		"layer with a zero more": {func(p parts) { p.metadata[layerKey] = "03" }, "layer"},
	} {
		spoiled := whole.clone()
		test.spoil(spoiled)
		spoiled.write(t, path)
		_, err := ReadFile(path, testKey)
		var stale *StaleError
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if !errors.As(err, &stale) || !strings.Contains(stale.Reason, test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

// TestFileIsReplacedWhole: a second index takes the place of the first, and one that cannot be written leaves it.
func TestFileIsReplacedWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	for _, graph := range []bool{true, false} {
		if err := newIndex(t, graph).WriteFile(path, testKey); err != nil {
			t.Fatal(err)
		}
		if read, err := ReadFile(path, testKey); err != nil || (read.Graph != nil) != graph {
			t.Errorf("with a graph: %v, %v", graph, err)
		}
	}
	if err := newIndex(t, false).WriteFile(filepath.Join(path, "below"), testKey); err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("an index below a file: %v", err)
	}
	if _, err := ReadFile(path, testKey); err != nil {
		t.Errorf("the old one is gone: %v", err)
	}
}

// TestPicturesPassOverTheUnreadable, wherever they are: numbers ascend, and with the unreadable ones all are there.
func TestPicturesPassOverTheUnreadable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bad := rapid.SliceOf(rapid.Bool()).Draw(t, "unreadable")
		x := &Index{}
		for picture, unreadable := range bad {
			if unreadable {
				x.Unreadable = append(x.Unreadable, Unreadable{Picture: picture})
			} else {
				x.Vectors.Rows++
			}
		}
		numbers := x.Pictures()
		if len(numbers) != x.Vectors.Rows || !slices.IsSorted(numbers) || len(slices.Compact(slices.Clone(numbers))) != len(numbers) {
			t.Fatalf("%v of %v", numbers, bad)
		}
		for _, picture := range numbers {
			if bad[picture] {
				t.Fatalf("picture %d cannot be read and has a row", picture)
			}
		}
	})
}

// TestSearchesAgreeOnTheirPromises: by a graph too a query gets min(k, rows) different rows, the nearest first, each with its
// own similarity; a row that is asked for finds itself, or one that equals it, among as many candidates as rows.
func TestSearchesAgreeOnTheirPromises(t *testing.T) {
	engine := newEngine(t, 2)
	rapid.Check(t, func(t *rapid.T) {
		rows, copies := rapid.IntRange(1, 150).Draw(t, "rows"), rapid.IntRange(1, 20).Draw(t, "copies")
		vectors := clustered(rows, 5, 3, copies, rapid.Uint64().Draw(t, "seed"))
		g, err := NewGraph(engine, vectors)
		if err != nil {
			t.Fatal(err)
		}
		k, candidates := rapid.IntRange(0, 30).Draw(t, "k"), rapid.IntRange(0, 200).Draw(t, "candidates")
		for i, near := range g.Search(engine, vectors, k, candidates) {
			if len(near) > k || k > 0 && len(near) == 0 || candidates > rows && len(near) < min(k, rows) {
				t.Fatalf("query %d has %d neighbours of %d rows for k %d", i, len(near), rows, k)
			}
			seen := map[int]bool{}
			for j, n := range near {
				want := Cosine(vectors.Row(i), vectors.Row(n.Row))
				if seen[n.Row] || math.Abs(float64(n.Similarity-want)) > rounding || j > 0 && n.Similarity > near[j-1].Similarity {
					t.Fatalf("query %d found %v", i, near)
				}
				seen[n.Row] = true
			}
			if k > 0 && candidates >= rows && near[0].Similarity < 1-1e-5 { // among fewer a greedy search may end elsewhere
				t.Fatalf("row %d does not find itself among %d candidates: %v", i, candidates, near[0])
			}
		}
	})
}

// TestIndexWithoutAGraphIsExact.
func TestIndexWithoutAGraphIsExact(t *testing.T) {
	engine, x := newEngine(t, 1), newIndex(t, false)
	queries := clustered(9, 6, 4, 1, 8)
	want := Exact(engine, x.Vectors, queries, 5)
	for i, got := range x.Search(engine, queries, 5) {
		if !slices.Equal(got, want[i]) {
			t.Errorf("query %d: %v, want %v", i, got, want[i])
		}
	}
}

// TestWalksOutliveTheirNumbers: after four billion walks a walker has forgotten what it had seen before.
func TestWalksOutliveTheirNumbers(t *testing.T) {
	engine, x := newEngine(t, 1), newIndex(t, true)
	w := newWalkers(engine, x.Graph)[0]
	query := x.Vectors.Row(7)
	want := w.search(query, 20)
	w.walks = math.MaxUint32 - 1
	for range 4 {
		if got := w.search(query, 20); !slices.Equal(got, want) {
			t.Fatalf("walk %d found %v, want %v", w.walks, got, want)
		}
	}
	if w.walks > 100 {
		t.Errorf("walks count on at %d", w.walks)
	}
}

// TestHeightsAreThoseOfThePaper: a sixteenth of the rows of a level stand on the next, and a longer list begins as a shorter one.
func TestHeightsAreThoseOfThePaper(t *testing.T) {
	const rows = 200_000
	drawn := heights(rows)
	if !slices.Equal(heights(1000), drawn[:1000]) {
		t.Error("the heights of the first rows depend on how many follow")
	}
	for level, want := 1, rows/linksUp; want > 100; level, want = level+1, want/linksUp {
		_, above := slots(drawn, level)
		if math.Abs(float64(above-want)) > 5*math.Sqrt(float64(want)) {
			t.Errorf("%d rows stand on level %d, expected about %d", above, level, want)
		}
	}
	if slices.Min(drawn) != 1 {
		t.Errorf("a row stands on %d levels", slices.Min(drawn))
	}
}

// TestSpreadLeavesOutTheCovered (algorithm 4): no picked row is nearer to one picked before than to the row that asks, each left
// out is, unless there is no room, and the nearest always stays.
func TestSpreadLeavesOutTheCovered(t *testing.T) {
	engine := newEngine(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		vectors := clustered(rapid.IntRange(2, 60).Draw(t, "rows"), 3, 4, 1, rapid.Uint64().Draw(t, "seed"))
		b := newBuilder(engine, vectors)
		var candidates []Neighbour
		for row := 1; row < vectors.Rows; row++ {
			candidates = append(candidates, Neighbour{row, Cosine(vectors.Row(0), vectors.Row(row))})
		}
		slices.SortFunc(candidates, compare)
		most := rapid.IntRange(1, 20).Draw(t, "most")
		picked := b.spread(candidates, most)
		if len(picked) == 0 || len(picked) > most || picked[0] != candidates[0] {
			t.Fatalf("picked %v of %v", picked, candidates)
		}
		var before []Neighbour
		for _, c := range candidates {
			covered := slices.ContainsFunc(before, func(p Neighbour) bool { return Cosine(vectors.Row(c.Row), vectors.Row(p.Row)) > c.Similarity })
			if chosen := slices.Contains(picked, c); chosen == covered && len(before) < most {
				t.Fatalf("%v is covered by %v: %v, and picked: %v", c, before, covered, chosen)
			}
			if slices.Contains(picked, c) {
				before = append(before, c)
			}
		}
	})
}

// TestLevelsKeepLinks: what is set is read, without what was there before, and other rows keep theirs.
func TestLevelsKeepLinks(t *testing.T) {
	levels := newLevels([]int{1, 3, 1, 2, 3})
	if len(levels) != 3 || levels[0].at(4) != 4 || levels[1].at(3) != 1 || levels[2].at(4) != 1 || levels[2].at(3) != -1 {
		t.Fatalf("%d levels: %+v", len(levels), levels[1:])
	}
	for i := range levels {
		l := &levels[i]
		l.set(4, []Neighbour{{1, 0.5}})
		for _, links := range [][]Neighbour{{{4, 0.9}, {3, 0.1}}, {{4, 0.2}}, nil} {
			l.set(1, links)
			var want []int32
			for _, n := range links {
				want = append(want, int32(n.Row))
			}
			if got := l.of(1); !slices.Equal(got, want) || !slices.Equal(l.of(4), []int32{1}) {
				t.Errorf("level %d: links %v, want %v; of another row %v", i, got, want, l.of(4))
			}
		}
		full := slices.Repeat([]Neighbour{{4, 1}}, l.width)
		if l.set(1, full); len(l.of(1)) != l.width || !slices.Equal(l.of(4), []int32{1}) {
			t.Errorf("level %d: a full row has %d links, another one %v", i, len(l.of(1)), l.of(4))
		}
	}
}

// TestBlocksCoverAll rows once, in order.
func TestBlocksCoverAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, size, next := rapid.IntRange(0, 1000).Draw(t, "n"), rapid.IntRange(1, 300).Draw(t, "size"), 0
		for _, s := range blocks(n, size) {
			if s.from != next || s.len() < 1 || s.len() > size {
				t.Fatalf("span %v after %d", s, next)
			}
			next = s.to
		}
		if next != n {
			t.Fatalf("%d of %d rows", next, n)
		}
	})
}

// TestUnionIsAnEquivalence: groups are the classes that joining makes, whatever the order, each listed once and ascending.
func TestUnionIsAnEquivalence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "n")
		pairs := rapid.SliceOf(rapid.Custom(func(t *rapid.T) [2]int {
			return [2]int{rapid.IntRange(0, n-1).Draw(t, "i"), rapid.IntRange(0, n-1).Draw(t, "j")}
		})).Draw(t, "pairs")
		u, class := newUnion(n), make([]int, n)
		for i := range class {
			class[i] = i
		}
		for _, p := range pairs {
			u.join(p[0], p[1])
			for i, old := 0, class[p[1]]; i < n; i++ {
				if class[i] == old {
					class[i] = class[p[0]]
				}
			}
		}
		grouped := map[int]bool{}
		for _, group := range u.groups() {
			if len(group) < 2 || !slices.IsSorted(group) {
				t.Fatalf("group %v", group)
			}
			for _, i := range group {
				if grouped[i] || class[i] != class[group[0]] {
					t.Fatalf("%d is in %v, pairs %v", i, group, pairs)
				}
				grouped[i] = true
			}
		}
		for i := range n {
			alone := !slices.ContainsFunc(pairs, func(p [2]int) bool { return p[0] != p[1] && (p[0] == i || p[1] == i) })
			if grouped[i] == alone {
				t.Fatalf("%d is in a group: %v, pairs %v", i, grouped[i], pairs)
			}
		}
	})
}

// TestDistinctRowsByBits: rows that are equal in all numbers have one place in the graph, of which the first is the holder.
func TestDistinctRowsByBits(t *testing.T) {
	m := eval.Matrix{Rows: 6, Cols: 2, Data: []float32{1, 0, 0, 1, 1, 0, 0.6, 0.8, 1, 0, 0, 1}}
	order, copies := distinct(m)
	if !slices.Equal(order, []int{0, 1, 3}) || len(copies) != 2 || !slices.Equal(copies[0], []int{2, 4}) || !slices.Equal(copies[1], []int{5}) {
		t.Errorf("order %v, copies %v", order, copies)
	}
}
