package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// printDifferences holds all tasks together against everything else of the same model, seed by seed. All runs are
// measured on the same redrawn splits, so that the luck of a split falls on both sides and drops out of a difference.
func printDifferences(w io.Writer, rows []row) error {
	table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "\n| all tasks against\t| probe\t| seed by seed, mean of 10 splits\t| mean ± standard error\t|\n| ---\t| ---\t| ---\t| ---\t|")
	groups := groupsOf(rows, func(r row) bool { return r.Chosen && r.Features == "pretrained" })
	for _, all := range groups {
		model, found := strings.CutSuffix(all.name, "-all")
		if !found {
			continue
		}
		for _, other := range groups {
			if other == all || other.probe != all.probe || !strings.HasPrefix(other.name, model+"-") {
				continue
			}
			if differences := all.minus(other); len(differences) > 0 {
				fmt.Fprintf(table, "| %s\t| %s\t| %s\t| %s\t|\n", other.name, all.probe, signed(differences), meanAndError(differences))
			}
		}
	}
	return table.Flush()
}

// minus is the difference of the means over splits, for each seed that both groups have.
func (g *group) minus(other *group) []float64 {
	var differences []float64
	for _, a := range g.rows {
		for _, b := range other.rows {
			if a.Seed == b.Seed {
				differences = append(differences, a.Splits.Mean-b.Splits.Mean)
			}
		}
	}
	return differences
}

func signed(values []float64) string {
	var text []string
	for _, v := range values {
		text = append(text, fmt.Sprintf("%+.3f", v))
	}
	return strings.Join(text, " ")
}

// meanAndError is the mean and, of several values, its standard error.
func meanAndError(values []float64) string {
	mean, squares, n := 0.0, 0.0, float64(len(values))
	for _, v := range values {
		mean += v / n
	}
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	if n < 2 {
		return fmt.Sprintf("%+.3f", mean)
	}
	return fmt.Sprintf("%+.3f ± %.3f", mean, math.Sqrt(squares/(n-1)/n))
}
