package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pretrain/configs"
)

// sourceFlags are the flags of every command that reads a configuration.
type sourceFlags struct {
	data string
	set  settingsFlag
}

func (f *sourceFlags) register(command *cobra.Command) {
	command.Flags().StringVar(&f.data, "data", "", "folder of pictures, or a list file; the same as --set data.path=`DIR`, for instance --data pictures/train")
	command.Flags().Var(&f.set, "set", "override one key of the configuration, may be given many times, for instance --set train.epochs=10 --set data.mean=0.5,0.5,0.5")
	command.ValidArgsFunction = completeConfig
}

// source is the configuration that a command is asked for.
func (f *sourceFlags) source(p program, command *cobra.Command, name string, pictures configs.Pictures) configs.Source {
	overrides := []configs.Override(f.set)
	if command.Flags().Changed("data") {
		overrides = append(overrides, configs.Override{Flag: "--data", Path: "data.path", Value: f.data})
	}
	return configs.Source{Name: name, Environment: p.environment, Overrides: overrides, Pictures: pictures}
}

// settingsFlag collects --set KEY=VALUE in the order of the command line.
type settingsFlag []configs.Override

// Set takes one KEY=VALUE.
func (f *settingsFlag) Set(text string) error {
	path, value, found := strings.Cut(text, "=")
	if !found || path == "" {
		return errors.New("want KEY=VALUE, for instance train.epochs=10")
	}
	*f = append(*f, configs.Override{Flag: "--set", Path: strings.TrimSpace(path), Value: value})
	return nil
}

// String shows the flag's default.
func (f *settingsFlag) String() string { return "" }

// Type names the flag's value in the help.
func (f *settingsFlag) Type() string { return "KEY=VALUE" }

// one wants exactly one argument.
func one(name string) cobra.PositionalArgs {
	return func(command *cobra.Command, arguments []string) error {
		if len(arguments) == 0 {
			return fmt.Errorf("the argument %s is missing", name)
		}
		return atMostOne(name)(command, arguments)
	}
}

// atMostOne wants one argument or none. An empty one is most likely a variable that is not set in the user's shell, and
// must not stand for something else.
func atMostOne(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, arguments []string) error {
		switch {
		case len(arguments) > 1:
			return fmt.Errorf("only one argument %s is wanted, got %q too", name, arguments[1:])
		case len(arguments) == 1 && arguments[0] == "":
			return fmt.Errorf("the argument %s is empty", name)
		}
		return nil
	}
}

// nonEmpty refuses an empty one among several arguments, as atMostOne does.
func nonEmpty(name string, arguments []string) error {
	if slices.Contains(arguments, "") {
		return fmt.Errorf("an argument %s is empty", name)
	}
	return nil
}

// completeConfig offers the recipes and the YAML files.
func completeConfig(_ *cobra.Command, arguments []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(arguments) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return configs.Recipes(), cobra.ShellCompDirectiveDefault
}
