package eval

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"pretrain/data"
)

// reader fills batches of preprocessed pictures ahead of the network: two are in flight, one being read while the
// other is shown.
type reader struct {
	pictures data.Dataset
	norm     data.Normalization
	side     int
	batch    int
	from     int // picture that the first batch begins with
	free     chan *readBatch
}

// readBatch is a run of consecutive pictures; pixels of unreadable ones and behind a last short batch are stale.
type readBatch struct {
	start    int
	pixels   []float32 // [batch, side·side·3]
	pictures []readPicture
}

// readPicture is one picture of a batch, without its vectors. It is unreadable if Bad is set; err is anything else that
// went wrong, and ends the reading.
type readPicture struct {
	Vectors
	err error
}

// bad lists the pictures of the batch that could not be read.
func (b *readBatch) bad() []Bad {
	var bad []Bad
	for _, picture := range b.pictures {
		if picture.Bad != nil {
			bad = append(bad, Bad{picture.Path, picture.Bad})
		}
	}
	return bad
}

// err is the first failure that is not a picture's fault.
func (b *readBatch) err() error {
	for _, picture := range b.pictures {
		if picture.err != nil {
			return picture.err
		}
	}
	return nil
}

// each calls visit with every batch in order. No goroutine outlives it.
func (r *reader) each(ctx context.Context, visit func(*readBatch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	ready := make(chan *readBatch)
	r.allocate()
	group.Go(func() { r.readAll(ctx, ready) })
	for batch := range ready {
		if err := batch.err(); err != nil {
			return err
		}
		if err := visit(batch); err != nil {
			return err
		}
		r.free <- batch
	}
	return ctx.Err()
}

func (r *reader) allocate() {
	const inFlight = 2
	r.free = make(chan *readBatch, inFlight)
	for range inFlight {
		r.free <- &readBatch{pixels: make([]float32, r.batch*r.side*r.side*3)}
	}
}

// readAll reads batch after batch until the data set or the context ends, then closes ready.
func (r *reader) readAll(ctx context.Context, ready chan<- *readBatch) {
	defer close(ready)
	for start := r.from; start < r.pictures.Len() && ctx.Err() == nil; start += r.batch {
		select {
		case batch := <-r.free:
			r.read(ctx, batch, start)
			select {
			case ready <- batch:
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
	}
}

// read fills one batch with as many workers as there are cores.
func (r *reader) read(ctx context.Context, batch *readBatch, start int) {
	count := min(r.batch, r.pictures.Len()-start)
	batch.start, batch.pictures = start, make([]readPicture, count)
	next := make(chan int, count)
	for slot := range count {
		next <- slot
	}
	close(next)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for slot := range next {
				batch.pictures[slot] = r.readOne(ctx, batch, start+slot, slot)
			}
		})
	}
	workers.Wait()
}

func (r *reader) readOne(ctx context.Context, batch *readBatch, index, slot int) readPicture {
	example, err := r.pictures.At(ctx, index)
	if bad := (*data.PictureError)(nil); errors.As(err, &bad) {
		return readPicture{Vectors: Vectors{Index: index, Path: bad.Path, Bad: bad.Err}}
	}
	if err != nil {
		return readPicture{err: err}
	}
	size := r.side * r.side * 3
	r.norm.Apply(batch.pixels[slot*size:(slot+1)*size], data.Preprocess(example.Image, r.side))
	return readPicture{Vectors: Vectors{
		Index: index, Path: example.Path, Label: example.Label,
		Width: example.Image.Width, Height: example.Image.Height, SHA256: example.SHA256,
	}}
}
