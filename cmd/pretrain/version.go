package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"pretrain/run"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version string

// programVersion is what the linker was told, or the commit that Go has stamped into the binary, or "development".
func programVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "development"
	}
	commit, changed := "", ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			commit = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			changed = "+changes"
		}
	}
	if commit == "" {
		return "development"
	}
	return commit[:min(12, len(commit))] + changed
}

func (p program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of the program, of Go, and the kernels that this machine runs",
		Example: "  pretrain version",
		Args:    cobra.NoArgs,
		RunE: work(func(*cobra.Command, []string) error {
			machine, err := run.ThisMachine()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "pretrain %s, %s, %s/%s\nkernels %s on %s (also here: %s)\n", programVersion(), runtime.Version(),
				runtime.GOOS, runtime.GOARCH, machine.Kernels, machine.CPU, strings.Join(machine.Others, ", "))
			return err
		}),
	}
}
