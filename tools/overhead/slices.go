package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"
)

// mark is a line of metrics.jsonl, and the processor seconds used until it was found.
type mark struct {
	step, epoch, pictures int64
	time                  time.Time
	processor, watcher    float64
}

// slice adds up what happened while one looked, or did not look.
type slice struct {
	Steps     int64   `json:"steps"`
	Pictures  int64   `json:"pictures"`
	Seconds   float64 `json:"seconds"`
	Processor float64 `json:"processor_seconds"` // of the training
	Watcher   float64 `json:"watcher_seconds"`   // of the processor, of who looks or would look
}

func (s *slice) add(from, to mark) {
	s.Steps += to.step - from.step
	s.Pictures += to.pictures - from.pictures
	s.Seconds += to.time.Sub(from.time).Seconds()
	s.Processor += to.processor - from.processor
	s.Watcher += to.watcher - from.watcher
}

// speed is in pictures a second.
func (s slice) speed() float64 { return float64(s.Pictures) / s.Seconds }

// processor is the training's processor seconds a step.
func (s slice) processor() float64 { return s.Processor / float64(s.Steps) }

// pair is two slices that follow each other, in either order.
type pair struct {
	Unseen slice `json:"unseen"`
	Seen   slice `json:"seen"`
}

// warmUp is how many steps pass before anything is measured: caches are cold at first.
const warmUp = 20

// alternate measures pairs of slices until there are no more lines. look looks until its context ends.
func alternate(
	ctx context.Context, next func(context.Context) ([]mark, error), length time.Duration, look func(context.Context) error, random *rand.Rand,
) (pairs []pair, err error) {
	c := cutter{next: next, length: length}
	for err == nil && c.last.step < warmUp {
		err = c.advance(ctx)
	}
	for seenFirst := false; err == nil; {
		if seenFirst = !seenFirst; len(pairs)%2 == 0 {
			seenFirst = random.IntN(2) == 0
		}
		var p pair
		for _, seen := range []bool{seenFirst, !seenFirst} {
			switch {
			case err != nil:
			case seen:
				err = seeing(ctx, look, func() error { return c.cut(ctx, &p.Seen) })
			default:
				err = c.cut(ctx, &p.Unseen)
			}
		}
		if err == nil {
			pairs = append(pairs, p)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return pairs, err
}

// seeing calls f while somebody looks. Who cannot look makes it an error, unless f has one.
func seeing(ctx context.Context, look func(context.Context) error, f func() error) error {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- look(ctx) }()
	err := f()
	stop()
	if unseen := <-ended; err == nil {
		return unseen
	}
	return err
}

// cutter cuts slices out of a sequence of lines.
type cutter struct {
	next   func(context.Context) ([]mark, error)
	length time.Duration
	last   mark
	ended  bool // an epoch ended before the last line
}

// advance goes to the last line that there is.
func (c *cutter) advance(ctx context.Context) error {
	marks, err := c.next(ctx)
	if err != nil {
		return err
	}
	found := marks[len(marks)-1]
	c.ended, c.last = found.epoch > c.last.epoch, found
	return nil
}

// cut adds whole intervals between lines to into until they are as long as a slice. The first interval is left out, since it
// began before the slice; so is one in which an epoch ends, and the next, because what is done at the end of an epoch may
// follow the line that tells of it.
func (c *cutter) cut(ctx context.Context, into *slice) error {
	if err := c.advance(ctx); err != nil {
		return err
	}
	for into.Seconds < c.length.Seconds() {
		from, after := c.last, c.ended
		if err := c.advance(ctx); err != nil {
			return err
		}
		if !after && !c.ended {
			into.add(from, c.last)
		}
	}
	return nil
}

// readPairs reads what addPairs wrote; without a name, or before the first pair, there are none.
func readPairs(path string) (pairs []pair, err error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	for decoder.DisallowUnknownFields(); ; {
		var p pair
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return pairs, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s holds no pairs of slices: %w; name another -pairs", path, err)
		}
		pairs = append(pairs, p)
	}
}

// addPairs appends pairs to a file, a line each.
func addPairs(path string, pairs []pair) error {
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(file)
	for _, p := range pairs {
		if err := encoder.Encode(p); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return file.Close()
}
