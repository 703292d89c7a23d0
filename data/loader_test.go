package data

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testBatch holds, for each slot, which picture came and a view of it.
type testBatch struct {
	pictures []uint64
	epochs   []uint64
	views    []float32
}

const (
	testBatchSize = 3
	testSide      = 8
	viewFloats    = testSide * testSide * 3
)

func testLoader(source Dataset) LoaderConfig[*testBatch] {
	a := DefaultAugmentation()
	a.Blur = 0.5
	return LoaderConfig[*testBatch]{
		Dataset: source, BatchSize: testBatchSize, Workers: 2, Prefetch: 2, Seed: 9, MaxBadRatio: 0.5,
		NewBatch: func() *testBatch {
			return &testBatch{make([]uint64, testBatchSize), make([]uint64, testBatchSize), make([]float32, testBatchSize*viewFloats)}
		},
		Fill: func(_ context.Context, s *Sample, slot int, b *testBatch) error {
			b.pictures[slot], b.epochs[slot] = s.Picture(), s.Epoch()
			copy(b.views[slot*viewFloats:], s.Crop(a, testSide).Data)
			return nil
		},
	}
}

func start(t *testing.T, config LoaderConfig[*testBatch]) *Loader[*testBatch] {
	t.Helper()
	l, err := NewLoader(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// take copies the next n batches.
func take(t *testing.T, l *Loader[*testBatch], n int) (batches []testBatch) {
	t.Helper()
	for range n {
		b, err := l.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, testBatch{slices.Clone(b.pictures), slices.Clone(b.epochs), slices.Clone(b.views)})
		l.Release(b)
	}
	return batches
}

func (b testBatch) equal(other testBatch) bool {
	return slices.Equal(b.pictures, other.pictures) && slices.Equal(b.epochs, other.epochs) && slices.Equal(b.views, other.views)
}

// TestSameBitsWhateverTheWorkers, the prefetch, the cache and the broken pictures.
func TestSameBitsWhateverTheWorkers(t *testing.T) {
	var want []testBatch
	for _, workers := range []int{1, 2, 5} {
		for _, cacheBytes := range []int64{0, 1 << 20} {
			config := testLoader(NewCache(&memory{pictures: 11, bad: map[int]bool{4: true, 7: true}}, 12, cacheBytes))
			config.Workers, config.Prefetch = workers, workers
			got := take(t, start(t, config), 10)
			if want == nil {
				want = got
			}
			if !slices.EqualFunc(got, want, testBatch.equal) {
				t.Errorf("%d workers, cache of %d bytes: other batches than with 1 worker", workers, cacheBytes)
			}
		}
	}
}

// TestEpochsArePermutations: an epoch shows different pictures, in another order than the last, and drops the
// incomplete batch.
func TestEpochsArePermutations(t *testing.T) {
	l := start(t, testLoader(&memory{pictures: 11}))
	if l.StepsPerEpoch() != 3 {
		t.Fatalf("%d steps an epoch, expected 3", l.StepsPerEpoch())
	}
	var orders [2][]uint64
	for i, b := range take(t, l, 6) {
		orders[i/3] = append(orders[i/3], b.pictures...)
		if slices.Min(b.epochs) != uint64(i/3) || slices.Max(b.epochs) != uint64(i/3) {
			t.Errorf("batch %d is of epochs %v", i, b.epochs)
		}
	}
	for _, order := range orders {
		sorted := slices.Clone(order)
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) != 9 {
			t.Errorf("an epoch shows pictures %v, expected 9 different ones", order)
		}
	}
	if slices.Equal(orders[0], orders[1]) {
		t.Error("two epochs have the same order")
	}
}

// TestStartAnywhere: a loader that starts later hands out what the other one hands out from there on.
func TestStartAnywhere(t *testing.T) {
	all := take(t, start(t, testLoader(&memory{pictures: 11})), 9)
	for _, at := range [][2]int{{0, 1}, {0, 3}, {1, 0}, {1, 2}, {2, 0}} {
		config := testLoader(&memory{pictures: 11})
		config.Epoch, config.Step = at[0], at[1]
		rest := all[3*at[0]+at[1]:]
		if got := take(t, start(t, config), len(rest)); !slices.EqualFunc(got, rest, testBatch.equal) {
			t.Errorf("starting at epoch %d, step %d gives other batches", at[0], at[1])
		}
	}
}

func TestLoaderEnds(t *testing.T) {
	config := testLoader(&memory{pictures: 7})
	config.Epochs = 2
	l := start(t, config)
	take(t, l, 4)
	for range 2 {
		if _, err := l.Next(t.Context()); err != io.EOF {
			t.Errorf("after the last epoch the error is %v, expected io.EOF", err)
		}
	}
	if s := l.Stats(); s.Batches != 4 || s.Wait <= 0 {
		t.Errorf("stats are %+v, expected 4 batches and some wait", s)
	}
}

func TestFillErrorSurfacesInOrder(t *testing.T) {
	broken := errors.New("broken on purpose")
	config := testLoader(&memory{pictures: 11})
	fill := config.Fill
	order := take(t, start(t, config), 3)
	config.Fill = func(ctx context.Context, s *Sample, slot int, b *testBatch) error {
		if s.Picture() == order[2].pictures[1] {
			return broken
		}
		return fill(ctx, s, slot, b)
	}
	l := start(t, config)
	take(t, l, 2)
	for range 2 {
		if _, err := l.Next(t.Context()); !errors.Is(err, broken) {
			t.Errorf("error is %v, expected %v", err, broken)
		}
	}
}

// TestBadPicturesAreReplaced, told of once, and counted.
func TestBadPicturesAreReplaced(t *testing.T) {
	var told []string
	config := testLoader(&memory{pictures: 12, bad: map[int]bool{2: true, 5: true}})
	config.OnBad = func(e *PictureError) { told = append(told, e.Path) }
	l := start(t, config)
	for _, b := range take(t, l, 20) {
		if slices.Contains(b.pictures, 2) || slices.Contains(b.pictures, 5) {
			t.Fatalf("a broken picture is in batch %v", b.pictures)
		}
	}
	slices.Sort(told)
	if !slices.Equal(told, []string{"picture-2", "picture-5"}) || l.Stats().BadPictures != 2 {
		t.Errorf("told of %v, counted %d", told, l.Stats().BadPictures)
	}
}

// TestTooManyBadPictures stops at the same batch whatever the workers; those known before count too.
func TestTooManyBadPictures(t *testing.T) {
	known := []*PictureError{{Path: "known-before", Err: errors.New("no header")}}
	var good []int
	for _, workers := range []int{1, 4} {
		config := testLoader(&memory{pictures: 11, bad: map[int]bool{2: true, 5: true, 6: true}})
		config.Workers, config.MaxBadRatio, config.KnownBad = workers, 0.26, known
		l := start(t, config)
		n := 0
		var err error
		for ; err == nil && n < 100; n++ {
			var b *testBatch
			if b, err = l.Next(t.Context()); err == nil {
				l.Release(b)
			}
		}
		wantError(t, err, "4 of 12 pictures cannot be read", "data.max_bad_ratio (0.26)", "known-before: no header", "broken for the test")
		good = append(good, n)
	}
	if good[0] != good[1] {
		t.Errorf("stopped after %v batches", good)
	}
}

// TestHeldBatchesStayAsTheyAre: while the caller holds one batch, the workers fill Prefetch others and no more, and none
// of them is the one that is held.
func TestHeldBatchesStayAsTheyAre(t *testing.T) {
	config, made := testLoader(&memory{pictures: 11}), 0
	newBatch := config.NewBatch
	config.NewBatch = func() *testBatch { made++; return newBatch() }
	l := start(t, config)
	held, err := l.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := testBatch{slices.Clone(held.pictures), slices.Clone(held.epochs), slices.Clone(held.views)}
	take(t, l, 12)
	if !held.equal(before) {
		t.Error("a batch changed while the caller held it")
	}
	if made != config.Prefetch+1 {
		t.Errorf("%d batches were made, want %d", made, config.Prefetch+1)
	}
}

// TestStatsCountWhatWasHandedOut, and the wait for it.
func TestStatsCountWhatWasHandedOut(t *testing.T) {
	source := &memory{pictures: 11, gate: make(chan struct{})}
	l := start(t, testLoader(source))
	const pause = 20 * time.Millisecond
	time.AfterFunc(pause, func() { close(source.gate) })
	take(t, l, 4)
	if s := l.Stats(); s.Batches != 4 || s.Wait < pause/2 || s.Ready > 3 || s.BadPictures != 0 {
		t.Errorf("stats are %+v after four batches, the first of which was slow", s)
	}
}

func TestAllPicturesBad(t *testing.T) {
	source := &memory{pictures: 3, bad: map[int]bool{0: true, 1: true, 2: true}}
	config := testLoader(source)
	config.MaxBadRatio = 1
	_, err := start(t, config).Next(t.Context())
	wantError(t, err, "no readable picture among 100 substitutes")
}

func TestLoaderConfigErrors(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*LoaderConfig[*testBatch])
		want   []string
	}{
		"batch too big": {func(c *LoaderConfig[*testBatch]) { c.BatchSize = 12 }, []string{"batch size is 12", "only 11 pictures", "at most 11"}},
		"no batch":      {func(c *LoaderConfig[*testBatch]) { c.BatchSize = 0 }, []string{"batch size is 0"}},
		"no workers":    {func(c *LoaderConfig[*testBatch]) { c.Workers = 0 }, []string{"0 workers"}},
		"start":         {func(c *LoaderConfig[*testBatch]) { c.Step = 4 }, []string{"epoch 0, step 4", "3 steps"}},
	} {
		config := testLoader(&memory{pictures: 11})
		test.change(&config)
		_, err := NewLoader(t.Context(), config)
		t.Run(name, func(t *testing.T) { wantError(t, err, test.want...) })
	}
}

// TestContextEndsTheLoader while workers wait for pictures; goleak sees that every goroutine ends.
func TestContextEndsTheLoader(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l, err := NewLoader(ctx, testLoader(&memory{pictures: 11, gate: make(chan struct{})}))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cancel()
	if _, err := l.Next(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// TestNextCanBeTriedAgain: a call of Next whose own context ended loses no batch.
func TestNextCanBeTriedAgain(t *testing.T) {
	want := take(t, start(t, testLoader(&memory{pictures: 11})), 2)
	source := &memory{pictures: 11, gate: make(chan struct{})}
	l := start(t, testLoader(source))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Next(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	close(source.gate)
	if got := take(t, l, 2); !slices.EqualFunc(got, want, testBatch.equal) {
		t.Error("a batch was lost")
	}
}

// TestCloseWithoutReading ends a loader nobody reads from, twice.
func TestCloseWithoutReading(t *testing.T) {
	l := start(t, testLoader(&memory{pictures: 11}))
	l.Close()
	l.Close()
	if _, err := l.Next(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("error after Close is %v", err)
	}
}
