package nearest

import (
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestName(t *testing.T) {
	for _, test := range []struct {
		name       string
		candidates []string
		want       string
	}{
		{"rotaton", []string{"colorization", "rotation"}, "rotation"},
		{"", []string{"data", "a"}, "a"},
		{"x", []string{"a", "b"}, "a"},
		{"größe", []string{"grosse", "größen"}, "größen"},
		{"anything", nil, ""},
	} {
		if got := Name(test.name, test.candidates); got != test.want {
			t.Errorf("Name(%q, %q) = %q, want %q", test.name, test.candidates, got, test.want)
		}
	}
}

func TestDistanceOfKnownPairs(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"same", "same", 0}} {
		if got := Distance(test.a, test.b); got != test.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestDistanceIsAMetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b"), rapid.String().Draw(t, "c")
		if Distance(a, b) != Distance(b, a) {
			t.Fatal("not symmetric")
		}
		if Distance(a, c) > Distance(a, b)+Distance(b, c) {
			t.Fatal("triangle inequality does not hold")
		}
		if longest := max(utf8.RuneCountInString(a), utf8.RuneCountInString(b)); Distance(a, b) > longest {
			t.Fatalf("distance above %d", longest)
		}
	})
}
