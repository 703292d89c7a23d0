package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"pretrain/internal/random"
)

// LoaderConfig says what a Loader hands out. B is the type of a batch, which the caller makes and the workers fill.
type LoaderConfig[B any] struct {
	Dataset   Dataset
	BatchSize int // pictures a batch
	Workers   int // goroutines that fill slots; at least 1
	Prefetch  int // batches that may be ready or in the making while the caller holds one; at least 1
	Seed      uint64

	Epoch, Step int // where to start, both from 0: Step batches of epoch Epoch are left out
	Epochs      int // Next returns io.EOF after this epoch count (counted from epoch 0); 0 = never

	MaxBadRatio float64             // share of bad pictures, found before or while loading, above which Next fails
	KnownBad    []*PictureError     // pictures that were found bad before and are not in Dataset
	OnBad       func(*PictureError) // told of each bad picture once, by the goroutine that calls Next; nil = nobody

	NewBatch func() B // makes one of the at most Prefetch+1 batches, which are used again and again
	// Fill writes one picture to a slot (0 … BatchSize-1) of a batch. Many goroutines call it at once, never two
	// for one slot of a batch. Its result must depend on nothing but the sample. An error ends the loader.
	Fill func(ctx context.Context, s *Sample, slot int, batch B) error
}

// LoaderStats are counts since the loader was made.
type LoaderStats struct {
	Batches     int           // handed out
	Wait        time.Duration // that Next spent waiting
	Ready       int           // batches ready or in the making
	BadPictures int           // different pictures that could not be decoded
}

// Loader hands out batches in the order of the epochs' permutations, filled ahead of time by several workers slot
// by slot. Which picture is where depends on (seed, epoch, step) only. Next, Release and Close belong to one
// goroutine; Stats may be called by any.
type Loader[B any] struct {
	config LoaderConfig[B]
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	order chan *pending[B] // in the order of delivery
	slots chan slot[B]
	free  chan B
	head  *pending[B] // taken from order by a call of Next whose context ended
	err   error       // sticks

	bad     *badPictures
	batches atomic.Int64
	wait    atomic.Int64 // nanoseconds
}

// pending is a batch in the making. Each worker writes the results of its own slots.
type pending[B any] struct {
	batch   B
	epoch   uint64
	results []result
	left    atomic.Int64  // slots that are not filled yet
	done    chan struct{} // closed when left is 0
}

type slot[B any] struct {
	*pending[B]
	slot    int
	picture int
}

type result struct {
	bad []badPicture
	err error
}

// NewLoader checks the configuration and starts the workers; they end with ctx or by Close.
func NewLoader[B any](ctx context.Context, config LoaderConfig[B]) (*Loader[B], error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	l := &Loader[B]{
		config: config,
		order:  make(chan *pending[B], config.Prefetch+1),
		slots:  make(chan slot[B]),
		free:   make(chan B, config.Prefetch+1),
		bad:    newBadPictures(config.Dataset.Len(), config.MaxBadRatio, config.KnownBad, config.OnBad),
	}
	l.ctx, l.cancel = context.WithCancel(ctx)
	for range config.Prefetch + 1 {
		l.free <- config.NewBatch()
	}
	l.group.Go(l.dispatch)
	for range config.Workers {
		l.group.Go(l.work)
	}
	return l, nil
}

func (c *LoaderConfig[B]) check() error {
	pictures := c.Dataset.Len()
	switch {
	case c.BatchSize < 1:
		return fmt.Errorf("the batch size is %d: must be at least 1", c.BatchSize)
	case c.BatchSize > pictures:
		return fmt.Errorf("the batch size is %d, but there are only %d pictures and incomplete batches are dropped: lower the batch size to at most %d or add pictures", c.BatchSize, pictures, pictures)
	case c.Workers < 1 || c.Prefetch < 1:
		return fmt.Errorf("the loader has %d workers and prefetches %d batches: both must be at least 1", c.Workers, c.Prefetch)
	case c.Epoch < 0 || c.Step < 0 || c.Step > pictures/c.BatchSize:
		return fmt.Errorf("the loader cannot start at epoch %d, step %d: an epoch has %d steps", c.Epoch, c.Step, pictures/c.BatchSize)
	}
	return nil
}

// StepsPerEpoch is the number of complete batches in an epoch.
func (l *Loader[B]) StepsPerEpoch() int { return l.config.Dataset.Len() / l.config.BatchSize }

// Next waits for the next batch. The caller gives it back with Release before it takes more than Prefetch others.
// The error is io.EOF after the last epoch, that of ctx or of the loader's own context when either ends, or else
// what went wrong: the error of a Fill, or more bad pictures than allowed.
func (l *Loader[B]) Next(ctx context.Context) (batch B, err error) {
	start := time.Now()
	defer func() { l.wait.Add(int64(time.Since(start))) }()
	if l.err != nil {
		return batch, l.err
	}
	p, err := l.nextPending(ctx)
	if err != nil {
		return batch, err
	}
	if l.err = l.verdict(p); l.err != nil {
		return batch, l.err
	}
	l.batches.Add(1)
	return p.batch, nil
}

// nextPending waits for the next batch to be complete.
func (l *Loader[B]) nextPending(ctx context.Context) (*pending[B], error) {
	for l.head == nil {
		select {
		case p, open := <-l.order:
			if !open {
				return nil, l.ended()
			}
			l.head = p
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	select {
	case <-l.head.done:
		p := l.head
		l.head = nil
		return p, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.ctx.Done():
		return nil, l.ctx.Err()
	}
}

// ended says why no more batches come.
func (l *Loader[B]) ended() error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	return io.EOF
}

// verdict looks at the results of a batch slot by slot, so that what it finds does not depend on timing.
func (l *Loader[B]) verdict(p *pending[B]) error {
	for _, r := range p.results {
		if err := l.bad.add(r.bad); err != nil {
			return err
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// Release gives a batch back to be filled again. The caller must not touch it afterwards.
func (l *Loader[B]) Release(batch B) {
	select {
	case l.free <- batch:
	default: // given back twice: keep the pool at its size
	}
}

// Stats returns the counts so far.
func (l *Loader[B]) Stats() LoaderStats {
	return LoaderStats{
		Batches: int(l.batches.Load()), Wait: time.Duration(l.wait.Load()), Ready: len(l.order), BadPictures: l.bad.count(),
	}
}

// Close ends the workers and waits for them. It may be called more than once.
func (l *Loader[B]) Close() {
	l.cancel()
	l.group.Wait()
}

// dispatch deals the slots of batch after batch to the workers.
func (l *Loader[B]) dispatch() {
	defer close(l.order)
	defer close(l.slots)
	step := l.config.Step
	for epoch := l.config.Epoch; l.config.Epochs == 0 || epoch < l.config.Epochs; epoch++ {
		permutation := random.New(l.config.Seed, "order", uint64(epoch)).Perm(l.config.Dataset.Len())
		for ; step < l.StepsPerEpoch(); step++ {
			if !l.dispatchBatch(uint64(epoch), permutation[step*l.config.BatchSize:][:l.config.BatchSize]) {
				return
			}
		}
		step = 0
	}
}

// dispatchBatch reports whether the loader goes on.
func (l *Loader[B]) dispatchBatch(epoch uint64, pictures []int) bool {
	p := &pending[B]{epoch: epoch, results: make([]result, len(pictures)), done: make(chan struct{})}
	p.left.Store(int64(len(pictures)))
	select {
	case p.batch = <-l.free:
	case <-l.ctx.Done():
		return false
	}
	if !send(l.ctx, l.order, p) {
		return false
	}
	for i, picture := range pictures {
		if !send(l.ctx, l.slots, slot[B]{p, i, picture}) {
			return false
		}
	}
	return true
}

// send reports whether the value was taken before ctx ended.
func send[T any](ctx context.Context, channel chan<- T, value T) bool {
	select {
	case channel <- value:
		return true
	case <-ctx.Done():
		return false
	}
}

// work fills slots until there are no more.
func (l *Loader[B]) work() {
	sample := NewSample(Image{}, 0, 0, 0)
	for s := range l.slots {
		s.results[s.slot] = l.fill(sample, s)
		if s.left.Add(-1) == 0 {
			close(s.done)
		}
	}
}

// maxSubstitutes bounds the search for a readable picture; the limit on bad pictures ends the run long before.
const maxSubstitutes = 100

// fill decodes the picture of a slot, or the first readable substitute, and lets the caller's Fill write it.
// Substitutes depend on (seed, epoch, picture) only.
func (l *Loader[B]) fill(sample *Sample, s slot[B]) (r result) {
	picture := s.picture
	substitutes := random.New(l.config.Seed, "substitute", s.epoch, uint64(picture))
	for range maxSubstitutes {
		example, err := l.config.Dataset.At(l.ctx, picture)
		if err == nil {
			sample.Reset(example.Image, l.config.Seed, s.epoch, uint64(picture))
			r.err = l.config.Fill(l.ctx, sample, s.slot, s.batch)
			return r
		}
		var bad *PictureError
		if !errors.As(err, &bad) {
			r.err = err
			return r
		}
		r.bad = append(r.bad, badPicture{picture, bad})
		picture = substitutes.IntN(l.config.Dataset.Len())
	}
	r.err = fmt.Errorf("no readable picture among %d substitutes for picture %d; the last error: %w", maxSubstitutes, s.picture, r.bad[len(r.bad)-1].err)
	return r
}
