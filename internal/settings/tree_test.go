package settings

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parts are sections that are declared by several structs: the kitchen, its cupboard with parts of its own, a cellar.
func parts(t *testing.T) (*Tree, *kitchen) {
	t.Helper()
	target := defaultKitchen()
	tree, err := NewTree([]Section{
		{Path: "house", Doc: "all of it"},
		{Path: "house.kitchen", Doc: "the kitchen", Target: target},
		{Path: "house.kitchen.oven", Target: &struct {
			Rack int `mapstructure:"rack" doc:"level"`
		}{}},
		{Path: "cellar", Target: &struct {
			Bottles int `mapstructure:"bottles" doc:"of wine"`
			Ignored int `mapstructure:"-"`
		}{Bottles: 7}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree, target
}

// TestSectionsOfSeveralStructs: a section may be put together by more than one struct, and nest to any depth.
func TestSectionsOfSeveralStructs(t *testing.T) {
	tree, target := parts(t)
	var paths []string
	for _, key := range tree.Keys() {
		if strings.Contains(key.Path, "oven") || strings.Contains(key.Path, "cellar") {
			paths = append(paths, key.Path)
		}
	}
	want := []string{"house.kitchen.oven.top_heat", "house.kitchen.oven.grill", "house.kitchen.oven.rack", "cellar.bottles"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	if err := tree.Load(source("house: {kitchen: {oven: {rack: 3, grill: true}}}\ncellar: {bottles: 1}\n")); err != nil {
		t.Fatal(err)
	}
	if tree.Key("house.kitchen.oven.rack").Value() != 3 || !target.Oven.Grill || tree.Key("cellar.bottles").Value() != 1 {
		t.Error(printed(t, tree))
	}
	if tree.Key("house.kitchen.oven") != nil || tree.Key("house.attic") != nil || tree.Key("") != nil {
		t.Error("a section, or nothing, is taken for a key")
	}
}

// TestMentionedSections: naming a key mentions every section around it and none beside it.
func TestMentionedSections(t *testing.T) {
	tree, _ := parts(t)
	if err := tree.Load(source("house: {kitchen: {lid: true}}\n")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"house": true, "house.kitchen": true, "house.kitchen.lid": true, "house.kitchen.oven": false, "cellar": false, "no.such": false,
	} {
		if got := tree.Mentioned(path); got != want {
			t.Errorf("%s: mentioned = %v", path, got)
		}
	}
}

// TestSetDefault replaces a value that nobody wrote; the origin then says so.
func TestSetDefault(t *testing.T) {
	tree, target := parts(t)
	if err := tree.Load(source("house: {kitchen: {guests: 5}}\n")); err != nil {
		t.Fatal(err)
	}
	key := tree.Key("house.kitchen.guests")
	if key.SetDefault(9); target.Guests != 9 || key.Value() != 9 || key.Origin.String() != "default" {
		t.Errorf("%d guests from %v", target.Guests, key.Origin)
	}
}

// TestRestrict: the names that a registry has are all that a key takes, and are what users are told.
func TestRestrict(t *testing.T) {
	for content, want := range map[string]string{
		"house: {kitchen: {dish: stew}}\n":  "",
		"house: {kitchen: {dish: soup}}\n":  "dish = soup: is unknown; did you mean stew? (allowed: one of stew, soufflé)",
		"house: {kitchen: {dish: stews}}\n": "did you mean stew?",
	} {
		tree, _ := parts(t)
		tree.Key("house.kitchen.dish").Restrict("stew", "soufflé")
		err := tree.Load(source(content))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", content, err, want)
		}
	}
}

// TestVariables: every key has one variable, and only upper case and underscores are in its name.
func TestVariables(t *testing.T) {
	tree, _ := parts(t)
	if got, want := tree.Key("house.kitchen.oven.top_heat").Variable("COOK_"), "COOK_HOUSE_KITCHEN_OVEN_TOP_HEAT"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
