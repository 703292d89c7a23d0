package eval

// Unit copies a matrix with every row scaled to length one, so that products of rows are cosines; zero rows stay zero.
func (m Matrix) Unit() Matrix { return normalizeRows(m) }
