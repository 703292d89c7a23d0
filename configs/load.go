package configs

import (
	"errors"
	"io"
	"strings"

	"github.com/invopop/jsonschema"

	"pretrain/internal/settings"
	"pretrain/pretext"
)

// Prefix of the environment variables that are settings: PRETRAIN_DATA_CACHE_MIB is data.cache_mib.
const Prefix = "PRETRAIN_"

// reserved variables are not settings: PRETRAIN_KERNELS chooses the kernel family.
var reserved = []string{"PRETRAIN_KERNELS"}

// Override is a setting from the command line.
type Override = settings.Override

// Error holds every problem of a configuration.
type Error = settings.Error

// Problem is one mistake in a configuration.
type Problem = settings.Problem

// Source is where a configuration comes from. Defaults give way to the file, the file to variables, variables to
// overrides.
type Source struct {
	Name        string     // a recipe or a file; empty = the defaults alone
	Environment []string   // NAME=VALUE, as os.Environ gives them; nil = none
	Overrides   []Override // the last one wins
	Pictures    Pictures   // what is asked of the folders of pictures
}

// Pictures says what is asked of the folders of pictures that a configuration names.
type Pictures int

// A run that is only read need not find its pictures; a recipe need not name any; training needs them.
const (
	Unchecked Pictures = iota
	IfNamed            // those that are named must exist
	Required           // data.path must be named too
)

// Resolved is a configuration without problems, together with the origin of each of its values.
type Resolved struct {
	Config *Config
	tree   *settings.Tree
}

// Load reads and checks a configuration. All mistakes are reported at once, as an *Error.
func Load(source Source) (*Resolved, error) {
	if source.Name == "" {
		return parse(source, "", nil)
	}
	file, content, err := read(source.Name)
	if err != nil {
		return nil, err
	}
	return parse(source, file, content)
}

// parse is Load with the file read: its name, for messages, and its content.
func parse(source Source, file string, content []byte) (*Resolved, error) {
	config := Default()
	tree, err := config.tree()
	if err != nil {
		return nil, err
	}
	from := settings.Source{
		File: file, Content: content,
		Prefix: Prefix, Environment: source.Environment, Reserved: reserved, Overrides: source.Overrides,
	}
	resolved := &Resolved{config, tree}
	problems, err := problemsOf(tree.Load(from))
	if err != nil {
		return nil, err
	}
	if file != "" {
		resolved.switchOffAbsentTasks()
	}
	if problems = append(problems, resolved.check(source, problems)...); len(problems) > 0 {
		return nil, &Error{Problems: problems}
	}
	return resolved, nil
}

// problemsOf takes the list out of an *Error; any other error stays one.
func problemsOf(err error) ([]Problem, error) {
	var found *Error
	if errors.As(err, &found) {
		return found.Problems, nil
	}
	return nil, err
}

// switchOffAbsentTasks gives weight 0 to the tasks of which no source says anything.
func (r *Resolved) switchOffAbsentTasks() {
	for _, task := range pretext.Definitions() {
		if path := "tasks." + task.Name; !r.tree.Mentioned(path) {
			r.tree.Key(path + ".weight").SetDefault(0.0)
		}
	}
}

// Print writes every key with its value and, as a comment, its origin: YAML that loads to the same configuration.
func (r *Resolved) Print(w io.Writer) error { return r.tree.Print(w) }

// YAML is what Print writes.
func (r *Resolved) YAML() (string, error) {
	var text strings.Builder
	err := r.Print(&text)
	return text.String(), err
}

// Origin says where the value of a key comes from: "default", FILE:LINE, a variable or a flag.
func (r *Resolved) Origin(path string) string {
	if key := r.tree.Key(path); key != nil {
		return key.Origin.String()
	}
	return ""
}

// Schema describes the configuration file as a JSON Schema (draft 2020-12).
func Schema() (*jsonschema.Schema, error) {
	tree, err := Default().tree()
	if err != nil {
		return nil, err
	}
	return tree.Schema("", "Configuration of a pretrain run"), nil
}

// A Parameter is one key of a registered task or backbone family, for listings.
type Parameter struct{ Name, Default, Allowed, Doc string }

// Parameters describes the keys of a struct of parameters, such as pretext.Definition.Defaults returns.
func Parameters(params any) ([]Parameter, error) {
	tree, err := settings.NewTree([]settings.Section{{Path: "parameters", Target: params}})
	if err != nil {
		return nil, err
	}
	var all []Parameter
	for _, key := range tree.Keys() {
		value, err := key.Literal()
		if err != nil {
			return nil, err
		}
		all = append(all, Parameter{strings.TrimPrefix(key.Path, "parameters."), value, key.Allowed(), key.Doc})
	}
	return all, nil
}
