package settings

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestPrintShowsEveryKeyWithItsOrigin(t *testing.T) {
	target := defaultKitchen()
	tree := newTree(t, target)
	from := source("kitchen:\n  dish: 'a: b'\n")
	from.Environment = []string{"COOK_KITCHEN_SALT=0.000001"}
	from.Overrides = []Override{{"--set", "kitchen.spices", "salt,#pepper"}}
	if err := tree.Load(from); err != nil {
		t.Fatal(err)
	}
	want := `kitchen:
  dish: "a: b"  # k.yaml:2
  heat: low  # default
  guests: 2  # default
  plates: 1  # default
  bill: 0  # default
  seed: 1  # default
  salt: 1.0e-06  # COOK_KITCHEN_SALT
  lid: false  # default
  spices: [salt, "#pepper"]  # --set
  times: [1, 2]  # default
  size: [1, 2]  # default
  oven:
    top_heat: 180  # default
    grill: false  # default
`
	if diff := cmp.Diff(want, printed(t, tree)); diff != "" {
		t.Error(diff)
	}
}

func printed(t testing.TB, tree *Tree) string {
	var out bytes.Buffer
	if err := tree.Print(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPrintLoadsBack(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		drawn := &kitchen{
			Dish: rapid.StringN(1, 20, -1).Draw(r, "dish"), Heat: "high", Guests: 3, Plates: 4,
			Bill: rapid.Int64().Draw(r, "bill"), Seed: rapid.Uint64().Draw(r, "seed"),
			Salt: rapid.Float64Range(1e-300, 0.999).Draw(r, "salt"), Lid: rapid.Bool().Draw(r, "lid"),
			Spices: rapid.SliceOfN(rapid.String(), 0, 3).Draw(r, "spices"),
			Times:  rapid.SliceOf(rapid.Float64Min(0)).Draw(r, "times"),
			Size:   [2]float64{rapid.Float64Min(1e-9).Draw(r, "least"), 7},
		}
		text := printed(t, newTree(t, drawn))
		target := defaultKitchen()
		if err := newTree(t, target).Load(source(text)); err != nil {
			r.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(drawn, target, cmp.AllowUnexported(kitchen{}, oven{})); diff != "" {
			r.Fatalf("%s\n%s", diff, text)
		}
	})
}

func TestPrintKeepsOriginsInTheirComment(t *testing.T) {
	tree := newTree(t, defaultKitchen())
	from := source("kitchen: {lid: true}")
	from.File = "evil\nkitchen: 3"
	if err := tree.Load(from); err != nil {
		t.Fatal(err)
	}
	if text := printed(t, tree); !strings.Contains(text, "# evil?kitchen: 3:1\n") {
		t.Error(text)
	}
}

// FuzzLoad: no file makes the loader panic, and what it accepts prints and loads back to the same text.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"kitchen:\n  dish: stew\n  times: [1, 2e3]\n", "kitchen: {oven: {top_heat: 0}}", "a: &a [*a]", "? {}\n: 1",
		"kitchen:\n\tlid: 1", "--- 1\n--- 2", "%YAML 1.1\n---\n", "kitchen: !!binary aGk=", "kitchen: {dish: !!str 3}", "kitchen: {times: []}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		tree := newTree(t, defaultKitchen())
		from := source("")
		from.Content = content
		if tree.Load(from) != nil {
			return
		}
		first := printed(t, tree)
		again := newTree(t, defaultKitchen())
		if err := again.Load(source(first)); err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		values := func(tree *Tree) (all []any) {
			for _, key := range tree.Keys() {
				all = append(all, key.Value())
			}
			return all
		}
		if diff := cmp.Diff(values(tree), values(again), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}
