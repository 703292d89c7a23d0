package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pretrain/train"
	"pretrain/watch"
)

func (p program) watchCommand() *cobra.Command {
	var once bool
	var every time.Duration
	command := &cobra.Command{
		Use:   "watch RUN|ADDRESS",
		Short: "Show a run live in the terminal, from its directory or from the address of its metrics",
		Long: `Show a run live: progress, the loss of every task, speed, waiting for data, online probes. RUN is the directory of a
run, ADDRESS the host:port or URL that a run serves its metrics at, on this machine or another.

The picture is redrawn in place and follows the size of the terminal; without a terminal there is a line of text every ten
seconds. It ends when the run has finished (exit code 0) or failed (1), or with Ctrl-C (130), which does not touch the
run. One that was interrupted or killed is waited for until somebody resumes it. Colours are left out if NO_COLOR is set.`,
		Example: `  pretrain watch runs/first
  pretrain watch runs/first --once
  pretrain watch 127.0.0.1:9464 --every 5s`,
		Args: one("RUN or ADDRESS"),
		RunE: work(func(command *cobra.Command, arguments []string) error {
			if every < 100*time.Millisecond {
				return train.Usage(fmt.Errorf("--every %v: must be at least 100ms", every))
			}
			source, err := watched(arguments[0])
			if err != nil {
				return err
			}
			if once {
				return watch.Once(command.Context(), source, p.screen())
			}
			return watch.Run(command.Context(), source, p.screen(), every)
		}),
		ValidArgsFunction: completeDirectories(1),
	}
	command.Flags().BoolVar(&once, "once", false, "show the run as it is now and end, for instance --once")
	command.Flags().DurationVar(&every, "every", time.Second, "time between two looks, for instance --every 5s")
	return command
}

// watched takes what exists for a directory, and what has a port or a scheme for an address.
func watched(argument string) (watch.Source, error) {
	_, err := os.Stat(argument)
	if err == nil {
		return watch.Directory(argument)
	}
	_, port, notAddress := net.SplitHostPort(argument)
	if strings.Contains(argument, "://") || notAddress == nil && port != "" {
		return watch.Address(argument)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, train.Usage(fmt.Errorf("%q is neither the directory of a run nor an address: "+
			"name what `pretrain train --out` was given, or host:port", argument))
	}
	return nil, train.Usage(fmt.Errorf("run directory: %w", err))
}

// screen is standard output.
func (p program) screen() watch.Screen {
	return watch.Screen{Out: p.stdout, Size: p.size, Colour: p.size != nil && !p.has("NO_COLOR")}
}

// has reports whether a variable of the environment is there and not empty.
func (p program) has(name string) bool {
	for _, variable := range p.environment {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value != ""
		}
	}
	return false
}

// usualColumns is how wide tables are where there is no terminal.
const usualColumns = 100

// columns is the width of standard output.
func (p program) columns() int {
	if p.size != nil {
		if columns, _ := p.size(); columns > 0 {
			return columns
		}
	}
	return usualColumns
}
