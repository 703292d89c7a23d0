package terminal

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestShorten(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"short", 5, "short"}, {"longer", 5, "lo…er"}, {"longest", 4, "lo…t"}, {"ab", 1, "…"}, {"ab", 0, ""}, {"", 3, ""},
		{"日本語の名前", 7, "日…前"}, {"日本語", 2, "…"}, {"e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"},
	} {
		if got := Shorten(test.text, test.width); got != test.want {
			t.Errorf("%q in %d columns: %q, want %q", test.text, test.width, got, test.want)
		}
	}
}

// TestShortenFits: whatever the text, the result has the columns it may have, and is the text where that fits.
func TestShortenFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, width := Clean(rapid.String().Draw(t, "text")), rapid.IntRange(0, 20).Draw(t, "width")
		got := Shorten(text, width)
		if Width(got) > width || (Width(text) <= width) != (got == text) {
			t.Fatalf("%q in %d columns became %q of %d", text, width, got, Width(got))
		}
	})
}

func TestCleanLeavesNothingThatSteers(t *testing.T) {
	if got := Clean("a\x1b[2Jb\r\nc\td\xffé\u202e"); got != "a?[2Jb??c?d?é?" {
		t.Errorf("got %q", got)
	}
}

func TestTable(t *testing.T) {
	rows := [][]string{{"NAME", "A", "B"}, {"a-very-long-name", "1", "22"}, {"b", "", ""}}
	const wide = "NAME              A  B\na-very-long-name  1  22\nb\n"
	if got := Table(rows, 0, 80); got != wide {
		t.Errorf("got\n%s", got)
	}
	narrow := Table(rows, 0, 17)
	if narrow != "NAME        A  B\na-ver…name  1  22\nb\n" {
		t.Errorf("got\n%s", narrow)
	}
	for line := range strings.Lines(Table(rows, 0, 1)) {
		if Width(strings.TrimSuffix(line, "\n")) > 15 {
			t.Errorf("%q is wider than it need be", line)
		}
	}
}

func TestShortNamesStayDifferent(t *testing.T) {
	for _, test := range [][2][]string{
		{{"colorization", "patch_location", "relative_position", "rotation"}, {"col", "pat", "rel", "rot"}},
		{{"patch_location", "patch_order", "ab"}, {"patch_l", "patch_o", "ab"}},
		{{"patch", "patches"}, {"patch", "patche"}},
	} {
		if got := ShortNames(test[0]); !slices.Equal(got, test[1]) {
			t.Errorf("%v became %v, want %v", test[0], got, test[1])
		}
	}
}

// TestCutIsABeginning, as long as fits: with one more character it would not.
func TestCutIsABeginning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, width := Clean(rapid.String().Draw(t, "text")), rapid.IntRange(0, 20).Draw(t, "width")
		front, end := Cut(text, width), cutEnd(text, width)
		if !strings.HasPrefix(text, front) || !strings.HasSuffix(text, end) || Width(front) > width || Width(end) > width {
			t.Fatalf("%q in %d columns begins with %q and ends with %q", text, width, front, end)
		}
		if Width(text) <= width && (front != text || end != text) {
			t.Fatalf("%q fits %d columns and became %q and %q", text, width, front, end)
		}
	})
	if got := Cut("日本語", 3) + " " + cutEnd("日本語", 3); got != "日 語" {
		t.Errorf("half a wide character is left: %q", got)
	}
}
