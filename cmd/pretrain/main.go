// Command pretrain turns a folder of unlabelled pictures into a trained backbone and its features.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"pretrain/configs"
	"pretrain/train"
)

// Exit codes. A command that was stopped by a signal exits with 128 and the number of the signal.
const (
	exitSuccess = 0
	exitFailure = 1
	exitUsage   = 2 // bad usage or configuration, found before any work
	exitSignal  = 128
)

// program is what a command gets from its surroundings.
type program struct {
	name           string   // by which it was called
	arguments      []string // behind the name
	environment    []string // NAME=VALUE
	stdout, stderr io.Writer
	terminal       bool                       // stderr is one
	errColumns     func() int                 // of stderr, if that is a terminal
	size           func() (columns, rows int) // of stdout; nil where it is no terminal that can be drawn on
}

func main() {
	p := program{
		name: os.Args[0], arguments: os.Args[1:], environment: os.Environ(),
		stdout: os.Stdout, stderr: os.Stderr, terminal: isTerminal(os.Stderr),
		errColumns: func() int { columns, _ := sizeOf(os.Stderr)(); return columns },
	}
	if isTerminal(os.Stdout) {
		p.size = sizeOf(os.Stdout)
	}
	os.Exit(execute(p))
}

// isTerminal reports whether a file is a terminal that moves its cursor when told to.
func isTerminal(file *os.File) bool {
	return term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
}

// sizeOf measures a terminal; 0 where it does not tell.
func sizeOf(file *os.File) func() (columns, rows int) {
	return func() (columns, rows int) {
		columns, rows, err := term.GetSize(int(file.Fd()))
		if err != nil {
			return 0, 0
		}
		return columns, rows
	}
}

// execute runs the command that the arguments name and returns the exit code.
func execute(p program) int {
	ctx, stop := untilSignal(context.Background())
	defer stop()
	output := &output{Writer: p.stdout}
	p.stdout = output
	root := p.root()
	root.SetArgs(p.arguments)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil && output.err != nil {
		err = workError{fmt.Errorf("standard output: %w", output.err)}
	}
	if err == nil {
		return exitSuccess
	}
	code := exitCode(ctx, err)
	if stopped := (*signalError)(nil); code > exitSignal && !errors.As(err, &stopped) {
		err = workError{context.Cause(ctx)} // what was cut short says "context canceled"
	}
	fmt.Fprintf(p.stderr, "pretrain: %v\n", err)
	if !isWork(err) {
		fmt.Fprintf(p.stderr, "Run '%s --help' for the arguments and flags.\n", command.CommandPath())
	}
	return code
}

// output remembers that something could not be written to it, so that no command succeeds whose output was lost on the
// way, for instance to a full disk.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.Writer.Write(p)
	o.err = err
	return n, err
}

// exitCode is the only place that turns errors into exit codes.
func exitCode(ctx context.Context, err error) int {
	var stopped *signalError
	var badUsage *train.UsageError
	var badConfig *configs.Error
	switch {
	case errors.As(err, &stopped):
		return exitSignal + int(stopped.signal)
	case errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &stopped):
		return exitSignal + int(stopped.signal)
	case !isWork(err), errors.As(err, &badUsage), errors.As(err, &badConfig):
		return exitUsage
	}
	return exitFailure
}

// workError is an error of a command's work; errors without this mark are cobra's, about arguments and flags.
type workError struct{ error }

func (e workError) Unwrap() error { return e.error }

func isWork(err error) bool {
	var work workError
	return errors.As(err, &work)
}

// work marks the errors of a command's work, which begins when no flag is empty that may not be.
func work(run func(command *cobra.Command, arguments []string) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, arguments []string) error {
		if err := checkFilled(command); err != nil {
			return err
		}
		if err := run(command, arguments); err != nil {
			return workError{err}
		}
		return nil
	}
}

// root is the tree of commands.
func (p program) root() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "pretrain",
		Short: "Turn a folder of unlabelled pictures into a trained backbone and its features",
		Long: `pretrain learns visual features from unlabelled pictures by self-supervised pretext tasks, on ordinary CPUs.

A run is one YAML file: a backbone, any weighted set of tasks, an optimizer. Values can be overridden by
environment variables (data.cache_mib is PRETRAIN_DATA_CACHE_MIB) and by --set data.cache_mib=512; flags win over
variables, variables over the file, the file over the defaults.

Exit codes: 0 success; 1 failure; 2 bad usage or configuration, before any work; 130 or 143 after SIGINT or SIGTERM.`,
		Example: strings.TrimRight(`  pretrain train quickstart --data pictures --out runs/first
  pretrain eval runs/first --train labelled/train --test labelled/test
  pretrain extract runs/first --data pictures --out features.npy`, "\n"),
		SilenceUsage:  true,
		SilenceErrors: true,
	})
	root.AddCommand(
		p.trainCommand(), p.watchCommand(), p.runsCommand(), p.compareCommand(), p.reportCommand(),
		p.evalCommand(), p.extractCommand(), p.exportCommand(), p.importCommand(), p.configCommand(),
		p.searchCommand(), p.dedupeCommand(), p.mapCommand(), p.lookCommand(),
		p.tasksCommand(), p.backbonesCommand(), p.benchCommand(), p.sampleCommand(), p.versionCommand(),
	)
	return root
}

// group makes a command that only holds other commands: alone it shows its help, and an unknown name below it is a
// mistake, where cobra would show the help and report success.
func group(command *cobra.Command) *cobra.Command {
	command.Args = func(command *cobra.Command, arguments []string) error {
		if len(arguments) == 0 {
			return nil
		}
		message := fmt.Sprintf("unknown command %q for %q", arguments[0], command.CommandPath())
		if meant := command.SuggestionsFor(arguments[0]); len(meant) > 0 {
			message += "; did you mean " + strings.Join(meant, " or ") + "?"
		}
		return errors.New(message)
	}
	command.SuggestionsMinimumDistance = 2
	command.RunE = func(command *cobra.Command, _ []string) error { return command.Help() }
	return command
}
