package eval

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"pretrain/internal/kernel"
	"pretrain/internal/random"
)

// Outliers measures how far test pictures are from the training part by two distances, neither of which looks at labels:
// knn, the distance to the Neighbours-th nearest training picture between features of length one (Sun et al. 2022,
// arXiv:2204.06507), and mahalanobis (see fitGaussian).
type Outliers struct {
	Neighbours int
	Listed     int // most outlying test pictures to name
	Seed       uint64
}

func init() {
	registerScorer("outlier", func(c Config, seed uint64) Scorer {
		return Outliers{Neighbours: c.Neighbours, Listed: 5, Seed: seed}
	})
}

// Score names the most outlying test pictures by each distance. Where there are anomalies it has auroc_knn and
// auroc_mahalanobis: the chance that a random anomaly is farther than a random test picture, with a bootstrap interval
// over both.
func (o Outliers) Score(engine *kernel.Engine, sets Sets) Scores {
	var scores Scores
	o.add(&scores, "knn", o.neighbourDistances(engine, sets.Train, sets.Test), o.neighbourDistances(engine, sets.Train, sets.Anomalies))
	gaussian, err := fitGaussian(engine, sets.Train)
	if err != nil {
		scores.Notes = append(scores.Notes, err.Error())
		return scores
	}
	o.add(&scores, "mahalanobis", gaussian.distances(engine, sets.Test), gaussian.distances(engine, sets.Anomalies))
	return scores
}

func (o Outliers) add(scores *Scores, method string, test, anomalies []float64) {
	if len(anomalies) > 0 {
		interval := bootstrapAUROC(test, anomalies, o.Seed)
		scores.Values = append(scores.Values, Score{"auroc_" + method, AUROC(test, anomalies), interval[0], interval[1]})
	}
	rows := make([]int, len(test))
	for row := range rows {
		rows[row] = row
	}
	slices.SortStableFunc(rows, func(a, b int) int { return cmp.Compare(test[b], test[a]) })
	for _, row := range rows[:min(o.Listed, len(rows))] {
		scores.Outliers = append(scores.Outliers, Outlying{method, row, test[row]})
	}
}

// neighbourDistances is the distance of every query to its k-th nearest training row, or to the last one of fewer.
func (o Outliers) neighbourDistances(engine *kernel.Engine, train, queries Matrix) []float64 {
	distances := make([]float64, queries.Rows)
	eachProduct(engine, normalizeRows(queries), normalizeRows(train), nil, func(query int, similarities []float32) {
		found := nearest(similarities, o.Neighbours)
		distances[query] = math.Sqrt(max(0, 2-2*float64(similarities[found[len(found)-1]])))
	})
	return distances
}

// AUROC is the area under the receiver operating characteristic: the chance that the score of a random anomaly exceeds
// that of a random normal picture, equal scores counting one half (Mann & Whitney 1947). It is 0 where either is missing.
func AUROC(normal, anomalies []float64) float64 {
	return newRanked(normal, anomalies).area(ones(len(normal)), ones(len(anomalies)))
}

// bootstrapAUROC is the 95 % percentile interval of AUROC when both parts are resampled, each by itself.
func bootstrapAUROC(normal, anomalies []float64, seed uint64) [2]float64 {
	ranked := newRanked(normal, anomalies)
	r := random.New(seed, "bootstrap of anomalies")
	times := make([]int, len(anomalies))
	drawn := make([]int, len(normal))
	return bootstrap(len(normal), seed, func(rows []int) float64 {
		clear(drawn)
		for _, row := range rows {
			drawn[row]++
		}
		clear(times)
		for range times {
			times[r.IntN(len(times))]++
		}
		return ranked.area(drawn, times)
	})
}

// ranked holds the scores of both parts in rising order, so that resamples need no sorting.
type ranked []rankedScore

type rankedScore struct {
	score   float64
	row     int // of its part
	anomaly bool
}

func newRanked(normal, anomalies []float64) ranked {
	var r ranked
	for row, score := range normal {
		r = append(r, rankedScore{score, row, false})
	}
	for row, score := range anomalies {
		r = append(r, rankedScore{score, row, true})
	}
	slices.SortStableFunc(r, func(a, b rankedScore) int { return cmp.Compare(a.score, b.score) })
	return r
}

// area counts each score so many times.
func (r ranked) area(normal, anomalies []int) float64 {
	var below, tied, higher, all, anomalous float64
	for i, s := range r {
		if i > 0 && s.score != r[i-1].score {
			below += tied
			tied = 0
		}
		if !s.anomaly {
			tied += float64(normal[s.row])
			all += float64(normal[s.row])
			continue
		}
		higher += float64(anomalies[s.row]) * below
		anomalous += float64(anomalies[s.row])
	}
	if all == 0 || anomalous == 0 {
		return 0
	}
	return (higher + r.halfTies(normal, anomalies)) / (all * anomalous)
}

// halfTies is half the number of pairs of a normal picture and an anomaly with equal scores.
func (r ranked) halfTies(normal, anomalies []int) float64 {
	var sum, n, a float64
	for i, s := range r {
		if i > 0 && s.score != r[i-1].score {
			sum += n * a / 2
			n, a = 0, 0
		}
		if s.anomaly {
			a += float64(anomalies[s.row])
		} else {
			n += float64(normal[s.row])
		}
	}
	return sum + n*a/2
}

func ones(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = 1
	}
	return all
}

// checkLength refuses vectors whose covariance would take minutes to factorise.
func checkLength(what string, cols, most int) error {
	if cols > most {
		return fmt.Errorf("%s is left out for vectors of %d numbers: more than %d would take minutes", what, cols, most)
	}
	return nil
}
