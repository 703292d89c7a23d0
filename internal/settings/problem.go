package settings

import (
	"fmt"
	"strings"
)

// Layer is a kind of source. Later layers win over earlier ones.
type Layer int

// The layers, from the weakest to the strongest.
const (
	Default Layer = iota
	File
	Environment
	Flag
)

// Origin is where a value was written.
type Origin struct {
	Layer Layer
	Name  string // file, variable or flag
	Line  int    // of the file, from 1; 0 = unknown
}

// String gives "default", "FILE:LINE", the variable or the flag.
func (o Origin) String() string {
	switch {
	case o.Layer == Default:
		return "default"
	case o.Layer == File && o.Line > 0:
		return fmt.Sprintf("%s:%d", o.Name, o.Line)
	}
	return o.Name
}

// Problem is one mistake of the user.
type Problem struct {
	Origin  Origin
	Path    string // YAML path; empty when the whole source is meant
	Value   string // as written; empty when there is none to show
	Fault   string // what is wrong, for instance "unknown key"
	Allowed string // what would be right
	Nearest string // the nearest name that exists; empty when names are not the matter
}

// String puts the problem on one line: origin, path, value, fault, remedy.
func (p Problem) String() string {
	var line strings.Builder
	if p.Origin.Layer != Default {
		line.WriteString(p.Origin.String())
	}
	if p.Path != "" {
		separate(&line, ": ", p.Path)
	}
	if p.Value != "" {
		separate(&line, " = ", p.Value)
	}
	separate(&line, ": ", p.Fault)
	if p.Nearest != "" {
		fmt.Fprintf(&line, "; did you mean %s?", p.Nearest)
	}
	if p.Allowed != "" {
		fmt.Fprintf(&line, " (allowed: %s)", p.Allowed)
	}
	return line.String()
}

// separate appends text, after the separator unless it is the first.
func separate(line *strings.Builder, separator, text string) {
	if line.Len() > 0 {
		line.WriteString(separator)
	}
	line.WriteString(text)
}

// Error is every problem that was found, in the order file, environment, flags.
type Error struct{ Problems []Problem }

// Error lists one problem a line.
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	if len(e.Problems) != 1 {
		lines = append(lines, fmt.Sprintf("the configuration has %d problems:", len(e.Problems)))
	}
	for _, problem := range e.Problems {
		lines = append(lines, problem.String())
	}
	return strings.Join(lines, "\n  ")
}
