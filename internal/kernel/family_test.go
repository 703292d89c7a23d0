package kernel

import (
	"slices"
	"testing"
)

// TestEveryFamilyIsNamed runs through all families and names those whose kernels this CPU could not test.
func TestEveryFamilyIsNamed(t *testing.T) {
	runnable := Families()
	for _, family := range AllFamilies() {
		t.Run(string(family), func(t *testing.T) {
			e, err := New(Options{Family: family, Workers: 1})
			if !slices.Contains(runnable, family) {
				if err == nil {
					t.Fatal("an engine of a family that is not listed was made")
				}
				t.Skipf("not tested: kernels %s: this CPU does not run them", family)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if e.Family() != family {
				t.Errorf("the engine's family is %s", e.Family())
			}
		})
	}
}

func TestThePreferredFamilyIsTheDefault(t *testing.T) {
	e, err := New(Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if e.Family() != Families()[0] {
		t.Errorf("the default family is %s, the preferred one %s", e.Family(), Families()[0])
	}
}

func TestUnknownFamily(t *testing.T) {
	if _, err := New(Options{Family: "sse9"}); err == nil {
		t.Error("family sse9 was accepted")
	}
}
