// Command scaling draws what `pretrain bench --scaling --json FILE` measured, and prints it as Markdown tables:
//
//	go run ./scaling -json ../runs/scaling.json -out ../docs/pictures/scaling.svg
//
// Each panel is one axis, both of its scales logarithmic: a law of powers is a straight line there, and its exponent
// the slope.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pretrain/bench"
)

func main() {
	log.SetFlags(0)
	measured := flag.String("json", "", "what pretrain bench --scaling wrote")
	out := flag.String("out", "", "the picture, .svg or .png")
	flag.Parse()
	if err := scaling(os.Stdout, *measured, *out); err != nil {
		log.Fatal(err)
	}
}

// scaling reads the measurements, draws them and prints the tables.
func scaling(w io.Writer, measured, out string) error {
	if measured == "" || out == "" {
		return errors.New("-json and -out must be given")
	}
	format := strings.TrimPrefix(filepath.Ext(out), ".")
	if !slices.Contains([]string{"svg", "png"}, format) {
		return fmt.Errorf("-out is %s: its name must end in .svg or .png", out)
	}
	s, err := read(measured)
	if err != nil {
		return err
	}
	picture, err := render(s, format)
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, picture, 0o644); err != nil {
		return err
	}
	return print(w, s)
}

func read(name string) (*bench.Scaling, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var report bench.Report
	if err := json.Unmarshal(content, &report); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if report.Scaling == nil || len(report.Scaling.Axes) == 0 {
		return nil, fmt.Errorf("%s has no scaling: write it by pretrain bench --scaling --json %s", name, name)
	}
	for _, axis := range report.Scaling.Axes {
		if err := check(axis); err != nil {
			return nil, fmt.Errorf("%s: %s of %s: %w", name, axis.Name, axis.Model, err)
		}
	}
	return report.Scaling, nil
}

// check wants what can be drawn: two points at least, and positive numbers, which alone have a place on a logarithmic
// scale.
func check(axis bench.Axis) error {
	if len(axis.Points) < 2 {
		return fmt.Errorf("%d points were measured, want 2 or more", len(axis.Points))
	}
	if !(axis.Time.Factor > 0) {
		return fmt.Errorf("the law of time has the factor %g: it must be above 0", axis.Time.Factor)
	}
	for _, point := range axis.Points {
		if row := point.Row; min(point.Value, row.StepSeconds, row.FLOPsPerImage, float64(row.Batch), row.PeakFLOPs) <= 0 {
			return fmt.Errorf("the point at %g has a number that is not above 0", point.Value)
		}
	}
	return nil
}

// print writes the exponents, and the tasks beside each other.
func print(w io.Writer, s *bench.Scaling) error {
	var text strings.Builder
	text.WriteString("| number | of | from, to | exponent of time | of arithmetic | of memory |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, axis := range s.Axes {
		first, last := axis.Points[0], axis.Points[len(axis.Points)-1]
		fmt.Fprintf(&text, "| %s | %s | %g to %g %s | %.2f | %.2f | %.2f |\n",
			axis.Name, axis.Model, first.Value, last.Value, axis.Unit, axis.Time.Exponent, axis.FLOPs.Exponent, axis.Memory.Exponent)
	}
	text.WriteString("\n| task alone | views | ms a step |\n| --- | --- | --- |\n")
	for _, row := range s.Tasks {
		fmt.Fprintf(&text, "| %s | %g | %.0f |\n", nameOf(row), row.ViewsPerImage, 1000*row.StepSeconds)
	}
	fmt.Fprintf(&text, "| sum | | %.0f |\n| all in one step | %g | %.0f (%.2f of the sum) |\n",
		1000*s.SumSeconds, s.Together.ViewsPerImage, 1000*s.Together.StepSeconds, s.Together.StepSeconds/s.SumSeconds)
	_, err := io.WriteString(w, text.String())
	return err
}

// nameOf names the tasks of a row.
func nameOf(row bench.Row) string {
	if row.Variant == nil {
		return row.Model
	}
	return strings.Join(row.Variant.Tasks, " + ")
}
