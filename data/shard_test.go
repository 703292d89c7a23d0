package data

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestShardsAreThePartsOfTheWhole: one after another they hold every picture and every broken one, once and in order.
func TestShardsAreThePartsOfTheWhole(t *testing.T) {
	files := map[string][]byte{"notes.txt": []byte("no picture")}
	for i := range 7 {
		files[fmt.Sprintf("%c/%d.png", 'a'+i/3, i)] = pngOf(t, blockPicture())
		files[fmt.Sprintf("%c/broken%d.png", 'a'+i/3, i)] = []byte("\x89PNG")
	}
	root := tree(t, files)
	whole := open(t, root, func(c *Config) { c.MaxBadRatio = 1 })
	for count := 1; count <= 20; count++ {
		var paths, bad []string
		for index := range count {
			f, err := OpenShard(t.Context(), root, Config{MaxPictures: 1}, Shard{index, count})
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, names(t, f, root)...)
			for _, b := range f.Report().Bad {
				bad = append(bad, b.Path)
			}
		}
		if !slices.Equal(paths, names(t, whole, root)) || len(bad) != 7 || !slices.IsSorted(bad) {
			t.Errorf("%d shards hold %v, and broken ones %v", count, paths, bad)
		}
	}
}

func TestShardErrors(t *testing.T) {
	root := tree(t, map[string][]byte{"a.png": pngOf(t, blockPicture()), "b.png": []byte("x")})
	for _, shard := range []Shard{{2, 2}, {-1, 2}, {0, 0}} {
		_, err := OpenShard(t.Context(), root, DefaultConfig(), shard)
		wantError(t, err, fmt.Sprintf("shard %d/%d", shard.Index, shard.Count))
	}
	if f, err := OpenShard(t.Context(), root, DefaultConfig(), Shard{1, 2}); err != nil || f.Len() != 0 {
		t.Errorf("a shard without pictures gives %v", err)
	}
	_, err := OpenShard(t.Context(), filepath.Join(root, "b.png"), DefaultConfig(), Shard{0, 1})
	wantError(t, err, "holds no readable picture")
}

// TestShardSizes differ by one at most.
func TestShardSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, count := rapid.IntRange(0, 1000).Draw(t, "n"), rapid.IntRange(1, 40).Draw(t, "count")
		end := 0
		for index := range count {
			from, to := Shard{index, count}.of(n)
			if size := to - from; from != end || size < n/count || size > n/count+1 {
				t.Fatalf("shard %d/%d of %d is %d to %d", index, count, n, from, to)
			}
			end = to
		}
		if end != n {
			t.Fatalf("%d shards end at %d of %d", count, end, n)
		}
	})
}

// TestLongListsAreScannedInParts: the order is kept across the parts, and those broken are known by their place.
func TestLongListsAreScannedInParts(t *testing.T) {
	root := tree(t, map[string][]byte{"a.png": pngOf(t, blockPicture())})
	lines := slices.Repeat([]string{"a.png,x"}, 2*scanned+5)
	lines[scanned+1], lines[2*scanned+4] = "a1.png", "a2.png" // missing, and last in the order
	list := filepath.Join(root, "list.txt")
	if err := os.WriteFile(list, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	f := open(t, list, nil)
	if f.Len() != len(lines)-2 || len(f.Report().Bad) != 2 || !strings.HasSuffix(f.Report().Bad[1].Path, "a2.png") {
		t.Errorf("%d pictures, broken ones %v", f.Len(), f.Report().Bad)
	}
	if f.Path(f.Len()-1) != filepath.Join(root, "a.png") || f.Label(f.Len()-1) != "x" {
		t.Errorf("the last picture is %s, %s", f.Path(f.Len()-1), f.Label(f.Len()-1))
	}
}

func TestHashed(t *testing.T) {
	content := pngOf(t, blockPicture())
	f := open(t, tree(t, map[string][]byte{"a.png": content}), nil)
	for _, test := range []struct {
		files *Files
		want  string
	}{{f, ""}, {f.Hashed(), fmt.Sprintf("%x", sha256.Sum256(content))}} {
		if e, err := test.files.At(t.Context(), 0); err != nil || e.SHA256 != test.want {
			t.Errorf("SHA-256 is %q, %v; want %q", e.SHA256, err, test.want)
		}
	}
}
