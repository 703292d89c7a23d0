package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"pretrain/run"
	"pretrain/train"
)

// formats are the file formats of weights.
var formats = []string{"safetensors"}

func (p program) exportCommand() *cobra.Command {
	var format, out string
	var overwrite bool
	command := &cobra.Command{
		Use:   "export RUN --out FILE",
		Short: "Write the weights of a backbone to a file",
		Long: `Write the weights of a run's backbone, without the heads of the tasks, under the names that timm (ViT) and torchvision
(ResNet) use. The file depends on nothing but the weights and the model.`,
		Example: `  pretrain export runs/first --out backbone.safetensors
  pretrain export runs/first --format safetensors --out backbone.safetensors --overwrite`,
		Args: one("RUN"),
		RunE: work(func(_ *cobra.Command, arguments []string) error {
			if !slices.Contains(formats, format) {
				return train.Usage(fmt.Errorf("--format is %q: must be one of %v", format, formats))
			}
			opened, err := run.Open(arguments[0])
			if err != nil {
				return err
			}
			defer opened.Close()
			if err := opened.Export(out, overwrite); err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "written to %s\n", out)
			return err
		}),
	}
	command.Flags().StringVar(&format, "format", formats[0], "file format, for instance --format safetensors")
	command.Flags().StringVar(&out, "out", "", "`FILE` to write, for instance --out backbone.safetensors")
	command.Flags().BoolVar(&overwrite, "overwrite", false, "replace FILE if it is there")
	required(command, "out")
	complete(command, "format", formats...)
	return command
}
