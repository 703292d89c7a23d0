package kernel

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine starts an Engine that ends with the test.
func engine(t *testing.T, workers int) *Engine {
	t.Helper()
	e, err := New(Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func TestParallelRunsEveryItemOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 5} {
		e := engine(t, workers)
		for _, n := range []int{0, 1, 2, 3, 7, 100} {
			for range 200 {
				counts := make([]int, n) // not atomic: the race detector sees two workers with one item
				e.Parallel(n, func(_, i int) { counts[i]++ })
				for i, count := range counts {
					if count != 1 {
						t.Fatalf("%d workers, item %d of %d ran %d times", workers, i, n, count)
					}
				}
			}
		}
	}
}

func TestParallelTellsWorkersApart(t *testing.T) {
	e := engine(t, 3)
	var busy [3]atomic.Bool
	for range 300 {
		e.Parallel(20, func(worker, _ int) {
			if !busy[worker].CompareAndSwap(false, true) {
				t.Errorf("worker %d runs two tasks at once", worker)
			}
			busy[worker].Store(false)
		})
	}
}

// TestParallelUsesAllWorkers ends only if as many tasks run at once as there are workers, parked ones among them.
func TestParallelUsesAllWorkers(t *testing.T) {
	e := engine(t, 3)
	for range 100 {
		var arrived atomic.Int32
		e.Parallel(3, func(_, _ int) {
			arrived.Add(1)
			spinUntil(func() bool { return arrived.Load() == 3 })
		})
	}
}

// TestWorkersBeginAtTheirOwnItems: in every job the same pieces meet the same worker, as long as none is held up.
func TestWorkersBeginAtTheirOwnItems(t *testing.T) {
	const workers, items = 3, 10
	e := engine(t, workers)
	for range 100 {
		var arrived atomic.Int32
		first := [workers]int{-1, -1, -1}
		e.Parallel(items, func(worker, item int) {
			if first[worker] < 0 {
				first[worker] = item
				arrived.Add(1)
				spinUntil(func() bool { return arrived.Load() == workers })
			}
		})
		if first != [workers]int{0, 3, 6} {
			t.Fatalf("the workers began at items %v of %d, want 0, 3 and 6", first, items)
		}
	}
}

// TestIdleWorkersHelp ends only if others take the items of a worker that is held up.
func TestIdleWorkersHelp(t *testing.T) {
	const workers, items = 3, 12
	e := engine(t, workers)
	for held := range workers {
		var done atomic.Int32
		var began atomic.Bool
		e.Parallel(items, func(worker, _ int) {
			if worker == held && began.CompareAndSwap(false, true) {
				spinUntil(func() bool { return done.Load() == items-1 })
			} else {
				spinUntil(began.Load)
			}
			done.Add(1)
		})
	}
}

func TestItemSharesGiveEveryItemOnce(t *testing.T) {
	var s itemShare
	s.set(3, 6)
	var taken []int
	for _, last := range []bool{false, true, true, false, true} {
		if item, ok := s.take(last); ok {
			taken = append(taken, item)
		}
	}
	if !slices.Equal(taken, []int{3, 5, 4}) {
		t.Errorf("taken are %v, want 3, 5, 4 and no more", taken)
	}
}

func spinUntil(condition func() bool) {
	for !spin(condition) {
	}
}

func TestParallelRaisesPanicsAgain(t *testing.T) {
	cause := errors.New("cause")
	for _, workers := range []int{1, 3} {
		e := engine(t, workers)
		for range 100 {
			if got := panicOf(func() { e.Parallel(9, func(_, i int) { panic(cause) }) }); got != cause {
				t.Fatalf("%d workers: recovered %v, want the panic of the task", workers, got)
			}
			ran := atomic.Int32{}
			e.Parallel(9, func(_, _ int) { ran.Add(1) })
			if ran.Load() != 9 {
				t.Fatalf("%d workers: %d of 9 tasks ran after a panic", workers, ran.Load())
			}
		}
	}
}

func TestNestedCallsAreRefused(t *testing.T) {
	e := engine(t, 2)
	got, _ := panicOf(func() {
		e.Parallel(2, func(_, _ int) { e.Parallel(1, func(_, _ int) {}) })
	}).(string)
	if !strings.Contains(got, "two calls at once") {
		t.Errorf("a nested call panics with %q", got)
	}
}

func panicOf(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

func TestNewRefuses(t *testing.T) {
	for want, o := range map[string]Options{
		`unknown family "sse9": choose one of`: {Family: "sse9"},
		"-1 workers: must be 0":                {Workers: -1},
		"(one a core) to 65535":                {Workers: 65536},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v): error %v, want %q", o, err, want)
		}
	}
}

func TestNewRefusesFamiliesOfOtherCPUs(t *testing.T) {
	runnable := map[Family]bool{}
	for _, f := range Families() {
		runnable[f] = true
	}
	for _, f := range AllFamilies() {
		e, err := New(Options{Family: f, Workers: 1})
		if (err == nil) != runnable[f] {
			t.Errorf("New with %s: error %v, but Families says %v", f, err, runnable[f])
		}
		if err == nil {
			if e.Family() != f || e.Workers() != 1 {
				t.Errorf("asked for %s with 1 worker, got %s with %d", f, e.Family(), e.Workers())
			}
			e.Close()
		}
	}
}
