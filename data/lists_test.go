package data

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"
)

// utf16Of is a text as Windows programs save it when asked for "Unicode".
func utf16Of(text string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		b.WriteByte(byte(unit))
		b.WriteByte(byte(unit >> 8))
	}
	return b.String()
}

// TestListsWithRubbish parses what spreadsheets, editors and scripts leave in a list. want is path|label of each line.
func TestListsWithRubbish(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		want  string // separated by spaces
		error string
	}{
		"nothing":                    {"", "", ""},
		"blank lines":                {"\n\r\n  \n\n", "", ""},
		"comments":                   {"#a.jpg\n  # b.jpg\na.jpg # 1\n", "a.jpg_#_1|", ""},
		"byte order mark":            {"\ufeff#head\na.jpg\n", "a.jpg|", ""},
		"no line end at the end":     {"a.jpg\nb.jpg", "a.jpg| b.jpg|", ""},
		"Windows":                    {"a.jpg\tcat\r\nb.jpg\r\n", "a.jpg|cat b.jpg|", ""},
		"spaces around":              {"  a.jpg , cat  \n", "a.jpg|cat", ""},
		"label left empty":           {"a.jpg,\nb.jpg\t\n", "a.jpg| b.jpg|", ""},
		"comma in the path":          {"x,y.jpg,cat\n", "x,y.jpg|cat", ""},
		"comma in the label":         {"x.jpg\tcat,dog\n", "x.jpg|cat,dog", ""},
		"a tab wins over a comma":    {"x,y.jpg\tcat\n", "x,y.jpg|cat", ""},
		"twice":                      {"a.jpg\na.jpg\n", "a.jpg| a.jpg|", ""},
		"other scripts":              {"кот/猫.jpg,ねこ\n", "кот/猫.jpg|ねこ", ""},
		"a line of 100,000 letters":  {strings.Repeat("a", 100_000) + ",x\n", strings.Repeat("a", 100_000) + "|x", ""},
		"a label alone":              {"a.jpg\n\n,cat\n", "", `line 3: ",cat" names no picture`},
		"a label alone, after a tab": {"\tcat\n", "", `line 1: "\tcat" names no picture`},
		"UTF-16":                     {utf16Of("a.jpg\n"), "", "line 1: "},
		"binary":                     {"a.jpg\nb\x00.jpg\n", "", "line 2: "},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := parseList(test.text)
			if test.error != "" {
				wantError(t, err, test.error, "expected a path")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range files {
				got = append(got, strings.ReplaceAll(f.name, " ", "_")+"|"+f.label)
			}
			if found := strings.Join(got, " "); found != test.want {
				t.Errorf("parsed as %.200s, want %.200s", found, test.want)
			}
		})
	}
}

// TestListsComeBackAsWritten: whoever writes a path, a tab and a label finds both again, whatever is in them.
func TestListsComeBackAsWritten(t *testing.T) {
	word := rapid.StringMatching(`[\pL\pN_.,'"()-][\pL\pN_.,'"() #/-]{0,12}[\pL\pN_.,'"()-]`)
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		var want []file
		for range rapid.IntRange(1, 5).Draw(t, "lines") {
			f := file{name: word.Draw(t, "path"), label: word.Draw(t, "label"), listed: true}
			want = append(want, f)
			fmt.Fprintf(&text, "%s\t%s%s", f.name, f.label, rapid.SampledFrom([]string{"\n", "\r\n", "\n\n", " \n"}).Draw(t, "end"))
		}
		if got, err := parseList(text.String()); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q became %+v (%v), want %+v", text.String(), got, err, want)
		}
	})
}

// TestListsOfWhatIsNotThere: everything that a list names must be a picture. What is not is a bad picture with a reason,
// and the rest is used, sorted by what the list calls it.
func TestListsOfWhatIsNotThere(t *testing.T) {
	picture := pngOf(t, blockPicture())
	root := tree(t, map[string][]byte{
		"lists/list.txt": []byte("../b.png\tb\n../folder\n../missing.png\n../text.md\n../broken-link.png\n../a.png\ta\n../empty.png\n"),
		"a.png":          picture, "b.png": picture, "folder/c.png": picture, "text.md": []byte("words"), "empty.png": nil,
	})
	if err := os.Symlink(filepath.Join(root, "nowhere"), filepath.Join(root, "broken-link.png")); err != nil {
		t.Skip("SKIP: no symbolic links here:", err)
	}
	f := open(t, filepath.Join(root, "lists", "list.txt"), func(c *Config) { c.MaxBadRatio = 0.9 })
	if got := names(t, f, root); !slices.Equal(got, []string{"a.png", "b.png"}) || !slices.Equal(f.Labels(), []string{"a", "b"}) {
		t.Errorf("pictures %v of labels %v", got, f.Labels())
	}
	want := map[string]string{
		"folder": "is a directory", "missing.png": "no such file", "text.md": "holds no picture",
		"broken-link.png": "no such file", "empty.png": "holds no picture",
	}
	for _, bad := range f.Report().Bad {
		name := filepath.Base(bad.Path)
		wantError(t, bad, want[name])
		delete(want, name)
	}
	if len(want) != 0 {
		t.Errorf("not reported: %v; the report has %v", want, f.Report().Bad)
	}
}

// TestFoldersReportBrokenLinksToPictures, but not to other things.
func TestFoldersReportBrokenLinksToPictures(t *testing.T) {
	root := tree(t, map[string][]byte{"a.png": pngOf(t, blockPicture())})
	for _, name := range []string{"gone.jpg", "gone.txt"} {
		if err := os.Symlink(filepath.Join(root, "nowhere"), filepath.Join(root, name)); err != nil {
			t.Skip("SKIP: no symbolic links here:", err)
		}
	}
	report := open(t, root, func(c *Config) { c.MaxBadRatio = 0.5 }).Report()
	if len(report.Bad) != 1 || filepath.Base(report.Bad[0].Path) != "gone.jpg" || report.Ignored != 1 {
		t.Errorf("the report is %+v", report)
	}
}

// TestOrderIsThatOfTheNames, not that in which a file system lists or headers are read.
func TestOrderIsThatOfTheNames(t *testing.T) {
	files := map[string][]byte{}
	for i := range 30 {
		files[fmt.Sprintf("%c%c/%d.png", 'a'+i%3, 'A'+i%7, i*7919%100)] = pngOf(t, blockPicture())
	}
	root := tree(t, files)
	for _, workers := range []int{1, 8} {
		got := names(t, open(t, root, func(c *Config) { c.Workers = workers }), root)
		if !slices.IsSorted(got) || len(got) != len(files) {
			t.Errorf("%d workers: %v", workers, got)
		}
	}
}
