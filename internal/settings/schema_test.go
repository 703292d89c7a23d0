package settings

import (
	"bytes"
	"encoding/json"
	"testing"

	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
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

func TestSchemaDescribesKeys(t *testing.T) {
	schema := newTree(t, defaultKitchen()).Schema("id", "title")
	kitchen, _ := schema.Properties.Get("kitchen")
	guests, _ := kitchen.Properties.Get("guests")
	if schema.Version != "https://json-schema.org/draft/2020-12/schema" || guests.Description != "people at the table" || guests.Default != 2 {
		t.Errorf("got version %q, description %q, default %v", schema.Version, guests.Description, guests.Default)
	}
	if kitchen.Description != "the kitchen" {
		t.Errorf("section description %q", kitchen.Description)
	}
}
