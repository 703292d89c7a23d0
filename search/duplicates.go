package search

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"pretrain/eval"
	"pretrain/internal/kernel"
	"pretrain/internal/perceptual"
)

// By says what must be alike for two pictures to be near-duplicates.
type By string

// What near-duplicates are told by.
const (
	ByFeatures By = "features"
	ByHash     By = "hash"
	ByEither   By = "either"
	ByBoth     By = "both"
)

// Bys lists them.
func Bys() []string {
	return []string{string(ByFeatures), string(ByHash), string(ByEither), string(ByBoth)}
}

// Criterion says when two pictures are near-duplicates.
type Criterion struct {
	By         By
	Similarity float64 // of the features, at least: the cosine
	Bits       int     // in which the perceptual hashes differ, at most
}

// Check reports numbers out of range.
func (c Criterion) Check() error {
	switch {
	case !slices.Contains(Bys(), string(c.By)):
		return fmt.Errorf("near-duplicates by %q: must be one of %s", c.By, strings.Join(Bys(), ", "))
	case !(c.Similarity > 0 && c.Similarity <= 1):
		return fmt.Errorf("a similarity of %g: must be above 0 and at most 1", c.Similarity)
	case c.Bits < 0 || c.Bits > mostBits:
		return fmt.Errorf("hashes that differ in %d bits: must be 0 to %d; photographs that have nothing in common differ in about 32", c.Bits, mostBits)
	}
	return nil
}

// mostBits bounds Criterion.Bits: what nearHashes compares grows steeply beyond.
const mostBits = 15

// Group is pictures that near-duplicates connect: rows in ascending order, at least two.
type Group []int

// Duplicates groups the rows of unit vectors and their perceptual hashes, as many. Groups come in the order of their first
// rows. Features are compared all with all in blocks, and hashes where they share a part, so that memory does not grow
// with the number of pairs.
func Duplicates(engine *kernel.Engine, vectors eval.Matrix, hashes []perceptual.Fingerprint, c Criterion) ([]Group, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	u := newUnion(vectors.Rows)
	if c.By != ByHash {
		similarPairs(engine, vectors, float32(c.Similarity)-rounding, func(i, j int) {
			if c.By != ByBoth || hashes[i].Distance(hashes[j]) <= c.Bits {
				u.join(i, j)
			}
		})
	}
	if c.By == ByHash || c.By == ByEither {
		nearHashes(hashes, c.Bits, u.join)
	}
	return u.groups(), nil
}

// similarPairs visits all pairs i < j whose similarity is at least least. It multiplies the upper triangle of blocks:
// n²·dim floating-point operations, a minute for 200,000 pictures.
func similarPairs(engine *kernel.Engine, vectors eval.Matrix, least float32, visit func(i, j int)) {
	similarities := make([]float32, blockQueries*blockRows)
	var found [blockQueries][]int
	for _, a := range blocks(vectors.Rows, blockQueries) {
		for _, b := range blocks(vectors.Rows, blockRows) {
			if b.to <= a.from {
				continue
			}
			multiply(engine, similarities, vectors, vectors, a, b)
			engine.Parallel(a.len(), func(_, i int) {
				found[i] = found[i][:0]
				for j, similarity := range similarities[i*b.len():][:b.len()] {
					if similarity >= least && b.from+j > a.from+i {
						found[i] = append(found[i], b.from+j)
					}
				}
			})
			for i := range a.len() {
				for _, j := range found[i] {
					visit(a.from+i, j)
				}
			}
		}
	}
}

// nearHashes visits pairs that connect all hashes which differ in at most most bits. Of most+1 parts of two such hashes one
// is equal, so only hashes that share a part are compared, and equal ones, of which flat pictures give many, once.
func nearHashes(hashes []perceptual.Fingerprint, most int, visit func(i, j int)) {
	first := map[perceptual.Fingerprint]int{}
	var distinct []int
	for i, hash := range hashes {
		if same, ok := first[hash]; ok {
			visit(same, i)
			continue
		}
		first[hash] = i
		distinct = append(distinct, i)
	}
	for part := range most + 1 {
		from, to := part*perceptual.Bits/(most+1), (part+1)*perceptual.Bits/(most+1)
		mask := perceptual.Fingerprint(1)<<(to-from) - 1
		shared := map[perceptual.Fingerprint][]int{}
		for _, i := range distinct {
			key := hashes[i] >> from & mask
			for _, j := range shared[key] {
				if hashes[i].Distance(hashes[j]) <= most {
					visit(j, i)
				}
			}
			shared[key] = append(shared[key], i)
		}
	}
}

// union joins rows to groups (a disjoint-set forest with path halving).
type union struct{ parent []int }

func newUnion(n int) *union {
	u := &union{parent: make([]int, n)}
	for i := range u.parent {
		u.parent[i] = i
	}
	return u
}

func (u *union) root(i int) int {
	for u.parent[i] != i {
		u.parent[i] = u.parent[u.parent[i]]
		i = u.parent[i]
	}
	return i
}

// join makes one group of two; its root is the lowest row.
func (u *union) join(i, j int) {
	i, j = u.root(i), u.root(j)
	u.parent[max(i, j)] = min(i, j)
}

// groups lists those of at least two rows.
func (u *union) groups() []Group {
	members := map[int]Group{}
	for i := range u.parent {
		members[u.root(i)] = append(members[u.root(i)], i)
	}
	var groups []Group
	for _, group := range members {
		if len(group) > 1 {
			groups = append(groups, group)
		}
	}
	slices.SortFunc(groups, func(a, b Group) int { return cmp.Compare(a[0], b[0]) })
	return groups
}
