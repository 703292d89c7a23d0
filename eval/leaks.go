package eval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"pretrain/data"
	"pretrain/internal/kernel"
	"pretrain/internal/perceptual"
)

// LeakCheck says when a training and a test picture count as one.
type LeakCheck struct {
	Cosine   float64 // least cosine of their features, centred by the mean of the training part
	Distance int     // most bits in which their perceptual hashes differ
}

// DefaultLeakCheck finds copies that are smaller, compressed again or slightly changed in colour, and hardly anything
// else among photographs.
func DefaultLeakCheck() LeakCheck { return LeakCheck{Cosine: 0.98, Distance: perceptual.NearDuplicate} }

// Leaks are the near-duplicates between the training and the test part. A test picture that was trained on makes every
// figure look better than it is.
type Leaks struct {
	Layer        int        `json:"layer"`  // whose features were compared
	Cosine       float64    `json:"cosine"` // thresholds, see LeakCheck
	Distance     int        `json:"distance"`
	ByHash       int        `json:"pairs_by_hash"`     // pairs of pictures
	ByFeatures   int        `json:"pairs_by_features"` // pairs of pictures
	ByBoth       int        `json:"pairs_by_both"`     // pairs of pictures, counted above too
	TestPictures int        `json:"test_pictures"`     // that occur in any pair
	Pairs        []LeakPair `json:"pairs"`             // the nearest mostPairs of them
}

// LeakPair is a training and a test picture that look alike.
type LeakPair struct {
	Train    string  `json:"train"`
	Test     string  `json:"test"`
	Cosine   float64 `json:"cosine"`
	Distance int     `json:"distance"` // bits of the hashes that differ
}

// mostPairs bounds the pairs that a report lists; they are counted whatever their number.
const mostPairs = 1000

// leaks compares every test picture with every training picture.
func (e Evaluation) leaks(ctx context.Context, layer int, train, test part) (*Leaks, error) {
	of, err := hashes(ctx, e.Train, len(train.labels))
	if err != nil {
		return nil, fmt.Errorf("training part: %w", err)
	}
	with, err := hashes(ctx, e.Test, len(test.labels))
	if err != nil {
		return nil, fmt.Errorf("test part: %w", err)
	}
	leaks := &Leaks{Layer: layer, Cosine: e.Leaks.Cosine, Distance: e.Leaks.Distance, Pairs: []LeakPair{}}
	for row, found := range e.Leaks.find(e.Engine, train.layer(layer), test.layer(layer), of, with) {
		if len(found) > 0 {
			leaks.TestPictures++
		}
		for _, pair := range found {
			leaks.count(pair)
			leaks.Pairs = append(leaks.Pairs, LeakPair{train.features.Paths[pair.train], test.features.Paths[row], pair.cosine, pair.distance})
		}
	}
	slices.SortStableFunc(leaks.Pairs, func(a, b LeakPair) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(b.Cosine, a.Cosine))
	})
	leaks.Pairs = leaks.Pairs[:min(len(leaks.Pairs), mostPairs)]
	return leaks, nil
}

func (l *Leaks) count(pair alike) {
	byHash, byFeatures := pair.distance <= l.Distance, pair.cosine >= l.Cosine
	if byHash {
		l.ByHash++
	}
	if byFeatures {
		l.ByFeatures++
	}
	if byHash && byFeatures {
		l.ByBoth++
	}
}

// alike is a training picture that looks like a test picture.
type alike struct {
	train    int // row
	cosine   float64
	distance int
}

// find lists for each test picture the training pictures that features or hashes take for it, by row.
func (c LeakCheck) find(engine *kernel.Engine, train, test Matrix, of, with []perceptual.Fingerprint) [][]alike {
	mean := columnMeans(train)
	found := make([][]alike, test.Rows)
	eachProduct(engine, normalizeRows(centred(test, mean)), normalizeRows(centred(train, mean)), nil, func(query int, cosines []float32) {
		for row, cosine := range cosines {
			distance := with[query].Distance(of[row])
			if distance <= c.Distance || float64(cosine) >= c.Cosine {
				found[query] = append(found[query], alike{row, float64(cosine), distance})
			}
		}
	})
	return found
}

// hashes are the perceptual hashes of the readable pictures, in order. Other than the given number of them is an error,
// since rows of features would belong to other pictures.
func hashes(ctx context.Context, pictures data.Dataset, readable int) ([]perceptual.Fingerprint, error) {
	found := make([]perceptual.Fingerprint, pictures.Len())
	failed := make([]error, pictures.Len())
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				example, err := pictures.At(ctx, i)
				if failed[i] = err; err == nil {
					found[i] = perceptual.Hash(perceptual.Picture(example.Image))
				}
			}
		})
	}
	for i := range found {
		next <- i
	}
	close(next)
	workers.Wait()
	return keepReadable(found, failed, readable)
}

// keepReadable leaves out the pictures that cannot be read; any other failure is an error.
func keepReadable(found []perceptual.Fingerprint, failed []error, readable int) ([]perceptual.Fingerprint, error) {
	var kept []perceptual.Fingerprint
	for i, err := range failed {
		if bad := (*data.PictureError)(nil); errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return nil, err
		}
		kept = append(kept, found[i])
	}
	if len(kept) != readable {
		return nil, fmt.Errorf("%d pictures could be read, then %d; do not change it during an evaluation", readable, len(kept))
	}
	return kept, nil
}
