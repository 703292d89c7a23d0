package data

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// memory is a dataset of small random pictures that counts its calls. Pictures whose number is in bad fail.
type memory struct {
	pictures int
	bad      map[int]bool
	calls    atomic.Int64
	gate     chan struct{} // if not nil, At waits for it
}

func (m *memory) Len() int { return m.pictures }

func (m *memory) At(ctx context.Context, i int) (Example, error) {
	m.calls.Add(1)
	if m.gate != nil {
		select {
		case <-m.gate:
		case <-ctx.Done():
			return Example{}, ctx.Err()
		}
	}
	path := fmt.Sprintf("picture-%d", i)
	if m.bad[i] {
		return Example{}, &PictureError{Path: path, Err: errors.New("broken for the test")}
	}
	img := noise(30, 24)
	for j := range img.Pix {
		img.Pix[j] += uint8(i)
	}
	return Example{Image: img, Path: path}, nil
}

func at(t *testing.T, d Dataset, i int) Example {
	t.Helper()
	e, err := d.At(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestCacheChangesNoPixel: kept, not kept, or reduced by hand.
func TestCacheChangesNoPixel(t *testing.T) {
	source := &memory{pictures: 4}
	kept, none := NewCache(source, 12, 1<<20), NewCache(source, 12, 0)
	for range 2 {
		for i := range 4 {
			want := Reduce(at(t, source, i).Image, 12)
			for name, cache := range map[string]*Cache{"kept": kept, "not kept": none} {
				if got := at(t, cache, i).Image; got.Width != 15 || got.Height != 12 || !slices.Equal(got.Pix, want.Pix) {
					t.Errorf("%s: picture %d differs from the reduced one", name, i)
				}
			}
		}
	}
	if s := kept.Stats(); s.Hits != 4 || s.Misses != 4 || s.Pictures != 4 {
		t.Errorf("stats are %+v, expected 4 hits and 4 misses", s)
	}
	if s := none.Stats(); s.Hits != 0 || s.Bytes != 0 {
		t.Errorf("without a budget the stats are %+v", s)
	}
}

func TestCacheKeepsItsBudget(t *testing.T) {
	const budget = 3000
	cache := NewCache(&memory{pictures: 20}, 12, budget)
	for i := range 20 {
		at(t, cache, i)
	}
	if s := cache.Stats(); s.Bytes > budget || s.Pictures < 3 || s.Pictures > 5 {
		t.Errorf("stats are %+v for a budget of %d bytes and pictures of 540", s, budget)
	}
}

// TestCacheBudgetToTheByte: the bytes that three pictures take keep three, a byte less keeps two, and a picture that did
// not fit leaves room for a smaller one.
func TestCacheBudgetToTheByte(t *testing.T) {
	source := &memory{pictures: 3}
	full := NewCache(source, 12, 1<<20)
	for i := range 3 {
		at(t, full, i)
	}
	bytes := full.Stats().Bytes
	for budget, want := range map[int64]int{bytes: 3, bytes - 1: 2, bytes/3 - 1: 0} {
		cache := NewCache(source, 12, budget)
		for i := range 3 {
			at(t, cache, i)
		}
		if s := cache.Stats(); s.Pictures != want || s.Bytes > budget {
			t.Errorf("a budget of %d bytes: %+v, want %d pictures", budget, s, want)
		}
	}
	root := tree(t, map[string][]byte{"1-large.png": pngOf(t, noisePicture(12)), "2-small.png": pngOf(t, noisePicture(3))})
	files := open(t, root, nil)
	cache := NewCache(files, 12, files.ReducedBytes(12)-1)
	for i := range 2 {
		at(t, cache, i)
	}
	if at(t, cache, 0); cache.Stats().Pictures != 1 || cache.Stats().Hits != 1 {
		t.Errorf("after a large and a small picture the stats are %+v", cache.Stats())
	}
	small := NewCache(files, 12, 3*3*3+int64(len(files.Path(1)))+bookkeepingBytes)
	for range 2 {
		at(t, small, 0)
		at(t, small, 1)
	}
	if s := small.Stats(); s.Pictures != 1 || s.Hits != 1 {
		t.Errorf("room for the small picture alone: %+v", s)
	}
}

func TestCacheDecodesOnce(t *testing.T) {
	source := &memory{pictures: 1, gate: make(chan struct{})}
	cache := NewCache(source, 12, 1<<20)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { at(t, cache, 0) })
	}
	close(source.gate)
	group.Wait()
	if n := source.calls.Load(); n != 1 {
		t.Errorf("the picture was decoded %d times", n)
	}
}

// TestCacheWaiterOutlivesTheLeader: a caller whose own context goes on decodes the picture itself.
func TestCacheWaiterOutlivesTheLeader(t *testing.T) {
	source := &memory{pictures: 1, gate: make(chan struct{})}
	cache := NewCache(source, 12, 1<<20)
	leader, cancel := context.WithCancel(t.Context())
	var first, second sync.WaitGroup
	first.Go(func() {
		if _, err := cache.At(leader, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("the leader's error is %v", err)
		}
	})
	for source.calls.Load() == 0 { // until the leader decodes
		runtime.Gosched()
	}
	second.Go(func() { at(t, cache, 0) })
	cancel()
	first.Wait()
	close(source.gate)
	second.Wait()
}

func TestCacheKeepsNoErrors(t *testing.T) {
	source := &memory{pictures: 1, bad: map[int]bool{0: true}}
	cache := NewCache(source, 12, 1<<20)
	var bad *PictureError
	if _, err := cache.At(t.Context(), 0); !errors.As(err, &bad) {
		t.Errorf("error is %v", err)
	}
	source.bad = nil
	at(t, cache, 0)
}

// TestReducedBytes holds what headers tell about a cache against a full one.
func TestReducedBytes(t *testing.T) {
	root := tree(t, map[string][]byte{
		"wide.png": pngOf(t, toNRGBA(noise(40, 30))), "high.png": pngOf(t, toNRGBA(noise(17, 50))), "small.png": pngOf(t, noisePicture(9)),
	})
	files := open(t, root, nil)
	cache := NewCache(files, 12, 1<<30)
	for i := range files.Len() {
		at(t, cache, i)
	}
	if got, want := files.ReducedBytes(12), cache.Stats().Bytes; got != want {
		t.Errorf("predicted %d bytes, the cache has %d", got, want)
	}
}
