package run

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/search"
	"pretrain/train"
)

// SearchOptions say where near pictures are looked for, and near what.
type SearchOptions struct {
	Index       string // folder or list file of the pictures that are searched
	Query       string // picture, folder or list file
	K           int    // pictures wanted of each query
	Layer       string // as Run.Layer reads it
	Exact       bool   // compare with every picture, whatever their number
	ExactBelow  int    // number of pictures below which there is no graph; 0 = always one
	Rebuild     bool   // embed the pictures anew
	ExcludeSelf bool   // leave the very file of a query out of its results
	Say         func(string)
}

// Found is a picture near a query.
type Found struct {
	Rank       int     `json:"rank"`
	Similarity float32 `json:"similarity"` // cosine
	Path       string  `json:"path"`       // relative to the folder of the index
	picture    int     // its number in the folder
}

// Answer are the pictures near one query, the nearest first.
type Answer struct {
	Query   string  `json:"query"`
	Near    []Found `json:"near"`
	picture int     // its number among the queries
}

// SearchResult is what a search found.
type SearchResult struct {
	Layer      int      `json:"layer"`
	Pictures   int      `json:"pictures"` // that were searched
	Graph      bool     `json:"graph"`    // false: every picture was compared
	Answers    []Answer `json:"answers"`
	Unreadable []string `json:"unreadable"` // queries that have no answer
}

// Search finds the pictures of a folder that are near queries. The vectors of the folder are kept in the run, with a graph
// if there are many, and serve again until the weights or the pictures change. More neighbours than pictures, a layer that
// does not exist and paths without pictures are train.UsageErrors; queries that cannot be read are listed in the result.
func (r *Run) Search(ctx context.Context, options SearchOptions) (SearchResult, error) {
	result, _, err := r.search(ctx, options, nil)
	return result, err
}

// search is Search, with what it has opened; see gets the pictures of the queries by their numbers.
func (r *Run) search(ctx context.Context, options SearchOptions, see func(int, data.Image)) (SearchResult, *searchable, error) {
	var result SearchResult
	queries, err := r.openNamed(ctx, []string{options.Query}) // before the work that an index may be
	if err != nil {
		return result, nil, fmt.Errorf("--query: %w", err)
	}
	s, err := r.openIndex(ctx, options)
	if err != nil {
		return result, nil, err
	}
	vectors, err := r.features(ctx, queries, s.layer, see)
	if err != nil {
		return result, nil, fmt.Errorf("--query: %w", err)
	}
	result = SearchResult{Layer: s.layer, Pictures: s.index.Vectors.Rows, Graph: s.index.Graph != nil && !options.Exact}
	for _, bad := range vectors.bad {
		result.Unreadable = append(result.Unreadable, bad.Path)
		options.Say(fmt.Sprintf("%s cannot be read: %v", bad.Path, bad.Err))
	}
	more := 0
	if options.ExcludeSelf {
		more = 1
	}
	for i, near := range s.find(r, vectors.Matrix, options.K+more, options.Exact) {
		query := vectors.numbers[i]
		answer := Answer{Query: queries.names[query], picture: query}
		if options.ExcludeSelf {
			near = s.without(near, queries.paths[query])
		}
		for rank, n := range near[:min(options.K, len(near))] {
			picture := s.numbers[n.Row]
			answer.Near = append(answer.Near, Found{rank + 1, n.Similarity, s.names[picture], picture})
		}
		result.Answers = append(result.Answers, answer)
	}
	return result, s, nil
}

// searchable is an opened index with the pictures that it is of.
type searchable struct {
	pictures
	layer   int
	index   *search.Index
	numbers []int // of the pictures of the rows
}

func (s *searchable) find(r *Run, queries eval.Matrix, k int, exact bool) [][]search.Neighbour {
	if exact {
		return search.Exact(r.engine, s.index.Vectors, queries, k)
	}
	return s.index.Search(r.engine, queries, k)
}

// without leaves the very file of a query out of its neighbours.
func (s *searchable) without(near []search.Neighbour, file string) []search.Neighbour {
	return slices.DeleteFunc(near, func(n search.Neighbour) bool { return sameFile(s.paths[s.numbers[n.Row]], file) })
}

func sameFile(a, b string) bool {
	left, errLeft := os.Stat(a)
	right, errRight := os.Stat(b)
	return errLeft == nil && errRight == nil && os.SameFile(left, right)
}

// openIndex reads the index that is kept, or makes it.
func (r *Run) openIndex(ctx context.Context, options SearchOptions) (*searchable, error) {
	s := &searchable{}
	var err error
	if s.layer, err = r.Layer(options.Layer); err != nil {
		return nil, err
	}
	if s.pictures, err = r.openFolder(ctx, options.Index); err != nil {
		return nil, fmt.Errorf("--index: %w", err)
	}
	sayBad(options.Say, s.bad)
	if err := checkNeighbours(options.K, s.Len()); err != nil {
		return nil, err
	}
	key, err := r.indexKey(s)
	if err != nil {
		return nil, err
	}
	file, err := r.indexFile(options.Index, s.layer)
	if err != nil {
		return nil, err
	}
	if s.index, err = r.keptIndex(ctx, s, file, key, options); err != nil {
		return nil, err
	}
	s.numbers = s.index.Pictures()
	return s, checkNeighbours(options.K, s.index.Vectors.Rows)
}

// sayBad lists pictures that cannot be read.
func sayBad(say func(string), bad []eval.Bad) {
	for _, b := range bad {
		say(fmt.Sprintf("%s is left out, because it cannot be read: %v", b.Path, b.Err))
	}
}

func checkNeighbours(k, pictures int) error {
	if k < 1 || k > pictures {
		return train.Usage(fmt.Errorf("-k is %d: must be 1 to the %d pictures that are searched", k, pictures))
	}
	return nil
}

// keptIndex reads the index from the file, or makes it and writes it there.
func (r *Run) keptIndex(ctx context.Context, s *searchable, file string, key search.Key, options SearchOptions) (*search.Index, error) {
	index, err := search.ReadFile(file, key)
	var stale *search.StaleError
	switch {
	case err == nil && options.Rebuild:
		stale = &search.StaleError{Reason: "--rebuild asks for it"}
	case err != nil && !errors.As(err, &stale):
		return nil, err
	}
	if stale != nil {
		options.Say(fmt.Sprintf("making the index of %s, layer %d, from %d pictures: %v", options.Index, s.layer, s.Len(), stale))
		if index, err = r.makeIndex(ctx, s, options.Say); err != nil {
			return nil, err
		}
	} else {
		options.Say(fmt.Sprintf("using the index kept in %s: neither weights nor pictures have changed", file))
	}
	graphed := false
	if index.Graph == nil && !options.Exact && index.Vectors.Rows >= options.ExactBelow {
		options.Say(fmt.Sprintf("linking %d vectors to a graph", index.Vectors.Rows))
		if index.Graph, err = search.NewGraph(r.engine, index.Vectors); err != nil {
			return nil, train.Usage(err)
		}
		graphed = true
	}
	if stale == nil && !graphed {
		return index, nil
	}
	return index, index.WriteFile(file, key)
}

// makeIndex embeds the pictures.
func (r *Run) makeIndex(ctx context.Context, s *searchable, say func(string)) (*search.Index, error) {
	found, err := r.features(ctx, s.pictures, s.layer, nil)
	if err != nil {
		return nil, err
	}
	broken := found.bad[len(s.bad):] // what only decoding has shown
	sayBad(say, broken)
	index := &search.Index{Vectors: found.Matrix}
	next := 0
	for _, number := range append(found.numbers, s.Len()) {
		for ; next < number; next++ {
			reason := broken[len(index.Unreadable)].Err.Error()
			index.Unreadable = append(index.Unreadable, search.Unreadable{Picture: next, Reason: reason})
		}
		next++
	}
	return index, nil
}

// indexFile is where the index of a folder and layer is kept. Runs may hold several.
func (r *Run) indexFile(folder string, layer int) (string, error) {
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(absolute))
	return filepath.Join(r.Directory.Searches(), fmt.Sprintf("%x-layer%d.safetensors", sum[:8], layer)), nil
}

// indexKey digests what an index depends on. Pictures count by name, size and time of change, as they do for make: to read
// them all at every search would cost more than the search.
func (r *Run) indexKey(s *searchable) (search.Key, error) {
	weights, err := r.weightsDigest()
	if err != nil {
		return search.Key{}, err
	}
	digest := sha256.New()
	for i, path := range s.paths {
		info, err := os.Stat(path)
		if err != nil {
			return search.Key{}, err
		}
		fmt.Fprintf(digest, "%q %d %d\n", s.names[i], info.Size(), info.ModTime().UnixNano())
	}
	return search.Key{Weights: weights, Layer: s.layer, Pictures: hexOf(digest)}, nil
}

func hexOf(h hash.Hash) string { return fmt.Sprintf("%x", h.Sum(nil)) }

// weightsDigest is the SHA-256 of the backbone's weights and statistics.
func (r *Run) weightsDigest() (string, error) {
	weights, err := r.Model.Weights()
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	for _, tensor := range weights.Tensors {
		fmt.Fprintf(digest, "%q %v\n", tensor.Name, tensor.Shape)
		if err := writeFloats(digest, tensor.Data); err != nil {
			return "", err
		}
	}
	return hexOf(digest), nil
}

func writeFloats(w io.Writer, values []float32) error {
	bytes := make([]byte, 0, 4*len(values))
	for _, v := range values {
		bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(v))
	}
	_, err := w.Write(bytes)
	return err
}

// Recall measures how much of what exact search finds the graph finds, and both their speeds.
type Recall struct {
	Layer    int         `json:"layer"`
	Pictures int         `json:"pictures"`
	Dim      int         `json:"dim"`
	Queries  int         `json:"queries"`
	K        int         `json:"k"`
	Rows     []RecallRow `json:"rows"`
}

// RecallRow is the measurement of one way of searching.
type RecallRow struct {
	Candidates int     `json:"candidates"` // that the graph looks at; 0 = exact search
	Recall     float64 `json:"recall"`     // share of the k true neighbours that were found
	Rate       float64 `json:"queries_per_second"`
}

// MeasureRecall searches by the graph, with more and more candidates, and exactly. Queries are the pictures of
// options.Query or, if it is empty, those of the index, which then are their own nearest.
func (r *Run) MeasureRecall(ctx context.Context, options SearchOptions) (Recall, error) {
	options.Exact, options.ExactBelow = false, 0
	var measured Recall
	var named pictures
	var err error
	if options.Query != "" {
		if named, err = r.openNamed(ctx, []string{options.Query}); err != nil {
			return measured, fmt.Errorf("--query: %w", err)
		}
	}
	s, err := r.openIndex(ctx, options)
	if err != nil {
		return measured, err
	}
	queries := s.index.Vectors
	if options.Query != "" {
		found, err := r.features(ctx, named, s.layer, nil)
		if err != nil {
			return measured, fmt.Errorf("--query: %w", err)
		}
		sayBad(options.Say, found.bad)
		queries = found.Matrix
	}
	measured = Recall{Layer: s.layer, Pictures: s.index.Vectors.Rows, Dim: queries.Cols, Queries: queries.Rows, K: options.K}
	var truth [][]search.Neighbour
	exact := rate(queries.Rows, func() { truth = search.Exact(r.engine, s.index.Vectors, queries, options.K) })
	for _, candidates := range []int{10, 20, 50, search.Candidates, 200, 400} {
		if ctx.Err() != nil {
			return measured, ctx.Err()
		}
		var found [][]search.Neighbour
		speed := rate(queries.Rows, func() { found = s.index.Graph.Search(r.engine, queries, options.K, candidates) })
		row := RecallRow{max(candidates, options.K), search.Recall(truth, found), speed}
		measured.Rows = append(measured.Rows, row)
	}
	measured.Rows = append(measured.Rows, RecallRow{0, 1, exact})
	return measured, nil
}

// rate is how many queries a second a search answers, over half a second at least.
func rate(queries int, search func()) float64 {
	const least = 500 * time.Millisecond
	started, answered := time.Now(), 0
	for answered == 0 || time.Since(started) < least {
		search()
		answered += queries
	}
	return float64(answered) / cmp.Or(time.Since(started).Seconds(), math.SmallestNonzeroFloat64)
}
