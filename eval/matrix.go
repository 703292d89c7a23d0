package eval

import "pretrain/internal/kernel"

// Unit copies a matrix with every row scaled to length one, so that products of rows are cosines; zero rows stay zero.
func (m Matrix) Unit() Matrix { return normalizeRows(m) }

// Means is the mean row.
func (m Matrix) Means() []float64 { return columnMeans(m) }

// Clusters puts every row into one of so many clusters, numbered from 0.
func (k KMeans) Clusters(engine *kernel.Engine, rows Matrix, clusters int) []int {
	centres, _ := k.Fit(engine, rows, clusters)
	return nearestCentres(engine, rows, centres)
}
