package settings

import (
	"bytes"
	"encoding/json"
	"testing"

	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

func compile(t *testing.T, tree *Tree) *validator.Schema {
	t.Helper()
	text, err := json.Marshal(tree.Schema("https://example.org/kitchen.json", "kitchen"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := validator.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := validator.NewCompiler()
	if err := compiler.AddResource("kitchen.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("kitchen.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// The schema and the loader must agree on every file.
func TestSchemaAgreesWithLoader(t *testing.T) {
	for content, valid := range map[string]bool{
		"kitchen:":                                true,
		"kitchen: {}":                             true,
		"kitchen: {oven: }":                       true,
		"kitchen: {heat: high, guests: 12}":       true,
		"kitchen: {salt: 0.5, times: [0, 3.5]}":   true,
		"kitchen: {size: [1, 2], spices: []}":     true,
		"kitchen: {seed: 18446744073709551615}":   true,
		"kitchen: {plates: 4}":                    true,
		"kitchen: {plates: 2}":                    false,
		"kitchen: {plates: '4'}":                  false,
		"kitchen: {heat: hot}":                    false,
		"kitchen: {guests: 13}":                   false,
		"kitchen: {guests: 1.5}":                  false,
		"kitchen: {guests: '3'}":                  false,
		"kitchen: {salt: 0}":                      false,
		"kitchen: {salt: 1}":                      false,
		"kitchen: {times: [-1]}":                  false,
		"kitchen: {size: [1]}":                    false,
		"kitchen: {size: [1, 2, 3]}":              false,
		"kitchen: {spices: [a, b, c, d]}":         false,
		"kitchen: {spices: [1]}":                  false,
		"kitchen: {seed: -1}":                     false,
		"kitchen: {lid: }":                        false,
		"kitchen: {lid: 1}":                       false,
		"kitchen: {dish: aaaaaaaaaaaaaaaaaaaaaa}": false,
		"kitchen: {unknown: 1}":                   false,
		"other: {}":                               false,
		"kitchen: {oven: [1]}":                    false,
		"kitchen: {oven: {gril: true}}":           false,
	} {
		tree := newTree(t, defaultKitchen())
		schema := compile(t, tree)
		var document any
		if err := yaml.Unmarshal([]byte(content), &document); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); (err == nil) != valid {
			t.Errorf("schema on %s: %v", content, err)
		}
		if err := tree.Load(source(content)); (err == nil) != valid {
			t.Errorf("loader on %s: %v", content, err)
		}
	}
}

// anything is a YAML value of any kind: numbers around every limit, texts of every length, lists, sections, nothing.
func anything() *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.IntRange(-2, 14).AsAny(),
		rapid.SampledFrom([]any{499, 500, 0.5, -0.5, 1.25}),
		rapid.SampledFrom([]any{"", "low", "high", "hot", "3", "true", "soup"}), rapid.StringN(0, 25, -1).AsAny(),
	)
	list := rapid.SliceOfN(scalar, 0, 4)
	numbers := rapid.SliceOfN(rapid.SampledFrom([]any{0, 1, 0.5, 2, -1}), 0, 3)
	return rapid.OneOf(scalar, list.AsAny(), numbers.AsAny(), rapid.Just[any](map[string]any{"a": 1}))
}

// section draws a section: for some of its keys, and a name that is none now and then, a value of any kind.
func section(names ...string) *rapid.Generator[map[string]any] {
	name := rapid.SampledFrom(append(names, "unknown"))
	return rapid.MapOfN(name, anything(), 0, 3)
}

// TestSchemaAgreesWithLoaderOnAnyFile: an editor that checks a file by the schema and the program say the same of it.
func TestSchemaAgreesWithLoaderOnAnyFile(t *testing.T) {
	schema := compile(t, newTree(t, defaultKitchen()))
	var names []string
	for _, child := range newTree(t, defaultKitchen()).root.child("kitchen").children {
		names = append(names, child.name)
	}
	rapid.Check(t, func(r *rapid.T) {
		drawn := section(names...).Draw(r, "kitchen")
		if rapid.Bool().Draw(r, "with an oven") {
			drawn["oven"] = section("top_heat", "grill").Draw(r, "oven")
		}
		content, err := json.Marshal(map[string]any{"kitchen": drawn}) // which is YAML too, and has one way to write a text
		if err != nil {
			r.Fatal(err)
		}
		var document any
		bySchema := yaml.Unmarshal(content, &document)
		if bySchema == nil {
			bySchema = schema.Validate(document)
		}
		byLoader := newTree(t, defaultKitchen()).Load(source(string(content)))
		if (bySchema == nil) != (byLoader == nil) {
			r.Fatalf("%s\nschema: %v\nloader: %v", content, bySchema, byLoader)
		}
	})
}

func TestSchemaDescribesKeys(t *testing.T) {
	schema := newTree(t, defaultKitchen()).Schema("id", "title")
	kitchen, _ := schema.Properties.Get("kitchen")
	guests, _ := kitchen.Properties.Get("guests")
	version := "https://json-schema.org/draft/2020-12/schema"
	if schema.Version != version || guests.Description != "people at the table" || guests.Default != 2 {
		t.Errorf("got version %q, description %q, default %v", schema.Version, guests.Description, guests.Default)
	}
	if kitchen.Description != "the kitchen" {
		t.Errorf("section description %q", kitchen.Description)
	}
}
