// Command agreement shows that exported weights and networks compute elsewhere what they compute here: the same tensor
// through our forward pass, ONNX Runtime and PyTorch; PyTorch's weights imported; and, apart from that, how much
// differs when each program decodes and resizes the pictures itself. It prints tables for docs/agreement.md.
//
//	go run ./agreement [-pictures DIR -count N] [RUN…]
//
// Without a run it takes random networks. It needs Debian's python3-torchvision, and Node with tools/onnxruntime
// installed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// options of the command.
type options struct {
	tools    string // folder of this module
	scratch  string
	pictures string
	count    int
	out      io.Writer // of the tables
}

func main() {
	o := options{out: os.Stdout}
	flag.StringVar(&o.pictures, "pictures", "", "folder of pictures to decode by each program; empty leaves that out")
	flag.IntVar(&o.count, "count", 200, "pictures of it, spread evenly")
	flag.StringVar(&o.tools, "tools", ".", "folder of the module pretrain/tools")
	flag.Parse()
	if err := o.run(context.Background(), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "agreement:", err)
		os.Exit(1)
	}
}

func (o options) run(ctx context.Context, runs []string) (err error) {
	if o.scratch, err = os.MkdirTemp("", "agreement"); err != nil {
		return err
	}
	defer os.RemoveAll(o.scratch)
	if len(runs) == 0 {
		if runs, err = o.randomRuns(); err != nil {
			return err
		}
	}
	all, err := o.tensors(runs)
	if err != nil {
		return err
	}
	if err = printDifferences(o.out, all); o.pictures != "" {
		err = errors.Join(err, o.decoding(ctx, runs))
	}
	return err
}

// printDifferences prints a table, which is an error if programs differ by more than rounding.
func printDifferences(w io.Writer, all []difference) error {
	fmt.Fprintf(w, "The same tensor, ‖a − b‖ / ‖b‖ of the worst picture and output:\n\n"+
		"| network | computed by | against | pictures | difference |\n| --- | --- | --- | ---: | ---: |\n")
	worst := 0.0
	for _, row := range all {
		fmt.Fprintf(w, "| %s | %s | %s | %d | %.1e |\n", row.network, row.computed, row.against, row.pictures, row.difference)
		worst = max(worst, row.difference)
	}
	if worst > tolerance {
		return fmt.Errorf("they differ by %.1e, more than %.0e", worst, tolerance)
	}
	return nil
}

// tensors compares all programs on tensors.
func (o options) tensors(runs []string) ([]difference, error) {
	var all []difference
	for _, directory := range runs {
		rows, err := o.compareRun(directory)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", directory, err)
		}
		all = append(all, rows...)
	}
	row, err := o.compareImported()
	if err != nil {
		return nil, fmt.Errorf("imported weights: %w", err)
	}
	return append(all, row), nil
}

// folder makes a folder for one purpose.
func (o options) folder(name string) (string, error) {
	return os.MkdirTemp(o.scratch, filepath.Base(name))
}
