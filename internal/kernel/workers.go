package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// spinRounds is how often a goroutine looks for news before it parks. A training step starts hundreds of kernels a
	// few microseconds apart, and waking a parked goroutine costs more than that.
	spinRounds = 2000
	// yieldEvery is how many of those rounds pass between two offers of the processor to other goroutines.
	yieldEvery = 64
)

// The state of a pool is one word: the number of the job, whether workers may still join it, and how many have.
const (
	joinedMask = 1<<16 - 1
	openBit    = 1 << 16
	jobUnit    = 1 << 17
)

// pool is a set of goroutines that run one job at a time together with the goroutine that calls run. Workers join a
// job while it is open; the caller closes it when no items are left and waits only for those that joined, so a worker
// that wakes late delays nobody. Between jobs workers spin for a while and then park.
type pool struct {
	size   int
	state  atomic.Uint64
	shares []itemShare // one a worker: the items that nobody has taken
	task   func(worker, i int)

	busy    atomic.Bool
	failure atomic.Pointer[failure] // first panic of the job

	parked  atomic.Int32  // workers asleep that no token is on its way to
	wake    chan struct{} // one token for each worker taken off parked
	waiting atomic.Bool   // the caller sleeps until the last worker leaves
	left    chan struct{}
	ended   atomic.Bool
	group   sync.WaitGroup
}

// itemShare is a range of items. A worker takes the first of its own, and when there are none left the last of another's:
// pieces of the same rows then mostly meet the same core from one job to the next, where they still are in its cache, and
// a core that is held up delays nobody. A cache line and its neighbour are its own.
type itemShare struct {
	bounds atomic.Uint64 // from in the upper half, to in the lower
	_      [120]byte
}

func (s *itemShare) set(from, to int) { s.bounds.Store(uint64(from)<<32 | uint64(to)) }

// take removes the first or the last item.
func (s *itemShare) take(last bool) (item int, ok bool) {
	for {
		bounds := s.bounds.Load()
		from, to := bounds>>32, bounds&(1<<32-1)
		if from >= to {
			return 0, false
		}
		item, rest := from, bounds+1<<32
		if last {
			item, rest = to-1, bounds-1
		}
		if s.bounds.CompareAndSwap(bounds, rest) {
			return int(item), true
		}
	}
}

// failure keeps a panic value, which may itself be nil-like, apart from no panic.
type failure struct{ value any }

func newPool(size int) *pool {
	p := &pool{size: size, shares: make([]itemShare, size), wake: make(chan struct{}, size), left: make(chan struct{}, 1)}
	for worker := 1; worker < size; worker++ {
		p.group.Go(func() { p.work(worker) })
	}
	return p
}

func (p *pool) close() {
	p.ended.Store(true)
	p.rouse(p.size)
	p.group.Wait()
}

// run runs task over [0, n).
func (p *pool) run(n int, task func(worker, i int)) {
	p.claim()
	defer p.busy.Store(false)
	if p.size == 1 || n <= 1 {
		for i := range n {
			task(0, i)
		}
		return
	}
	p.task = task
	for worker := range p.shares {
		p.shares[worker].set(n*worker/p.size, n*(worker+1)/p.size)
	}
	p.state.Add(openBit)
	p.rouse(n - 1)
	p.items(0)
	p.finish()
}

// claim begins a call, and panics if there is one already.
func (p *pool) claim() {
	if !p.busy.CompareAndSwap(false, true) {
		panic("kernel: Engine used by two calls at once: tasks must not call kernels, and goroutines need an Engine each")
	}
}

// rouse wakes up to n parked workers.
func (p *pool) rouse(n int) {
	for range n {
		parked := p.parked.Load()
		for parked > 0 && !p.parked.CompareAndSwap(parked, parked-1) {
			parked = p.parked.Load()
		}
		if parked == 0 {
			return
		}
		p.wake <- struct{}{}
	}
}

// finish closes the job, waits for the workers that joined it and raises the first panic again.
func (p *pool) finish() {
	p.state.Add(jobUnit - openBit)
	if !spin(func() bool { return p.state.Load()&joinedMask == 0 }) {
		p.waiting.Store(true)
		// The last worker may have left before it could see that somebody waits: then nobody sends.
		if p.state.Load()&joinedMask != 0 || !p.waiting.CompareAndSwap(true, false) {
			<-p.left
		}
	}
	p.task = nil
	if f := p.failure.Swap(nil); f != nil {
		panic(f.value)
	}
}

// work is the life of one worker.
func (p *pool) work(worker int) {
	done := ^uint64(0) // the last job taken part in
	news := func() bool {
		s := p.state.Load()
		return p.ended.Load() || s&openBit != 0 && s/jobUnit != done
	}
	for {
		if !spin(news) {
			p.park(news)
			continue
		}
		if p.ended.Load() {
			return
		}
		if s := p.state.Load(); s&openBit != 0 && s/jobUnit != done && p.state.CompareAndSwap(s, s+1) {
			done = s / jobUnit
			p.items(worker)
			p.leave()
		}
	}
}

// park sleeps until rouse sends a token, unless there is news by the time the others can see that this worker sleeps.
func (p *pool) park(news func() bool) {
	parked := p.parked.Add(1)
	for news() && parked > 0 {
		if p.parked.CompareAndSwap(parked, parked-1) {
			return
		}
		parked = p.parked.Load()
	}
	<-p.wake
}

// leave ends a worker's part in a job.
func (p *pool) leave() {
	s := p.state.Add(^uint64(0))
	if s&(joinedMask|openBit) == 0 && p.waiting.CompareAndSwap(true, false) {
		p.left <- struct{}{}
	}
}

// items runs items of the job until none is left. A panic is kept for the caller, and the rest of the job dropped.
func (p *pool) items(worker int) {
	defer func() {
		if value := recover(); value != nil {
			p.failure.CompareAndSwap(nil, &failure{value})
			for i := range p.shares {
				p.shares[i].set(0, 0)
			}
		}
	}()
	for turn := range p.size {
		from := &p.shares[(worker+turn)%p.size]
		for i, ok := from.take(turn > 0); ok; i, ok = from.take(turn > 0) {
			p.task(worker, i)
		}
	}
}

// spin reports whether the condition came true within spinRounds looks.
func spin(condition func() bool) bool {
	for round := 1; round <= spinRounds; round++ {
		if condition() {
			return true
		}
		if round%yieldEvery == 0 {
			runtime.Gosched()
		} else {
			pause()
		}
	}
	return false
}
