package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"pretrain/internal/terminal"
	"pretrain/run"
)

func (p program) extractCommand() *cobra.Command {
	var options run.ExtractOptions
	command := &cobra.Command{
		Use:   "extract RUN --data DIR --out FILE",
		Short: "Write the features of pictures to a file",
		Long: `Write one row a picture, in the order of the paths: path, label, width and height of the picture, and its vector. The
first folder under DIR that a picture is in is its label. The ending of FILE chooses the format:

  .npy          an array [pictures, features], with path, label, … of its rows beside it in NAME.paths.csv
  .safetensors  the same as the tensor "vector", with NAME.paths.csv
  .parquet      columns path, label, width, height, vector (a list of floats), in row groups compressed by zstd
  .csv          columns path, label, width, height, f0, f1, …

Parquet and safetensors files tell in their metadata which run, weights, layer, pooling and preprocessing made them.

With --layer all there is a vector of every layer: columns layer1, layer2, … in parquet, layer1_f0, … in csv, tensors
layer1, … in safetensors, and a file NAME.layer1.npy, … each as .npy. With --pool map a picture's features are those of
every position of the layer's map, rows from top to bottom: [pictures, positions, channels] in .npy and .safetensors, a
flat list in .parquet, whose metadata entry shape.vector tells positions and channels.

Pictures that cannot be read have no row and are listed in FILE.unreadable.txt.

What takes long shows its progress on standard error.

Features gather in the folder FILE.partial, and FILE appears when it is whole. After Ctrl-C, a crash or a full disk the
same command with --resume goes on, and gives the same bytes in the end. The disk must hold the features twice.`,
		Example: `  pretrain extract runs/first --data pictures --out features.npy
  pretrain extract runs/first --data pictures.txt --out features.parquet --layer best --normalize --sha256
  pretrain extract runs/first --data pictures --out part0.parquet --shard 0/4 --precision auto --resume`,
		Args: one("RUN"),
		RunE: work(func(command *cobra.Command, arguments []string) error {
			opened, done, err := p.openWatched(arguments[0])
			if err != nil {
				return err
			}
			defer done()
			written, err := opened.Extract(command.Context(), options)
			if err != nil {
				return err
			}
			return p.sayExtracted(written)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&options.Data, "data", "", "folder of pictures, or list file `DIR`, for instance --data pictures")
	flags.StringVar(&options.Out, "out", "", "`FILE` to write, .npy, .parquet, .csv or .safetensors, for instance --out features.npy")
	flags.StringVar(&options.Layer, "layer", "last", "layer to read: a number from 1, last, best (which pretrain eval chose), or all; for instance --layer 3")
	flags.StringVar(&options.Pool, "pool", "", "features of a layer: mean over its map, cls (the class token), or the whole map; for instance --pool map (default as pretrain eval reads it: the mean or, in the last layer, what the backbone pools by)")
	flags.BoolVar(&options.Normalize, "normalize", false, "scale every vector, or every position of a map, to length one, for instance --normalize")
	flags.StringVar(&options.Precision, "precision", "fp32", "precision of the network: fp32, bf16, or auto (bf16 where the processor is faster in it); for instance --precision auto")
	flags.StringVar(&options.Shard, "shard", "", "write the part `i/n` of the pictures only, counted from 0; the parts, one after another, are the whole; for instance --shard 0/4")
	flags.BoolVar(&options.SHA256, "sha256", false, "write the SHA-256 of every picture's file too, for instance --sha256")
	flags.BoolVar(&options.Resume, "resume", false, "go on with an extraction to FILE that was not finished")
	flags.BoolVar(&options.Overwrite, "overwrite", false, "replace FILE if it is there, and drop an extraction that was not finished")
	required(command, "data")
	required(command, "out")
	complete(command, "layer", "last", "best", "all")
	complete(command, "pool", run.Pools()...)
	complete(command, "precision", run.Precisions()...)
	return command
}

// openWatched opens a run and shows on standard error how many pictures it has read. The caller calls done at the end.
func (p program) openWatched(directory string) (opened *run.Run, done func(), err error) {
	if opened, err = run.Open(directory); err != nil {
		return nil, nil, err
	}
	progress := &terminal.Progress{Console: p.stderr, Bar: p.terminal, Columns: p.errColumns}
	opened.Progress = progress.Show
	return opened, func() { progress.End(); opened.Close() }, nil
}

// sayExtracted tells what was written, and what was left out.
func (p program) sayExtracted(written run.Extraction) error {
	if written.Resumed > 0 {
		fmt.Fprintf(p.stderr, "went on after %d pictures\n", written.Resumed)
	}
	if len(written.Bad) > 0 {
		fmt.Fprintf(p.stderr, "%d pictures could not be read; they are listed in %s\n", len(written.Bad), written.BadFile)
	}
	var columns []string
	for _, column := range written.Columns {
		size := strings.Trim(fmt.Sprint(column.Shape), "[]")
		columns = append(columns, strings.TrimLeft(column.Name+" ", " ")+strings.ReplaceAll(size, " ", "×"))
	}
	_, err := fmt.Fprintf(p.stdout, "%d pictures × %s features written to %s\n",
		written.Rows, strings.Join(columns, ", "), strings.Join(written.Files, ", "))
	return err
}
