// Package settings reads Go structs strictly from a YAML file, environment variables and command-line overrides.
//
// Every value is checked where it was written: an unknown name, a wrong type or a value outside its range becomes a
// Problem that names its origin (file and line, variable or flag), the YAML path, the value, what is allowed and the
// nearest name. All problems are reported at once. The same tree of keys prints the resolved settings with their
// origins and generates a JSON Schema, so that the three can never disagree.
//
// A leaf is a bool, int, int64, uint64, float64, string, or a slice or array of these; structs nest, and embedded
// structs tagged `mapstructure:",squash"` are part of the struct around them. Tags: `mapstructure` is the YAML name,
// `validate` holds rules of go-playground/validator, `doc` says in one line what the key means.
package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Section is a struct whose fields are the keys under a path.
type Section struct {
	Path   string // dotted, for instance "train" or "tasks.rotation"
	Doc    string // one line
	Target any    // pointer to a struct that holds the defaults; Load writes into it. nil = only other sections lie in it
}

// Tree is all the keys there are. It is used by one goroutine at a time.
type Tree struct {
	root *node
	keys []*Key // in the order of declaration
}

// node is one name of the YAML file: a section, or a leaf that carries a key.
type node struct {
	name, path, doc string
	key             *Key    // nil for a section
	children        []*node // of a section, in the order of declaration
	mentioned       bool    // some source names this section or a key in it
}

// Key is one setting.
type Key struct {
	Path, Doc string
	Origin    Origin // where the value comes from
	field     reflect.Value
	rules     rules
	unset     any // the default
}

// NewTree collects the keys of all sections. The values that the targets hold are the defaults. An error is a
// mistake in the structs, not of a user.
func NewTree(sections []Section) (*Tree, error) {
	tree := &Tree{root: &node{}}
	for _, section := range sections {
		at := tree.section(section.Path, section.Doc)
		if section.Target == nil {
			continue
		}
		target := reflect.ValueOf(section.Target)
		if target.Kind() != reflect.Pointer || target.Elem().Kind() != reflect.Struct {
			return nil, fmt.Errorf("section %s: target is a %T, want a pointer to a struct", section.Path, section.Target)
		}
		if err := tree.addStruct(at, target.Elem()); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

// section finds or adds the section at a path.
func (t *Tree) section(path, doc string) *node {
	at := t.root
	for name := range strings.SplitSeq(path, ".") {
		child := at.child(name)
		if child == nil {
			child = at.add(name, "")
		}
		at = child
	}
	if doc != "" {
		at.doc = doc
	}
	return at
}

// addStruct adds the fields of a struct to the section at.
func (t *Tree) addStruct(at *node, target reflect.Value) error {
	for i := range target.NumField() {
		field, value := target.Type().Field(i), target.Field(i)
		name, option, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		switch {
		case option == "squash":
			if err := t.addStruct(at, value); err != nil {
				return err
			}
			continue
		case !field.IsExported() || name == "-":
			continue
		case name == "" || name != strings.ToLower(name) || strings.Contains(name, "."):
			return fmt.Errorf("%s: field %s of %s needs a mapstructure tag in lower case", at.path, field.Name, target.Type())
		case at.child(name) != nil:
			return fmt.Errorf("%s is declared twice", at.join(name))
		}
		if err := t.addField(at.add(name, field.Tag.Get("doc")), field, value); err != nil {
			return err
		}
	}
	return nil
}

// addField makes the node a section or a key, whichever its type asks for.
func (t *Tree) addField(at *node, field reflect.StructField, value reflect.Value) error {
	if value.Kind() == reflect.Struct {
		return t.addStruct(at, value)
	}
	if !supported(value.Type()) {
		return fmt.Errorf("%s: type %s cannot be a setting", at.path, value.Type())
	}
	parsed, err := parseRules(field.Tag.Get("validate"))
	if err != nil {
		return fmt.Errorf("%s: %w", at.path, err)
	}
	at.key = &Key{Path: at.path, Doc: at.doc, field: value, rules: parsed, unset: value.Interface()}
	t.keys = append(t.keys, at.key)
	return nil
}

func (n *node) child(name string) *node {
	at := slices.IndexFunc(n.children, func(child *node) bool { return child.name == name })
	if at < 0 {
		return nil
	}
	return n.children[at]
}

func (n *node) add(name, doc string) *node {
	child := &node{name: name, path: n.join(name), doc: doc}
	n.children = append(n.children, child)
	return child
}

func (n *node) join(name string) string {
	if n.path == "" {
		return name
	}
	return n.path + "." + name
}

// names lists the names allowed in a section.
func (n *node) names() []string {
	var names []string
	for _, child := range n.children {
		names = append(names, child.name)
	}
	return names
}

// find returns the node at a path, nil if there is none, and marks nothing.
func (t *Tree) find(path string) *node {
	at := t.root
	for name := range strings.SplitSeq(path, ".") {
		if at = at.child(name); at == nil {
			return nil
		}
	}
	return at
}

// mention marks the sections that a path lies in.
func (t *Tree) mention(path string) {
	at := t.root
	for name := range strings.SplitSeq(path, ".") {
		if at = at.child(name); at == nil {
			return
		}
		at.mentioned = true
	}
}

// Mentioned reports whether a source named the section at path or any key in it.
func (t *Tree) Mentioned(path string) bool {
	at := t.find(path)
	return at != nil && at.mentioned
}

// Keys lists all keys in the order of declaration.
func (t *Tree) Keys() []*Key { return t.keys }

// Key returns the key at path, nil if there is none.
func (t *Tree) Key(path string) *Key {
	if at := t.find(path); at != nil {
		return at.key
	}
	return nil
}

// Value is the current value.
func (k *Key) Value() any { return k.field.Interface() }

// Literal is the current value as YAML.
func (k *Key) Literal() (string, error) { return literal(k.field) }

// SetDefault replaces a default that depends on other settings. The value must have the type of the key.
func (k *Key) SetDefault(value any) {
	k.field.Set(reflect.ValueOf(value))
	k.Origin = Origin{}
}

// Restrict allows only the given texts, in addition to the rules of the key's tag.
func (k *Key) Restrict(values ...string) {
	k.rules.oneOf = values
}
