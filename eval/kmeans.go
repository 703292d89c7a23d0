package eval

import (
	"math"
	"math/rand/v2"

	"pretrain/internal/kernel"
	"pretrain/internal/random"
)

// KMeans clusters without labels: Lloyd's algorithm on features of length one, from starts drawn by k-means++ (Arthur &
// Vassilvitskii 2007), of which the best of Restarts is kept.
type KMeans struct {
	Restarts   int
	Iterations int // of Lloyd's algorithm a restart, at most
	Seed       uint64
}

func init() {
	registerScorer("kmeans", func(_ Config, seed uint64) Scorer { return KMeans{Restarts: 10, Iterations: 100, Seed: seed} })
}

// Score clusters the training part into as many clusters as there are classes, puts every test picture into the nearest
// one and compares clusters with classes there: nmi, ari, and accuracy, each cluster standing for a class of its own so
// that most pictures are right. Intervals resample the test pictures; the clusters, and the classes that they stand for,
// stay.
func (k KMeans) Score(engine *kernel.Engine, sets Sets) Scores {
	centres, _ := k.Fit(engine, normalizeRows(sets.Train), sets.Classes)
	clusters := nearestCentres(engine, normalizeRows(sets.Test), centres)
	labels := sets.TestLabels
	classOf := Assign(counts(clusters, labels, sets.Classes))
	predicted := make([]int, len(clusters))
	for i, cluster := range clusters {
		predicted[i] = classOf[cluster]
	}
	agreement := func(measure string, statistic func(a, b []int) float64) Score {
		value := statistic(clusters, labels)
		interval := unbiasedBootstrap(value, len(labels), k.Seed, func(rows []int) float64 {
			return statistic(pick(clusters, rows), pick(labels, rows))
		})
		return Score{measure, value, interval[0], interval[1]}
	}
	interval := Interval(predicted, labels, k.Seed)
	return Scores{Values: []Score{
		agreement("nmi", NMI), agreement("ari", ARI), {"accuracy", Accuracy(predicted, labels), interval[0], interval[1]},
	}}
}

// Fit returns the centres of so many clusters of the rows, and the sum of the squared distances of the rows to theirs. It
// depends on rows, number and seed alone.
func (k KMeans) Fit(engine *kernel.Engine, rows Matrix, clusters int) (centres Matrix, inertia float64) {
	inertia = math.Inf(1)
	for restart := range k.Restarts {
		l := newLloyd(engine, rows, clusters, random.New(k.Seed, "k-means", uint64(restart)))
		if found := l.run(k.Iterations); found < inertia {
			centres, inertia = l.centres, found
		}
	}
	return centres, inertia
}

// nearestCentres is the centre with the least Euclidean distance to each row.
func nearestCentres(engine *kernel.Engine, rows, centres Matrix) []int {
	nearest := make([]int, rows.Rows)
	eachProduct(engine, rows, centres, minusHalfSquares(centres), func(row int, products []float32) { nearest[row] = argmax(products) })
	return nearest
}

// lloyd is one run of k-means.
type lloyd struct {
	engine    *kernel.Engine
	rows      Matrix
	squares   []float64 // squared length of each row
	centres   Matrix
	cluster   []int     // of each row
	distances []float64 // squared, of each row to its centre
	members   []float32 // [rows, clusters]: 1/size of the cluster that a row belongs to
}

func newLloyd(engine *kernel.Engine, rows Matrix, clusters int, r *rand.Rand) *lloyd {
	l := &lloyd{
		engine: engine, rows: rows, squares: make([]float64, rows.Rows),
		cluster: make([]int, rows.Rows), distances: make([]float64, rows.Rows), members: make([]float32, rows.Rows*clusters),
	}
	for i := range l.squares {
		l.squares[i] = squaredLength(rows.Row(i))
	}
	for i := range l.cluster {
		l.cluster[i] = -1 // in none, so that the first assignment is a change
	}
	l.centres = rows.Select(l.draw(clusters, r))
	return l
}

// draw picks rows as first centres, each with a chance in proportion to its squared distance to the nearest one before.
func (l *lloyd) draw(clusters int, r *rand.Rand) []int {
	drawn := []int{r.IntN(l.rows.Rows)}
	nearest := make([]float64, l.rows.Rows)
	for i := range nearest {
		nearest[i] = math.Inf(1)
	}
	for len(drawn) < clusters {
		last := l.rows.Select(drawn[len(drawn)-1:])
		eachProduct(l.engine, l.rows, last, minusHalfSquares(last), func(row int, products []float32) {
			nearest[row] = min(nearest[row], max(0, l.squares[row]-2*float64(products[0])))
		})
		nearest[drawn[len(drawn)-1]] = 0 // but for rounding
		drawn = append(drawn, drawWeighted(nearest, r))
	}
	return drawn
}

// drawWeighted picks an index with a chance in proportion to its weight; any, if all weights are 0.
func drawWeighted(weights []float64, r *rand.Rand) int {
	var total float64
	for _, w := range weights {
		total += w
	}
	if total == 0 {
		return r.IntN(len(weights))
	}
	left, last := r.Float64()*total, 0
	for i, w := range weights {
		if w == 0 {
			continue
		}
		if last = i; left < w {
			break
		}
		left -= w
	}
	return last
}

// run moves centres until no row changes its cluster, and returns the sum of squared distances.
func (l *lloyd) run(iterations int) float64 {
	for iteration := 0; l.assign() && iteration < iterations; iteration++ {
		l.move()
	}
	var inertia float64
	for _, d := range l.distances {
		inertia += d
	}
	return inertia
}

// assign puts every row into the cluster of the nearest centre and tells whether any changed.
func (l *lloyd) assign() bool {
	before := append([]int(nil), l.cluster...)
	eachProduct(l.engine, l.rows, l.centres, minusHalfSquares(l.centres), func(row int, products []float32) {
		best := argmax(products)
		l.cluster[row], l.distances[row] = best, max(0, l.squares[row]-2*float64(products[best]))
	})
	for i, cluster := range l.cluster {
		if cluster != before[i] {
			return true
		}
	}
	return false
}

// move makes every centre the mean of its rows, as one product. An empty cluster takes the row that is farthest from its
// centre.
func (l *lloyd) move() {
	clusters := l.centres.Rows
	sizes := make([]int, clusters)
	for _, cluster := range l.cluster {
		sizes[cluster]++
	}
	for cluster, size := range sizes {
		if size == 0 {
			l.adopt(cluster, sizes)
		}
	}
	clear(l.members)
	for row, cluster := range l.cluster {
		l.members[row*clusters+cluster] = 1 / float32(sizes[cluster])
	}
	l.engine.MatMul(kernel.Product{
		M: clusters, N: l.rows.Cols, K: l.rows.Rows,
		A: kernel.Operand{Data: kernel.F32(l.members), RowStride: 1, ColStride: clusters},
		B: kernel.Operand{Data: kernel.F32(l.rows.Data), RowStride: l.rows.Cols, ColStride: 1},
		C: kernel.F32(l.centres.Data), CStride: l.rows.Cols,
	})
}

// adopt moves the farthest row of a cluster with several into an empty cluster.
func (l *lloyd) adopt(empty int, sizes []int) {
	farthest := -1
	for row, cluster := range l.cluster {
		if sizes[cluster] > 1 && (farthest < 0 || l.distances[row] > l.distances[farthest]) {
			farthest = row
		}
	}
	if farthest < 0 {
		return // fewer rows than clusters: the centre stays where it is
	}
	sizes[l.cluster[farthest]]--
	sizes[empty]++
	l.cluster[farthest], l.distances[farthest] = empty, 0
}
