package data

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pretrain/sample"
)

// tree writes files, by path relative to a new folder, and returns the folder.
func tree(t *testing.T, files map[string][]byte) string {
	t.Helper()
	root := t.TempDir()
	for name, contents := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, contents, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func open(t *testing.T, path string, change func(*Config)) *Files {
	t.Helper()
	c := DefaultConfig()
	if change != nil {
		change(&c)
	}
	f, err := Open(t.Context(), path, c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// names lists the paths of a dataset relative to root.
func names(t *testing.T, f *Files, root string) []string {
	t.Helper()
	var list []string
	for i := range f.Len() {
		name, err := filepath.Rel(root, f.Path(i))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, filepath.ToSlash(name))
	}
	return list
}

func TestOpenFolder(t *testing.T) {
	picture := pngOf(t, blockPicture())
	root := tree(t, map[string][]byte{
		"z.png": picture, "b/1.png": picture, "a/deep/er/2.txt": picture /* by content */, "a-b/3": jpegOf(t, blockPicture()),
		"notes.txt": []byte("no picture"), "a/labels.json": []byte("{}"), ".DS_Store": {0}, ".hidden/4.png": picture, "a/._2.png": {0, 5, 22, 7},
	})
	f := open(t, root, nil)
	// '-' sorts before '/': order is by the bytes of the whole path, not folder by folder.
	if got, want := names(t, f, root), []string{"a-b/3", "a/deep/er/2.txt", "b/1.png", "z.png"}; !slices.Equal(got, want) {
		t.Errorf("pictures are %v, expected %v", got, want)
	}
	if got, want := f.Labels(), []string{"a", "a-b", "b"}; !slices.Equal(got, want) {
		t.Errorf("labels are %v, expected %v", got, want)
	}
	if r := f.Report(); r.Files != 6 || r.Pictures != 4 || r.Ignored != 5 || len(r.Bad) != 0 || r.Formats["PNG"] != 3 || r.Formats["JPEG"] != 1 {
		t.Errorf("report is %+v", r)
	}
	e, err := f.At(t.Context(), 1)
	if err != nil || e.Label != "a" || e.Path != f.Path(1) {
		t.Fatalf("picture 1 is %s with label %q, error %v", e.Path, e.Label, err)
	}
	checkBlocks(t, e.Image, 3, blockColours[:], 0)
}

func TestOpenFollowsLinksButNotInCircles(t *testing.T) {
	picture := pngOf(t, blockPicture())
	root, other := tree(t, map[string][]byte{"a/1.png": picture}), tree(t, map[string][]byte{"2.png": picture})
	for link, target := range map[string]string{"a/up": root, "self": ".", "b": other, "3.png": filepath.Join(root, "a", "1.png")} {
		if err := os.Symlink(target, filepath.Join(root, filepath.FromSlash(link))); err != nil {
			t.Skip("SKIP: no symbolic links here:", err)
		}
	}
	if got, want := names(t, open(t, root, nil), root), []string{"3.png", "a/1.png", "b/2.png"}; !slices.Equal(got, want) {
		t.Errorf("pictures are %v, expected %v", got, want)
	}
}

func TestOpenList(t *testing.T) {
	picture := pngOf(t, blockPicture())
	root := tree(t, map[string][]byte{"in/b.png": picture, "in/a, b.png": picture, "c.png": picture})
	list := filepath.Join(root, "list.csv")
	text := fmt.Sprintf("# path, label\r\n\r\nin/b.png, dog \nin/a, b.png\tcat\n%s\n", filepath.Join(root, "c.png"))
	if err := os.WriteFile(list, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	f := open(t, list, nil)
	got := map[string]string{}
	for i, name := range names(t, f, root) {
		got[name] = f.Label(i)
	}
	for name, label := range map[string]string{"in/b.png": "dog", "in/a, b.png": "cat", "c.png": ""} {
		if l, ok := got[name]; !ok || l != label {
			t.Errorf("%s has label %q, expected %q", name, l, label)
		}
	}
	if f.Len() != 3 {
		t.Errorf("%d pictures, expected 3", f.Len())
	}
}

// TestBrokenPictures are named and counted, also those whose name alone says that they are pictures.
func TestBrokenPictures(t *testing.T) {
	picture := pngOf(t, blockPicture())
	root := tree(t, map[string][]byte{
		"1.png": picture, "2.png": picture, "cut": picture[:20], "empty.jpg": {}, "text.JPEG": []byte("not found"),
		"phone": []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00"),
	})
	f := open(t, root, func(c *Config) { c.MaxBadRatio = 0.7 })
	var bad []string
	for _, b := range f.Report().Bad {
		bad = append(bad, filepath.Base(b.Path))
	}
	if want := []string{"cut", "empty.jpg", "phone", "text.JPEG"}; !slices.Equal(bad, want) || f.Len() != 2 {
		t.Errorf("%d pictures, bad ones %v, expected 2 and %v", f.Len(), bad, want)
	}
	_, err := Open(t.Context(), root, DefaultConfig())
	wantError(t, err, "4 of 6 pictures cannot be read", "data.max_bad_ratio (0.05)", "cut: bad PNG: unexpected EOF", "empty.jpg: holds no picture", "convert it to JPEG")
}

// wantError checks that an error says all that it should.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error is %q, expected it to say %q", fmt.Sprint(err), part)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	picture := pngOf(t, blockPicture())
	for name, test := range map[string]struct {
		files map[string][]byte
		path  string
		want  []string
	}{
		"missing":         {nil, "nowhere", []string{`nowhere" does not exist`}},
		"empty":           {nil, "", []string{"is empty", "JPEG, PNG, GIF, WebP, BMP, TIFF"}},
		"only texts":      {map[string][]byte{"a/1.txt": []byte("one"), "2.md": []byte("two")}, "", []string{"holds no picture: 2 files were seen", "JPEG, PNG"}},
		"only broken":     {map[string][]byte{"a.png": picture[:9]}, "", []string{"holds no readable picture", "1 of 1 files", "a.png: bad PNG"}},
		"a picture":       {map[string][]byte{"a.png": picture}, "a.png", []string{"a.png\" is a picture", "list file"}},
		"empty list":      {map[string][]byte{"l.txt": []byte("# nothing\n")}, "l.txt", []string{"is empty"}},
		"list of nothing": {map[string][]byte{"l.txt": []byte("no.png\n")}, "l.txt", []string{"no.png: no such file"}},
		"list of a text":  {map[string][]byte{"l.txt": []byte("l.txt\n")}, "l.txt", []string{"l.txt: holds no picture"}},
		"no path in list": {map[string][]byte{"l.txt": []byte("\n,label\n")}, "l.txt", []string{"l.txt, line 2", `",label" names no picture`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), filepath.Join(tree(t, test.files), test.path), DefaultConfig())
			wantError(t, err, test.want...)
		})
	}
	_, err := Open(t.Context(), "", DefaultConfig())
	wantError(t, err, "set data.path")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ended, tree(t, map[string][]byte{"a.png": picture}), DefaultConfig()); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context the error is %v", err)
	}
}

func TestCheckMinimum(t *testing.T) {
	root := tree(t, map[string][]byte{"big.png": pngOf(t, blockPicture()), "small.png": pngOf(t, image.NewGray(image.Rect(0, 0, 60, 20)))})
	f := open(t, root, nil)
	if err := f.CheckMinimum(20); err != nil {
		t.Error(err)
	}
	wantError(t, f.CheckMinimum(32), "1 of 2 pictures are smaller than 32 pixels", "small.png: 60×20", "data.size")
}

// TestMaxPictures spreads over the folders.
func TestMaxPictures(t *testing.T) {
	files := map[string][]byte{}
	for i := range 12 {
		files[fmt.Sprintf("%c/%d.png", 'a'+i/4, i)] = pngOf(t, blockPicture())
	}
	root := tree(t, files)
	f := open(t, root, func(c *Config) { c.MaxPictures = 6 })
	if f.Len() != 6 || !slices.Equal(f.Labels(), []string{"a", "b", "c"}) || f.Report().Pictures != 12 {
		t.Errorf("%d pictures of labels %v", f.Len(), f.Labels())
	}
	if all := open(t, root, func(c *Config) { c.MaxPictures = 100 }); all.Len() != 12 {
		t.Errorf("%d pictures, expected all 12", all.Len())
	}
}

// TestAtErrors: a PictureError for a picture that broke after the scan, and the context's error when that ended.
func TestAtErrors(t *testing.T) {
	root := tree(t, map[string][]byte{"a.png": pngOf(t, blockPicture())})
	f := open(t, root, nil)
	if err := os.Truncate(f.Path(0), 40); err != nil {
		t.Fatal(err)
	}
	_, err := f.At(t.Context(), 0)
	var bad *PictureError
	if !errors.As(err, &bad) || bad.Path != f.Path(0) {
		t.Errorf("error is %v, expected a PictureError", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.At(ended, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context the error is %v", err)
	}
}

func TestParseList(t *testing.T) {
	files, err := parseList("\ufeffa.jpg\n\n# comment\n  b c.jpg ,x\nd,e.jpg\t\nf.jpg\ty,z\r\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []file{{name: "a.jpg"}, {name: "b c.jpg", label: "x"}, {name: "d,e.jpg"}, {name: "f.jpg", label: "y,z"}}
	for i := range want {
		want[i].listed = true
	}
	if !slices.Equal(files, want) {
		t.Errorf("parsed as %+v, expected %+v", files, want)
	}
}

// FuzzParseList: any text is an error or pictures that have names.
func FuzzParseList(f *testing.F) {
	f.Add("a.jpg\nb.jpg\tlabel\n# c\n\nd.jpg,label")
	f.Fuzz(func(t *testing.T, text string) {
		files, err := parseList(text)
		for _, file := range files {
			if err != nil || file.name == "" || !file.listed || strings.ContainsAny(file.name+file.label, "\n\x00") {
				t.Errorf("%+v, error %v", file, err)
			}
		}
	})
}

// TestRealPhotographs scans and decodes the photographs that the program carries, and says how fast.
func TestRealPhotographs(t *testing.T) {
	folder := t.TempDir()
	if err := sample.Extract(folder); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	f := open(t, filepath.Join(folder, "train"), nil)
	t.Logf("scanned %d headers in %v", f.Report().Files, time.Since(start))
	if f.Len() != 1501 || len(f.Labels()) != 14 || len(f.Report().Bad) != 0 {
		t.Errorf("%d pictures of %d labels, %d bad", f.Len(), len(f.Labels()), len(f.Report().Bad))
	}
	for i := 0; i < f.Len(); i += 100 {
		if e, err := f.At(t.Context(), i); err != nil || e.Image.Side() != 64 {
			t.Errorf("%s: %d pixels, error %v", e.Path, e.Image.Side(), err)
		}
	}
}
