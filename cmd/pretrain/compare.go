package main

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"pretrain/history"
	"pretrain/internal/terminal"
	"pretrain/metrics"
)

func (p program) compareCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "compare RUN RUN...",
		Short: "Show in what runs differ: configuration, surroundings, results, weights",
		Long: `Show in what runs differ: the keys of their configurations with other values, what they were computed with, what they
reached, and whether they have the same weights, byte for byte. Where the weights differ, the differences that account
for it are named; a run depends on nothing but its configuration, its pictures, the kernels and the program.

Losses and accuracies are those of the last line of metrics.jsonl; rows of eval are those of RUN/eval/eval.json whose
layers were chosen.`,
		Example: `  pretrain compare runs/first runs/second
  pretrain compare runs/first runs/second runs/third --json`,
		Args: severalRuns,
		RunE: work(func(_ *cobra.Command, arguments []string) error {
			var compared []*history.Run
			for _, argument := range arguments {
				r, err := history.Read(argument)
				if err != nil {
					return err
				}
				compared = append(compared, r)
			}
			comparison := history.Compare(arguments, compared)
			if asJSON {
				return writeJSON(p.stdout, comparison)
			}
			return printComparison(p.stdout, comparison, p.columns())
		}),
		ValidArgsFunction: completeDirectories(0),
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print the comparison as JSON, for instance --json")
	return command
}

// severalRuns wants two arguments or more, none empty.
func severalRuns(_ *cobra.Command, arguments []string) error {
	if len(arguments) < 2 {
		return fmt.Errorf("%d of at least 2 arguments RUN are given", len(arguments))
	}
	return nonEmpty("RUN", arguments)
}

// printComparison writes a table a topic. Runs are named by letters, so that columns stay narrow.
func printComparison(w io.Writer, c history.Comparison, columns int) error {
	letters := make([]string, len(c.Names))
	for i, name := range c.Names {
		letters[i] = letter(i)
		fmt.Fprintf(w, "%s  %s\n", letters[i], terminal.Clean(name))
	}
	if err := printDifferences(w, "CONFIGURATION", letters, c.Settings, columns); err != nil {
		return err
	}
	if err := printDifferences(w, "COMPUTED WITH", letters, c.Surroundings, columns); err != nil {
		return err
	}
	rows := [][]string{append([]string{"RESULT"}, letters...)}
	for _, result := range c.Results {
		row := []string{terminal.Clean(result.Name)}
		for _, value := range result.Values {
			row = append(row, resultText(value))
		}
		rows = append(rows, row)
	}
	fmt.Fprintf(w, "\n%s\n", terminal.Table(rows, 0, columns))
	for i, same := range c.Weights {
		fmt.Fprintln(w, weightsText(letters[0], letters[i+1], same))
	}
	for _, problem := range c.Problems {
		fmt.Fprintf(w, "note: %s\n", terminal.Clean(problem))
	}
	return nil
}

// letter is A to Z, then A1, B1 and so on.
func letter(i int) string {
	text := string(rune('A' + i%26))
	if i >= 26 {
		text += fmt.Sprint(i / 26)
	}
	return text
}

func printDifferences(w io.Writer, topic string, letters []string, differences []history.Difference, columns int) error {
	if len(differences) == 0 {
		_, err := fmt.Fprintf(w, "\n%s: no differences\n", topic)
		return err
	}
	names := 0
	for _, difference := range differences {
		names = max(names, terminal.Width(difference.Name))
	}
	room := max(8, (columns-names)/len(letters)-2)
	rows := [][]string{append([]string{topic}, letters...)}
	for _, difference := range differences {
		row := []string{terminal.Clean(difference.Name)}
		for _, value := range difference.Values {
			if value == "" {
				value = "(none)"
			}
			row = append(row, terminal.Shorten(terminal.Clean(value), room))
		}
		rows = append(rows, row)
	}
	_, err := fmt.Fprintf(w, "\n%s", terminal.Table(rows, 0, columns))
	return err
}

// resultText writes whole numbers whole, and others with four digits.
func resultText(value metrics.Number) string {
	v := float64(value)
	switch {
	case math.IsNaN(v):
		return "-"
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 1000:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.4g", v)
}

func weightsText(first, other string, same history.SameWeight) string {
	switch {
	case !same.Compared:
		return fmt.Sprintf("The weights of %s and %s were not compared: %s.", first, other, terminal.Clean(same.Note))
	case same.Equal:
		return fmt.Sprintf("%s and %s have the same weights, byte for byte (%d tensors of the %s).",
			first, other, same.Tensors, same.What)
	case len(same.Because) == 0:
		return fmt.Sprintf("%s and %s differ in %d of %d tensors of the %s, and nothing that is recorded explains it.",
			first, other, same.Different, same.Tensors, same.What)
	}
	return fmt.Sprintf("%s and %s differ in %d of %d tensors of the %s; what may explain it: %s.",
		first, other, same.Different, same.Tensors, same.What, terminal.Clean(fewOf(same.Because)))
}

// fewOf lists the first names and counts the others.
func fewOf(names []string) string {
	const most = 5
	if len(names) <= most+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
