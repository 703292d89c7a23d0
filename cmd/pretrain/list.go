package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"pretrain/backbone"
	"pretrain/configs"
	"pretrain/pretext"
)

func (p program) tasksCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "tasks",
		Short:   "List the pretext tasks with their parameters and defaults",
		Long:    "List the pretext tasks. Their parameters are keys of the section tasks.NAME of a configuration.",
		Example: "  pretrain tasks",
		Args:    cobra.NoArgs,
		RunE: work(func(*cobra.Command, []string) error {
			for _, task := range pretext.Definitions() {
				fmt.Fprintf(p.stdout, "%s: %s\n  %s\n", task.Name, task.Summary, task.Citation)
				if err := printParameters(p.stdout, "tasks."+task.Name, task.Defaults()); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

func (p program) backbonesCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "backbones",
		Short:   "List the backbones with their parameters and defaults",
		Long:    "List the architectures that backbone.name takes, by family. Their parameters are keys of the section backbone.FAMILY.",
		Example: "  pretrain backbones",
		Args:    cobra.NoArgs,
		RunE: work(func(*cobra.Command, []string) error {
			for _, family := range backbone.Families() {
				fmt.Fprintf(p.stdout, "%s: %s\n", family.Name, family.Summary)
				for _, architecture := range family.Architectures {
					fmt.Fprintf(p.stdout, "  %s: %s\n    %s\n", architecture.Name, architecture.Summary, architecture.Citation)
				}
				if err := printParameters(p.stdout, "backbone."+family.Name, family.Defaults()); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

// printParameters writes a table of the keys of a section, and an empty line.
func printParameters(w io.Writer, section string, params any) error {
	parameters, err := configs.Parameters(params)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\n  KEY (in %s)\tDEFAULT\tALLOWED\tMEANING\n", section)
	for _, parameter := range parameters {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", parameter.Name, parameter.Default, parameter.Allowed, parameter.Doc)
	}
	fmt.Fprintln(table)
	return table.Flush()
}
