package data

import (
	"context"
	"errors"
	"sync"
)

// Cache is a Dataset that reduces the pictures of another one to a short side of so many pixels and keeps them in
// memory until its budget is used up; pictures that came too late are decoded at every call. (Every picture is
// wanted once an epoch in a new order, so evicting one for another would gain nothing.) A picture has the same
// pixels whether it was kept or not. Its methods may be called concurrently; a picture that two callers want at
// once is decoded once.
type Cache struct {
	dataset Dataset
	side    int
	budget  int64

	mu    sync.Mutex
	kept  map[int]Example
	calls map[int]*call // pictures being decoded
	stats CacheStats
}

// CacheStats are counts since the cache was made.
type CacheStats struct {
	Hits, Misses int
	Pictures     int   // kept
	Bytes        int64 // kept, with what the bookkeeping takes
}

// call is a picture being decoded; example and err are valid once done is closed.
type call struct {
	done    chan struct{}
	example Example
	err     error
}

// bookkeepingBytes is about what a kept picture takes besides its pixels and its path.
const bookkeepingBytes = 160

// NewCache reduces pictures to a short side of `side` pixels, antialiased and never enlarged, and keeps up to
// `bytes` bytes of them.
func NewCache(dataset Dataset, side int, bytes int64) *Cache {
	return &Cache{dataset: dataset, side: side, budget: bytes, kept: map[int]Example{}, calls: map[int]*call{}}
}

// Len is the number of pictures of the dataset.
func (c *Cache) Len() int { return c.dataset.Len() }

// At returns picture i, reduced. The picture is shared: do not write.
func (c *Cache) At(ctx context.Context, i int) (Example, error) {
	for {
		pending, leader, example, hit := c.lookUp(i)
		if hit {
			return example, nil
		}
		if leader {
			c.decode(ctx, i, pending)
			return pending.example, pending.err
		}
		select {
		case <-pending.done:
		case <-ctx.Done():
			return Example{}, ctx.Err()
		}
		if !errors.Is(pending.err, context.Canceled) && !errors.Is(pending.err, context.DeadlineExceeded) {
			return pending.example, pending.err
		} // else it was another caller's context that ended: try again
	}
}

// lookUp finds picture i in memory, or the call that decodes it; the leader is the one to do it.
func (c *Cache) lookUp(i int) (pending *call, leader bool, example Example, hit bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if example, hit = c.kept[i]; hit {
		c.stats.Hits++
		return nil, false, example, true
	}
	c.stats.Misses++
	if pending = c.calls[i]; pending != nil {
		return pending, false, Example{}, false
	}
	pending = &call{done: make(chan struct{})}
	c.calls[i] = pending
	return pending, true, Example{}, false
}

// decode decodes and reduces picture i for everyone who waits for the call, and keeps it if there is room.
func (c *Cache) decode(ctx context.Context, i int, pending *call) {
	defer close(pending.done)
	pending.example, pending.err = c.dataset.At(ctx, i)
	if pending.err == nil {
		pending.example.Image = Reduce(pending.example.Image, c.side)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, i)
	size := int64(len(pending.example.Image.Pix)+len(pending.example.Path)) + bookkeepingBytes
	if pending.err == nil && c.stats.Bytes+size <= c.budget {
		c.kept[i] = pending.example
		c.stats.Pictures++
		c.stats.Bytes += size
	}
}

// Stats returns the counts so far.
func (c *Cache) Stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}
