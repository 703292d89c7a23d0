package page

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// absent stands for a key that a run does not have.
const absent = "–"

// Differences are the keys on which the configurations of runs disagree, in the order of their names. The runs may be of
// different versions of the program.
func Differences(runs []Run) []Difference {
	settings, keys := make([]map[string]string, len(runs)), map[string]bool{}
	for i, run := range runs {
		settings[i] = map[string]string{}
		var document yaml.Node
		if yaml.Unmarshal([]byte(run.Config), &document) == nil && len(document.Content) > 0 {
			flatten("", document.Content[0], settings[i])
		}
		for key := range settings[i] {
			keys[key] = true
		}
	}
	differences := []Difference{}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		d := Difference{Key: key}
		for i := range runs {
			value, ok := settings[i][key]
			if !ok {
				value = absent
			}
			d.Values = append(d.Values, value)
		}
		if len(slices.Compact(slices.Clone(d.Values))) > 1 {
			differences = append(differences, d)
		}
	}
	return differences
}

// flatten collects the leaves of a tree of mappings by their paths.
func flatten(path string, node *yaml.Node, into map[string]string) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			flatten(strings.TrimPrefix(path+"."+node.Content[i].Value, "."), node.Content[i+1], into)
		}
	case yaml.SequenceNode:
		var values []string
		for _, item := range node.Content {
			values = append(values, item.Value)
		}
		into[path] = "[" + strings.Join(values, ", ") + "]"
	default:
		into[path] = node.Value
	}
}

// LogLine writes a line of train.log, which is JSON, as the console shows it. Any other line stays as it is.
func LogLine(line string) string {
	fields := map[string]any{}
	if json.Unmarshal([]byte(line), &fields) != nil {
		return line
	}
	text := func(name string) string {
		value, _ := fields[name].(string)
		delete(fields, name)
		return value
	}
	at, level, message := text("time"), text("level"), text("message")
	if len(at) >= len("2006-01-02T15:04:05") {
		at = at[len("2006-01-02T"):len("2006-01-02T15:04:05")]
	}
	shown := fmt.Sprintf("%s  %s  %s", at, level, message)
	if rest, err := json.Marshal(fields); err == nil && len(fields) > 0 {
		shown += "  " + string(rest)
	}
	return shown
}
