package settings

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// kitchen has a setting of every supported type and rule.
type kitchen struct {
	Dish   string     `mapstructure:"dish" validate:"min=1,max=20" doc:"what is cooked"`
	Heat   string     `mapstructure:"heat" validate:"oneof=low medium high" doc:"flame"`
	Guests int        `mapstructure:"guests" validate:"gte=1,lte=12" doc:"people at the table"`
	Plates int        `mapstructure:"plates" validate:"oneof=1 4" doc:"a guest"`
	Bill   int64      `mapstructure:"bill" doc:"cents"`
	Seed   uint64     `mapstructure:"seed" doc:"of the tomatoes"`
	Salt   float64    `mapstructure:"salt" validate:"gt=0,lt=1" doc:"share"`
	Lid    bool       `mapstructure:"lid" doc:"on or off"`
	Spices []string   `mapstructure:"spices" validate:"max=3" doc:"names"`
	Times  []float64  `mapstructure:"times" validate:"dive,gte=0" doc:"minutes"`
	Size   [2]float64 `mapstructure:"size" validate:"dive,gt=0" doc:"least and most"`
	Oven   oven       `mapstructure:"oven" doc:"where it is baked"`
	hidden int        //lint:ignore U1000 that unexported fields are no keys is part of the test
}

type oven struct {
	common `mapstructure:",squash"`
	Grill  bool `mapstructure:"grill" doc:"from above"`
}

type common struct {
	TopHeat int `mapstructure:"top_heat" validate:"gte=0,lt=500" doc:"degrees, 0 = off"`
}

func defaultKitchen() *kitchen {
	return &kitchen{
		Dish: "soup", Heat: "low", Guests: 2, Plates: 1, Salt: 0.1, Seed: 1,
		Times: []float64{1, 2}, Size: [2]float64{1, 2}, Oven: oven{common: common{TopHeat: 180}},
	}
}

func newTree(t testing.TB, target *kitchen) *Tree {
	t.Helper()
	tree, err := NewTree([]Section{{Path: "kitchen", Doc: "the kitchen", Target: target}})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func source(content string) Source {
	return Source{File: "k.yaml", Content: []byte(content), Prefix: "COOK_", Reserved: []string{"COOK_BOOK"}}
}

func TestLayersWinInOrder(t *testing.T) {
	target := defaultKitchen()
	tree := newTree(t, target)
	from := source("kitchen:\n  dish: stew\n  guests: 3\n  seed: 18446744073709551615\n  salt: 2e-1\n  oven:\n    grill: true\n")
	from.Environment = []string{
		"HOME=/root", "COOK_KITCHEN_GUESTS=4", "COOK_KITCHEN_SALT=.3", "COOK_BOOK=x", "COOK_KITCHEN_OVEN_TOP_HEAT=0",
	}
	from.Overrides = []Override{
		{"--set", "kitchen.salt", "0.4"}, {"--set", "kitchen.size", "3, 4"},
		{"--set", "kitchen.salt", "0.5"}, {"--dish", "kitchen.dish", "a, b: 1"},
	}
	if err := tree.Load(from); err != nil {
		t.Fatal(err)
	}
	want := defaultKitchen()
	want.Dish, want.Guests, want.Seed, want.Salt, want.Size = "a, b: 1", 4, 1<<64-1, 0.5, [2]float64{3, 4}
	want.Oven.Grill, want.Oven.TopHeat = true, 0
	if diff := cmp.Diff(want, target, cmp.AllowUnexported(kitchen{}, oven{})); diff != "" {
		t.Error(diff)
	}
	for path, origin := range map[string]string{
		"kitchen.dish": "--dish", "kitchen.guests": "COOK_KITCHEN_GUESTS", "kitchen.salt": "--set", "kitchen.lid": "default",
		"kitchen.seed": "k.yaml:4", "kitchen.oven.grill": "k.yaml:7", "kitchen.oven.top_heat": "COOK_KITCHEN_OVEN_TOP_HEAT",
	} {
		if got := tree.Key(path).Origin.String(); got != origin {
			t.Errorf("origin of %s = %q, want %q", path, got, origin)
		}
	}
}

func TestMentioned(t *testing.T) {
	for _, test := range []struct {
		content, variable, override string
		want                        bool
	}{
		{content: "kitchen: {dish: stew}"},
		{content: "kitchen: {oven: {}}", want: true},
		{content: "kitchen:\n  oven:\n", want: true},
		{content: "{}", variable: "COOK_KITCHEN_OVEN_GRILL=true", want: true},
		{content: "{}", override: "kitchen.oven.grill", want: true},
		{content: "{}", override: "kitchen.lid"},
	} {
		tree := newTree(t, defaultKitchen())
		from := source(test.content)
		from.Environment = []string{test.variable}
		if test.override != "" {
			from.Overrides = []Override{{"--set", test.override, "true"}}
		}
		if err := tree.Load(from); err != nil {
			t.Fatal(err)
		}
		if got := tree.Mentioned("kitchen.oven"); got != test.want {
			t.Errorf("%+v: mentioned = %v", test, got)
		}
	}
}

// Each line of want must be a problem, word for word; the first problem of a file is what people read first.
func TestProblemsOfFiles(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"unknown key": {"kitchen:\n  dihs: stew\n", "k.yaml:2: kitchen.dihs = stew: unknown key; did you mean kitchen.dish? " +
			"(allowed: in kitchen: dish, heat, guests, plates, bill, seed, salt, lid, spices, times, size, oven)"},
		"upper case": {
			"Kitchen: {}\n",
			"k.yaml:1: Kitchen = {…}: unknown key; did you mean kitchen? (allowed: at the top: kitchen)",
		},
		"misplaced key": {
			"top_heat: 3\n",
			"k.yaml:1: top_heat = 3: unknown key; did you mean kitchen.oven.top_heat? (allowed: at the top: kitchen)",
		},
		"key of a list":   {"kitchen: [1, 2]\n", "k.yaml:1: kitchen = [1, 2]: is a list, not a section"},
		"section of text": {"kitchen: soup\n", "k.yaml:1: kitchen = soup: is a text, not a section"},
		"top of text":     {"soup\n", "k.yaml:1 = soup: is a text, not a section (allowed: the keys kitchen)"},
		"whole number": {
			"kitchen:\n  guests: many\n",
			"k.yaml:2: kitchen.guests = many: is a text, not a whole number (allowed: a whole number, at least 1, at most 12)",
		},
		"fraction": {
			"kitchen: {guests: 1.5}\n",
			"kitchen.guests = 1.5: is a number with a fraction or exponent, not a whole number",
		},
		"range": {
			"kitchen: {guests: 0}\n",
			"kitchen.guests = 0: is out of range (allowed: a whole number, at least 1, at most 12)",
		},
		"open range": {
			"kitchen: {salt: 1}\n",
			"kitchen.salt = 1: is out of range (allowed: a number, above 0, below 1)",
		},
		"number in quotes": {"kitchen: {guests: \"3\"}\n", "kitchen.guests = \"3\": is a text, not a whole number"},
		"text no quotes":   {"kitchen: {dish: 3}\n", "kitchen.dish = 3: is a whole number, not a text: put it in quotes"},
		"date":             {"kitchen: {dish: 2020-01-02}\n", "kitchen.dish = 2020-01-02: is a date, not a text"},
		"too long": {
			"kitchen: {dish: " + strings.Repeat("x", 90) + "}\n",
			"x…: is out of range (allowed: a text, at least 1 characters, at most 20 characters)",
		},
		"empty required": {"kitchen: {dish: ''}\n", "kitchen.dish = \"\": is out of range"},
		"yes":            {"kitchen: {lid: yes}\n", "kitchen.lid = yes: is a text, not true or false"},
		"no value":       {"kitchen: {lid: }\n", "kitchen.lid: has no value (allowed: true or false)"},
		"oneof": {
			"kitchen: {heat: mediun}\n",
			"kitchen.heat = mediun: is unknown; did you mean medium? (allowed: one of low, medium, high)",
		},
		"oneof numbers": {
			"kitchen: {plates: 2}\n",
			"kitchen.plates = 2: is unknown; did you mean 1? (allowed: one of 1, 4)",
		},
		"negative unsigned": {"kitchen: {seed: -1}\n", "kitchen.seed = -1: is not a whole number of the right sign"},
		"too large": {
			"kitchen: {bill: 9223372036854775808}\n",
			"kitchen.bill = 9223372036854775808: is too large a number",
		},
		"infinite":     {"kitchen: {times: [.inf]}\n", "element 1 (.inf) is not a finite decimal number"},
		"not a number": {"kitchen: {salt: .nan}\n", "kitchen.salt = .nan: is not a finite decimal number"},
		"list of sections": {
			"kitchen: {times: [{a: 1}]}\n",
			"kitchen.times = [{…}]: element 1 ({…}) is a section, not a number (allowed: a list, each a number, at least 0)",
		},
		"element range": {
			"kitchen: {times: [1, -1]}\n",
			"kitchen.times = [1, -1]: is out of range (allowed: a list, each a number, at least 0)",
		},
		"array length":     {"kitchen: {size: [1]}\n", "kitchen.size = [1]: is a list of 1 values, not of 2"},
		"list length":      {"kitchen: {spices: [a, b, c, d]}\n", "(allowed: a list, at most 3 of them)"},
		"section for list": {"kitchen: {spices: {a: 1}}\n", "kitchen.spices = {…}: is a section, not a list"},
		"list for text":    {"kitchen: {dish: [a]}\n", "kitchen.dish = [a]: is a list, not a text"},
		"own tag":          {"kitchen: {dish: !soup a}\n", "is of YAML type !soup, not a text"},
		"duplicate": {
			"kitchen:\n  lid: true\n  lid: true\n",
			"k.yaml:3: kitchen.lid = true: the key is already in line 2 (allowed: every key once)",
		},
		"anchor": {
			"kitchen:\n  lid: &a true\n",
			"k.yaml:2: kitchen.lid: anchors, aliases and merges are not supported",
		},
		"alias in list": {
			"kitchen:\n  bill: &a 3\n  times: [*a]\n",
			"k.yaml:3: kitchen.times = [a]: element 1 is a YAML anchor or alias",
		},
		"anchored section": {"kitchen: &k\n  lid: true\n", "kitchen: anchors, aliases and merges are not supported"},
		"merge":            {"kitchen:\n  <<: {lid: true}\n", "kitchen.<<: anchors, aliases and merges are not supported"},
		"list as a name":   {"kitchen:\n  ? [a]\n  : 1\n", "kitchen.[a] = 1: unknown key"},
		"empty":            {"", "k.yaml: the file is empty"},
		"only comments":    {"# nothing\n", "k.yaml: the file is empty"},
		"two documents": {
			"kitchen: {}\n---\nkitchen: {}\n",
			"k.yaml:2: a second YAML document begins here (allowed: one document a file)",
		},
		"tab":       {"kitchen:\n\tlid: true\n", "k.yaml:2: the line is indented with a tab: YAML wants spaces"},
		"syntax":    {"kitchen:\n  - a\n  lid: true\n", "not valid YAML: did not find expected '-' indicator"},
		"unclosed":  {"kitchen: {lid: true\n", "not valid YAML"},
		"not UTF-8": {"kitchen:\n  dish: \"\xff\"\n", "k.yaml:2: the file is not UTF-8 text"},
		"utf-16":    {"\xff\xfek\x00", "k.yaml:1: the file is not UTF-8 text"},
	} {
		t.Run(name, func(t *testing.T) {
			err := newTree(t, defaultKitchen()).Load(source(test.content))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestProblemsOfVariablesAndFlags(t *testing.T) {
	for _, test := range []struct{ variable, path, value, want string }{
		{
			variable: "COOK_KITCHEN_GUEST=3",
			want: "COOK_KITCHEN_GUEST = 3: unknown variable; did you mean COOK_KITCHEN_GUESTS? " +
				"(allowed: COOK_SECTION_KEY for the key section.key; COOK_BOOK)",
		},
		{variable: "COOK_KITCHEN={}", want: "COOK_KITCHEN = {}: unknown variable"},
		{
			variable: "COOK_KITCHEN_GUESTS=ten",
			want:     "COOK_KITCHEN_GUESTS: kitchen.guests = ten: is a text, not a whole number",
		},
		{variable: "COOK_KITCHEN_GUESTS=", want: "COOK_KITCHEN_GUESTS: kitchen.guests: has no value"},
		{variable: "COOK_KITCHEN_TIMES=[1", want: "COOK_KITCHEN_TIMES: kitchen.times = [1: is not a YAML list"},
		{path: "kitchen.gests", value: "3", want: "--set: kitchen.gests = 3: unknown key; did you mean kitchen.guests?"},
		{
			path:  "kitchen.oven",
			value: "3",
			want:  "--set: kitchen.oven = 3: is a section: set one of its keys (allowed: in kitchen.oven: top_heat, grill)",
		},
		{path: "kitchen.lid.x", value: "3", want: "--set: kitchen.lid.x = 3: unknown key"},
		{path: "", value: "3", want: "--set = 3: unknown key; did you mean kitchen?"},
		{path: "kitchen.heat", value: "HIGH", want: "--set: kitchen.heat = HIGH: is unknown; did you mean high?"},
		{path: "kitchen.size", value: "1", want: "--set: kitchen.size = [1]: is a list of 1 values, not of 2"},
	} {
		from := Source{Prefix: "COOK_", Reserved: []string{"COOK_BOOK"}, Environment: []string{test.variable}}
		if test.variable == "" {
			from.Overrides = []Override{{"--set", test.path, test.value}}
		}
		err := newTree(t, defaultKitchen()).Load(from)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("got  %v\nwant %s", err, test.want)
		}
	}
}

func TestAllProblemsAtOnceInOrder(t *testing.T) {
	from := source("kitchen:\n  guests: 99\n  dihs: a\n  salt: 0.7\n  oven: {grill: 3}\n")
	from.Environment = []string{"COOK_X=1", "COOK_KITCHEN_LID=maybe"}
	from.Overrides = []Override{{"--set", "kitchen.bill", "free"}}
	target := defaultKitchen()
	err := newTree(t, target).Load(from)
	var all *Error
	if !errors.As(err, &all) {
		t.Fatalf("got %v, want an *Error", err)
	}
	var got []string
	for _, problem := range all.Problems {
		got = append(got, problem.Origin.String())
	}
	want := []string{"k.yaml:2", "k.yaml:3", "k.yaml:5", "COOK_KITCHEN_LID", "COOK_X", "--set"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if target.Salt != 0.7 || target.Guests != 2 {
		t.Errorf("what is right must be taken over and what is wrong must not: %+v", target)
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != len(want)+1 || lines[0] != "the configuration has 6 problems:" {
		t.Errorf("want a heading and a line each, got:\n%v", err)
	}
}

func TestNewTreeRefusesWrongStructs(t *testing.T) {
	for name, sections := range map[string][]Section{
		"no pointer": {{Path: "a", Target: kitchen{}}},
		"no tag":     {{Path: "a", Target: &struct{ X int }{}}},
		"upper case": {{Path: "a", Target: &struct {
			X int `mapstructure:"X"`
		}{}}},
		"type": {{Path: "a", Target: &struct {
			X map[string]int `mapstructure:"x"`
		}{}}},
		"rule": {{Path: "a", Target: &struct {
			X int `mapstructure:"x" validate:"gtfield=Y"`
		}{}}},
		"limit": {{Path: "a", Target: &struct {
			X int `mapstructure:"x" validate:"gte=many"`
		}{}}},
		"the same section": {{Path: "a", Target: defaultKitchen()}, {Path: "a", Target: defaultKitchen()}},
	} {
		if _, err := NewTree(sections); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
