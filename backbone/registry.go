package backbone

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"pretrain/internal/nearest"
)

// Family is a kind of network: what its architectures share.
type Family struct {
	Name          string // section of the configuration, for instance "vit" for backbone.vit
	Summary       string // one line
	Citation      string
	Architectures []Architecture
	// Defaults returns a pointer to a new configuration struct.
	Defaults func() any
	// New makes a network. params is what Defaults returned, changed or not; it is copied. side is that of plain
	// views, in pixels. An error names the key, its value, the limit and a remedy.
	New func(architecture string, params any, side int) (Backbone, error)
	// Infer, if not nil, tells what the shapes of a weights file, by tensor, say of the parameters: values by key, and the
	// side of plain views, 0 where they do not say. An architecture's own numbers are not inferred, so that weights of
	// another one are found out.
	Infer func(architecture string, shapes map[string][]int) (params map[string]any, side int)
}

// Architecture is one network of a family by name, such as "resnet18".
type Architecture struct{ Name, Summary, Citation string }

// registry is filled while packages are initialised.
var registry struct {
	sync.RWMutex
	families []Family
}

// Register adds a family, from the init function of its file. It panics when a name is taken, which is a mistake in
// the program.
func Register(family Family) {
	registry.Lock()
	defer registry.Unlock()
	for _, other := range registry.families {
		if other.Name == family.Name {
			panic("backbone: family " + family.Name + " is registered twice")
		}
		for _, architecture := range family.Architectures {
			if other.has(architecture.Name) {
				panic("backbone: architecture " + architecture.Name + " is registered twice")
			}
		}
	}
	registry.families = append(registry.families, family)
	slices.SortFunc(registry.families, func(a, b Family) int { return cmp.Compare(a.Name, b.Name) })
}

// Families lists all families by name. The slice is the caller's.
func Families() []Family {
	registry.RLock()
	defer registry.RUnlock()
	return slices.Clone(registry.families)
}

// Find returns the family that has an architecture. The error for an unknown name suggests the nearest one.
func Find(architecture string) (Family, error) {
	var names []string
	for _, family := range Families() {
		if family.has(architecture) {
			return family, nil
		}
		for _, a := range family.Architectures {
			names = append(names, a.Name)
		}
	}
	return Family{}, fmt.Errorf("backbone.name is %q: there are %s; did you mean %q?",
		architecture, strings.Join(names, ", "), nearest.Name(architecture, names))
}

func (f Family) has(architecture string) bool {
	return slices.ContainsFunc(f.Architectures, func(a Architecture) bool { return a.Name == architecture })
}
