package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"pretrain/run"
)

func (p program) mapCommand() *cobra.Command {
	var options run.MapOptions
	command := &cobra.Command{
		Use:   "map RUN --data DIR --out FILE",
		Short: "Draw pictures as a map on a page, near ones near each other",
		Long: `Lay pictures out in the plane by their features, first by principal components and then by UMAP, and write one page
that needs no other file and no network. It shows small pictures under the pointer and when you zoom in, the nearest
pictures of the one that you click, and colours by label (the first folder below DIR) or by cluster (k-means).
All of it can be done with the keyboard.`,
		Example: `  pretrain map runs/first --data pictures --out map.html
  pretrain map runs/first --data pictures --out map.html --layer best --clusters 20 --overwrite`,
		Args: one("RUN"),
		RunE: work(func(command *cobra.Command, arguments []string) error {
			options.Say = p.say
			return p.drawMap(command.Context(), arguments[0], options)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&options.Data, "data", "", "folder of pictures, or list file `DIR`, for instance --data pictures")
	flags.StringVar(&options.Out, "out", "", "`FILE` to write, for instance --out map.html")
	layerFlag(command, &options.Layer)
	flags.StringVar(&options.Method, "method", "umap", "umap, or pca alone, which is faster and keeps distances but fewer neighbours; for instance --method pca")
	flags.IntVar(&options.Neighbours, "neighbours", 15, "neighbours that UMAP tries to keep: fewer show small groups, more the whole; for instance --neighbours 30")
	flags.IntVar(&options.Clusters, "clusters", 10, "clusters to colour by, 0 for none, for instance --clusters 20")
	flags.IntVar(&options.Most, "most", 20_000, "pictures to show at most, for instance --most 5000")
	flags.Uint64Var(&options.Seed, "seed", 1, "seed of layout and clusters, for instance --seed 2")
	flags.BoolVar(&options.Overwrite, "overwrite", false, "replace FILE if it is there")
	required(command, "data")
	required(command, "out")
	complete(command, "method", run.MapMethods()...)
	return command
}

func (p program) drawMap(ctx context.Context, directory string, options run.MapOptions) error {
	opened, done, err := p.openWatched(directory)
	if err != nil {
		return err
	}
	defer done()
	drawn, err := opened.Map(ctx, options)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "a map of %d pictures written to %s; %.0f %% of the neighbours in the features are as near on it\n",
		drawn.Pictures, options.Out, 100*drawn.Preserved)
	return err
}
