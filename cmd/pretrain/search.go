package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"pretrain/run"
	"pretrain/search"
	"pretrain/train"
)

// searchFlags are the flags of `pretrain search`.
type searchFlags struct {
	options   run.SearchOptions
	json      bool
	html      string
	overwrite bool
	recall    bool
}

func (p program) searchCommand() *cobra.Command {
	var f searchFlags
	command := &cobra.Command{
		Use:   "search RUN --index DIR --query FILE",
		Short: "Find the pictures of a folder that are nearest to others",
		Long: `Find the pictures of DIR whose features have the greatest cosine similarity to those of a query, which is a picture, or
a folder or list file (.txt, .csv, .tsv, .lst) of them. Standard output has one line a neighbour, with tabs between query,
rank, similarity and path; paths are relative to DIR. A name with control characters is quoted as in Go.

The features of DIR are kept in RUN/search and serve again until the weights, the layer or the pictures (their names,
sizes or times) change. From ` + strconv.Itoa(search.ExactBelow) + ` pictures on they are linked to a graph (HNSW), which finds nearly all of the true
neighbours in a fraction of the time; --recall says how many.

Exit code 1 if a query could not be read; the others are answered all the same.`,
		Example: `  pretrain search runs/first --index pictures --query cat.jpg
  pretrain search runs/first --index pictures --query new -k 5 --layer best --html near.html
  pretrain search runs/first --index pictures --recall`,
		Args: one("RUN"),
		RunE: work(func(command *cobra.Command, arguments []string) error {
			return p.search(command.Context(), arguments[0], f)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&f.options.Index, "index", "", "folder of pictures, or list file `DIR` to search, for instance --index pictures")
	flags.StringVar(&f.options.Query, "query", "", "picture, folder or list file `FILE` to look for, for instance --query cat.jpg")
	flags.IntVarP(&f.options.K, "k", "k", 10, "neighbours of each query, for instance --k 5")
	layerFlag(command, &f.options.Layer)
	flags.BoolVar(&f.options.Exact, "exact", false, "compare with every picture, without the graph, for instance --exact")
	flags.IntVar(&f.options.ExactBelow, "exact-below", search.ExactBelow, "number of pictures below which every one is compared, for instance --exact-below 1000")
	flags.BoolVar(&f.options.ExcludeSelf, "exclude-self", false, "leave out of the results the very file that is looked for, for instance --exclude-self")
	flags.BoolVar(&f.options.Rebuild, "rebuild", false, "make the index anew, for instance --rebuild")
	flags.BoolVar(&f.recall, "recall", false, "measure the graph against exact search instead, with the queries or, without them, the indexed pictures, for instance --recall")
	flags.BoolVar(&f.json, "json", false, "write JSON instead of lines, for instance --json")
	flags.StringVar(&f.html, "html", "", "write a page with small pictures to this `FILE` instead, for instance --html near.html")
	flags.BoolVar(&f.overwrite, "overwrite", false, "replace FILE of --html if it is there")
	required(command, "index")
	return command
}

// layerFlag adds the flag that commands name a layer by.
func layerFlag(command *cobra.Command, layer *string) {
	command.Flags().StringVar(layer, "layer", "last", "layer to read: a number from 1, last, or best, which an evaluation chose; for instance --layer 3")
	complete(command, "layer", "last", "best")
}

func (f searchFlags) check() error {
	switch {
	case f.options.Query == "" && !f.recall:
		return errors.New("--query is missing: name a picture, folder or list file to look for")
	case f.json && f.html != "":
		return errors.New("--json and --html: give one of the two")
	case f.recall && f.html != "":
		return errors.New("--recall measures and shows no pictures: leave out --html")
	case f.recall && f.options.Exact:
		return errors.New("--recall measures the graph: leave out --exact")
	case f.options.ExactBelow < 0:
		return fmt.Errorf("--exact-below is %d: must be at least 0", f.options.ExactBelow)
	}
	return nil
}

func (p program) search(ctx context.Context, directory string, f searchFlags) error {
	if err := f.check(); err != nil {
		return train.Usage(err)
	}
	opened, done, err := p.openWatched(directory)
	if err != nil {
		return err
	}
	defer done()
	f.options.Say = p.say
	if f.recall {
		return p.recall(ctx, opened, f)
	}
	if f.html != "" {
		return p.searchPage(ctx, opened, f)
	}
	result, err := opened.Search(ctx, f.options)
	if err != nil {
		return err
	}
	if err := p.printFound(result, f.json); err != nil {
		return err
	}
	return unanswered(result)
}

// say tells the user about the work on standard error, where it does not mix with results.
func (p program) say(text string) { fmt.Fprintln(p.stderr, text) }

// unanswered is the error of queries that could not be read.
func unanswered(result run.SearchResult) error {
	if n := len(result.Unreadable); n > 0 {
		return fmt.Errorf("%d of %d queries could not be read", n, n+len(result.Answers))
	}
	return nil
}

func (p program) searchPage(ctx context.Context, opened *run.Run, f searchFlags) error {
	result, err := opened.SearchPage(ctx, f.options, f.html, f.overwrite)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(p.stdout, "%d queries with their neighbours written to %s\n", len(result.Answers), f.html); err != nil {
		return err
	}
	return unanswered(result)
}

func (p program) printFound(result run.SearchResult, asJSON bool) error {
	if asJSON {
		return writeJSON(p.stdout, result)
	}
	for _, answer := range result.Answers {
		for _, found := range answer.Near {
			_, err := fmt.Fprintf(p.stdout, "%s\t%d\t%.6f\t%s\n", field(answer.Query), found.Rank, found.Similarity, field(found.Path))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// field is a name as a column of tab-separated lines.
func field(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return strconv.Quote(name)
	}
	return name
}

func (p program) recall(ctx context.Context, opened *run.Run, f searchFlags) error {
	measured, err := opened.MeasureRecall(ctx, f.options)
	if err != nil {
		return err
	}
	if f.json {
		return writeJSON(p.stdout, measured)
	}
	return printRecall(p.stdout, measured)
}

func printRecall(w io.Writer, measured run.Recall) error {
	fmt.Fprintf(w, "%d queries among %d pictures, layer %d with %d features\n\n", measured.Queries, measured.Pictures, measured.Layer, measured.Dim)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "CANDIDATES\tRECALL@%d\tQUERIES/S\n", measured.K)
	for _, row := range measured.Rows {
		candidates := strconv.Itoa(row.Candidates)
		if row.Candidates == 0 {
			candidates = "all (exact)"
		}
		fmt.Fprintf(table, "%s\t%.4f\t%.0f\n", candidates, row.Recall, row.Rate)
	}
	return table.Flush()
}
