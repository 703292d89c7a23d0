package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"pretrain/configs"
)

func (p program) configCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "config",
		Short: "Check, show or describe configurations",
		Example: `  pretrain config check my.yaml
  pretrain config show quickstart > my.yaml
  pretrain config schema > pretrain.schema.json`,
	})
	command.AddCommand(p.checkCommand(), p.showCommand(), p.schemaCommand())
	return command
}

func (p program) checkCommand() *cobra.Command {
	var from sourceFlags
	command := &cobra.Command{
		Use:   "check CONFIG",
		Short: "Report every mistake in a configuration",
		Long: `Report every mistake in CONFIG, a YAML file or an embedded recipe, and in the PRETRAIN_ variables: where it is, what is
allowed and which key may have been meant. An empty data.path is no mistake here.`,
		Example: `  pretrain config check my.yaml
  pretrain config check my.yaml --data pictures --set train.epochs=10`,
		Args: one("CONFIG"),
		RunE: work(func(command *cobra.Command, arguments []string) error {
			resolved, err := configs.Load(from.source(p, command, arguments[0], configs.IfNamed))
			if err != nil {
				return err
			}
			c := resolved.Config
			_, err = fmt.Fprintf(p.stdout, "%s: no problems; %s learns from %s\n", arguments[0], c.Backbone.Name, strings.Join(c.ActiveTasks(), ", "))
			return err
		}),
	}
	from.register(command)
	return command
}

func (p program) showCommand() *cobra.Command {
	var from sourceFlags
	command := &cobra.Command{
		Use:   "show [CONFIG]",
		Short: "Print every key with its value and where that comes from",
		Long: `Print every key of CONFIG, a YAML file or an embedded recipe, with its value and, as a comment, the origin of the value:
default, file and line, variable or flag. Without CONFIG the defaults are shown. The output is a configuration itself.`,
		Example: `  pretrain config show
  pretrain config show quickstart > my.yaml
  PRETRAIN_TRAIN_SEED=2 pretrain config show my.yaml --set train.epochs=10`,
		Args: atMostOne("CONFIG"),
		RunE: work(func(command *cobra.Command, arguments []string) error {
			resolved, err := configs.Load(from.source(p, command, strings.Join(arguments, ""), configs.Unchecked))
			if err != nil {
				return err
			}
			return resolved.Print(p.stdout)
		}),
	}
	from.register(command)
	return command
}

func (p program) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of configurations, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of configuration files. With the YAML extension of many editors, a first line
"# yaml-language-server: $schema=pretrain.schema.json" turns on completion and checks.`,
		Example: `  pretrain config schema > pretrain.schema.json`,
		Args:    cobra.NoArgs,
		RunE: work(func(*cobra.Command, []string) error {
			schema, err := configs.Schema()
			if err != nil {
				return err
			}
			return writeJSON(p.stdout, schema)
		}),
	}
}
