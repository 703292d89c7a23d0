package run

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pretrain/search"
	"pretrain/train"
)

// TestLookingAtPictures searches, groups, maps and looks with one small run.
func TestLookingAtPictures(t *testing.T) {
	opened := open(t, trained(t, filepath.Join(samples, "train")))
	data := few(t, filepath.Join(samples, "train"), 7)
	t.Run("search", func(t *testing.T) { testSearch(t, opened, data) })
	t.Run("dedupe", func(t *testing.T) { testDedupe(t, opened, data) })
	t.Run("map", func(t *testing.T) { testMap(t, opened, data) })
	t.Run("look", func(t *testing.T) { testLook(t, opened, data) })
	t.Run("mistakes", func(t *testing.T) { testLookingMistakes(t, opened, data) })
}

// testSearch: a picture is its own nearest, by the graph too; the index serves again until a picture changes, and says so.
func testSearch(t *testing.T, opened *Run, data string) {
	var said []string
	query := filepath.Join(data, "label", "101.jpg")
	options := SearchOptions{Index: data, Query: query, K: 3, ExactBelow: 100, Say: func(text string) { said = append(said, text) }}
	find := func(wants string) Answer {
		t.Helper()
		said = nil
		result, err := opened.Search(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(said, "\n"), wants) {
			t.Errorf("%q is not in %q", wants, said)
		}
		if len(result.Answers) != 1 || len(result.Answers[0].Near) != options.K || result.Pictures != 7 {
			t.Fatalf("%+v", result)
		}
		return result.Answers[0]
	}
	first := find("none is kept yet")
	if near := first.Near[0]; near.Path != "label/101.jpg" || near.Similarity < 0.9999 || near.Rank != 1 || first.Query != query {
		t.Errorf("nearest is %+v", near)
	}
	if again := find("using the index"); !slices.Equal(again.Near, first.Near) {
		t.Errorf("found %v, then %v", first.Near, again.Near)
	}
	options.ExactBelow = 0
	if graph := find("linking 7 vectors"); graph.Near[1].Path != first.Near[1].Path {
		t.Errorf("the graph finds %v, exact search %v", graph.Near, first.Near)
	}
	options.ExcludeSelf = true
	if others := find("using the index"); others.Near[0].Path != first.Near[1].Path || others.Near[0].Rank != 1 {
		t.Errorf("without itself: %v", others.Near)
	}
	changed := time.Now().Add(time.Hour)
	if err := os.Chtimes(query, changed, changed); err != nil {
		t.Fatal(err)
	}
	find("the pictures have changed")
	page := filepath.Join(t.TempDir(), "near.html")
	if _, err := opened.SearchPage(t.Context(), options, page, false); err != nil || !bytes.Contains(read(t, page), []byte("label/101.jpg")) {
		t.Errorf("page: %v", err)
	}
	measured, err := opened.MeasureRecall(t.Context(), SearchOptions{Index: data, K: 2, Say: options.Say})
	if err != nil || measured.Queries != 7 || measured.Rows[0].Recall != 1 || measured.Rows[len(measured.Rows)-1].Candidates != 0 {
		t.Errorf("recall %+v, %v", measured, err)
	}
}

// testDedupe finds a copy of a picture, and nothing else, by each criterion that asks for the hash.
func testDedupe(t *testing.T, opened *Run, data string) {
	copied := filepath.Join(data, "other", "copy.jpg")
	write(t, copied, read(t, filepath.Join(data, "label", "102.jpg")))
	defer os.RemoveAll(filepath.Dir(copied))
	for _, by := range []search.By{search.ByHash, search.ByBoth} {
		copies, err := opened.Dedupe(t.Context(), DedupeOptions{Data: data, Criterion: search.Criterion{By: by, Similarity: 0.9999}, Say: func(string) {}})
		if err != nil || len(copies.Groups) != 1 || copies.Pictures != 8 || len(copies.Bad) != 2 {
			t.Fatalf("%s: %+v, %v", by, copies, err)
		}
		members := copies.Groups[0].Members
		if len(members) != 2 || members[0].Path != "label/102.jpg" || members[1].Path != "other/copy.jpg" || members[1].Bits != 0 || members[1].Similarity < 0.9999 {
			t.Errorf("%s: %+v", by, members)
		}
	}
}

// testMap: the page has every readable picture, is the same again, and is not replaced unasked.
func testMap(t *testing.T, opened *Run, data string) {
	options := MapOptions{Data: data, Out: filepath.Join(t.TempDir(), "map.html"), Method: "umap", Neighbours: 3, Clusters: 2, Most: 5, Seed: 1, Say: func(string) {}}
	mapped, err := opened.Map(t.Context(), options)
	if err != nil || mapped.Pictures < 4 || mapped.Pictures > 5 {
		t.Fatalf("%+v, %v", mapped, err)
	}
	first := read(t, options.Out)
	if !bytes.Contains(first, []byte("label/100.jpg")) || !bytes.Contains(first, []byte("cluster 2")) || bytes.Contains(first, []byte("broken-body")) {
		t.Error("the page has other names")
	}
	var usage *train.UsageError
	if _, err := opened.Map(t.Context(), options); !errors.As(err, &usage) || !strings.Contains(err.Error(), "--overwrite") {
		t.Errorf("an existing file gives %v", err)
	}
	options.Overwrite = true
	if _, err := opened.Map(t.Context(), options); err != nil || !bytes.Equal(first, read(t, options.Out)) {
		t.Errorf("the page is another (%v)", err)
	}
}

// testLook: a picture each and a sheet, names that are the same are numbered, unreadable pictures are listed.
func testLook(t *testing.T, opened *Run, data string) {
	one := filepath.Join(data, "label", "101.jpg")
	options := LookOptions{Pictures: []string{one, data, one}, Out: filepath.Join(t.TempDir(), "look"), Say: func(string) {}}
	looked, err := opened.Look(t.Context(), options)
	if err != nil || len(looked.Files) != 10 || len(looked.Bad) != 2 {
		t.Fatalf("%+v, %v", looked, err)
	}
	for _, name := range []string{"101.png", "101-2.png", "101-3.png", "100.png", "all.png"} {
		if content := read(t, filepath.Join(options.Out, name)); !bytes.HasPrefix(content, []byte("\x89PNG")) {
			t.Errorf("%s is no PNG", name)
		}
	}
	var usage *train.UsageError
	if _, err := opened.Look(t.Context(), options); !errors.As(err, &usage) || !strings.Contains(err.Error(), "--overwrite") {
		t.Errorf("existing files give %v", err)
	}
}

func testLookingMistakes(t *testing.T, opened *Run, data string) {
	say := func(string) {}
	one, out := filepath.Join(data, "label", "101.jpg"), filepath.Join(t.TempDir(), "x")
	find := func(o SearchOptions) error { o.Say = say; _, err := opened.Search(t.Context(), o); return err }
	draw := func(o MapOptions) error { o.Say, o.Out = say, out; _, err := opened.Map(t.Context(), o); return err }
	look := func(o LookOptions) error { o.Say, o.Out = say, out; _, err := opened.Look(t.Context(), o); return err }
	text := filepath.Join(t.TempDir(), "no.jpg")
	write(t, text, []byte("no picture"))
	for want, err := range map[string]error{
		"layers 1 to 2":          find(SearchOptions{Index: data, Query: one, K: 1, Layer: "3"}),
		"no best layer":          find(SearchOptions{Index: data, Query: one, K: 1, Layer: "best"}),
		"-k is 99":               find(SearchOptions{Index: data, Query: one, K: 99}),
		"-k is 0":                find(SearchOptions{Index: data, Query: one}),
		"is empty":               find(SearchOptions{Index: t.TempDir(), Query: one, K: 1}),
		"name a picture":         find(SearchOptions{Index: data, Query: one + "x", K: 1}),
		"none of 1 pictures":     find(SearchOptions{Index: data, Query: text, K: 1}),
		"--method is":            draw(MapOptions{Data: data, Method: "tsne", Neighbours: 5, Most: 9}),
		"--neighbours is 1":      draw(MapOptions{Data: data, Method: "pca", Neighbours: 1, Most: 9}),
		"--most is 2":            draw(MapOptions{Data: data, Method: "pca", Neighbours: 5, Most: 2}),
		"does not exist":         draw(MapOptions{Data: data + "x", Method: "pca", Neighbours: 5, Most: 9}),
		"layer \"x\"":            look(LookOptions{Pictures: []string{one}, Layer: "x"}),
		"none of 1 pictures can": look(LookOptions{Pictures: []string{text}}),
	} {
		var usage *train.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a usage error with %q", err, want)
		}
	}
}
