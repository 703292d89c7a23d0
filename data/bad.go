package data

import (
	"fmt"
	"strings"
	"sync"
)

// badPicture is a picture of a dataset, by its number, that could not be decoded.
type badPicture struct {
	picture int
	err     *PictureError
}

// badPictures counts different bad pictures against a limit. Its methods may be called concurrently.
type badPictures struct {
	mu       sync.Mutex
	seen     map[int]bool
	list     []*PictureError // those known before, then those found, in the order of delivery
	pictures int             // good and bad ones
	limit    float64
	report   func(*PictureError)
}

func newBadPictures(pictures int, limit float64, known []*PictureError, report func(*PictureError)) *badPictures {
	list := append([]*PictureError(nil), known...)
	return &badPictures{seen: map[int]bool{}, list: list, pictures: pictures + len(known), limit: limit, report: report}
}

// add takes note of pictures; the error says that there are too many.
func (b *badPictures) add(found []badPicture) error {
	for _, bad := range found {
		if b.note(bad) && b.report != nil {
			b.report(bad.err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return checkBad(b.list, b.pictures, b.limit)
}

// note reports whether the picture is new.
func (b *badPictures) note(bad badPicture) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen[bad.picture] {
		return false
	}
	b.seen[bad.picture] = true
	b.list = append(b.list, bad.err)
	return true
}

// count is the number of pictures found bad while loading.
func (b *badPictures) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.seen)
}

// listed is how many offenders an error message names.
const listed = 10

// checkBad compares the share of bad pictures with its limit, data.max_bad_ratio. It divides, which rounds 29/100 to the
// very number that 0.29 is read as; 0.29·100 would be a little less than 29.
func checkBad(bad []*PictureError, pictures int, limit float64) error {
	if len(bad) == 0 || float64(len(bad))/float64(pictures) <= limit {
		return nil
	}
	lines := make([]string, 0, listed)
	for _, err := range bad[:min(listed, len(bad))] {
		lines = append(lines, err.Error())
	}
	return fmt.Errorf("%d of %d pictures cannot be read, more than data.max_bad_ratio (%g) allows; repair or remove them, or raise the limit. The first ones:\n  %s",
		len(bad), pictures, limit, strings.Join(lines, "\n  "))
}
