package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"pretrain/run"
)

func (p program) lookCommand() *cobra.Command {
	var options run.LookOptions
	command := &cobra.Command{
		Use:   "look RUN PICTURE... --out DIR",
		Short: "Draw what a layer sees of pictures, and where it looks",
		Long: `Draw a PNG of each picture, which may be a file, or a folder or list file of them: the picture, the first three principal
components of the layer's map as red, green and blue (over all pictures together, so that a colour means the same in each),
and the attention of that block, as a mean and a head: from the class token if features are read from it, else from the
patches, on average over them. A ResNet has no attention: it shows the length of the feature at each position instead.
Several pictures get a sheet besides, all.png.

Exit code 1 if a picture could not be read; the others are drawn all the same.`,
		Example: `  pretrain look runs/first cat.jpg dog.jpg --out look
  pretrain look runs/first pictures/cats --out look --layer 3 --overwrite`,
		Args: func(_ *cobra.Command, arguments []string) error {
			if len(arguments) < 2 {
				return errors.New("a RUN and at least one PICTURE are wanted")
			}
			return nonEmpty("RUN or PICTURE", arguments)
		},
		RunE: work(func(command *cobra.Command, arguments []string) error {
			options.Pictures, options.Say = arguments[1:], p.say
			return p.look(command.Context(), arguments[0], options)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&options.Out, "out", "", "folder `DIR` to write to, for instance --out look")
	layerFlag(command, &options.Layer)
	flags.BoolVar(&options.Overwrite, "overwrite", false, "replace files that are there")
	required(command, "out")
	return command
}

func (p program) look(ctx context.Context, directory string, options run.LookOptions) error {
	opened, err := run.Open(directory)
	if err != nil {
		return err
	}
	defer opened.Close()
	looked, err := opened.Look(ctx, options)
	if err != nil {
		return err
	}
	for _, file := range looked.Files {
		if _, err := fmt.Fprintln(p.stdout, file); err != nil {
			return err
		}
	}
	for _, bad := range looked.Bad {
		p.say(fmt.Sprintf("%s cannot be read: %v", bad.Path, bad.Err))
	}
	if n := len(looked.Bad); n > 0 {
		return fmt.Errorf("%d pictures could not be read", n)
	}
	return nil
}
