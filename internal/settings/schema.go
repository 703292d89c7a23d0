package settings

import (
	"encoding/json"
	"reflect"

	"github.com/invopop/jsonschema"
)

// Schema describes the tree as a JSON Schema (draft 2020-12) for editors and other tools. It accepts the files that Load
// accepts, but for what JSON cannot tell apart: 1.0 and 1 are one number there, and all numbers are finite.
func (t *Tree) Schema(id, title string) *jsonschema.Schema {
	schema := sectionSchema(t.root)
	schema.Version = jsonschema.Version
	schema.ID = jsonschema.ID(id)
	schema.Title = title
	return schema
}

// sectionSchema describes a section. Null is a section that is left empty and has its defaults.
func sectionSchema(section *node) *jsonschema.Schema {
	schema := &jsonschema.Schema{
		Description:          section.doc,
		Properties:           jsonschema.NewProperties(),
		AdditionalProperties: jsonschema.FalseSchema,
		Extras:               map[string]any{"type": []string{"object", "null"}},
	}
	for _, child := range section.children {
		if child.key == nil {
			schema.Properties.Set(child.name, sectionSchema(child))
			continue
		}
		leaf := valueSchema(child.key.field.Type(), child.key.rules)
		leaf.Description = child.doc
		leaf.Default = child.key.unset
		schema.Properties.Set(child.name, leaf)
	}
	return schema
}

// valueSchema describes the values of a type that keep the rules.
func valueSchema(t reflect.Type, r rules) *jsonschema.Schema {
	schema := &jsonschema.Schema{}
	for _, text := range r.oneOf {
		if t.Kind() == reflect.String {
			schema.Enum = append(schema.Enum, text)
		} else {
			schema.Enum = append(schema.Enum, json.Number(text))
		}
	}
	switch t.Kind() {
	case reflect.Bool:
		schema.Type = "boolean"
	case reflect.Int, reflect.Int64:
		schema.Type = "integer"
	case reflect.Uint64:
		schema.Type, schema.Minimum = "integer", "0"
	case reflect.Float64:
		schema.Type = "number"
	case reflect.String:
		schema.Type = "string"
	default:
		return listSchema(schema, t, r)
	}
	for _, b := range r.bounds {
		limit(schema, t.Kind(), b)
	}
	return schema
}

// limit adds a bound of a number's size or a text's length.
func limit(schema *jsonschema.Schema, kind reflect.Kind, b bound) {
	if kind == reflect.String {
		least, most := b.lengths()
		schema.MinLength, schema.MaxLength = orOld(least, schema.MinLength), orOld(most, schema.MaxLength)
		return
	}
	number := json.Number(b.text())
	switch b.name {
	case "gt":
		schema.ExclusiveMinimum = number
	case "gte":
		schema.Minimum = number
	case "lt":
		schema.ExclusiveMaximum = number
	case "lte":
		schema.Maximum = number
	}
}

// listSchema describes a slice or an array.
func listSchema(schema *jsonschema.Schema, t reflect.Type, r rules) *jsonschema.Schema {
	schema.Type = "array"
	element := rules{}
	if r.each != nil {
		element = *r.each
	}
	schema.Items = valueSchema(t.Elem(), element)
	if t.Kind() == reflect.Array {
		length := uint64(t.Len())
		schema.MinItems, schema.MaxItems = &length, &length
	}
	for _, b := range r.bounds {
		least, most := b.lengths()
		schema.MinItems, schema.MaxItems = orOld(least, schema.MinItems), orOld(most, schema.MaxItems)
	}
	return schema
}

// lengths turns a bound of a length into its least or its most value; the other one is nil.
func (b bound) lengths() (least, most *uint64) {
	length := uint64(b.limit)
	switch b.name {
	case "gt":
		length++
		return &length, nil
	case "gte":
		return &length, nil
	case "lt":
		length--
	}
	return nil, &length
}

func orOld(length, old *uint64) *uint64 {
	if length != nil {
		return length
	}
	return old
}
