package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"pretrain/internal/perceptual"
	"pretrain/run"
	"pretrain/search"
)

func (p program) dedupeCommand() *cobra.Command {
	var options run.DedupeOptions
	var asJSON bool
	command := &cobra.Command{
		Use:   "dedupe RUN --data DIR",
		Short: "List groups of near-duplicate pictures",
		Long: `List groups of pictures that are nearly the same: by their features (cosine similarity), by a perceptual hash of the
picture itself, by either or by both. Pictures that a chain of near-duplicates connects are one group.

Standard output has one line a picture, with tabs between the number of the group, the similarity to the group's first
picture, the bits in which their hashes differ, and the path relative to DIR. Groups and their members come in the order
of the paths.`,
		Example: `  pretrain dedupe runs/first --data pictures
  pretrain dedupe runs/first --data pictures --by hash --bits 2
  pretrain dedupe runs/first --data pictures --by features --threshold 0.995 --json`,
		Args: one("RUN"),
		RunE: work(func(command *cobra.Command, arguments []string) error {
			options.Say = p.say
			return p.dedupe(command.Context(), arguments[0], options, asJSON)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&options.Data, "data", "", "folder of pictures, or list file `DIR`, for instance --data pictures")
	layerFlag(command, &options.Layer)
	flags.StringVar((*string)(&options.By), "by", string(search.ByBoth), "what must be alike: features, hash, either or both, for instance --by hash")
	flags.Float64Var(&options.Similarity, "threshold", 0.98, "least cosine similarity of the features, for instance --threshold 0.99")
	flags.IntVar(&options.Bits, "bits", perceptual.NearDuplicate, "bits, of 64, in which hashes may differ, for instance --bits 6")
	flags.BoolVar(&asJSON, "json", false, "write JSON instead of lines, for instance --json")
	required(command, "data")
	complete(command, "by", search.Bys()...)
	return command
}

func (p program) dedupe(ctx context.Context, directory string, options run.DedupeOptions, asJSON bool) error {
	opened, done, err := p.openWatched(directory)
	if err != nil {
		return err
	}
	defer done()
	copies, err := opened.Dedupe(ctx, options)
	if err != nil {
		return err
	}
	p.say(fmt.Sprintf("%d groups of near-duplicates among %d pictures", len(copies.Groups), copies.Pictures))
	if asJSON {
		return writeJSON(p.stdout, copies)
	}
	for number, group := range copies.Groups {
		for _, member := range group.Members {
			if _, err := fmt.Fprintf(p.stdout, "%d\t%.4f\t%d\t%s\n", number+1, member.Similarity, member.Bits, field(member.Path)); err != nil {
				return err
			}
		}
	}
	return nil
}
