package run

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/plot/plotter"
	"pgregory.net/rapid"

	"pretrain/backbone"
	"pretrain/data"
	"pretrain/eval"
	"pretrain/export"
	"pretrain/history"
	"pretrain/layout"
	"pretrain/metrics"
	"pretrain/page"
	"pretrain/search"
	"pretrain/train"
)

// TestOutputsHaveNamesOfTheirOwn: whatever pictures are called, no drawing replaces another or the sheet of all.
func TestOutputsHaveNamesOfTheirOwn(t *testing.T) {
	name := rapid.SampledFrom([]string{"a.jpg", "a.png", "b/a.jpg", "a-2.jpg", "all.jpg", "all-2.png", "x/all", "a", "c.d.jpg", ".jpg"})
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(name, 1, 12).Draw(t, "names")
		files := outputs("folder", names)
		if len(files) != len(names)+1 || files[len(names)] != filepath.Join("folder", "all.png") {
			t.Fatalf("%q become %q", names, files)
		}
		if distinct := slices.Compact(slices.Sorted(slices.Values(files))); len(distinct) != len(files) {
			t.Fatalf("%q become %q", names, files)
		}
		for i, file := range files[:len(names)] {
			base := strings.TrimSuffix(filepath.Base(names[i]), filepath.Ext(names[i]))
			if filepath.Dir(file) != "folder" || filepath.Ext(file) != ".png" || !strings.HasPrefix(filepath.Base(file), base) {
				t.Fatalf("%q becomes %q", names[i], file)
			}
		}
	})
}

// TestNamesBelowAFolder are relative to it; what lies elsewhere keeps its path.
func TestNamesBelowAFolder(t *testing.T) {
	for _, test := range [][3]string{
		{"a", "a/b/c.jpg", "b/c.jpg"}, {"a/", "a/c.jpg", "c.jpg"}, {".", "c.jpg", "c.jpg"}, {"/a", "/a/..b/c", "..b/c"}, {"/a", "/a/..c", "..c"},
		{"/a", "/b/c.jpg", "/b/c.jpg"}, {"/a/b", "/a/c.jpg", "/a/c.jpg"}, {"a", "/b/c.jpg", "/b/c.jpg"}, {"/a", "/", "/"},
	} {
		if got := below(test[0], test[1]); got != test[2] {
			t.Errorf("%s below %s is %q, want %q", test[1], test[0], got, test[2])
		}
	}
}

// numbered is a data set without pictures that tells which of them was asked for.
type numbered struct {
	data.Dataset
	count int
}

func (n numbered) Len() int { return n.count }

// TestThinning keeps as many pictures as wanted, in their order and evenly spread, with their names.
func TestThinning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count, most := rapid.IntRange(1, 200).Draw(t, "count"), rapid.IntRange(1, 200).Draw(t, "most")
		all := pictures{Dataset: numbered{count: count}}
		for i := range count {
			all.add(fmt.Sprint("/", i), fmt.Sprint(i), fmt.Sprint("label", i))
		}
		thinned := all.thin(most)
		if thinned.Len() != min(count, most) || len(thinned.names) != thinned.Len() || thinned.names[0] != "0" {
			t.Fatalf("%d of %d pictures, with %d names", thinned.Len(), count, len(thinned.names))
		}
		if count <= most {
			return
		}
		numbers := thinned.Dataset.(some).numbers
		for i, number := range numbers {
			if thinned.names[i] != fmt.Sprint(number) || thinned.labels[i] != fmt.Sprint("label", number) || thinned.paths[i] != fmt.Sprint("/", number) {
				t.Fatalf("picture %d is called %s", number, thinned.names[i])
			}
			if step := count / most; i > 0 && (number-numbers[i-1] < step || number-numbers[i-1] > step+1) {
				t.Fatalf("%d of %d: %v are not evenly spread", most, count, numbers)
			}
		}
	})
}

// TestShards: what reads as i/n is one of the n parts, and everything else is refused by its words.
func TestShards(t *testing.T) {
	for text, want := range map[string]data.Shard{"": {Index: 0, Count: 1}, "0/1": {Index: 0, Count: 1}, "3/4": {Index: 3, Count: 4}} {
		if got, err := parseShard(text); got != want || err != nil {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`-?[0-9]{0,3}/-?[0-9]{0,3}`), rapid.StringMatching(`[0-9/ +x]{1,6}`)).Draw(t, "text")
		shard, err := parseShard(text)
		if err != nil && !strings.Contains(err.Error(), text) {
			t.Fatalf("%q is refused by %q", text, err)
		}
		if err == nil && (shard.Index < 0 || shard.Index >= shard.Count) {
			t.Fatalf("%q is %+v", text, shard)
		}
	})
}

// TestPointsFitTheUnitSquare, keep their order along both axes, and fill the longer one; points that are all the same are in
// its middle.
func TestPointsFitTheUnitSquare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Float64Range(-1e6, 1e6)
		points := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) layout.Point {
			return layout.Point{X: number.Draw(t, "x"), Y: number.Draw(t, "y")}
		}), 1, 20).Draw(t, "points")
		var m drawnMap
		m.setPoints(points)
		for i, p := range points {
			if !(m.X[i] >= 0 && m.X[i] <= 1 && m.Y[i] >= 0 && m.Y[i] <= 1) {
				t.Fatalf("%+v is drawn at %g, %g", p, m.X[i], m.Y[i])
			}
			for j, q := range points {
				if p.X < q.X && m.X[i] > m.X[j] || p.Y < q.Y && m.Y[i] > m.Y[j] {
					t.Fatalf("%+v and %+v are drawn the other way round", p, q)
				}
			}
		}
	})
	var m drawnMap
	m.setPoints([]layout.Point{{X: 3, Y: -7}, {X: 3, Y: -7}})
	if !slices.Equal(m.X, []float64{0.5, 0.5}) || !slices.Equal(m.Y, []float64{0.5, 0.5}) {
		t.Errorf("points in one place are drawn at %v, %v", m.X, m.Y)
	}
	m = drawnMap{}
	m.setPoints([]layout.Point{{X: 0, Y: 0}, {X: 4, Y: 1}})
	if !slices.Equal(m.X, []float64{0, 1}) || !slices.Equal(m.Y, []float64{0.375, 0.625}) {
		t.Errorf("the wide map is drawn at %v, %v", m.X, m.Y)
	}
}

// TestNeighboursOfAMap: the page lists the first ones only, and has an empty list where there are none.
func TestNeighboursOfAMap(t *testing.T) {
	many := make([]search.Neighbour, 12)
	for i := range many {
		many[i] = search.Neighbour{Row: i + 1, Similarity: 1 - float32(i)/100}
	}
	var m drawnMap
	m.setNeighbours([][]search.Neighbour{many, nil, many[:2]})
	if len(m.Neighbours) != 3 || len(m.Neighbours[0]) != listedNeighbours || m.Neighbours[1] == nil || !slices.Equal(m.Neighbours[2], []int{1, 2}) {
		t.Errorf("listed are %v", m.Neighbours)
	}
	if len(m.Similar[0]) != listedNeighbours || m.Similar[0][1] != 0.99 {
		t.Errorf("similarities %v", m.Similar)
	}
}

func TestGroupsOfAMap(t *testing.T) {
	labels := byName("Label", []string{"b", "", "a", "b"})
	if !slices.Equal(labels.Names, []string{"none", "a", "b"}) || !slices.Equal(labels.Of, []int{2, 0, 1, 2}) {
		t.Errorf("got %+v", labels)
	}
	clusters := byCluster([]int{1, 0, 1}, 2)
	if !slices.Equal(clusters.Names, []string{"cluster 1", "cluster 2"}) || !slices.Equal(clusters.Of, []int{1, 0, 1}) {
		t.Errorf("got %+v", clusters)
	}
	for pictures, want := range map[int]int{1: 64, 6000: 64, 6001: 48, 12_000: 48, 12_001: 32, MostPoints: 32} {
		if got := thumbnailSide(pictures); got != want {
			t.Errorf("%d pictures are shown %d pixels wide, want %d", pictures, got, want)
		}
	}
}

// TestPositions of a network without attention show the length of each feature.
func TestPositions(t *testing.T) {
	if got := lengths([]float32{3, 4, 0, 0, -5, 12}, 2); !slices.Equal(got, []float32{5, 0, 13}) {
		t.Errorf("lengths %v", got)
	}
	s := &positions{}
	s.keep(eval.LayerPositions{Layer: 4, Height: 1, Width: 2, Channels: 2, Values: []float32{3, 4, 0, 0, 6, 8, 1, 0, 9, 9, 9, 9}}, 2)
	if !slices.Equal(s.values, []float32{3, 4, 0, 0, 6, 8, 1, 0}) || len(s.heats) != 2 || !slices.Equal(s.heats[1], []float32{10, 1}) {
		t.Errorf("kept are %v and %v", s.values, s.heats)
	}
	if s.heatName(0) != "feature length" || s.Layer != 4 || s.Values != nil {
		t.Errorf("%q of %+v", s.heatName(0), s.LayerPositions)
	}
	s.lengths = false
	if s.heatName(0) != "attention, mean" || s.heatName(2) != "head 2" {
		t.Errorf("%q, %q", s.heatName(0), s.heatName(2))
	}
}

// TestFiniteCurves: gaps and infinities are no points of a figure, and shares are drawn as per cent.
func TestFiniteCurves(t *testing.T) {
	points := plotter.XYs{{X: 1, Y: 0.5}, {X: 2, Y: math.NaN()}, {X: 3, Y: math.Inf(1)}, {X: 4, Y: 0.25}}
	if got := finite(points, true); !slices.Equal(got, plotter.XYs{{X: 1, Y: 50}, {X: 4, Y: 25}}) {
		t.Errorf("got %v", got)
	}
	nan := metrics.Number(math.NaN())
	for name, runs := range map[string][]page.Run{
		"no run": nil, "nothing recorded": {{}},
		"no number":      {{About: page.About{Tasks: []string{"x"}}, Records: []metrics.Record{{Step: 1, Tasks: map[string]metrics.Task{"x": {Loss: nan}}}}}},
		"pixels have no": {{Layers: []page.Layer{{Features: "pixels", Probe: "knn", Accuracy: 0.5}}}},
	} {
		for _, f := range []figure{figures[0], figures[len(figures)-1]} {
			if _, count, err := f.draw(runs); count != 0 || err != nil {
				t.Errorf("%s: %d curves in the figure %s, %v", name, count, f.file, err)
			}
		}
	}
}

// TestProbesAndLayersAreDrawn: a curve each, of the best layer and of every layer.
func TestProbesAndLayersAreDrawn(t *testing.T) {
	curves := func(draw func(page.Run, func(string, plotter.XYs)), r page.Run) map[string]plotter.XYs {
		found := map[string]plotter.XYs{}
		draw(r, func(name string, points plotter.XYs) { found[name] = points })
		return found
	}
	probes := []metrics.Probe{{Probe: "knn", Layer: "1", Accuracy: 0.25}, {Probe: "knn", Layer: "2", Accuracy: 0.5}}
	got := curves(probeCurves, page.Run{Records: []metrics.Record{{Step: 1}, {Step: 2, Probes: probes}}})
	if diff := cmp.Diff(map[string]plotter.XYs{"knn": {{X: 2, Y: 0.5}}, "linear": nil}, got); diff != "" {
		t.Error(diff)
	}
	layers := []page.Layer{{Features: "random", Layer: 1, Probe: "knn", Accuracy: 0.1}, {Features: "random", Layer: 2, Probe: "knn", Accuracy: 0.2}, {Features: "pixels", Probe: "knn"}}
	got = curves(layerCurves, page.Run{Layers: layers})
	if diff := cmp.Diff(map[string]plotter.XYs{"random, knn": {{X: 1, Y: 0.1}, {X: 2, Y: 0.2}}}, got); diff != "" {
		t.Error(diff)
	}
}

// TestTheEndOfALog is shown without lines that were cut, as the console had them.
func TestTheEndOfALog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "train.log")
	line := func(i int) string { return fmt.Sprintf("{\"msg\":\"line %d%s\"}\n", i, strings.Repeat(" x", 50)) }
	var long strings.Builder
	for i := range 2000 {
		long.WriteString(line(i))
	}
	for name, test := range map[string]struct {
		text       string
		count      int
		last       string
		first, not string
	}{
		"empty": {"", 0, "", "", ""}, "no end of the line": {"one\ntwo", 2, "two", "one", ""}, "long": {long.String(), logLines, "line 1999", "line 1900", "line 1899"},
		"one endless line": {strings.Repeat("x", 2*logTail), 0, "", "", "x"}, "blank lines": {"\n\n\n", 0, "", "", ""},
	} {
		if err := os.WriteFile(file, []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		lines, err := readLog(file)
		if err != nil || len(lines) != test.count {
			t.Errorf("%s: %d lines, want %d (%v)", name, len(lines), test.count, err)
			continue
		}
		if test.count > 0 && (!strings.Contains(lines[len(lines)-1], test.last) || !strings.Contains(lines[0], test.first)) {
			t.Errorf("%s: from %q to %q", name, lines[0], lines[len(lines)-1])
		}
		if test.not != "" && strings.Contains(strings.Join(lines, "\n"), test.not) {
			t.Errorf("%s: %q is shown", name, test.not)
		}
	}
	if _, err := readLog(filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("a log that is not there has no error")
	}
}

// TestReportNamesTellRunsApart, as far as their paths do.
func TestReportNamesTellRunsApart(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", "runs", "first"})
	rapid.Check(t, func(t *rapid.T) {
		directories := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) string {
			return "/" + strings.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "parts"), "/")
		}), 1, 6, rapid.ID).Draw(t, "directories")
		names := reportNames(directories)
		for i, name := range names {
			if !strings.HasSuffix(directories[i], name) || slices.Contains(names[:i], name) {
				t.Fatalf("%q are called %q", directories, names)
			}
		}
	})
}

// TestTasksOfAReport are those of the last line or, before the first, those whose chance is known.
func TestTasksOfAReport(t *testing.T) {
	record := train.Record{Chance: map[string]float64{"rotation": 0.25, "colorization": 0}}
	if got := taskNames(nil, record); !slices.Equal(got, []string{"colorization", "rotation"}) {
		t.Errorf("before the first line: %q", got)
	}
	records := []metrics.Record{{}, {Tasks: map[string]metrics.Task{"rotation": {}}}}
	if got := taskNames(records, record); !slices.Equal(got, []string{"rotation"}) {
		t.Errorf("after it: %q", got)
	}
	if got := differences([]*history.Run{{}, {}}); got == nil || len(got) > 0 {
		t.Errorf("no differences are %v", got) // null would be none in JSON
	}
}

// TestSettingsOfWeights: the description tells sizes and normalisation; without one the shapes tell what they can.
func TestSettingsOfWeights(t *testing.T) {
	family, err := backbone.Find("vit")
	if err != nil {
		t.Fatal(err)
	}
	described := &export.Model{Parameters: map[string]any{"depth": 2.0, "pooling": "mean"}, InputSide: 48}
	described.Input.Mean, described.Input.Std = [3]float64{0.5, 0.25, 0}, [3]float64{1, 1, 1}
	want := map[string]string{
		"backbone.vit.depth": "2", "backbone.vit.pooling": "mean", "data.size": "48", "data.mean": "0.5,0.25,0", "data.std": "1,1,1",
	}
	if diff := cmp.Diff(want, settingsOf(family, "vit", nil, described)); diff != "" {
		t.Error(diff)
	}
	family.Infer = nil
	if got := settingsOf(family, "vit", []export.Tensor{{Name: "x", Shape: []int{1}}}, nil); len(got) > 0 {
		t.Errorf("shapes that nobody reads tell %v", got)
	}
	environment := []string{"PRETRAIN_DATA_SIZE=1", "HOME=/"}
	for path, want := range map[string]bool{"data.size": true, "data.siz": false, "data.std": false} {
		if got := inEnvironment(environment, path); got != want {
			t.Errorf("%s in the environment: %v", path, got)
		}
	}
}
