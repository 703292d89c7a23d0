package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pretrain/history"
	"pretrain/internal/terminal"
	"pretrain/metrics"
)

func (p program) runsCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "runs DIR",
		Short: "List the runs in a folder: state, step, losses, probe, speed, last checkpoint",
		Long: fmt.Sprintf(`List the runs in DIR and in the folders down to %d below it.

STATE is that of run.json, except that a run whose process is gone is called killed, and one that has been silent for far
longer than usual, where nobody can tell whether its process is gone, stopped?. LOSSES are those of the tasks in the last
line of metrics.jsonl, or their weighted sum where the line has no room. PROBE is the best accuracy of an online probe,
else of a layer that eval chose. PICS/S, pictures a second, is the median over the run.
CHECKPOINT is the step of the newest one and its age. A directory that cannot be read is one line, with
the reason.`, history.Depth),
		Example: `  pretrain runs runs
  pretrain runs runs --json`,
		Args: one("DIR"),
		RunE: work(func(_ *cobra.Command, arguments []string) error {
			found, err := history.Find(arguments[0])
			if err != nil {
				return err
			}
			now := time.Now()
			var summaries []history.Summary
			for _, f := range found {
				summaries = append(summaries, f.Summarise(now))
			}
			if asJSON {
				return writeJSON(p.stdout, summaries)
			}
			return printRuns(p.stdout, summaries, now, p.columns())
		}),
		ValidArgsFunction: completeDirectories(1),
	}
	command.Flags().BoolVar(&asJSON, "json", false,
		"print the runs as JSON, with all that is known of each, for instance --json")
	return command
}

// printRuns writes a table of at most so many columns, names shortened, and below it why a state is what it is.
func printRuns(w io.Writer, summaries []history.Summary, now time.Time, columns int) error {
	table := terminal.Table(runRows(summaries, now, true), 0, columns)
	if widest(table) > columns { // the losses of all tasks have no room
		table = terminal.Table(runRows(summaries, now, false), 0, columns)
	}
	var reasons strings.Builder
	for _, s := range summaries {
		for _, reason := range append([]string{s.Why}, s.Problems...) {
			if reason != "" {
				fmt.Fprintf(&reasons, "%s: %s\n", terminal.Clean(s.Name), terminal.Clean(reason))
			}
		}
	}
	if reasons.Len() > 0 {
		table += "\n"
	}
	_, err := io.WriteString(w, table+reasons.String())
	return err
}

func widest(text string) int {
	most := 0
	for line := range strings.Lines(text) {
		most = max(most, terminal.Width(strings.TrimSuffix(line, "\n")))
	}
	return most
}

// runRows is the table with the loss of each task or, if not all, with their sum.
func runRows(summaries []history.Summary, now time.Time, all bool) [][]string {
	heading := "LOSS"
	if all {
		heading = "LOSSES"
	}
	rows := [][]string{{"RUN", "STATE", "STEP", heading, "PROBE", "PICS/S", "CHECKPOINT"}}
	for _, s := range summaries {
		rows = append(rows, []string{
			terminal.Clean(s.Name), s.State, stepsText(s), lossesText(s, all), probeText(s.Probe),
			rateText(s.PicturesPerSecond), ageText(s.Checkpoint, now),
		})
	}
	return rows
}

func stepsText(s history.Summary) string {
	if s.Steps == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", s.Step, s.Steps)
}

func lossesText(s history.Summary, all bool) string {
	if !all || len(s.Tasks) == 0 {
		if len(s.Tasks) == 0 {
			return "-"
		}
		return terminal.Loss(float64(s.Loss))
	}
	names := slices.Sorted(maps.Keys(s.Tasks))
	var parts []string
	for i, short := range terminal.ShortNames(names) {
		parts = append(parts, short+" "+terminal.Loss(float64(s.Tasks[names[i]].Loss)))
	}
	return terminal.Clean(strings.Join(parts, " "))
}

func probeText(best *history.BestProbe) string {
	if best == nil {
		return "-"
	}
	return fmt.Sprintf("%.3f %s", float64(best.Accuracy), terminal.Clean(best.Probe))
}

func rateText(rate metrics.Number) string {
	if math.IsNaN(float64(rate)) {
		return "-"
	}
	return fmt.Sprintf("%.0f", float64(rate))
}

func ageText(checkpoint *history.LastCheckpoint, now time.Time) string {
	if checkpoint == nil {
		return "-"
	}
	return fmt.Sprintf("%d, %s", checkpoint.Step, terminal.Age(now.Sub(checkpoint.Written).Seconds()))
}

// completeDirectories offers folders for at most so many arguments; 0 = any number.
func completeDirectories(most int) cobra.CompletionFunc {
	return func(_ *cobra.Command, arguments []string, _ string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(arguments) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
}
