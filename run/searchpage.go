package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"pretrain/data"
	"pretrain/internal/atomicfile"
	"pretrain/train"
	"pretrain/view"
)

// SearchPage is Search with its result as a self-contained page with small pictures.
func (r *Run) SearchPage(ctx context.Context, options SearchOptions, out string, overwrite bool) (SearchResult, error) {
	file, err := atomicfile.Create(out, overwrite)
	if err != nil {
		return SearchResult{}, train.Usage(fmt.Errorf("--html: %w", err))
	}
	defer file.Abort()
	queries := newGallery()
	result, s, err := r.search(ctx, options, queries.see)
	if err != nil {
		return result, err
	}
	page, err := r.nearPage(ctx, result, s, queries)
	if err != nil {
		return result, err
	}
	page.Title = "Near pictures in " + filepath.Base(filepath.Clean(options.Index))
	page.About = fmt.Sprintf("Each query with the nearest of %d pictures and their cosine similarity, by layer %d of %s",
		result.Pictures, result.Layer, r.Model.Backbone.Name())
	if err := page.WriteHTML(file); err != nil {
		return result, err
	}
	return result, file.Commit()
}

// nearSide is the side of a picture on the page of a search, in pixels.
const nearSide = 128

// mostNear bounds the pictures of such a page.
const mostNear = 5000

// gallery collects thumbnails by number; it may be shown pictures concurrently.
type gallery struct {
	mu     sync.Mutex
	images map[int]data.Image
}

func newGallery() *gallery { return &gallery{images: map[int]data.Image{}} }

func (g *gallery) see(i int, picture data.Image) {
	small := view.Thumbnail(picture, nearSide)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.images[i] = small
}

// nearPage puts queries and what is near them on a page, every picture of the folder once.
func (r *Run) nearPage(ctx context.Context, result SearchResult, s *searchable, queries *gallery) (view.Near, error) {
	var page view.Near
	var sprites []data.Image
	place := map[int]int{} // of pictures of the folder among the sprites
	var wanted []int
	for _, answer := range result.Answers {
		row := view.Answer{Query: view.Picture{Sprite: len(sprites), Caption: answer.Query}}
		sprites = append(sprites, queries.images[answer.picture])
		for _, found := range answer.Near {
			if _, ok := place[found.picture]; !ok {
				place[found.picture] = len(sprites)
				sprites, wanted = append(sprites, data.Image{}), append(wanted, found.picture)
			}
			row.Near = append(row.Near, view.Picture{Sprite: place[found.picture], Caption: found.Path, Similar: &found.Similarity})
		}
		page.Answers = append(page.Answers, row)
	}
	if len(sprites) > mostNear {
		return page, train.Usage(fmt.Errorf("--html: a page of %d pictures: at most %d fit; ask for fewer queries or neighbours", len(sprites), mostNear))
	}
	failed := make([]error, len(wanted))
	r.engine.Parallel(len(wanted), func(_, i int) {
		example, err := s.At(ctx, wanted[i])
		if failed[i] = err; err == nil {
			sprites[place[wanted[i]]] = view.Thumbnail(example.Image, nearSide)
		}
	})
	if err := errors.Join(failed...); err != nil {
		return page, err
	}
	var err error
	page.Count = len(sprites)
	page.Sprites, err = view.NewSprites(sprites, nearSide)
	return page, err
}
