package settings

import "testing"

func TestOriginsAreShown(t *testing.T) {
	for want, origin := range map[string]Origin{
		"default": {}, "k.yaml:3": {File,
			"k.yaml",
			3}, "k.yaml": {File,
			"k.yaml",
			0}, "COOK_X": {Environment,
			"COOK_X",
			0}, "--set": {Flag,
			"--set",
			0,
		},
	} {
		if got := origin.String(); got != want {
			t.Errorf("%+v is shown as %q, want %q", origin, got, want)
		}
	}
}

// TestProblemsAreShown leaves out what a problem does not have, with its punctuation.
func TestProblemsAreShown(t *testing.T) {
	file := Origin{File, "k.yaml", 3}
	for want, problem := range map[string]Problem{
		"bad":                                    {Fault: "bad"},
		"k.yaml:3: bad":                          {Origin: file, Fault: "bad"},
		"a.b: bad":                               {Path: "a.b", Fault: "bad"},
		"k.yaml:3: a.b: bad":                     {Origin: file, Path: "a.b", Fault: "bad"},
		"k.yaml:3 = 1: bad":                      {Origin: file, Value: "1", Fault: "bad"},
		"k.yaml:3: a.b = 1: bad":                 {Origin: file, Path: "a.b", Value: "1", Fault: "bad"},
		"bad; did you mean c?":                   {Fault: "bad", Nearest: "c"},
		"bad (allowed: d)":                       {Fault: "bad", Allowed: "d"},
		"a.b: bad; did you mean c?":              {Path: "a.b", Fault: "bad", Nearest: "c"},
		"a.b: bad; did you mean c? (allowed: d)": {Path: "a.b", Fault: "bad", Nearest: "c", Allowed: "d"},
	} {
		if got := problem.String(); got != want {
			t.Errorf("%+v is shown as %q, want %q", problem, got, want)
		}
	}
}

// TestOneProblemNeedsNoHeading: a single mistake is said in one line, several are counted first.
func TestOneProblemNeedsNoHeading(t *testing.T) {
	problems := []Problem{{Fault: "one"}, {Fault: "two"}}
	if got, want := (&Error{problems[:1]}).Error(), "one"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (&Error{problems}).Error(), "the configuration has 2 problems:\n  one\n  two"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
