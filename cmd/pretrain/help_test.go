package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pretrain/configs"
)

// everyCommand calls visit with every command that users see, each in a tree of its own: parsing changes flags.
func everyCommand(t *testing.T, visit func(t *testing.T, command *cobra.Command)) {
	t.Helper()
	var walk func(path []string)
	walk = func(path []string) {
		command, _, err := program{}.root().Find(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.ReplaceAll(command.CommandPath(), " ", "_"), func(t *testing.T) { visit(t, command) })
		for _, child := range command.Commands() {
			walk(append(path[:len(path):len(path)], child.Name()))
		}
	}
	walk(nil)
}

// parses reports what is wrong with a command line: command, flags, arguments, what is required.
func parses(words []string) (*cobra.Command, error) {
	command, rest, err := program{}.root().Find(words)
	if err != nil {
		return nil, err
	}
	if err := command.ParseFlags(rest); err != nil {
		return command, err
	}
	if err := command.ValidateArgs(command.Flags().Args()); err != nil {
		return command, err
	}
	return command, command.ValidateRequiredFlags()
}

// commandLine is an example without what is for the shell: variables in front, and where the output goes.
func commandLine(example string) (variables, words []string) {
	example, _, _ = strings.Cut(example, " > ")
	for word := range strings.FieldsSeq(example) {
		if len(words) == 0 && strings.HasPrefix(word, configs.Prefix) {
			variables = append(variables, word)
		} else {
			words = append(words, word)
		}
	}
	return variables, words
}

// TestExamplesParse: what the help shows can be typed, and shows the command that it stands with.
func TestExamplesParse(t *testing.T) {
	everyCommand(t, func(t *testing.T, command *cobra.Command) {
		own := 0
		for example := range strings.Lines(command.Example) {
			variables, words := commandLine(example)
			if words[0] != "pretrain" {
				t.Fatalf("the example begins with %q", words[0])
			}
			meant, err := parses(words[1:])
			if err != nil {
				t.Errorf("%s: %v", strings.TrimSpace(example), err)
				continue
			}
			if strings.HasPrefix(meant.CommandPath(), command.CommandPath()) {
				own++
			}
			if _, err := configs.Load(configs.Source{Environment: variables}); err != nil {
				t.Errorf("%s: %v", strings.TrimSpace(example), err)
			}
		}
		if own == 0 {
			t.Error("no example is one of the command itself")
		}
	})
}

// flagExample is the example in a flag's explanation.
var flagExample = regexp.MustCompile(`for instance ([^,;(]*--[^;(]+)`)

// TestFlagExamplesParse: every flag is explained by an example that uses it and that its command takes.
func TestFlagExamplesParse(t *testing.T) {
	switches := map[string]bool{"resume": true, "overwrite": true, "help": true} // are their own examples
	everyCommand(t, func(t *testing.T, command *cobra.Command) {
		command.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			if switches[flag.Name] || flag.Hidden {
				return
			}
			found := flagExample.FindStringSubmatch(flag.Usage)
			if found == nil || !strings.Contains(found[1], "--"+flag.Name) {
				t.Errorf("--%s has no example of its own: %s", flag.Name, flag.Usage)
				return
			}
			again, _, err := program{}.root().Find(strings.Fields(command.CommandPath())[1:])
			if err != nil {
				t.Fatal(err)
			}
			if err := again.ParseFlags(strings.Fields(found[1])); err != nil || !again.Flags().Changed(flag.Name) {
				t.Errorf("--%s: the example %q is refused: %v", flag.Name, found[1], err)
			}
		})
	})
}

// TestSettingsInTheHelpAreSettings: every --set in a text for users names a key, with a value that it takes.
func TestSettingsInTheHelpAreSettings(t *testing.T) {
	setting := regexp.MustCompile(`--set ([a-z_.]+)=([^\s.,;]+(?:[.,][^\s.,;]+)*)`)
	seen := 0
	everyCommand(t, func(t *testing.T, command *cobra.Command) {
		texts := command.Long + "\n" + command.Example + "\n" + command.LocalFlags().FlagUsages()
		for _, found := range setting.FindAllStringSubmatch(texts, -1) {
			seen++
			override := configs.Override{Flag: "--set", Path: found[1], Value: found[2]}
			if found[2] == "DIR" {
				continue
			}
			if _, err := configs.Load(configs.Source{Overrides: []configs.Override{override}}); err != nil {
				t.Errorf("%s: %v", found[0], err)
			}
		}
	})
	if seen < 5 {
		t.Errorf("only %d settings were found in the help", seen)
	}
}

// TestHelpIsHelpInAllItsForms: -h, --help and the command help show the same, on standard output, and are no mistake.
func TestHelpIsHelpInAllItsForms(t *testing.T) {
	everyCommand(t, func(t *testing.T, command *cobra.Command) {
		words := strings.Fields(command.CommandPath())[1:]
		_, want, _ := call(nil, append(words[:len(words):len(words)], "--help")...)
		if !strings.Contains(want, "Usage:") || !strings.Contains(want, "Examples:") {
			t.Errorf("the help is\n%s", want)
		}
		for _, arguments := range [][]string{
			append(words[:len(words):len(words)], "-h"), append([]string{"help"}, words...),
		} {
			if code, got, stderr := call(nil, arguments...); code != exitSuccess || got != want || stderr != "" {
				t.Errorf("%q: exit code %d\n%s%s", arguments, code, got, stderr)
			}
		}
	})
}

// TestCompletion: a shell that asks gets names, and file names only where files are meant.
func TestCompletion(t *testing.T) {
	const noFiles, files, folders = ":4\n", ":0\n", ":16\n"
	for _, test := range []struct {
		words     []string
		offered   []string
		directive string
	}{
		{[]string{"tr"}, []string{"train\t"}, noFiles},
		{[]string{"config", ""}, []string{"check\t", "show\t", "schema\t"}, noFiles},
		{[]string{"train", ""}, configs.Recipes(), files},
		{[]string{"config", "show", ""}, configs.Recipes(), files},
		{[]string{"config", "check", "quickstart", ""}, nil, noFiles},
		{[]string{"train", "--ov"}, []string{"--overwrite\t"}, noFiles},
		{[]string{"eval", "run", "--features", ""}, []string{"pretrained", "random", "pixels"}, noFiles},
		{[]string{"bench", "--modes", ""}, []string{"train", "features"}, noFiles},
		{[]string{"bench", "--precisions", ""}, []string{"fp32", "bf16"}, noFiles},
		{[]string{"export", "run", "--format", ""}, []string{"safetensors"}, noFiles},
		{[]string{"extract", "run", "--data", ""}, nil, files},
		{[]string{"runs", ""}, nil, folders},
		{[]string{"runs", "one", ""}, nil, noFiles},
		{[]string{"compare", "one", "two", ""}, nil, folders},
		{[]string{"watch", ""}, nil, folders},
	} {
		code, stdout, _ := call(nil, append([]string{"__complete"}, test.words...)...)
		if code != exitSuccess || !strings.HasSuffix(stdout, test.directive) {
			t.Errorf("%q: exit code %d, want the directive %q:\n%s", test.words, code, test.directive, stdout)
		}
		for _, want := range test.offered {
			if !strings.Contains("\n"+stdout, "\n"+want) {
				t.Errorf("%q: %q is not offered:\n%s", test.words, want, stdout)
			}
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, stdout, _ := call(nil, "completion", shell); code != exitSuccess || !strings.Contains(stdout, "__complete") {
			t.Errorf("completion for %s: exit code %d, %d bytes", shell, code, len(stdout))
		}
	}
}

// brokenPipe is an output that takes nothing, such as a full disk.
type brokenPipe struct{ bytes.Buffer }

func (*brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

// TestOutputThatCannotBeWritten is a failure and no success with half a file.
func TestOutputThatCannotBeWritten(t *testing.T) {
	for _, words := range [][]string{
		{
			"config",
			"schema"}, {"config",
			"show"}, {"config",
			"check",
			"quickstart"}, {"tasks"}, {"backbones"}, {"version"}, {"sample",
			t.TempDir(),
		},
	} {
		var stderr bytes.Buffer
		code := execute(program{arguments: words, stdout: &brokenPipe{}, stderr: &stderr})
		if code != exitFailure || !strings.Contains(stderr.String(), errBroken.Error()) || strings.Contains(stderr.String(), "--help") {
			t.Errorf("%q: exit code %d, want %d\n%s", words, code, exitFailure, stderr.String())
		}
	}
}
