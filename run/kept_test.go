package run

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/search"
	"pretrain/train"
)

// searcher searches a folder with one picture of it, and remembers what was said.
type searcher struct {
	opened  *Run
	options SearchOptions
	said    string
}

func newSearcher(opened *Run, folder string) *searcher {
	s := &searcher{opened: opened}
	s.options = SearchOptions{Index: folder, Query: filepath.Join(folder, "label", "101.jpg"), K: 3, ExactBelow: 100}
	s.options.Say = func(text string) { s.said += text + "\n" }
	return s
}

func (s *searcher) search(t *testing.T) []string {
	t.Helper()
	s.said = ""
	result, err := s.opened.Search(t.Context(), s.options)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, found := range result.Answers[0].Near {
		paths = append(paths, found.Path)
	}
	return paths
}

// TestWhatIsKept: the index of a search serves as long as it is that of the same weights, layer and pictures, and is made
// anew, with the reason said, whenever it is not, whatever has become of its file.
func TestWhatIsKept(t *testing.T) {
	directory := trained(t, filepath.Join(samples, "train"))
	opened := open(t, directory)
	folder := few(t, filepath.Join(samples, "train"), 9)
	s := newSearcher(opened, folder)
	want := s.search(t)
	file, err := opened.indexFile(folder, 2)
	if err != nil || !exists(file) {
		t.Fatalf("no index is kept: %v", err)
	}
	whole := read(t, file)
	for name, test := range map[string]struct {
		hurt func()
		said string
	}{
		"nothing":   {func() {}, "using the index kept in " + file},
		"removed":   {func() { os.Remove(file) }, "none is kept yet"},
		"cut":       {func() { write(t, file, whole[:len(whole)-5]) }, "damaged"},
		"empty":     {func() { write(t, file, nil) }, "damaged"},
		"rubbish":   {func() { write(t, file, bytes.Repeat([]byte("x"), 1000)) }, "damaged"},
		"one bit":   {func() { write(t, file, append(whole[:len(whole)-1:len(whole)-1], whole[len(whole)-1]^1)) }, "damaged"},
		"asked for": {func() { s.options.Rebuild = true }, "--rebuild asks for it"},
		"a new picture": {
			func() { write(t, filepath.Join(folder, "label", "zzz.jpg"), read(t, s.options.Query)) }, "the pictures have changed",
		},
		"a link to the folder": {
			func() {
				link := filepath.Join(t.TempDir(), "link")
				if err := os.Symlink(folder, link); err != nil {
					t.Fatal(err)
				}
				s.options.Index = link
			}, "none is kept yet",
		},
		"another layer": {func() { s.options.Layer = "1" }, "none is kept yet"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func(options SearchOptions) {
				os.Remove(filepath.Join(folder, "label", "zzz.jpg"))
				s.options = options
				write(t, file, whole)
			}(s.options)
			test.hurt()
			got := s.search(t)
			if !strings.Contains(s.said, test.said) {
				t.Errorf("said was %q, want %q", s.said, test.said)
			}
			if got[0] != want[0] || name != "a new picture" && name != "another layer" && !slices.Equal(got, want) {
				t.Errorf("found are %q, before %q", got, want)
			}
		})
	}
	t.Run("other weights", func(t *testing.T) {
		if err := Train(t.Context(), load(t, filepath.Join(samples, "train"), "train.epochs=1", "train.max_steps=3"),
			TrainOptions{Directory: filepath.Join(t.TempDir(), "other"), Console: io.Discard}); err != nil {
			t.Fatal(err)
		}
		key, err := opened.indexKey(&searchable{layer: 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := search.ReadFile(file, search.Key{Weights: key.Weights + "0", Layer: 2}); !errors.As(err, new(*search.StaleError)) {
			t.Errorf("the index of other weights serves: %v", err)
		}
	})
	t.Run("where nobody may write", func(t *testing.T) {
		if err := os.RemoveAll(opened.Directory.Searches()); err != nil {
			t.Fatal(err)
		}
		write(t, opened.Directory.Searches(), []byte("a file in the place of the folder"))
		if _, err := opened.Search(t.Context(), s.options); err == nil || !strings.Contains(err.Error(), "search") {
			t.Errorf("got %v", err)
		}
	})
}

// TestAStoppedSearch ends with the reason, and keeps no half index.
func TestAStoppedSearch(t *testing.T) {
	opened := open(t, trained(t, filepath.Join(samples, "train")))
	folder := few(t, filepath.Join(samples, "train"), 5)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	options := SearchOptions{Index: folder, Query: filepath.Join(folder, "label", "101.jpg"), K: 1, Say: func(string) {}}
	stops := map[string]func() error{
		"search": func() error { _, err := opened.Search(ctx, options); return err },
		"page": func() error {
			_, err := opened.SearchPage(ctx, options, filepath.Join(t.TempDir(), "near.html"), false)
			return err
		},
		"recall": func() error { _, err := opened.MeasureRecall(ctx, options); return err },
		"dedupe": func() error {
			_, err := opened.Dedupe(ctx, DedupeOptions{Data: folder, Criterion: search.Criterion{By: search.ByEither, Similarity: 0.5}, Say: options.Say})
			return err
		},
		"map": func() error {
			_, err := opened.Map(ctx, MapOptions{Data: folder, Out: filepath.Join(t.TempDir(), "map.html"), Method: "umap", Neighbours: 2, Most: 9, Say: options.Say})
			return err
		},
		"look": func() error {
			_, err := opened.Look(ctx, LookOptions{Pictures: []string{options.Query}, Out: filepath.Join(t.TempDir(), "look"), Say: options.Say})
			return err
		},
		"evaluate": func() error {
			_, err := opened.Evaluate(ctx, EvaluateOptions{Train: folder, Test: folder})
			return err
		},
		"extract": func() error {
			_, err := opened.Extract(ctx, ExtractOptions{Data: folder, Out: filepath.Join(t.TempDir(), "x.npy")})
			return err
		},
	}
	for name, stopped := range stops {
		if err := stopped(); !errors.Is(err, context.Canceled) || errors.As(err, new(*train.UsageError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if exists(opened.Directory.Searches()) {
		t.Error("a half index is kept")
	}
}

// TestListsOfPictures: a list file names pictures wherever they are, and what is next to the list is named relative to it.
func TestListsOfPictures(t *testing.T) {
	opened := open(t, trained(t, filepath.Join(samples, "train")))
	folder, elsewhere := few(t, filepath.Join(samples, "train"), 4), few(t, filepath.Join(samples, "test"), 1)
	list := filepath.Join(folder, "list.txt")
	write(t, list, []byte("label/102.jpg\nlabel/100.jpg\n"+filepath.Join(elsewhere, "label", "100.jpg")+"\n"))
	p, err := opened.openFolder(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"label/100.jpg", "label/102.jpg", filepath.ToSlash(filepath.Join(elsewhere, "label", "100.jpg"))}
	if got := slices.Sorted(slices.Values(p.names)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("pictures %q, want %q", got, want)
	}
	one := filepath.Join(folder, "label", "101.jpg")
	named, err := opened.openNamed(t.Context(), []string{one, list, filepath.Join(folder, "label")})
	if err != nil || named.Len() != 1+3+5 || named.names[0] != filepath.ToSlash(one) || len(named.bad) != 1 {
		t.Fatalf("%d pictures, %q, unreadable %v (%v)", named.Len(), named.names, named.bad, err)
	}
	for i, path := range named.paths { // each picture is the one that its name says
		example, err := named.At(t.Context(), i)
		if bad := (*data.PictureError)(nil); errors.As(err, &bad) {
			if !strings.Contains(path, "broken") {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if err != nil || example.Path != path {
			t.Errorf("picture %d is %s, not %s (%v)", i, example.Path, path, err)
		}
	}
	if _, err := named.At(t.Context(), named.Len()); err == nil {
		t.Error("there is a picture behind the last one")
	}
	stop, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := named.At(stop, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("reading when it is stopped: %v", err)
	}
	for path, fault := range map[string]string{filepath.Join(folder, "nowhere.jpg"): "no such file", list: "no picture of a type that is read"} {
		_, err := lone(path).At(t.Context(), 0)
		if bad := (*data.PictureError)(nil); !errors.As(err, &bad) || bad.Path != path || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %v", path, err)
		}
	}
	link := filepath.Join(t.TempDir(), "link.jpg")
	if err := os.Symlink(one, link); err != nil {
		t.Fatal(err)
	}
	if !sameFile(one, link) || sameFile(one, list) || sameFile(one, one+"x") {
		t.Error("files are taken for each other")
	}
}

// TestANetworkWithoutAttention: a ResNet shows the length of its features instead, and is read like a ViT by all else.
func TestANetworkWithoutAttention(t *testing.T) {
	pictures := filepath.Join(samples, "train")
	directory := filepath.Join(t.TempDir(), "run")
	resolved := load(t, pictures, "backbone.name=resnet18", "backbone.resnet.width=8", "train.epochs=1", "train.max_steps=1")
	if err := Train(t.Context(), resolved, TrainOptions{Directory: directory, Console: io.Discard}); err != nil {
		t.Fatal(err)
	}
	opened := open(t, directory)
	folder := few(t, pictures, 5)
	one, out := filepath.Join(folder, "label", "101.jpg"), filepath.Join(t.TempDir(), "look")
	_, err := opened.Look(t.Context(), LookOptions{Pictures: []string{one}, Out: out, Layer: "4"})
	if !errors.As(err, new(*train.UsageError)) || !strings.Contains(err.Error(), "layer 4 has one position") {
		t.Errorf("a picture of one position: %v", err)
	}
	for layer := 1; layer < 4; layer++ {
		looked, err := opened.Look(t.Context(), LookOptions{Pictures: []string{one}, Out: out, Layer: string(rune('0' + layer)), Overwrite: true})
		if err != nil || len(looked.Files) != 1 {
			t.Fatalf("%+v, %v", looked, err)
		}
		picture, err := png.Decode(bytes.NewReader(read(t, looked.Files[0])))
		if err != nil {
			t.Fatal(err)
		}
		if size := picture.Bounds(); size.Dx() < 3*size.Dy()/2 {
			t.Errorf("layer %d is drawn %d×%d: want the picture, the components and the lengths beside each other", layer, size.Dx(), size.Dy())
		}
	}
	if got := newSearcher(opened, folder).search(t); got[0] != "label/101.jpg" {
		t.Errorf("the nearest picture is %q", got)
	}
	for pool, want := range map[string]string{"": "mean", "mean": "mean", "map": "map"} {
		reading, err := opened.ReadingOf("all", pool, "")
		if err != nil || opened.poolingOf(reading) != want {
			t.Errorf("pool %q is called %q (%v)", pool, opened.poolingOf(reading), err)
		}
	}
	_, err = opened.Extract(t.Context(), ExtractOptions{Data: folder, Out: filepath.Join(t.TempDir(), "x.npy"), Pool: "cls"})
	if !errors.As(err, new(*train.UsageError)) || !strings.Contains(err.Error(), "class token") {
		t.Errorf("the class token of a ResNet: %v", err)
	}
	err = opened.Export(ExportOptions{Out: filepath.Join(t.TempDir(), "x"), Format: "torchvision"})
	if !errors.As(err, new(*train.UsageError)) || !strings.Contains(err.Error(), "backbone.resnet.width") {
		t.Errorf("a narrow ResNet for torchvision: %v", err)
	}
}

// TestPoolingInWords: what metadata say of a network that pools by its class token.
func TestPoolingInWords(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "run")
	resolved := load(t, filepath.Join(samples, "train"), "backbone.vit.pooling=class", "backbone.vit.class_token=true", "train.epochs=1", "train.max_steps=1")
	if err := Train(t.Context(), resolved, TrainOptions{Directory: directory, Console: io.Discard}); err != nil {
		t.Fatal(err)
	}
	opened := open(t, directory)
	for _, test := range []struct {
		reading eval.Reading
		want    string
	}{
		{eval.Reading{Layers: []int{2}}, "cls"}, {eval.Reading{Layers: []int{1}}, "mean"}, {eval.Reading{Layers: []int{1, 2}}, "mean, cls in the last layer"},
		{eval.Reading{Layers: []int{2}, Pooling: eval.PoolMean}, "mean"}, {eval.Reading{Layers: []int{1}, Pooling: eval.PoolMap}, "map"},
	} {
		if got := opened.poolingOf(test.reading); got != test.want {
			t.Errorf("%+v is called %q, want %q", test.reading, got, test.want)
		}
	}
}

// TestThisMachine: the kernels that are asked for are those in use, and the others are the rest; unknown ones are refused.
func TestThisMachine(t *testing.T) {
	machine, err := ThisMachine()
	if err != nil || machine.Kernels == "" || slices.Contains(machine.Others, machine.Kernels) {
		t.Fatalf("%+v, %v", machine, err)
	}
	t.Setenv(kernelsVariable, "portable")
	asked, err := ThisMachine()
	if err != nil || asked.Kernels != "portable" || slices.Contains(asked.Others, "portable") || len(asked.Others) != len(machine.Others) {
		t.Errorf("%+v, %v", asked, err)
	}
	t.Setenv(kernelsVariable, "abacus")
	if _, err := ThisMachine(); !errors.As(err, new(*train.UsageError)) || !strings.Contains(err.Error(), kernelsVariable) {
		t.Errorf("got %v", err)
	}
}
