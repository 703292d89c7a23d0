package terminal

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestDurations(t *testing.T) {
	for _, test := range []struct {
		seconds       float64
		duration, age string
	}{
		{0, "0s", "0s"}, {59.4, "59s", "59s"}, {59.6, "1m00s", "1m"}, {3599, "59m59s", "59m"}, {3600, "1h00m", "1h"},
		{86399, "23h59m", "23h"}, {95000, "1d02h", "1d"}, {-90, "-90s", "0s"}, {2e14, "2314814814d19h", "2314814814d"}, {1e300, "unknown", "unknown"}, {-1e300, "unknown", "0s"}, {math.NaN(), "unknown", "unknown"}, {math.Inf(1), "unknown", "unknown"},
	} {
		if got := Duration(test.seconds); got != test.duration {
			t.Errorf("%g seconds: %q, want %q", test.seconds, got, test.duration)
		}
		if got := Age(test.seconds); got != test.age {
			t.Errorf("an age of %g seconds: %q, want %q", test.seconds, got, test.age)
		}
	}
}

func TestLossHasFewColumns(t *testing.T) {
	for loss, want := range map[float64]string{2.345: "2.35", -99.9: "-99.90", 1234.5: "1234", 54321: "5e+04", math.Inf(-1): "-Inf"} {
		if got := Loss(loss); got != want {
			t.Errorf("%g: %q, want %q", loss, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if got := Loss(rapid.Float64Range(-1e99, 1e99).Draw(t, "loss")); len(got) > 6 {
			t.Fatalf("%q is wider than six columns", got)
		}
	})
}

func TestSparkline(t *testing.T) {
	nan := math.NaN()
	for _, test := range []struct {
		values []float64
		width  int
		want   string
	}{
		{[]float64{0, 1, 2, 3, 4, 5, 6, 7}, 20, "▁▂▃▄▅▆▇█"},
		{[]float64{7, 0}, 20, "█▁"},
		{[]float64{3, 3, 3}, 20, "▁▁▁"},
		{[]float64{1, nan, 2, math.Inf(1)}, 20, "▁ █ "},
		{[]float64{0, 0, 1, 1, nan, 3, nan, nan}, 4, "▁▃█ "},
		{[]float64{-math.MaxFloat64, math.MaxFloat64}, 2, "▁█"},
		{nil, 20, ""},
		{[]float64{1, 2}, 0, ""},
	} {
		if got := Sparkline(test.values, test.width); got != test.want {
			t.Errorf("%v in %d columns: %q, want %q", test.values, test.width, got, test.want)
		}
	}
}

// TestSparklineFits: any numbers at all give at most so many columns.
func TestSparklineFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.Float64()).Draw(t, "values")
		width := rapid.IntRange(0, 30).Draw(t, "width")
		if got := utf8.RuneCountInString(Sparkline(values, width)); got != min(width, len(values)) {
			t.Fatalf("%d columns of %d for %d values", got, width, len(values))
		}
	})
}

// TestDurationsFit: any number of seconds is written in digits and units that go on where the smaller ones end.
func TestDurationsFit(t *testing.T) {
	form := regexp.MustCompile(`^(\d{1,2}s|\d{1,2}m\d\ds|\d{1,2}h\d\dm|\d+d\d\dh)$`)
	rapid.Check(t, func(t *rapid.T) {
		seconds := rapid.OneOf(rapid.Float64Range(0, 1e6), rapid.Float64Range(0, 1e14)).Draw(t, "seconds")
		got := Duration(seconds)
		if !form.MatchString(got) || !strings.HasPrefix(got, Age(seconds)) {
			t.Fatalf("%g seconds are %q, an age of %q", seconds, got, Age(seconds))
		}
	})
}

// TestSparklineKeepsTheOrder: of two means the greater has no lower bar, and the ends of the range have the end bars.
func TestSparklineKeepsTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e300, 1e300), 2, 20).Draw(t, "values")
		line := []rune(Sparkline(values, len(values)))
		for i := range values {
			for j := range values {
				if values[i] < values[j] && line[i] > line[j] {
					t.Fatalf("%v are drawn as %s", values, string(line))
				}
			}
		}
		low, high := slices.Min(values), slices.Max(values)
		if low < high && (line[slices.Index(values, low)] != bars[0] || line[slices.Index(values, high)] != bars[len(bars)-1]) {
			t.Fatalf("%v are drawn as %s", values, string(line))
		}
	})
}
