package settings

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"

	"pretrain/internal/nearest"
)

// Source is everything that settings are read from, from the weakest to the strongest.
type Source struct {
	File        string     // name of the YAML file, for messages; empty = none
	Content     []byte     // of the file
	Prefix      string     // of the environment variables, for instance "PRETRAIN_"
	Environment []string   // NAME=VALUE; names without the prefix are ignored
	Reserved    []string   // variables with the prefix that are not settings
	Overrides   []Override // the last one wins
}

// Override is a setting given on the command line.
type Override struct{ Flag, Path, Value string }

// Load reads a source into the targets of the tree. Mistakes of the user come back together, as an *Error; the targets
// then hold what was right.
func (t *Tree) Load(source Source) error {
	l := &loader{tree: t, file: source.File}
	if source.File != "" {
		l.readFile(source.File, source.Content)
	}
	l.readEnvironment(source)
	l.readOverrides(source.Overrides)
	if err := l.resolve(); err != nil {
		return err
	}
	if len(l.problems) > 0 {
		return &Error{l.problems}
	}
	return nil
}

// loader collects the settings and problems of one Load.
type loader struct {
	tree     *Tree
	file     string
	settings []setting
	problems []Problem
}

// setting is a checked value of a key.
type setting struct {
	key    *Key
	value  any
	origin Origin
}

func (l *loader) report(problem Problem) { l.problems = append(l.problems, problem) }

// resolve lets viper put the layers over one another and stores the result in the targets. Names, types and ranges
// were checked before, since viper folds the case of names, converts types and ignores unknown variables.
func (l *loader) resolve() error {
	layers, file := viper.New(), viper.New()
	for _, key := range l.tree.keys {
		layers.SetDefault(key.Path, key.unset)
	}
	for _, s := range l.settings {
		if s.origin.Layer == File {
			file.Set(s.key.Path, s.value)
		} else {
			layers.Set(s.key.Path, s.value)
		}
		s.key.Origin = s.origin
	}
	if err := layers.MergeConfigMap(file.AllSettings()); err != nil {
		return err
	}
	for _, key := range l.tree.keys {
		key.field.Set(reflect.ValueOf(layers.Get(key.Path)))
	}
	return nil
}

// accept checks a value of a key and keeps it.
func (l *loader) accept(key *Key, value *yaml.Node, origin Origin) {
	decoded, err := decode(value, key.field.Type())
	if err == nil && key.rules.accepts(decoded) {
		l.settings = append(l.settings, setting{key, decoded.Interface(), origin})
		return
	}
	problem := Problem{Origin: origin, Path: key.Path, Value: written(value), Fault: "is out of range", Allowed: key.Allowed()}
	if key.rules.oneOf != nil {
		problem.Fault = "is unknown"
		problem.Nearest = nearest.Name(strings.ToLower(value.Value), key.rules.oneOf)
	}
	if err != nil {
		problem.Fault = err.Error()
	}
	l.report(problem)
}

// acceptText checks the text of a variable or flag and keeps it.
func (l *loader) acceptText(key *Key, text string, origin Origin) {
	l.tree.mention(key.Path)
	value, err := fromText(text, key.field.Type())
	if !utf8.ValidString(text) {
		err = errors.New("is not UTF-8 text") // YAML, in which a run records its settings, cannot hold it
	}
	if err != nil {
		l.report(Problem{Origin: origin, Path: key.Path, Value: shown(text), Fault: err.Error(), Allowed: key.Allowed()})
		return
	}
	l.accept(key, value, origin)
}

// Variable returns the environment variable of a key: data.cache_mib is PREFIX + DATA_CACHE_MIB.
func (k *Key) Variable(prefix string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(k.Path, ".", "_"))
}

// readEnvironment finds the settings among environment variables.
func (l *loader) readEnvironment(source Source) {
	keys, names := map[string]*Key{}, []string{}
	for _, key := range l.tree.keys {
		name := key.Variable(source.Prefix)
		keys[name] = key
		names = append(names, name)
	}
	for _, assignment := range slices.Sorted(slices.Values(source.Environment)) {
		name, value, _ := strings.Cut(assignment, "=")
		if !strings.HasPrefix(name, source.Prefix) || slices.Contains(source.Reserved, name) {
			continue
		}
		origin := Origin{Layer: Environment, Name: shown(name)}
		if key := keys[name]; key != nil {
			l.acceptText(key, value, origin)
			continue
		}
		meant := nearest.Name(strings.ToUpper(name), names)
		l.report(Problem{
			Origin: origin, Value: shown(value), Fault: "unknown variable", Nearest: meant,
			Allowed: source.Prefix + "SECTION_KEY for the key section.key; " + strings.Join(source.Reserved, ", "),
		})
	}
}

// readOverrides finds the settings among command-line flags.
func (l *loader) readOverrides(overrides []Override) {
	for _, override := range overrides {
		origin := Origin{Layer: Flag, Name: override.Flag}
		at := l.tree.find(override.Path)
		switch {
		case at == nil:
			l.report(l.unknownPath(override, origin))
		case at.key == nil:
			l.report(Problem{
				Origin: origin, Path: shown(override.Path), Value: shown(override.Value),
				Fault: "is a section: set one of its keys", Allowed: l.allowedNames(at),
			})
		default:
			l.acceptText(at.key, override.Value, origin)
		}
	}
}

// unknownPath describes an override of a key that does not exist, by the first of its names that is unknown.
func (l *loader) unknownPath(override Override, origin Origin) Problem {
	section, rest := l.tree.root, override.Path
	for {
		name, after, _ := strings.Cut(rest, ".")
		child := section.child(name)
		if child == nil || child.key != nil {
			break
		}
		section, rest = child, after
	}
	return Problem{
		Origin: origin, Path: shown(override.Path), Value: shown(override.Value), Fault: "unknown key",
		Allowed: l.allowedNames(section), Nearest: l.nearestKey(rest, section),
	}
}
