package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"pretrain/run"
	"pretrain/train"
)

func (p program) extractCommand() *cobra.Command {
	var options run.ExtractOptions
	command := &cobra.Command{
		Use:   "extract RUN --data DIR --out FILE",
		Short: "Write the features of pictures to a file",
		Long: `Write one row of features a picture, in the order of the paths. The ending of FILE chooses the format: .npy (with a
list of the paths beside it) or .csv. Pictures that cannot be read have no row and are listed in FILE.unreadable.txt.`,
		Example: `  pretrain extract runs/first --data pictures --out features.npy
  pretrain extract runs/first --data pictures.txt --out features.csv --layer 3 --overwrite`,
		Args: one("RUN"),
		RunE: work(func(command *cobra.Command, arguments []string) error {
			if options.Layer < 0 {
				return train.Usage(fmt.Errorf("--layer is %d: must be a layer from 1, or 0 for the last", options.Layer))
			}
			opened, err := run.Open(arguments[0])
			if err != nil {
				return err
			}
			defer opened.Close()
			written, err := opened.Extract(command.Context(), options)
			if err != nil {
				return err
			}
			return p.sayExtracted(written, options.Out)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&options.Data, "data", "", "folder of pictures, or list file `DIR`, for instance --data pictures")
	flags.StringVar(&options.Out, "out", "", "`FILE` to write, .npy or .csv, for instance --out features.npy")
	flags.IntVar(&options.Layer, "layer", 0, "layer to read, from 1; 0 is the last, for instance --layer 3")
	flags.BoolVar(&options.Overwrite, "overwrite", false, "replace FILE if it is there")
	required(command, "data")
	required(command, "out")
	return command
}

// sayExtracted tells what was written, and what was left out.
func (p program) sayExtracted(written run.Extraction, path string) error {
	if len(written.Bad) > 0 {
		fmt.Fprintf(p.stderr, "%d pictures could not be read; they are listed in %s\n", len(written.Bad), written.BadFile)
	}
	_, err := fmt.Fprintf(p.stdout, "%d pictures × %d features written to %s\n", written.Rows, written.Columns, path)
	return err
}
