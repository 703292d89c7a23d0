package kernel

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// Options chooses how an Engine computes.
type Options struct {
	Family  Family // "" takes the first of Families
	Workers int    // goroutines that compute, the caller among them; 0 takes one a core that Go may use
}

// Engine runs the kernels of one family on a pool of goroutines that lives until Close. Every kernel cuts its work by
// the size of the problem alone, so results never depend on Workers. Scratch memory belongs to the Engine; it grows to
// the largest problem seen and is then reused. An Engine runs one kernel call at a time.
type Engine struct {
	family  Family
	pool    *pool
	product productUnit // of float32
	pairs   productUnit // of bf16
	vector  vectorUnit
	jobs    jobs
	running division            // the job at work
	piece   func(worker, i int) // runPiece, bound once
	// recorded takes jobs instead of the pool while Follow records a call; nil otherwise.
	recorded *[]Follower
}

// New starts an Engine. It fails if the family is unknown or this CPU cannot run it, or if Workers is negative or more
// than a pool can count.
func New(o Options) (*Engine, error) {
	family, err := resolve(o.Family)
	if err != nil {
		return nil, err
	}
	if o.Workers < 0 || o.Workers > joinedMask {
		return nil, fmt.Errorf("kernel: %d workers: must be 0 (one a core) to %d", o.Workers, joinedMask)
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	e := &Engine{
		family:  family,
		pool:    newPool(o.Workers),
		product: newProductUnit(microKernelsOf(family, false), loopsOf(family), o.Workers, false),
		pairs:   newProductUnit(microKernelsOf(family, true), loopsOf(family), o.Workers, true),
		vector:  newVectorUnit(family, o.Workers),
	}
	e.product.winograd = newWinogradUnit(family, o.Workers)
	e.piece = e.runPiece
	return e, nil
}

// resolve returns the family to run for the one asked for.
func resolve(asked Family) (Family, error) {
	runnable := Families()
	if asked == "" {
		return runnable[0], nil
	}
	if slices.Contains(runnable, asked) {
		return asked, nil
	}
	names := make([]string, len(runnable))
	for i, f := range runnable {
		names[i] = string(f)
	}
	if notice := Notice(); asked == AMX && notice != "" {
		return "", fmt.Errorf("kernel: family %q does not run here (%s): choose one of %s", asked, notice, strings.Join(names, ", "))
	}
	if slices.Contains(AllFamilies(), asked) {
		return "", fmt.Errorf("kernel: family %q does not run on this CPU: choose one of %s", asked, strings.Join(names, ", "))
	}
	return "", fmt.Errorf("kernel: unknown family %q: choose one of %s", asked, strings.Join(names, ", "))
}

// Family is the family in use, never empty.
func (e *Engine) Family() Family { return e.family }

// Workers is the number of goroutines that compute, the caller among them.
func (e *Engine) Workers() int { return e.pool.size }

// Close ends the goroutines of the pool and waits for them. The Engine must not be used afterwards.
func (e *Engine) Close() { e.pool.close() }

// Parallel runs task(worker, i) for every i in [0, n) on the pool and returns when all have ended. Items are handed
// out in order to whoever is free; worker, in [0, Workers), tells tasks that run at the same time apart, so that each
// can use its own scratch memory. A panic in a task abandons the items not yet begun and is raised again here. Tasks
// must not call Parallel, nor any kernel, of the same Engine.
func (e *Engine) Parallel(n int, task func(worker, i int)) { e.pool.run(n, task) }
