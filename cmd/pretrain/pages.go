package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"pretrain/run"
)

func (p program) reportCommand() *cobra.Command {
	var options run.ReportOptions
	command := &cobra.Command{
		Use:   "report RUN...",
		Short: "Write what runs have recorded as one page: verdict, curves, pictures, probes of the layers",
		Long: `Write what a run has recorded as one HTML page that needs nothing else: a verdict in words, curves, gradient
conflicts, pictures of what the tasks see and answer, the probes of the layers if the run was evaluated, configuration,
machine and log. Several runs are shown side by side, with the differences of their configurations.

Every training leaves such a report in its directory; this command writes it anew, for instance after pretrain eval.`,
		Example: `  pretrain report runs/first
  pretrain report runs/first runs/second --out comparison.html --plots figures`,
		Args: func(_ *cobra.Command, arguments []string) error {
			if len(arguments) == 0 {
				return errors.New("RUN is missing: name one directory of a run, or several to compare them")
			}
			return nonEmpty("RUN", arguments)
		},
		RunE: work(func(_ *cobra.Command, arguments []string) error {
			options.Runs, options.Version = arguments, programVersion()
			written, problems, err := run.Report(options)
			for _, problem := range problems {
				fmt.Fprintf(p.stderr, "left out: %v\n", problem)
			}
			for _, file := range written {
				fmt.Fprintln(p.stdout, file)
			}
			return err
		}),
	}
	command.Flags().StringVar(&options.Out, "out", "", "`FILE` for the page, replaced if it is there, for instance --out report.html (default RUN/report.html)")
	command.Flags().StringVar(&options.Plots, "plots", "", "`DIR` for the curves as SVG and PNG, for papers and slides, for instance --plots figures")
	return command
}
