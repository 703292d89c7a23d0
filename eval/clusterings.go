package eval

import "math"

// counts is the contingency table [a, b] of two labellings with numbers below n.
func counts(a, b []int, n int) [][]int {
	table := make([][]int, n)
	for i := range table {
		table[i] = make([]int, n)
	}
	for i := range a {
		table[a[i]][b[i]]++
	}
	return table
}

// contingency is the table of two labellings with its sums along the rows and the columns.
func contingency(a, b []int) (table [][]int, ofA, ofB []int) {
	n := 0
	for i := range a {
		n = max(n, a[i]+1, b[i]+1)
	}
	table, ofA, ofB = counts(a, b, n), make([]int, n), make([]int, n)
	for i, row := range table {
		for j, count := range row {
			ofA[i] += count
			ofB[j] += count
		}
	}
	return table, ofA, ofB
}

// NMI is the mutual information of two labellings over the mean of their entropies, 0 for independent and 1 for equal
// ones up to names (Strehl & Ghosh 2002, with the arithmetic mean as in scikit-learn). Two labellings with a single label
// each are equal.
func NMI(a, b []int) float64 {
	table, ofA, ofB := contingency(a, b)
	n := float64(len(a))
	var information float64
	for i, row := range table {
		for j, count := range row {
			if count > 0 {
				information += float64(count) / n * math.Log(n*float64(count)/(float64(ofA[i])*float64(ofB[j])))
			}
		}
	}
	if mean := (entropy(ofA, n) + entropy(ofB, n)) / 2; mean > 0 {
		return max(0, information/mean)
	}
	return 1
}

// entropy of the shares of n, in nats.
func entropy(counts []int, n float64) float64 {
	var sum float64
	for _, count := range counts {
		if count > 0 {
			sum -= float64(count) / n * math.Log(float64(count)/n)
		}
	}
	return sum
}

// ARI is the Rand index of two labellings adjusted for chance: 1 for equal ones up to names, 0 on average for
// independent ones, and less than 0 for worse (Hubert & Arabie 1985, eq. 5).
func ARI(a, b []int) float64 {
	table, ofA, ofB := contingency(a, b)
	var together float64
	for _, row := range table {
		together += pairs(row)
	}
	inA, inB, all := pairs(ofA), pairs(ofB), pairs([]int{len(a)})
	if inA == inB && (inA == 0 || inA == all) {
		return 1 // both put every picture apart, or all together
	}
	expected := inA * inB / all
	return (together - expected) / ((inA+inB)/2 - expected)
}

// pairs is the number of pairs within groups of the given sizes.
func pairs(sizes []int) float64 {
	var sum float64
	for _, n := range sizes {
		sum += float64(n) * float64(n-1) / 2
	}
	return sum
}

// Assign gives every row of a square table a column of its own so that the sum of their entries is largest: the
// Hungarian algorithm in the form of shortest augmenting paths, O(n³) (Jonker & Volgenant 1987). Potentials u of rows and
// v of columns keep every reduced cost −entry−u−v at 0 or above, and at 0 where row and column are matched.
func Assign(table [][]int) []int {
	n := len(table)
	u, v := make([]int, n+1), make([]int, n+1)
	rowOf := make([]int, n+1) // row from 1 that a column from 1 is matched with; column 0 stands for the row to be placed
	for row := 1; row <= n; row++ {
		rowOf[0] = row
		free, from := shortestPath(table, u, v, rowOf)
		for free != 0 { // shift the matches along the path
			rowOf[free] = rowOf[from[free]]
			free = from[free]
		}
	}
	columns := make([]int, n)
	for column := 1; column <= n; column++ {
		columns[rowOf[column]-1] = column - 1
	}
	return columns
}

// shortestPath finds the cheapest alternating path from column 0 to a column without a row, updates the potentials, and
// returns that column with the column before each one.
func shortestPath(table [][]int, u, v, rowOf []int) (free int, from []int) {
	least := make([]int, len(v)) // reduced cost of the cheapest path to each column
	for column := range least {
		least[column] = math.MaxInt
	}
	reached, at := make([]bool, len(v)), 0
	from = make([]int, len(v))
	for rowOf[at] != 0 {
		reached[at] = true
		row, next := rowOf[at], 0
		for column := 1; column < len(v); column++ {
			if reached[column] {
				continue
			}
			if cost := -table[row-1][column-1] - u[row] - v[column]; cost < least[column] {
				least[column], from[column] = cost, at
			}
			if next == 0 || least[column] < least[next] {
				next = column
			}
		}
		shiftPotentials(u, v, rowOf, least, reached, least[next])
		at = next
	}
	return at, from
}

// shiftPotentials makes the cheapest column cost nothing.
func shiftPotentials(u, v, rowOf, least []int, reached []bool, by int) {
	for column := range v {
		if reached[column] {
			u[rowOf[column]] += by
			v[column] -= by
		} else {
			least[column] -= by
		}
	}
}
