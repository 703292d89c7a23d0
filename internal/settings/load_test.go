package settings

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// ways are the three places where a user can write a value of one key.
func ways(path, value string) map[string]Source {
	section, name, _ := strings.Cut(path, ".")
	file := source(fmt.Sprintf("%s: {%s: %s}\n", section, name, value))
	variable := Source{Prefix: "COOK_", Environment: []string{"COOK_" + strings.ToUpper(section+"_"+name) + "=" + value}}
	flag := Source{Overrides: []Override{{"--set", path, value}}}
	return map[string]Source{"file": file, "variable": variable, "flag": flag}
}

// TestNumbersMeanTheSameEverywhere: whatever YAML takes for a number is that number in a file, a variable and a flag,
// and a key of whole numbers reads it as one of all numbers does.
func TestNumbersMeanTheSameEverywhere(t *testing.T) {
	for text, want := range map[string]float64{
		"12": 12, "+12": 12, "1_000": 1000, "0x10": 16, "0o17": 15, "010": 8, "0b101": 5, "0x1F": 31,
		"1e3": 1000, "1.5E2": 150, ".5": 0.5, "5.": 5, "1_0.5": 10.5, "2e-3": 0.002,
	} {
		for way, from := range ways("kitchen.times", "["+text+"]") {
			target := defaultKitchen()
			if err := newTree(t, target).Load(from); err != nil || target.Times[0] != want {
				t.Errorf("%s: %s is read as %v, want %v (%v)", way, text, target.Times, want, err)
			}
		}
		if want != float64(int64(want)) || strings.ContainsAny(text, "e.") {
			continue
		}
		for way, from := range ways("kitchen.bill", text) {
			target := defaultKitchen()
			if err := newTree(t, target).Load(from); err != nil || target.Bill != int64(want) {
				t.Errorf("%s: %s is read as the whole number %d, want %v (%v)", way, text, target.Bill, want, err)
			}
		}
	}
}

// TestEveryWayRefusesTheSameValues: what is wrong in a file is wrong in a variable and a flag, with the same words.
func TestEveryWayRefusesTheSameValues(t *testing.T) {
	for _, test := range []struct{ path, value, want string }{
		{"kitchen.guests", "13", "kitchen.guests = 13: is out of range (allowed: a whole number, at least 1, at most 12)"},
		{"kitchen.guests", "1.5", "is a number with a fraction or exponent, not a whole number"},
		{"kitchen.guests", "1e1", "is a number with a fraction or exponent, not a whole number"},
		{"kitchen.seed", "-1", "kitchen.seed = -1: is not a whole number of the right sign"},
		{"kitchen.seed", "18446744073709551616", "not a whole number"},
		{"kitchen.salt", ".nan", "is not a finite decimal number"},
		{"kitchen.salt", "-.inf", "is not a finite decimal number"},
		{"kitchen.lid", "1", "kitchen.lid = 1: is a whole number, not true or false"},
		{"kitchen.lid", "no", "kitchen.lid = no: is a text, not true or false"},
		{"kitchen.lid", "~", "kitchen.lid = ~: has no value"},
		{"kitchen.heat", "lo", "kitchen.heat = lo: is unknown; did you mean low? (allowed: one of low, medium, high)"},
		{"kitchen.size", "[1, 2, 3]", "kitchen.size = [1, 2, 3]: is a list of 3 values, not of 2"},
		{"kitchen.times", "[1, two]", "element 2 (two) is a text, not a number"},
	} {
		for way, from := range ways(test.path, test.value) {
			target := defaultKitchen()
			err := newTree(t, target).Load(from)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, want %s", way, err, test.want)
			}
			if diff := cmp.Diff(defaultKitchen(), target, cmp.AllowUnexported(kitchen{}, oven{})); diff != "" {
				t.Errorf("%s: %s = %s was refused, and has changed the settings:\n%s", way, test.path, test.value, diff)
			}
		}
	}
}

// TestTextsOfVariablesAndFlagsAreTakenAsTheyAre: a shell has dealt with quotes, so what YAML would read as something else
// than a text is one all the same.
func TestTextsOfVariablesAndFlagsAreTakenAsTheyAre(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.OneOf(
			rapid.StringN(1, 20, -1),
			rapid.SampledFrom([]string{"true", "3", "~", "a: b", "# x", "[a]", "'quoted'", " ", "&a", "*a", "|"}),
		).Draw(r, "text")
		for way, from := range ways("kitchen.dish", text) {
			target := defaultKitchen()
			if way == "file" {
				continue
			}
			if err := newTree(t, target).Load(from); err != nil || target.Dish != text {
				r.Fatalf("%s: %q is read as %q (%v)", way, text, target.Dish, err)
			}
		}
	})
}

func TestListsOfVariablesAndFlags(t *testing.T) {
	for text, want := range map[string][]string{
		"":                   {},
		"a":                  {"a"},
		"a, b c ,d":          {"a", "b c", "d"},
		"[a, 'b, c']":        {"a", "b, c"},
		"[]":                 {},
		"3,true":             {"3", "true"},
		"  salt ,# pepper  ": {"salt", "# pepper"},
	} {
		target := defaultKitchen()
		if err := newTree(t, target).Load(Source{Overrides: []Override{{"--set", "kitchen.spices", text}}}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, target.Spices); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	for text, want := range map[string]string{
		"[a":     "kitchen.spices = [a: is not a YAML list",
		"[a]: b": "kitchen.spices = {…}: is a section, not a list",
		"[*a]":   "is not a YAML list",
		"[&a b]": "element 1 is a YAML anchor or alias",
		"[3]":    "element 1 (3) is a whole number, not a text: put it in quotes",
	} {
		err := newTree(t, defaultKitchen()).Load(Source{Overrides: []Override{{"--set", "kitchen.spices", text}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// TestTheNearestKey: a slip anywhere in a path is found, in a file and on the command line.
func TestTheNearestKey(t *testing.T) {
	for path, want := range map[string]string{
		"kitchen.gests":         "kitchen.guests",
		"kitchen.Guests":        "kitchen.guests",
		"kichen.guests":         "kitchen.guests",
		"kitchn.oven.grill":     "kitchen.oven.grill",
		"kitchen.ovn.grill":     "kitchen.oven.grill",
		"kitchen.oven.gril":     "kitchen.oven.grill",
		"KITCHEN.OVEN.GRILL":    "kitchen.oven.grill",
		"guests":                "kitchen.guests",
		"grill":                 "kitchen.oven.grill",
		"oven.grill":            "kitchen.oven.grill",
		"kitchen.grill":         "kitchen.oven.grill",
		"kitchen.lid.x":         "kitchen.lid",
		"kitchen.oven.bulb.lit": "kitchen.oven.grill", // nothing is near: the section still helps
	} {
		err := newTree(t, defaultKitchen()).Load(Source{Overrides: []Override{{"--set", path, "1"}}})
		if err == nil || !strings.Contains(err.Error(), "unknown key; did you mean "+want+"?") {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
	err := newTree(t, defaultKitchen()).Load(source("kitchen.guests: 3\n"))
	if err == nil || !strings.Contains(err.Error(), "kitchen.guests = 3: unknown key; did you mean kitchen.guests?") {
		t.Errorf("a path where a name belongs: %v", err)
	}
}

// TestMessagesStayOnTheirLine: whatever is written in a file, variable or flag, its problem is one printable line.
func TestMessagesStayOnTheirLine(t *testing.T) {
	const escape = "\x1b[31mred\nkitchen: fine"
	quoted := strconv.Quote(escape)
	for name, from := range map[string]Source{
		"path of a flag":      {Overrides: []Override{{"--set", escape, "1"}}},
		"value of a flag":     {Overrides: []Override{{"--set", "kitchen.guests", escape}}},
		"value of no key":     {Overrides: []Override{{"--set", "kitchen.x", escape}}},
		"value of a section":  {Overrides: []Override{{"--set", "kitchen.oven", escape}}},
		"list of a flag":      {Overrides: []Override{{"--set", "kitchen.times", "[" + escape}}},
		"text that is none":   {Overrides: []Override{{"--set", "kitchen.dish", "\xff\n"}}},
		"unknown variable":    {Prefix: "COOK_", Environment: []string{"COOK_X=" + escape}},
		"name of a variable":  {Prefix: "COOK_", Environment: []string{"COOK_" + escape + "=1"}},
		"value of a variable": {Prefix: "COOK_", Environment: []string{"COOK_KITCHEN_LID=" + escape}},
		"value of a file":     source("kitchen: {guests: " + quoted + "}"),
		"name of a file":      source("kitchen: {" + quoted + ": 1}"),
		"twice in a file":     source("kitchen: {" + quoted + ": 1, " + quoted + ": 2}"),
		"anchor in a file":    source("kitchen: {&a " + quoted + ": 1}"),
		"element of a file":   source("kitchen: {times: [" + quoted + "]}"),
	} {
		err := newTree(t, defaultKitchen()).Load(from)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for line := range strings.Lines(err.Error()) {
			line = strings.TrimSuffix(line, "\n")
			breaks := strings.ContainsFunc(line, func(r rune) bool { return !strconv.IsPrint(r) })
			if breaks || strings.HasPrefix(line, "kitchen: fine") {
				t.Errorf("%s: the message has the line %q", name, line)
			}
		}
	}
}

// TestTextThatIsNotUTF8 cannot be recorded in a run's YAML, so it is refused before there is a run.
func TestTextThatIsNotUTF8(t *testing.T) {
	for _, path := range []string{"kitchen.dish", "kitchen.spices", "kitchen.guests"} {
		for way, from := range ways(path, "caf\xe9") {
			err := newTree(t, defaultKitchen()).Load(from)
			if err == nil || !strings.Contains(err.Error(), "is not UTF-8 text") {
				t.Errorf("%s by %s: %v", path, way, err)
			}
		}
	}
}

func TestTheLastOverrideWinsAndOthersAreStillChecked(t *testing.T) {
	target := defaultKitchen()
	from := Source{Overrides: []Override{{"--set", "kitchen.guests", "3"}, {"--guests", "kitchen.guests", "4"}}}
	tree := newTree(t, target)
	if err := tree.Load(from); err != nil || target.Guests != 4 || tree.Key("kitchen.guests").Origin.Name != "--guests" {
		t.Errorf("%d guests from %v (%v)", target.Guests, tree.Key("kitchen.guests").Origin, err)
	}
	from.Overrides[0].Value = "many"
	if err := newTree(t, defaultKitchen()).Load(from); err == nil {
		t.Error("a wrong value is accepted because a later one replaces it")
	}
}

// FuzzOverride: no path and value make the loader panic or break its message, and an accepted value is printed so that
// it loads back.
func FuzzOverride(f *testing.F) {
	for _, seed := range [][2]string{
		{
			"kitchen.dish",
			"stew"}, {"kitchen.times",
			"[1, 2e3]"}, {"kitchen.times",
			"1,,2"}, {"kitchen.spices",
			"[a, {b: c}]"}, {"..",
			"=",
		},
		{
			"kitchen.oven",
			"{}"}, {"kitchen.seed",
			"0b1"}, {"kitchen.salt",
			"!!float 0.5"}, {"kitchen.size",
			"[[1, 2], 3]"}, {"",
			"\xff",
		},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, path, value string) {
		tree := newTree(t, defaultKitchen())
		if err := tree.Load(Source{Overrides: []Override{{"--set", path, value}}}); err != nil {
			if text := err.Error(); !utf8.ValidString(text) || strings.Contains(text, "\n") {
				t.Errorf("the message is %q", text)
			}
			return
		}
		again := newTree(t, defaultKitchen())
		if err := again.Load(source(printed(t, tree))); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tree.Key(path).Value(), again.Key(path).Value(), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}
