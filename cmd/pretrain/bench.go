package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"pretrain/bench"
	"pretrain/internal/memory"
	"pretrain/run"
	"pretrain/train"
)

// benchFlags are the flags of `pretrain bench`.
type benchFlags struct {
	options bench.Options
	report  string
	scaling bool
	check   bool // the table over CPU models
	row     string
}

func (p program) benchCommand() *cobra.Command {
	var f benchFlags
	command := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast the standard models train and make features on this machine",
		Long: `Measure training steps (forward, backward, optimizer) and the making of features of the standard models, on synthetic
pictures in memory. Each row is measured in a process of its own, so that its peak memory is its own.

A row's speed is that of the median step, of those that other processes left alone; a row marked "disturbed" had too
few of them and should be measured again. The share of peak is the arithmetic of the model (products only, none
counted twice) over what the registers of this processor compute at most, at this precision, with these threads. It is
cut off at 100 %: convolutions by Winograd's algorithm need fewer multiplications than are counted.

Models: ` + modelList() + `.`,
		Example: `  pretrain bench
  pretrain bench --models vit_t4_32,resnet18_c --modes train --seconds 20 --profile --json bench.json
  pretrain bench --scaling --seconds 3 --json scaling.json
  pretrain bench --calibrate`,
		Args: cobra.NoArgs,
		RunE: work(func(command *cobra.Command, _ []string) error {
			f.options.Kernels = run.Kernels()
			if f.row != "" {
				return p.benchRow(command, f.row)
			}
			if f.check {
				return p.calibrate(command, f)
			}
			return p.bench(command, f)
		}),
	}
	f.register(command)
	return command
}

// register adds the flags to the command.
func (f *benchFlags) register(command *cobra.Command) {
	flags := command.Flags()
	flags.StringSliceVar(&f.options.Models, "models", nil, "models to measure, for instance --models vit_t4_32,resnet50 (default all)")
	flags.StringSliceVar(&f.options.Modes, "modes", nil, "train, features or both, for instance --modes train (default both)")
	flags.StringSliceVar(&f.options.Precisions, "precisions", nil, "number formats, for instance --precisions fp32 (default all)")
	flags.IntVar(&f.options.Batch, "batch", 0, "pictures a step, for instance --batch 32 (default each model's own)")
	flags.Float64Var(&f.options.Seconds, "seconds", 10, "seconds that the steps of a row are timed, for instance --seconds 3")
	flags.IntVar(&f.options.Threads, "threads", 0, "compute threads, for instance --threads 1 (default all cores)")
	flags.BoolVar(&f.options.Profile, "profile", false, "measure besides where a step's time goes, per kind of operation, for instance --models resnet50 --profile")
	flags.BoolVar(&f.options.Recompute, "recompute", true, "compute cheap activations again in the backward pass, as train.recompute does, for instance --models vit_t4_32 --recompute=false")
	flags.BoolVar(&f.scaling, "scaling", false, "measure instead how cost grows with picture size, width, depth, batch and tasks, for instance --scaling --json scaling.json")
	flags.BoolVar(&f.check, "calibrate", false, "measure instead every kernel family of this machine, and check the table that chooses between them, for instance --calibrate --seconds 1")
	flags.StringVar(&f.report, "json", "", "`FILE` for the measurements, - for standard output, for instance --json bench.json")
	flags.StringVar(&f.row, bench.RowFlag, "", "measure one row, given as JSON, in this process")
	if err := flags.MarkHidden(bench.RowFlag); err != nil {
		panic(err) // the flag is there
	}
	complete(command, "models", bench.ModelNames()...)
	complete(command, "modes", bench.ModeNames()...)
	complete(command, "precisions", bench.PrecisionNames()...)
}

// modelList names the standard models with what they are.
func modelList() string {
	var models []string
	for _, model := range bench.Models() {
		models = append(models, fmt.Sprintf("%s (%s, batch %d)", model.Name, model.Summary, model.Batch))
	}
	return strings.Join(models, ", ")
}

// benchRow measures one row here, for the process that asked for it.
func (p program) benchRow(command *cobra.Command, text string) error {
	var spec bench.Spec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return train.Usage(fmt.Errorf("--%s: %w; it is for the program itself: see --models", bench.RowFlag, err))
	}
	row, err := bench.Measure(command.Context(), spec)
	if err != nil {
		return err
	}
	return json.NewEncoder(p.stdout).Encode(row)
}

// bench measures every row apart, and shows each when it is there.
func (p program) bench(command *cobra.Command, f benchFlags) error {
	measure, err := f.measurement(command)
	if err != nil {
		return err
	}
	report, err := p.openReport(f.report)
	if err != nil {
		return err
	}
	defer report.close()
	table := benchTable{out: report.table}
	measured, err := measure(table.row)
	if err != nil {
		return err
	}
	if err := printScaling(report.table, measured.Scaling); err != nil {
		return err
	}
	return report.finish(measured)
}

// measurement is what the flags ask for, checked and ready to begin.
func (f benchFlags) measurement(command *cobra.Command) (func(show func(bench.Row) error) (bench.Report, error), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	measure := bench.Apart(self)
	if f.scaling {
		err := leaveOut(command, "scaling", "has models, modes and batches of its own", "models", "modes", "batch", "profile", "recompute")
		return func(show func(bench.Row) error) (bench.Report, error) {
			return bench.Scale(command.Context(), f.options, measure, show)
		}, err
	}
	specs, err := f.options.Specs()
	return func(show func(bench.Row) error) (bench.Report, error) {
		return bench.Rows(command.Context(), specs, measure, show)
	}, err
}

// leaveOut refuses flags that a mode of a command would ignore.
func leaveOut(command *cobra.Command, mode, reason string, names ...string) error {
	var given []string
	for _, name := range names {
		if command.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if given == nil {
		return nil
	}
	return train.Usage(fmt.Errorf("--%s %s: leave out %s", mode, reason, strings.Join(given, " and ")))
}

// benchTable prints rows as they come.
type benchTable struct {
	out    io.Writer
	headed bool
}

const benchLine = "%-12s %-9s %-5s %6v %10v %8v %9v %10v  %s\n"

// row prints one row, under its heading if it is the first, and its profile if it has one.
func (t *benchTable) row(row bench.Row) error {
	if !t.headed {
		t.headed = true
		if _, err := fmt.Fprintf(t.out, benchLine, "MODEL", "MODE", "PREC", "BATCH", "IMAGES/S", "STEP MS", "OF PEAK", "PEAK MEM", "KERNELS"); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(t.out, benchLine, row.Model, row.Mode, row.Precision, row.Batch, fmt.Sprintf("%.1f", row.ImagesPerSecond),
		fmt.Sprintf("%.1f", 1000*row.StepSeconds), fmt.Sprintf("%.1f %%", 100*row.ShareOfPeak), memory.Text(row.PeakRSSBytes), row.Kernels+remark(row))
	if err != nil || len(row.Profile) == 0 {
		return err
	}
	return printProfile(t.out, row.Profile)
}

// remark tells what is changed in a row's model, and whether the row is to be believed.
func remark(row bench.Row) string {
	text := ""
	if row.Variant != nil {
		text += "  " + row.Variant.String()
	}
	if row.Disturbed {
		text += fmt.Sprintf("  disturbed: other processes kept %.1f cores busy; measure again", row.OtherCores)
	}
	return text
}

// printProfile writes where a step's time goes.
func printProfile(w io.Writer, rows []bench.ProfileRow) error {
	const line = "    %-26s %6v %10v %8v %10v %8v\n"
	if _, err := fmt.Fprintf(w, line, "OPERATION", "CALLS", "MS", "SHARE", "GFLOP/S", "GB/S"); err != nil {
		return err
	}
	for _, row := range rows {
		rate := ""
		if row.GFLOPsPerSecond > 0 {
			rate = fmt.Sprintf("%.0f", row.GFLOPsPerSecond)
		}
		_, err := fmt.Fprintf(w, line, row.Kind, fmt.Sprintf("%.0f", row.Calls), fmt.Sprintf("%.2f", 1000*row.Seconds),
			fmt.Sprintf("%.1f %%", 100*row.Share), rate, fmt.Sprintf("%.1f", row.GigabytesPerSecond))
		if err != nil {
			return err
		}
	}
	return nil
}

// printScaling writes the exponents, if they were measured.
func printScaling(w io.Writer, s *bench.Scaling) error {
	if s == nil {
		return nil
	}
	if _, err := fmt.Fprintf(w, "\ncost of a training step ~ number^exponent\n%-14s %-60s %6s %6s %6s\n", "NUMBER", "OF", "TIME", "FLOP", "ARENA"); err != nil {
		return err
	}
	for _, axis := range s.Axes {
		if _, err := fmt.Fprintf(w, "%-14s %-60s %6.2f %6.2f %6.2f\n", axis.Name, axis.Model, axis.Time.Exponent, axis.FLOPs.Exponent, axis.Memory.Exponent); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\nfour tasks in one step: %.1f ms; one after the other: %.1f ms (ratio %.2f)\n",
		1000*s.Together.StepSeconds, 1000*s.SumSeconds, s.Together.StepSeconds/s.SumSeconds)
	return err
}
