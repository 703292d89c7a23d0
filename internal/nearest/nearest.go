// Package nearest finds what somebody most likely meant by a misspelt name.
package nearest

// Name returns the candidate with the smallest edit distance to name, the earliest one of equals; "" when there
// are no candidates.
func Name(name string, candidates []string) string {
	best, bestDistance := "", -1
	for _, candidate := range candidates {
		if d := Distance(name, candidate); bestDistance < 0 || d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// Distance is the Levenshtein distance: the least number of inserted, deleted and replaced characters that
// turn a into b.
func Distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	row := make([]int, len(to)+1) // distances of from[:i] to every prefix of to
	for j := range row {
		row[j] = j
	}
	for i := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j := range to {
			replaced := diagonal
			if from[i] != to[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(to)]
}
