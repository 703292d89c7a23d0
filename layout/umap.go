package layout

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"pretrain/internal/random"
	"pretrain/search"
)

// A Point is a place in the plane.
type Point struct{ X, Y float64 }

// UMAP lays out a graph of neighbours in the plane so that what is near stays near (McInnes, Healy & Melville 2018,
// arXiv:1802.03426), as the authors' umap-learn does with spread 1 and minimal distance 0.1.
type UMAP struct {
	Epochs int    // 0 = 500 for up to 10,000 points, 200 for more
	Seed   uint64 // of the pairs that push each other apart
}

// Constants of umap-learn.
const (
	curveA, curveB = 1.5769, 0.8951 // make 1/(1+a·d^2b) fit 1 up to the minimal distance 0.1 and exp(0.1−d) beyond
	repulsions     = 5              // pairs pushed apart for each that is pulled together
	longestStep    = 4.0            // a gradient is cut off at, in each coordinate
	extent         = 10.0           // of the first layout
)

// edge joins two points; weight is how sure it is that they are neighbours, 0 to 1.
type edge struct {
	from, to int32
	weight   float64
}

// Layout moves points from a first layout, which it leaves alone, to their places. Neighbours are the nearest rows of each
// row, the nearest first and without the row itself. The result depends on the arguments and the seed alone.
func (u UMAP) Layout(ctx context.Context, neighbours [][]search.Neighbour, first []Point) ([]Point, error) {
	if len(neighbours) != len(first) {
		return nil, fmt.Errorf("%d points with the neighbours of %d: must be equal", len(first), len(neighbours))
	}
	epochs := u.Epochs
	if epochs == 0 {
		epochs = 500
		if len(first) > 10_000 {
			epochs = 200
		}
	}
	points := spreadOut(first)
	if len(points) < 2 {
		return points, nil
	}
	edges := frequent(joinEdges(neighbours), epochs)
	r := random.New(u.Seed, "umap")
	due := make([]float64, len(edges))
	for i := range due {
		due[i] = 1 / edges[i].weight
	}
	for epoch := range epochs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rate := 1 - float64(epoch)/float64(epochs)
		for i, e := range edges {
			if due[i] > float64(epoch+1) {
				continue
			}
			due[i] += 1 / e.weight
			step(points, e, rate, r)
		}
	}
	return points, nil
}

// spreadOut scales a first layout to the extent that the steps are made for. Points in one place would never part, so all
// are moved a little.
func spreadOut(first []Point) []Point {
	var greatest float64
	for _, p := range first {
		greatest = max(greatest, math.Abs(p.X), math.Abs(p.Y))
	}
	scale := extent / cmp.Or(greatest, 1)
	points := make([]Point, len(first))
	for i, p := range first {
		r := random.New(0, "umap start", uint64(i))
		points[i] = Point{p.X*scale + 1e-4*r.NormFloat64(), p.Y*scale + 1e-4*r.NormFloat64()}
	}
	return points
}

// joinEdges makes one graph of what each point takes for its neighbours (section 3.1): of two directed weights a and b an
// edge gets a+b−ab. Edges come in both directions, by from and to.
func joinEdges(neighbours [][]search.Neighbour) []edge {
	var directed []edge
	for i, near := range neighbours {
		for j, weight := range weights(near) {
			from, to := int32(i), int32(near[j].Row)
			directed = append(directed, edge{from, to, weight}, edge{to, from, 0})
		}
	}
	reverse := make(map[[2]int32]float64, len(directed))
	for _, e := range directed {
		reverse[[2]int32{e.from, e.to}] += e.weight
	}
	slices.SortFunc(directed, func(a, b edge) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	directed = slices.CompactFunc(directed, func(a, b edge) bool { return a.from == b.from && a.to == b.to })
	for i, e := range directed {
		a, b := reverse[[2]int32{e.from, e.to}], reverse[[2]int32{e.to, e.from}]
		directed[i].weight = a + b - a*b
	}
	return directed
}

// weights are exp(−(d−ρ)/σ) of the cosine distances d of a point's neighbours: ρ is the least distance above 0, and σ is
// such that they sum to log2 of the number of neighbours, the point itself included (section 3.1, algorithm 3).
func weights(near []search.Neighbour) []float64 {
	distances := make([]float64, len(near))
	nearest, mean := math.Inf(1), 0.0
	for i, n := range near {
		distances[i] = max(0, 1-float64(n.Similarity))
		mean += distances[i] / float64(len(near))
		if distances[i] > 0 {
			nearest = min(nearest, distances[i])
		}
	}
	if math.IsInf(nearest, 1) {
		nearest = 0 // all are copies of the point
	}
	target := math.Log2(float64(len(near) + 1))
	low, high, sigma := 0.0, math.Inf(1), 1.0
	given := make([]float64, len(near))
	for range 64 {
		sum := 0.0
		for i, d := range distances {
			given[i] = math.Exp(-max(0, d-nearest) / sigma)
			sum += given[i]
		}
		switch {
		case math.Abs(sum-target) < 1e-5:
			return given
		case sum > target:
			high = sigma
		default:
			low = sigma
		}
		if sigma = (low + high) / 2; math.IsInf(high, 1) {
			sigma = 2 * low
		}
		sigma = max(sigma, 1e-3*mean, 1e-12) // as umap-learn bounds it, for neighbours that are all equally near
	}
	return given
}

// frequent scales weights to a greatest one of 1 and leaves out edges that would not come up in so many epochs.
func frequent(edges []edge, epochs int) []edge {
	var greatest float64
	for _, e := range edges {
		greatest = max(greatest, e.weight)
	}
	kept := edges[:0]
	for _, e := range edges {
		if e.weight /= greatest; e.weight >= 1/float64(epochs) {
			kept = append(kept, e)
		}
	}
	return kept
}

// step pulls the ends of an edge together, and pushes its first one from points drawn at random (section 3.2,
// algorithm 5; each direction of an edge comes up by itself).
func step(points []Point, e edge, rate float64, r *rand.Rand) {
	a, b := &points[e.from], &points[e.to]
	if d := squaredDistance(*a, *b); d > 0 {
		power := math.Pow(d, curveB)
		factor := -2 * curveA * curveB * power / d / (curveA*power + 1)
		x, y := clip(factor*(a.X-b.X))*rate, clip(factor*(a.Y-b.Y))*rate
		a.X, a.Y, b.X, b.Y = a.X+x, a.Y+y, b.X-x, b.Y-y
	}
	for range repulsions {
		other := &points[r.IntN(len(points))]
		d := squaredDistance(*a, *other)
		if d == 0 {
			continue // the point itself
		}
		factor := 2 * curveB / ((0.001 + d) * (curveA*math.Pow(d, curveB) + 1))
		a.X += clip(factor*(a.X-other.X)) * rate
		a.Y += clip(factor*(a.Y-other.Y)) * rate
	}
}

func squaredDistance(a, b Point) float64 { return (a.X-b.X)*(a.X-b.X) + (a.Y-b.Y)*(a.Y-b.Y) }

func clip(v float64) float64 { return max(-longestStep, min(longestStep, v)) }

// sampled is the number of points that Preserved looks at.
const sampled = 500

// Preserved is the share of the nearest neighbours of points that are among as many nearest ones in the plane, on average
// over points evenly drawn: 1 if the layout keeps every neighbourhood.
func Preserved(neighbours [][]search.Neighbour, points []Point) float64 {
	kept, all := 0, 0
	looks := min(sampled, len(points))
	for look := range looks {
		i := look * len(points) / looks
		closest := nearestPoints(points, i, len(neighbours[i]))
		all += len(neighbours[i])
		for _, n := range neighbours[i] {
			if slices.Contains(closest, n.Row) {
				kept++
			}
		}
	}
	return float64(kept) / float64(max(1, all))
}

// nearestPoints are the n points that are closest to one, without itself.
func nearestPoints(points []Point, from, n int) []int {
	order := make([]int, 0, len(points))
	for i := range points {
		if i != from {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(squaredDistance(points[a], points[from]), squaredDistance(points[b], points[from])), cmp.Compare(a, b))
	})
	return order[:min(n, len(order))]
}
