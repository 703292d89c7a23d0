package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"pretrain/export"
	"pretrain/run"
	"pretrain/train"
)

func (p program) exportCommand() *cobra.Command {
	var options run.ExportOptions
	command := &cobra.Command{
		Use:   "export RUN --out FILE",
		Short: "Write the weights of a backbone, or the network itself, to a file",
		Long: `Write a run's backbone, without the heads of the tasks, and FILE.json beside it: how to build the network, load it and
prepare pictures for it. Both depend on nothing but the weights, the model and the name of FILE.

Formats:
  safetensors  weights under the names of timm (ViT) or torchvision (ResNet), as training leaves them in exported/
  timm         the same, refused unless timm.create_model('vit_tiny_patch16_224', img_size=…, num_classes=0) takes it
               strictly; the "load" lines in FILE.json say the exact call, with patch_size and so on. Where vectors are
               means over patches it has global_pool='avg', fc_norm=False: timm would else return the class token, or
               normalise after the mean
  torchvision  the weights of resnet18, 34 or 50 with fc = Identity, and conv1 replaced and maxpool = Identity where the
               stem is small, counters of the normalisations included; the "load" lines say how
  onnx         the network, opset 17, with any batch size. Input "pixels": normalised float32 [batch, 3, side, side], or
               with --uint8 RGB bytes [batch, side, side, 3], normalised inside; pictures are resized and cut before.
               Outputs: "pooled" [batch, dim], "map" [batch, dim, rows, columns], and "layer_N" for each of --layers`,
		Example: `  pretrain export runs/first --out backbone.safetensors
  pretrain export runs/first --format timm --out vit.safetensors --overwrite
  pretrain export runs/first --format onnx --out backbone.onnx --layers best,last --uint8`,
		Args: one("RUN"),
		RunE: work(func(_ *cobra.Command, arguments []string) error {
			if !slices.Contains(export.Formats(), options.Format) {
				return train.Usage(fmt.Errorf("--format is %q: must be one of %v", options.Format, export.Formats()))
			}
			opened, err := run.Open(arguments[0])
			if err != nil {
				return err
			}
			defer opened.Close()
			if err := opened.Export(options); err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "written to %s, described in %s\n", options.Out, export.DescriptionPath(options.Out))
			return err
		}),
	}
	flags := command.Flags()
	flags.StringVar(&options.Format, "format", export.FormatSafetensors, "file format, for instance --format onnx")
	flags.StringVar(&options.Out, "out", "", "`FILE` to write, for instance --out backbone.safetensors")
	flags.StringSliceVar(&options.Layers, "layers", nil, "`LAYERS` that get an output of their own in an ONNX file: numbers from 1, last, best or all, for instance --layers 6,best")
	flags.BoolVar(&options.UInt8, "uint8", false, "let an ONNX file take bytes and normalise them, for instance --uint8")
	flags.BoolVar(&options.Overwrite, "overwrite", false, "replace FILE and its description if they are there")
	required(command, "out")
	complete(command, "format", export.Formats()...)
	return command
}
