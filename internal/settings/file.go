package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"pretrain/internal/nearest"
)

// readFile finds the settings of a YAML file.
func (l *loader) readFile(name string, content []byte) {
	document, problem := parse(name, content)
	if problem != nil {
		l.report(*problem)
		return
	}
	l.file = name
	l.readSection(document, l.tree.root)
}

// parse reads the one YAML document of a file.
func parse(name string, content []byte) (*yaml.Node, *Problem) {
	at := func(line int, fault, allowed string) *Problem {
		return &Problem{Origin: Origin{File, name, line}, Fault: fault, Allowed: allowed}
	}
	if line := invalidUTF8(content); line > 0 {
		return nil, at(line, "the file is not UTF-8 text", "YAML in UTF-8")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, at(0, "the file is empty", "a YAML section")
	case err != nil:
		line, fault := explainSyntax(content, err)
		return nil, at(line, fault, "")
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, at(second.Line, "a second YAML document begins here", "one document a file")
	case !errors.Is(err, io.EOF):
		line, fault := explainSyntax(content, err)
		return nil, at(line, fault, "")
	}
	return document.Content[0], nil
}

// invalidUTF8 returns the number of the first line that is not UTF-8, 0 if all are.
func invalidUTF8(content []byte) int {
	if utf8.Valid(content) {
		return 0
	}
	line := 1
	for text := range bytes.Lines(content) {
		if !utf8.Valid(text) {
			break
		}
		line++
	}
	return line
}

var yamlErrorLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// explainSyntax turns an error of the YAML parser into a line number and a sentence. The parser's word for a tab is
// hard to understand, so a tab in front of a line is named as such.
func explainSyntax(content []byte, err error) (int, string) {
	number := 0
	for text := range bytes.Lines(content) {
		number++
		indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
		if bytes.ContainsRune(indent, '\t') {
			return number, "the line is indented with a tab: YAML wants spaces"
		}
	}
	fault, line := err.Error(), 0
	if match := yamlErrorLine.FindStringSubmatch(fault); match != nil {
		line, _ = strconv.Atoi(match[1])
		fault = fault[len(match[0]):]
	}
	return line, "not valid YAML: " + strings.TrimPrefix(fault, "yaml: ")
}

// isReference reports whether a value leans on an anchor. Anchors would hide where a value comes from.
func isReference(value *yaml.Node) bool {
	return value.Kind == yaml.AliasNode || value.Anchor != ""
}

// readSection reads a YAML mapping as a section. An empty one ("rotation:" with nothing below) is the section with
// its defaults.
func (l *loader) readSection(value *yaml.Node, section *node) {
	origin := Origin{File, l.file, value.Line}
	switch {
	case isReference(value):
		l.report(l.reference(value, section.path))
	case value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null":
	case value.Kind != yaml.MappingNode:
		l.report(Problem{
			Origin: origin, Path: section.path, Value: written(value), Fault: "is " + kindOf(value) + ", not a section",
			Allowed: "the keys " + strings.Join(section.names(), ", "),
		})
	default:
		l.readPairs(value.Content, section)
	}
}

// readPairs reads the names and values of a section.
func (l *loader) readPairs(pairs []*yaml.Node, section *node) {
	lines := map[string]int{}
	for i := 0; i < len(pairs); i += 2 {
		name, value := pairs[i], pairs[i+1]
		if first, seen := lines[name.Value]; seen {
			l.report(Problem{
				Origin: Origin{File, l.file, name.Line}, Path: section.join(written(name)), Value: written(value),
				Fault: fmt.Sprintf("the key is already in line %d", first), Allowed: "every key once",
			})
			continue
		}
		lines[name.Value] = name.Line
		l.readPair(name, value, section)
	}
}

// readPair reads one name and its value.
func (l *loader) readPair(name, value *yaml.Node, section *node) {
	origin := Origin{File, l.file, name.Line}
	if isReference(name) || name.ShortTag() == "!!merge" {
		l.report(l.reference(name, section.join(written(name))))
		return
	}
	child := section.child(name.Value)
	if name.Kind != yaml.ScalarNode || child == nil {
		l.report(Problem{
			Origin: origin, Path: section.join(written(name)), Value: written(value), Fault: "unknown key",
			Allowed: l.allowedNames(section), Nearest: l.nearestKey(name.Value, section),
		})
		return
	}
	l.tree.mention(child.path)
	if child.key == nil {
		l.readSection(value, child)
		return
	}
	if isReference(value) {
		l.report(l.reference(value, child.path))
		return
	}
	l.accept(child.key, value, origin)
}

func (l *loader) reference(value *yaml.Node, path string) Problem {
	return Problem{
		Origin: Origin{File, l.file, value.Line}, Path: path,
		Fault: "anchors, aliases and merges are not supported", Allowed: "the value itself, written out",
	}
}

// allowedNames lists the names of a section.
func (l *loader) allowedNames(section *node) string {
	where := "in " + section.path
	if section.path == "" {
		where = "at the top"
	}
	return where + ": " + strings.Join(section.names(), ", ")
}

// nearestKey returns the path that an unknown name in a section, or several with dots between them, most likely means: a
// key of just this name in another section, a sibling that is a slip of the finger away or, of several names, such a key.
func (l *loader) nearestKey(name string, section *node) string {
	const misspelt = 2 // edits of a path
	name = strings.ToLower(name)
	first, _, nested := strings.Cut(name, ".")
	sibling := section.join(nearest.Name(first, section.names()))
	if section.join(name) == sibling {
		return sibling // upper case is wrong, and nothing else
	}
	var paths []string
	for _, key := range l.tree.keys {
		if strings.HasSuffix("."+key.Path, "."+name) {
			return key.Path
		}
		paths = append(paths, key.Path)
	}
	whole := section.join(name)
	if path := nearest.Name(whole, paths); nested && nearest.Distance(whole, path) <= misspelt {
		return path
	}
	return sibling
}
