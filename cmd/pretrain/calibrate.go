package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"pretrain/bench"
	"pretrain/train"
)

// calibrationSeconds is how long each product of each family is measured.
const calibrationSeconds = 0.5

// calibrate checks the table over CPU models, and shows what it found.
func (p program) calibrate(command *cobra.Command, f benchFlags) error {
	err := leaveOut(command, "calibrate", "measures kernels, not models",
		"models", "modes", "precisions", "batch", "threads", "profile", "recompute", "scaling")
	if err != nil {
		return err
	}
	seconds := calibrationSeconds
	if command.Flags().Changed("seconds") {
		seconds = f.options.Seconds
	}
	if err := bench.CheckSeconds(seconds); err != nil {
		return train.Usage(err)
	}
	report, err := p.openReport(f.report)
	if err != nil {
		return err
	}
	defer report.close()
	rows := bench.Calibrate(seconds)
	if err := showCalibration(report.table, rows); err != nil {
		return err
	}
	return report.finish(map[string]any{"calibration": rows})
}

// showCalibration prints the table and what follows from it.
func showCalibration(out io.Writer, rows []bench.CalibrationRow) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KERNELS\tFP32 GFLOP/S\tBF16 GFLOP/S\tTABLE")
	wrong := false
	for _, row := range rows {
		verdict := "right"
		if !row.Agrees {
			verdict, wrong = "wrong here", true
		}
		if row.Preferred {
			verdict = "preferred, " + verdict
		}
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%s\n", row.Kernels, row.Float32, row.BFloat16, verdict)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if wrong {
		_, err := fmt.Fprintln(out, "\nThe table chooses slower kernels than this machine has. Repeat this on an idle machine; if it stays so, set\nPRETRAIN_KERNELS to the fastest, for whole runs, and report this CPU.")
		return err
	}
	return nil
}
