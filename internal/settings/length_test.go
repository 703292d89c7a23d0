package settings

import (
	"reflect"
	"strings"
	"testing"
)

// TestLengthsInTheSchema: of lists and texts of every length, the schema takes those that the loader takes, whichever rule
// bounds them.
func TestLengthsInTheSchema(t *testing.T) {
	within := func(length int, least, most *uint64) bool {
		return (least == nil || uint64(length) >= *least) && (most == nil || uint64(length) <= *most)
	}
	for _, tag := range []string{
		"min=2", "max=2", "len=2", "gt=1", "gte=1", "lt=3", "lte=3", "gt=0,lt=4", "min=1,max=3", "gte=1,dive,gte=0", "len=3,dive,gte=0",
	} {
		list, err := parseRules(tag)
		if err != nil {
			t.Fatal(err)
		}
		schema := valueSchema(reflect.TypeFor[[]float64](), list)
		for length := range 6 {
			value := reflect.ValueOf(make([]float64, length))
			if loader, editor := list.accepts(value), within(length, schema.MinItems, schema.MaxItems); loader != editor {
				t.Errorf("%s: a list of %d is taken by the loader: %v, by the schema: %v", tag, length, loader, editor)
			}
		}
		if strings.Contains(tag, "dive") {
			continue
		}
		schema = valueSchema(reflect.TypeFor[string](), list)
		for length := range 6 {
			value := reflect.ValueOf(strings.Repeat("é", length))
			if loader, editor := list.accepts(value), within(length, schema.MinLength, schema.MaxLength); loader != editor {
				t.Errorf("%s: a text of %d characters is taken by the loader: %v, by the schema: %v", tag, length, loader, editor)
			}
		}
	}
}

// TestBoundsInTheSchema are those that the words for users tell.
func TestBoundsInTheSchema(t *testing.T) {
	for tag, want := range map[string][2]string{
		"gt=0,lt=1": {"exclusive 0", "exclusive 1"}, "gte=0.5,lte=2": {"0.5", "2"}, "gte=1": {"1", ""}, "lt=1000000": {"", "exclusive 1000000"}, "": {"", ""},
	} {
		r, err := parseRules(tag)
		if err != nil {
			t.Fatal(err)
		}
		schema := valueSchema(reflect.TypeFor[float64](), r)
		got := [2]string{schema.Minimum.String(), schema.Maximum.String()}
		if schema.ExclusiveMinimum != "" {
			got[0] = "exclusive " + schema.ExclusiveMinimum.String()
		}
		if schema.ExclusiveMaximum != "" {
			got[1] = "exclusive " + schema.ExclusiveMaximum.String()
		}
		if got != want {
			t.Errorf("%q: bounds %q, want %q", tag, got, want)
		}
		for i, limit := range want {
			if word := []string{"at least ", "at most "}[i]; limit != "" && !strings.HasPrefix(limit, "exclusive") && !strings.Contains(r.allowed(reflect.TypeFor[float64]()), word+limit) {
				t.Errorf("%q: the words are %q", tag, r.allowed(reflect.TypeFor[float64]()))
			}
		}
	}
	if schema := valueSchema(reflect.TypeFor[uint64](), rules{}); schema.Minimum != "0" || schema.Type != "integer" {
		t.Errorf("a number without a sign: %+v", schema)
	}
}
