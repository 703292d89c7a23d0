package run

import (
	"context"
	"fmt"

	"pretrain/data"
	"pretrain/internal/perceptual"
	"pretrain/search"
	"pretrain/train"
)

// DedupeOptions say where near-duplicates are looked for, and what counts as one.
type DedupeOptions struct {
	Data  string // folder or list file
	Layer string // as Run.Layer reads it
	search.Criterion
	Say func(string)
}

// Copies are the groups of near-duplicates among some pictures.
type Copies struct {
	Pictures int      `json:"pictures"`
	Groups   []Alike  `json:"groups"`
	Bad      []string `json:"unreadable"`
}

// Alike are pictures that near-duplicates connect, in the order of their paths.
type Alike struct {
	Members []Copy `json:"pictures"`
}

// Copy is a member of a group, held against the first one.
type Copy struct {
	Path       string  `json:"path"`       // relative to the folder
	Similarity float32 `json:"similarity"` // of the features: the cosine
	Bits       int     `json:"bits"`       // in which the perceptual hashes differ
}

// Dedupe groups near-duplicates.
func (r *Run) Dedupe(ctx context.Context, options DedupeOptions) (Copies, error) {
	var copies Copies
	if err := options.Check(); err != nil {
		return copies, train.Usage(err)
	}
	layer, err := r.Layer(options.Layer)
	if err != nil {
		return copies, err
	}
	p, err := r.openFolder(ctx, options.Data)
	if err != nil {
		return copies, fmt.Errorf("--data: %w", err)
	}
	options.Say(fmt.Sprintf("reading %d pictures, layer %d", p.Len(), layer))
	all := make([]perceptual.Fingerprint, p.Len())
	found, err := r.features(ctx, p, layer, func(i int, picture data.Image) {
		all[i] = perceptual.Hash(perceptual.Picture(picture))
	})
	if err != nil {
		return copies, err
	}
	sayBad(options.Say, found.bad)
	hashes := make([]perceptual.Fingerprint, found.Rows)
	for i, number := range found.numbers {
		hashes[i] = all[number]
	}
	groups, err := search.Duplicates(r.engine, found.Matrix, hashes, options.Criterion)
	if err != nil {
		return copies, err
	}
	copies.Pictures = found.Rows
	for _, bad := range found.bad {
		copies.Bad = append(copies.Bad, bad.Path)
	}
	for _, group := range groups {
		var alike Alike
		for _, row := range group {
			first := group[0]
			alike.Members = append(alike.Members, Copy{
				Path:       p.names[found.numbers[row]],
				Similarity: search.Cosine(found.Row(first), found.Row(row)),
				Bits:       hashes[first].Distance(hashes[row]),
			})
		}
		copies.Groups = append(copies.Groups, alike)
	}
	return copies, nil
}
