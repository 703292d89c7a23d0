package data

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pretrain/internal/random"
)

func badOnes(count int) []*PictureError {
	bad := make([]*PictureError, count)
	for i := range bad {
		bad[i] = &PictureError{Path: fmt.Sprintf("bad-%d", i), Err: os.ErrInvalid}
	}
	return bad
}

// TestExactlyTheAllowedShareIsAllowed: whatever share of pictures a person writes down, that many may be bad and one
// more may not. (0.29·100 is less than 29 in floating point, and 0.07·100 more than 7.)
func TestExactlyTheAllowedShareIsAllowed(t *testing.T) {
	for hundredths := range 101 {
		for _, pictures := range []int{100, 300, 10_000} {
			allowed := hundredths * pictures / 100
			limit := float64(hundredths) / 100
			if err := checkBad(badOnes(allowed), pictures, limit); err != nil {
				t.Errorf("%d bad of %d with a limit of %g: %v", allowed, pictures, limit, err)
			}
			if allowed < pictures && checkBad(badOnes(allowed+1), pictures, limit) == nil {
				t.Errorf("%d bad of %d pass a limit of %g", allowed+1, pictures, limit)
			}
		}
	}
}

// TestTheFirstBadOnesAreListed: enough of them to see what is wrong, not all.
func TestTheFirstBadOnesAreListed(t *testing.T) {
	err := checkBad(badOnes(25), 50, 0.1)
	wantError(t, err, "25 of 50 pictures", "data.max_bad_ratio (0.1)", "\n  bad-0: ", "\n  bad-9: ")
	if got := len(err.Error()); got > 600 {
		t.Errorf("the message has %d bytes: more than the first ones are listed", got)
	}
}

// TestHeadersCountAgainstTheLimit opens folders in which the very share that is allowed has no good header, and one more.
func TestHeadersCountAgainstTheLimit(t *testing.T) {
	files := map[string][]byte{}
	for i := range 20 {
		files[fmt.Sprintf("%02d.png", i)] = pngOf(t, blockPicture())
	}
	files["03.png"] = files["03.png"][:20]
	root := tree(t, files)
	if f := open(t, root, nil); f.Len() != 19 || len(f.Report().Bad) != 1 { // 1 of 20 is the default 0.05
		t.Errorf("%d pictures, bad ones %v", f.Len(), f.Report().Bad)
	}
	if err := os.Truncate(filepath.Join(root, "07.png"), 9); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), root, DefaultConfig())
	wantError(t, err, "2 of 20 pictures cannot be read", "03.png", "07.png")
}

// brokenAmong is a loader over so many pictures, of which these are broken and tolerated.
func brokenAmong(t *testing.T, pictures int, broken ...int) *Loader[*testBatch] {
	t.Helper()
	bad := map[int]bool{}
	for _, i := range broken {
		bad[i] = true
	}
	config := testLoader(&memory{pictures: pictures, bad: bad})
	config.MaxBadRatio = 1
	return start(t, config)
}

// TestSubstitutesAreDrawnByThePictureTheyReplace: a broken picture changes its own slot and no other, and what stands
// there follows from seed, epoch and picture alone: the first readable number of that stream.
func TestSubstitutesAreDrawnByThePictureTheyReplace(t *testing.T) {
	const pictures, seed = 12, 9 // the seed of testLoader
	plain := take(t, brokenAmong(t, pictures), 8)
	rapid.Check(t, func(rt *rapid.T) {
		broken := rapid.SliceOfNDistinct(rapid.IntRange(0, pictures-1), 1, 6, rapid.ID).Draw(rt, "broken")
		for i, batch := range take(t, brokenAmong(t, pictures, broken...), len(plain)) {
			for slot, got := range batch.pictures {
				want, epoch := int(plain[i].pictures[slot]), plain[i].epochs[slot]
				stream := random.New(seed, "substitute", epoch, uint64(want))
				for slices.Contains(broken, want) {
					want = stream.IntN(pictures)
				}
				if got != uint64(want) {
					rt.Fatalf("batch %d, slot %d shows picture %d, want %d with %v broken", i, slot, got, want, broken)
				}
			}
		}
	})
}

// TestSubstitutesDifferBetweenEpochs: a broken picture does not double one and the same other for a whole run.
func TestSubstitutesDifferBetweenEpochs(t *testing.T) {
	seen := map[uint64]bool{}
	plain := take(t, brokenAmong(t, 12), 40)
	for i, batch := range take(t, brokenAmong(t, 12, 5), len(plain)) {
		if slot := slices.Index(plain[i].pictures, 5); slot >= 0 {
			seen[batch.pictures[slot]] = true
		}
	}
	if len(seen) < 4 { // of eleven, in ten epochs
		t.Errorf("in ten epochs picture 5 was replaced by %v only", seen)
	}
}

// TestBadPicturesAreToldInOrder: the order of the batches, not that in which workers came upon them.
func TestBadPicturesAreToldInOrder(t *testing.T) {
	var want []string
	for _, workers := range []int{1, 4, 4, 4} {
		var told []string
		config := testLoader(&memory{pictures: 40, bad: map[int]bool{1: true, 8: true, 21: true, 22: true, 30: true, 39: true}})
		config.Workers, config.Prefetch = workers, 6
		config.OnBad = func(e *PictureError) { told = append(told, e.Path) }
		take(t, start(t, config), 13)
		if want == nil {
			want = told
		}
		if len(told) < 5 || !slices.Equal(told, want) {
			t.Errorf("%d workers: told of %v, want %v", workers, told, want)
		}
	}
}
