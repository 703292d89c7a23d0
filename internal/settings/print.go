package settings

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Print writes every key with its value, and its origin as a comment. The result is YAML that loads back to the same
// values.
func (t *Tree) Print(w io.Writer) error {
	out := bufio.NewWriter(w)
	if err := printSection(out, t.root, ""); err != nil {
		return err
	}
	return out.Flush()
}

func printSection(out *bufio.Writer, section *node, indent string) error {
	for _, child := range section.children {
		if child.key == nil {
			fmt.Fprintf(out, "%s%s:\n", indent, child.name)
			if err := printSection(out, child, indent+"  "); err != nil {
				return err
			}
			continue
		}
		value, err := child.key.Literal()
		if err != nil {
			return fmt.Errorf("print %s: %w", child.path, err)
		}
		fmt.Fprintf(out, "%s%s: %s  # %s\n", indent, child.name, value, oneLine(child.key.Origin.String()))
	}
	return nil
}

// oneLine keeps a name with control characters from breaking out of its comment.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// literal writes a value of a supported type as YAML on one line.
func literal(value reflect.Value) (string, error) {
	switch value.Kind() {
	case reflect.Slice, reflect.Array:
		parts := make([]string, value.Len())
		for i := range parts {
			part, err := literal(value.Index(i))
			if err != nil {
				return "", err
			}
			parts[i] = part
		}
		return "[" + strings.Join(parts, ", ") + "]", nil
	case reflect.Float64:
		return floatLiteral(value.Float()), nil
	case reflect.String:
		return textLiteral(value.String())
	}
	return fmt.Sprint(value.Interface()), nil
}

// floatLiteral is the shortest decimal that reads back to the same number. YAML 1.1 readers take 1e-06 for a text,
// 1.0e-06 for a number.
func floatLiteral(value float64) string {
	text := strconv.FormatFloat(value, 'g', -1, 64)
	if mantissa, exponent, found := strings.Cut(text, "e"); found && !strings.Contains(mantissa, ".") {
		return mantissa + ".0e" + exponent
	}
	return text
}

// harmless texts mean the same inside and outside a list, unless YAML takes them for something else than a text.
var harmless = regexp.MustCompile(`^[A-Za-z_/.][A-Za-z0-9_/.-]*$`)

// textLiteral quotes a text unless it is a plain word or path.
func textLiteral(text string) (string, error) {
	value := yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if !harmless.MatchString(text) {
		value.Style = yaml.DoubleQuotedStyle
	}
	encoded, err := yaml.Marshal(&value)
	return strings.TrimSuffix(string(encoded), "\n"), err
}
