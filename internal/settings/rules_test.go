package settings

import (
	"reflect"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestAllowed: what users read of a rule, for every rule and type.
func TestAllowed(t *testing.T) {
	for _, test := range []struct {
		of        any
		tag, want string
	}{
		{0, "", "a whole number"},
		{0, "gte=1", "a whole number, at least 1"},
		{0, "min=1,max=3", "a whole number, at least 1, at most 3"},
		{uint64(0), "lt=5", "a whole number, at least 0, below 5"},
		{0.0, "gt=0,lte=0.5", "a number, above 0, at most 0.5"},
		{0.0, "lt=1000000", "a number, below 1000000"},
		{false, "", "true or false"},
		{"", "", "a text"},
		{"", "max=9", "a text, at most 9 characters"},
		{"", "oneof=a b", "one of a, b"},
		{0, "oneof=1 4", "one of 1, 4"},
		{[]string{}, "max=3", "a list, at most 3 of them"},
		{[]float64{}, "len=2", "a list, at least 2 of them, at most 2 of them"},
		{[]float64{}, "min=1,dive,gte=0,lte=1", "a list, at least 1 of them, each a number, at least 0, at most 1"},
		{[]string{}, "dive,oneof=a b", "a list, each one of a, b"},
		{[3]int{}, "dive,gt=0", "a list of 3 values, each a whole number, above 0"},
	} {
		parsed, err := parseRules(test.tag)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.allowed(reflect.TypeOf(test.of)); got != test.want {
			t.Errorf("%T with %q: %q, want %q", test.of, test.tag, got, test.want)
		}
	}
}

// TestRulesMeanWhatTheySay: a number is accepted if, and only if, it keeps every bound that users are told of.
func TestRulesMeanWhatTheySay(t *testing.T) {
	keeps := map[string]func(value, limit float64) bool{
		"gt":  func(v, l float64) bool { return v > l },
		"gte": func(v, l float64) bool { return v >= l },
		"lt":  func(v, l float64) bool { return v < l },
		"lte": func(v, l float64) bool { return v <= l },
	}
	rapid.Check(t, func(r *rapid.T) {
		limits := rapid.SliceOfN(rapid.IntRange(-3, 3), 2, 2).Draw(r, "limits")
		lower := rapid.SampledFrom([]string{"gt", "gte"}).Draw(r, "lower")
		names := []string{lower, rapid.SampledFrom([]string{"lt", "lte"}).Draw(r, "upper")}
		parsed, err := parseRules(names[0] + "=" + strconv.Itoa(limits[0]) + "," + names[1] + "=" + strconv.Itoa(limits[1]))
		if err != nil {
			r.Fatal(err)
		}
		value := rapid.IntRange(-5, 5).Draw(r, "value")
		want := true
		for i, name := range names {
			want = want && keeps[name](float64(value), float64(limits[i]))
		}
		text := make([]byte, max(0, value))
		for of, got := range map[string]bool{
			"whole number": parsed.accepts(reflect.ValueOf(value)), "number": parsed.accepts(reflect.ValueOf(float64(value))),
		} {
			if got != want {
				r.Errorf("%s %d with %v: accepted %v", of, value, parsed.bounds, got)
			}
		}
		if value >= 0 && parsed.accepts(reflect.ValueOf(string(text))) != want {
			r.Errorf("a text of %d characters with %v: accepted %v", value, parsed.bounds, !want)
		}
	})
}

func TestRulesOfElements(t *testing.T) {
	for _, test := range []struct {
		tag   string
		value any
		want  bool
	}{
		{"max=2,dive,gte=0", []int{1, 2}, true},
		{"max=2,dive,gte=0", []int{}, true},
		{"max=2,dive,gte=0", []int{1, 2, 3}, false},
		{"max=2,dive,gte=0", []int{1, -1}, false},
		{"dive,oneof=a b", []string{"a", "b", "a"}, true},
		{"dive,oneof=a b", []string{"a", "c"}, false},
		{"dive,gt=0", [2]float64{1, 0}, false},
		{"oneof=0.5 1", 0.5, true},
		{"oneof=0.5 1", 0.25, false},
	} {
		parsed, err := parseRules(test.tag)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.accepts(reflect.ValueOf(test.value)); got != test.want {
			t.Errorf("%v with %q: accepted %v", test.value, test.tag, got)
		}
	}
}

// TestRulesThatUsersCannotBeToldAreRefused, in elements of lists too: a check that is silent in the help and the schema
// would make the three disagree.
func TestRulesThatUsersCannotBeToldAreRefused(t *testing.T) {
	for _, tag := range []string{
		"required", "email", "gtfield=Other", "gte=", "gte=x", "dive,alpha", "max=2,dive,gte=many",
	} {
		if _, err := parseRules(tag); err == nil {
			t.Errorf("the rule %q is accepted", tag)
		}
	}
}
