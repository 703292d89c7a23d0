package mlflow

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Limits of a request, and of the names and values in it. Values may be longer on servers of today; those of old took so
// much.
const (
	metricsAtOnce    = 1000
	parametersAtOnce = 100
	nameLimit        = 250
	valueLimit       = 500
)

// flatten lists the keys of a YAML document with their values as text, in the order of the document; keys without a
// value are left out.
func flatten(document string) ([]tag, error) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(document), &root); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if len(root.Content) == 0 {
		return nil, nil
	}
	var parameters []tag
	walk(root.Content[0], "", func(key, value string) {
		if value != "" {
			parameters = append(parameters, tag{allowed(key), shorten(value)})
		}
	})
	return parameters, nil
}

// walk visits the leaves below a node. A list is a leaf, written as in YAML.
func walk(node *yaml.Node, path string, visit func(key, value string)) {
	switch node.Kind {
	case yaml.MappingNode:
		if path != "" {
			path += "."
		}
		for pair := range slices.Chunk(node.Content, 2) {
			walk(pair[1], path+pair[0].Value, visit)
		}
	case yaml.SequenceNode:
		var elements []any
		if node.Decode(&elements) == nil {
			visit(path, fmt.Sprint(elements))
		}
	case yaml.ScalarNode:
		visit(path, node.Value)
	}
}

// shorten cuts a text at the limit, between two characters.
func shorten(text string) string {
	if len(text) <= valueLimit {
		return text
	}
	const mark = "…"
	end := valueLimit - len(mark)
	for end > 0 && text[end]&0xc0 == 0x80 { // inside a character
		end--
	}
	return text[:end] + mark
}
