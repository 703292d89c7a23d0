package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-playground/validator/v10"
)

// checker evaluates rules. It is safe for concurrent use.
var checker = validator.New(validator.WithRequiredStructEnabled())

// rules is a `validate` tag, taken apart so that it can also be told to people and to JSON Schema.
type rules struct {
	tag    string   // for the validator, without oneof
	oneOf  []string // allowed texts, or numbers as texts; nil = any
	bounds []bound  // of the value itself: a number's size, a text's length, a list's length
	each   *rules   // of a list's elements
}

// bound is one limit.
type bound struct {
	name  string // gt, gte, lt or lte
	limit float64
}

// parseRules understands the rules that can be explained: dive, oneof, gt, gte, lt, lte, min, max, len.
func parseRules(tag string) (rules, error) {
	var parsed rules
	if tag == "" {
		return parsed, nil
	}
	parts := strings.Split(tag, ",")
	kept := make([]string, 0, len(parts))
	for i, part := range parts {
		if part == "dive" {
			each, err := parseRules(strings.Join(parts[i+1:], ","))
			parsed.each = &each
			parsed.tag = strings.Join(kept, ",")
			return parsed, err
		}
		name, parameter, _ := strings.Cut(part, "=")
		if err := parsed.add(name, parameter); err != nil {
			return parsed, err
		}
		if name != "oneof" {
			kept = append(kept, part)
		}
	}
	parsed.tag = strings.Join(kept, ",")
	return parsed, nil
}

// add takes in one rule.
func (r *rules) add(name, parameter string) error {
	if name == "oneof" {
		r.oneOf = strings.Fields(parameter)
		return nil
	}
	limit, err := strconv.ParseFloat(parameter, 64)
	if err != nil {
		return fmt.Errorf("rule %s=%s: the limit is not a number", name, parameter)
	}
	switch name {
	case "gt", "gte", "lt", "lte":
		r.bounds = append(r.bounds, bound{name, limit})
	case "min":
		r.bounds = append(r.bounds, bound{"gte", limit})
	case "max":
		r.bounds = append(r.bounds, bound{"lte", limit})
	case "len":
		r.bounds = append(r.bounds, bound{"gte", limit}, bound{"lte", limit})
	default:
		return fmt.Errorf("rule %q is not one that can be explained to users", name)
	}
	return nil
}

// accepts reports whether a value of a supported type keeps the rules.
func (r rules) accepts(value reflect.Value) bool {
	if r.oneOf != nil && !slices.Contains(r.oneOf, fmt.Sprint(value.Interface())) {
		return false
	}
	if r.tag != "" && checker.Var(value.Interface(), r.tag) != nil {
		return false
	}
	for i := 0; r.each != nil && i < value.Len(); i++ {
		if !r.each.accepts(value.Index(i)) {
			return false
		}
	}
	return true
}

// allowed says in words what values of a type keep the rules, for instance "a whole number, at least 1".
func (r rules) allowed(t reflect.Type) string {
	if r.oneOf != nil {
		return "one of " + strings.Join(r.oneOf, ", ")
	}
	words := []string{describe(t)}
	unit := map[reflect.Kind]string{reflect.Slice: " of them", reflect.String: " characters"}[t.Kind()]
	for _, b := range r.bounds {
		phrase := map[string]string{"gt": "above", "gte": "at least", "lt": "below", "lte": "at most"}[b.name]
		words = append(words, phrase+" "+b.text()+unit)
	}
	if r.each != nil {
		words = append(words, "each "+r.each.allowed(t.Elem()))
	}
	return strings.Join(words, ", ")
}

// text is the limit in decimal digits.
func (b bound) text() string { return strconv.FormatFloat(b.limit, 'f', -1, 64) }

// Allowed says in words which values the key takes.
func (k *Key) Allowed() string { return k.rules.allowed(k.field.Type()) }
