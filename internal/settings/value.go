package settings

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// supported reports whether a type can be a leaf.
func supported(t reflect.Type) bool {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint64, reflect.Float64, reflect.String:
		return true
	}
	return false
}

// describe names a type for people.
func describe(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Uint64:
		return "a whole number, at least 0"
	case reflect.Float64:
		return "a number"
	case reflect.Array:
		return fmt.Sprintf("a list of %d values", t.Len())
	case reflect.Slice:
		return "a list"
	}
	return "a text"
}

// decode reads a YAML value as type t, without any conversion that YAML itself does not make: 3 is a number and "3"
// a text, and the one does not stand for the other. The error says what the value is not.
func decode(value *yaml.Node, t reflect.Type) (reflect.Value, error) {
	result := reflect.New(t).Elem()
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		return result, decodeList(value, result)
	}
	if value.Kind != yaml.ScalarNode {
		return result, fmt.Errorf("is %s, not %s", kindOf(value), describe(t))
	}
	if value.ShortTag() == "!!null" {
		return result, fmt.Errorf("has no value")
	}
	return result, decodeScalar(value, result)
}

// decodeList reads a YAML list into a slice or an array.
func decodeList(value *yaml.Node, result reflect.Value) error {
	if value.Kind != yaml.SequenceNode {
		return fmt.Errorf("is %s, not a list", kindOf(value))
	}
	if result.Kind() == reflect.Slice {
		result.Set(reflect.MakeSlice(result.Type(), len(value.Content), len(value.Content)))
	}
	if len(value.Content) != result.Len() {
		return fmt.Errorf("is a list of %d values, not of %d", len(value.Content), result.Len())
	}
	for i, element := range value.Content {
		if isReference(element) {
			return fmt.Errorf("element %d is a YAML anchor or alias, which this file may not use", i+1)
		}
		decoded, err := decode(element, result.Type().Elem())
		if err != nil {
			return fmt.Errorf("element %d (%s) %w", i+1, written(element), err)
		}
		result.Index(i).Set(decoded)
	}
	return nil
}

// decodeScalar reads a YAML scalar into a bool, number or text.
func decodeScalar(value *yaml.Node, result reflect.Value) error {
	text, tag := value.Value, value.ShortTag()
	number := strings.ReplaceAll(text, "_", "") // YAML lets 1_000_000 be written so
	var err error
	switch result.Kind() {
	case reflect.String:
		if tag != "!!str" {
			return fmt.Errorf("is %s, not a text: put it in quotes", kindOf(value))
		}
		result.SetString(text)
		return nil
	case reflect.Bool:
		if tag == "!!bool" {
			result.SetBool(strings.EqualFold(text, "true"))
			return nil
		}
	case reflect.Int, reflect.Int64:
		if tag == "!!int" {
			var parsed int64
			parsed, err = strconv.ParseInt(number, 0, result.Type().Bits())
			result.SetInt(parsed)
			return numberError(err)
		}
	case reflect.Uint64:
		if tag == "!!int" {
			var parsed uint64
			parsed, err = strconv.ParseUint(strings.TrimPrefix(number, "+"), 0, 64)
			result.SetUint(parsed)
			return numberError(err)
		}
	case reflect.Float64:
		if tag == "!!int" || tag == "!!float" {
			return decodeFloat(number, tag, result)
		}
	}
	return fmt.Errorf("is %s, not %s", kindOf(value), describe(result.Type()))
}

// decodeFloat reads a number. What YAML takes for a whole one is read as such: 0x10 is 16 and 010 is 8 for every key.
func decodeFloat(number, tag string, result reflect.Value) error {
	if tag == "!!int" {
		if whole, err := strconv.ParseInt(number, 0, 64); err == nil {
			result.SetFloat(float64(whole))
			return nil
		}
	}
	parsed, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsInf(parsed, 0) || math.IsNaN(parsed) {
		return errors.New("is not a finite decimal number")
	}
	result.SetFloat(parsed)
	return nil
}

// numberError turns an error of strconv into what the value is not.
func numberError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return errors.New("is too large a number")
	}
	return errors.New("is not a whole number of the right sign")
}

// fromText makes a YAML value of the text of a variable or flag: a text stays as it is, a list may leave out its
// brackets ("0.4,1"), anything else is read as YAML would.
func fromText(text string, t reflect.Type) (*yaml.Node, error) {
	scalar := &yaml.Node{Kind: yaml.ScalarNode, Value: strings.TrimSpace(text)}
	switch t.Kind() {
	case reflect.String:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}, nil
	case reflect.Slice, reflect.Array:
		return listFromText(scalar.Value, t.Elem())
	}
	return scalar, nil
}

func listFromText(text string, element reflect.Type) (*yaml.Node, error) {
	if strings.HasPrefix(text, "[") {
		var document yaml.Node
		if err := yaml.Unmarshal([]byte(text), &document); err != nil {
			return nil, fmt.Errorf("is not a YAML list")
		}
		return document.Content[0], nil
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	if text == "" {
		return list, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		value, err := fromText(strings.TrimSpace(part), element)
		if err != nil {
			return nil, err
		}
		list.Content = append(list.Content, value)
	}
	return list, nil
}

// kindOf names what a YAML value is.
func kindOf(value *yaml.Node) string {
	switch value.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	}
	switch tag := value.ShortTag(); tag {
	case "!!null":
		return "empty"
	case "!!bool":
		return "true or false"
	case "!!int":
		return "a whole number"
	case "!!float":
		return "a number with a fraction or exponent"
	case "!!str":
		return "a text"
	case "!!timestamp":
		return "a date"
	default:
		return "of YAML type " + tag
	}
}

// longest is the number of characters of a value that messages show.
const longest = 60

// written shows a value as its author wrote it, on one short line.
func written(value *yaml.Node) string {
	switch {
	case value.Kind == yaml.MappingNode:
		return "{…}"
	case value.Kind == yaml.SequenceNode:
		parts := make([]string, len(value.Content))
		for i, element := range value.Content {
			parts[i] = written(element)
		}
		return shorten("["+strings.Join(parts, ", ")+"]", longest)
	case value.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		return shorten(strconv.Quote(value.Value), longest)
	}
	return shown(value.Value)
}

// shown is a text as messages show it: short, and in quotes if it could break out of its line or colour the terminal.
func shown(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) || !utf8.ValidString(text) {
		text = strconv.Quote(text)
	}
	return shorten(text, longest)
}

func shorten(text string, longest int) string {
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest-1]) + "…"
	}
	return text
}
