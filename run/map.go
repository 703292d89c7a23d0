package run

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"pretrain/data"
	"pretrain/eval"
	"pretrain/internal/atomicfile"
	"pretrain/layout"
	"pretrain/search"
	"pretrain/train"
	"pretrain/view"
)

// MapOptions say of which pictures a map is drawn, and how.
type MapOptions struct {
	Data       string // folder or list file
	Out        string // HTML file
	Layer      string // as Run.Layer reads it
	Method     string // one of MapMethods
	Neighbours int    // that UMAP tries to keep near
	Clusters   int    // of k-means; 0 = none
	Most       int    // pictures, evenly spread over the sorted paths if there are more
	Seed       uint64
	Overwrite  bool
	Say        func(string)
}

// MapMethods are the ways to lay pictures out.
func MapMethods() []string { return []string{"umap", "pca"} }

// MostPoints bounds the pictures of a map: the page holds them all.
const MostPoints = 50_000

func (o MapOptions) check() error {
	switch {
	case !slices.Contains(MapMethods(), o.Method):
		return fmt.Errorf("--method is %q: must be one of %s", o.Method, strings.Join(MapMethods(), ", "))
	case o.Neighbours < 2 || o.Neighbours > 200:
		return fmt.Errorf("--neighbours is %d: must be 2 to 200", o.Neighbours)
	case o.Clusters < 0 || o.Clusters > 1000:
		return fmt.Errorf("--clusters is %d: must be 0, for none, to 1000", o.Clusters)
	case o.Most < 3 || o.Most > MostPoints:
		return fmt.Errorf("--most is %d: must be 3 to %d", o.Most, MostPoints)
	}
	return nil
}

// Mapped tells what a map shows.
type Mapped struct {
	Pictures  int
	Preserved float64 // share of the neighbours in the features that are as near on the map
}

// Map draws pictures as points of a self-contained page. The page depends on weights, pictures, options and seed alone.
func (r *Run) Map(ctx context.Context, options MapOptions) (Mapped, error) {
	var mapped Mapped
	if err := options.check(); err != nil {
		return mapped, train.Usage(err)
	}
	layer, err := r.Layer(options.Layer)
	if err != nil {
		return mapped, err
	}
	pictures, err := r.openFolder(ctx, options.Data)
	if err != nil {
		return mapped, fmt.Errorf("--data: %w", err)
	}
	file, err := createOutput(options.Out, options.Overwrite)
	if err != nil {
		return mapped, err
	}
	defer file.Abort()
	all := pictures.Len()
	if pictures = pictures.thin(options.Most); pictures.Len() < all {
		options.Say(fmt.Sprintf("showing %d of %d pictures, evenly spread; --most changes that", pictures.Len(), all))
	}
	page, err := r.drawMap(ctx, pictures, layer, options)
	if err != nil {
		return mapped, err
	}
	mapped.Pictures, mapped.Preserved = len(page.X), page.preserved
	if err := page.WriteHTML(file); err != nil {
		return mapped, err
	}
	return mapped, file.Commit()
}

// createOutput begins a file; one that may not be replaced is a train.UsageError.
func createOutput(path string, overwrite bool) (*atomicfile.File, error) {
	file, err := atomicfile.Create(path, overwrite)
	if err != nil {
		return nil, train.Usage(fmt.Errorf("--out: %w", err))
	}
	return file, nil
}

// thin keeps at most so many pictures, evenly spread.
func (p pictures) thin(most int) pictures {
	if p.Len() <= most {
		return p
	}
	thinned := pictures{bad: p.bad}
	part := some{Dataset: p.Dataset}
	for i := range most {
		number := i * p.Len() / most
		part.numbers = append(part.numbers, number)
		thinned.add(p.paths[number], p.names[number], p.labels[number])
	}
	thinned.Dataset = part
	return thinned
}

// some are the pictures of a data set with the given numbers.
type some struct {
	data.Dataset
	numbers []int
}

func (s some) Len() int { return len(s.numbers) }

func (s some) At(ctx context.Context, i int) (data.Example, error) {
	return s.Dataset.At(ctx, s.numbers[i])
}

// drawnMap is a page, with what its user is told.
type drawnMap struct {
	view.Map
	preserved float64
}

func (r *Run) drawMap(ctx context.Context, p pictures, layer int, options MapOptions) (drawnMap, error) {
	var page drawnMap
	options.Say(fmt.Sprintf("reading %d pictures, layer %d", p.Len(), layer))
	side := thumbnailSide(p.Len())
	thumbnails := make([]data.Image, p.Len())
	found, err := r.features(ctx, p, layer, func(i int, picture data.Image) { thumbnails[i] = view.Thumbnail(picture, side) })
	if err != nil {
		return page, err
	}
	sayBad(options.Say, found.bad)
	if found.Rows < 3 {
		return page, train.Usage(fmt.Errorf("--data: %s has %d readable pictures: a map needs 3", options.Data, found.Rows))
	}
	near := r.neighbours(found.Matrix, options.Neighbours)
	points, err := r.place(ctx, found.Matrix, near, options)
	if err != nil {
		return page, err
	}
	page.preserved = layout.Preserved(near, points)
	page.Title = filepath.Base(filepath.Clean(options.Data))
	page.About = fmt.Sprintf("%d pictures by layer %d of %s, %s", found.Rows, layer, r.Model.Backbone.Name(), strings.ToUpper(options.Method))
	page.setPoints(points)
	page.setNeighbours(near)
	var kept []data.Image
	for _, number := range found.numbers {
		page.Paths, kept = append(page.Paths, p.names[number]), append(kept, thumbnails[number])
	}
	page.Groups = r.groups(p, found, options)
	page.Sprites, err = view.NewSprites(kept, side)
	return page, err
}

// thumbnailSide bounds what the thumbnails of a page take to about 20 MB.
func thumbnailSide(pictures int) int {
	switch {
	case pictures <= 6_000:
		return 64
	case pictures <= 12_000:
		return 48
	}
	return 32
}

// neighbours are the k nearest of each row, without the row itself.
func (r *Run) neighbours(vectors eval.Matrix, k int) [][]search.Neighbour {
	found := search.Exact(r.engine, vectors, vectors, k+1)
	for i, near := range found {
		others := slices.DeleteFunc(near, func(n search.Neighbour) bool { return n.Row == i })
		found[i] = others[:min(k, len(others))]
	}
	return found
}

// place lays the vectors out by principal components and, if that is asked for, goes on from there by UMAP.
func (r *Run) place(ctx context.Context, vectors eval.Matrix, near [][]search.Neighbour, options MapOptions) ([]layout.Point, error) {
	components, err := layout.PCA(r.engine, vectors, min(2, vectors.Cols))
	if err != nil {
		return nil, err
	}
	projected := components.Project(r.engine, vectors)
	points := make([]layout.Point, vectors.Rows)
	for i := range points {
		row := projected.Row(i)
		points[i] = layout.Point{X: float64(row[0]), Y: float64(row[len(row)-1])}
	}
	if options.Method == "pca" {
		return points, nil
	}
	options.Say(fmt.Sprintf("laying out %d points", len(points)))
	return layout.UMAP{Seed: options.Seed}.Layout(ctx, near, points)
}

// setPoints fits points into the unit square, in which 0.0001 is a fraction of a pixel.
func (m *drawnMap) setPoints(points []layout.Point) {
	low, high := layout.Point{X: math.Inf(1), Y: math.Inf(1)}, layout.Point{X: math.Inf(-1), Y: math.Inf(-1)}
	for _, p := range points {
		low = layout.Point{X: min(low.X, p.X), Y: min(low.Y, p.Y)}
		high = layout.Point{X: max(high.X, p.X), Y: max(high.Y, p.Y)}
	}
	extent := max(high.X-low.X, high.Y-low.Y, math.SmallestNonzeroFloat64)
	fit := func(v, low, high float64) float64 {
		return math.Round(((v-(low+high)/2)/extent+0.5)*1e5) / 1e5
	}
	for _, p := range points {
		m.X, m.Y = append(m.X, fit(p.X, low.X, high.X)), append(m.Y, fit(p.Y, low.Y, high.Y))
	}
}

// listedNeighbours are how many neighbours of a point the page lists.
const listedNeighbours = 8

func (m *drawnMap) setNeighbours(near [][]search.Neighbour) {
	for _, list := range near {
		rows, similar := []int{}, []view.Cos{}
		for _, n := range list[:min(listedNeighbours, len(list))] {
			rows, similar = append(rows, n.Row), append(similar, view.Cos(n.Similarity))
		}
		m.Neighbours, m.Similar = append(m.Neighbours, rows), append(m.Similar, similar)
	}
}

// groups are the labels, if the pictures have any, and clusters.
func (r *Run) groups(p pictures, found features, options MapOptions) []view.Groups {
	groups := []view.Groups{} // not null in JSON
	labels := make([]string, found.Rows)
	for i, number := range found.numbers {
		labels[i] = p.labels[number]
	}
	if slices.ContainsFunc(labels, func(label string) bool { return label != "" }) {
		groups = append(groups, byName("Label", labels))
	}
	if count := min(options.Clusters, found.Rows); count > 0 {
		clusters := eval.KMeans{Restarts: 5, Iterations: 100, Seed: options.Seed}.Clusters(r.engine, found.Matrix, count)
		groups = append(groups, byCluster(clusters, count))
	}
	return groups
}

// byCluster names clusters by number.
func byCluster(of []int, count int) view.Groups {
	g := view.Groups{Name: "Cluster", Of: of}
	for i := range count {
		g.Names = append(g.Names, fmt.Sprintf("cluster %d", i+1))
	}
	return g
}

// byName groups points by a name of each.
func byName(title string, of []string) view.Groups {
	g := view.Groups{Name: title, Names: slices.Compact(slices.Sorted(slices.Values(of)))}
	for _, name := range of {
		at, _ := slices.BinarySearch(g.Names, name)
		g.Of = append(g.Of, at)
	}
	for i, name := range g.Names {
		if name == "" {
			g.Names[i] = "none"
		}
	}
	return g
}
