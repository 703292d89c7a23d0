package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"pretrain/internal/atomicfile"
	"pretrain/sample"
	"pretrain/train"
)

func (p program) sampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sample DIR",
		Short: "Write the pictures that the program brings along to a folder",
		Long: `Write the embedded sample to DIR/train and DIR/test: 64×64 crops of a few free photographs, credited in DIR/CREDITS.md.
The label of a crop is the photograph that it is from. It is there to try the program out, not to compare methods.`,
		Example: "  pretrain sample pictures\n  pretrain train quickstart --data pictures/train --out runs/first",
		Args:    one("DIR"),
		RunE: work(func(_ *cobra.Command, arguments []string) error {
			if err := atomicfile.Check(filepath.Join(arguments[0], "CREDITS.md"), true); err != nil {
				return train.Usage(err)
			}
			if err := sample.Extract(arguments[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(p.stdout, "written to %s\n", arguments[0])
			return err
		}),
	}
}
