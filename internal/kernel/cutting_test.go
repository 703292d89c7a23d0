package kernel

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPiecesCoverAllOnce: however work is cut, the pieces follow each other from zero to the end, begin at multiples of
// their unit, and are never much larger than the others.
func TestPiecesCoverAllOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, unit := rapid.IntRange(0, 3000).Draw(t, "n"), rapid.IntRange(1, 40).Draw(t, "unit")
		count := rapid.IntRange(1, 60).Draw(t, "count")
		if edge(n, 0, count, unit) != 0 || edge(n, count, count, unit) != n {
			t.Fatalf("pieces go from %d to %d of %d", edge(n, 0, count, unit), edge(n, count, count, unit), n)
		}
		smallest, largest := n, 0
		for i := range count {
			from, to := edge(n, i, count, unit), edge(n, i+1, count, unit)
			if to < from || from%unit != 0 && from != n {
				t.Fatalf("piece %d of %d is [%d, %d) of %d in units of %d", i, count, from, to, n, unit)
			}
			if to < n { // the last unit may be cut short
				smallest = min(smallest, to-from)
			}
			largest = max(largest, to-from)
		}
		if largest > smallest+unit && smallest < n && largest > unit {
			t.Fatalf("%d pieces of %d in units of %d have %d to %d items", count, n, unit, smallest, largest)
		}
		if pieces := cut(n, unit); pieces*unit < n || (pieces-1)*unit >= n && n > 0 {
			t.Fatalf("%d is cut into %d pieces of at most %d", n, pieces, unit)
		}
	})
}

// TestSharedJobsCoverAllOnce: share hands every item of a job to exactly one call of run, and leaves no reference behind.
func TestSharedJobsCoverAllOnce(t *testing.T) {
	e := engine(t, 3)
	for _, n := range []int{0, 1, elementChunk - 1, elementChunk, elementChunk + 1, 5*elementChunk + 7} {
		x, y := make([]float32, n), make([]float32, n)
		for i := range x {
			x[i] = float32(i%97) + 1
		}
		e.Scale(F32(y), F32(x), 2)
		e.Accumulate(F32(y), F32(x))
		for i, v := range y {
			if v != 3*x[i] {
				t.Fatalf("number %d of %d was worked on %g times", i, n, v/x[i])
			}
		}
		if !e.jobs.scale.dst.None() || !e.jobs.binary.dst.None() {
			t.Error("an idle engine keeps the memory of its last call alive")
		}
	}
}

// TestNothingRunsAfterAPanic: when Parallel raises a panic again, no task of the job is still running, whoever else was in
// the middle of one.
func TestNothingRunsAfterAPanic(t *testing.T) {
	e := engine(t, 3)
	for range 200 {
		var running atomic.Int32
		panicOf(func() {
			e.Parallel(12, func(_, i int) {
				running.Add(1)
				defer running.Add(-1)
				if i == 1 {
					panic("here")
				}
				for range 50 {
					runtime.Gosched()
				}
			})
		})
		if n := running.Load(); n != 0 {
			t.Fatalf("%d tasks are still running", n)
		}
	}
}

// TestPanicValuesSurvive, whatever they are: a nil pointer's run-time error too, which messages are made of.
func TestPanicValuesSurvive(t *testing.T) {
	e := engine(t, 2)
	for want, f := range map[string]func(){
		"runtime error: index out of range [3] with length 2": func() { x := make([]int, 2); x[len(x)+1] = 1 },
		"text": func() { panic("text") },
		"42":   func() { panic(42) },
	} {
		if got := fmt.Sprint(panicOf(func() { e.Parallel(5, func(_, i int) { f() }) })); got != want {
			t.Errorf("the panic is %q, want %q", got, want)
		}
	}
}

// TestWorkersSleepAndWake: after a pause in which every worker has parked, jobs of all sizes run to their end, and an
// engine whose workers are asleep closes at once. (TestMain looks for goroutines that are left.)
func TestWorkersSleepAndWake(t *testing.T) {
	for round := range 8 {
		e, err := New(Options{Workers: 4})
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(5 * time.Second); e.pool.parked.Load() != 3 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		if parked := e.pool.parked.Load(); parked != 3 {
			t.Fatalf("%d of 3 idle workers sleep", parked)
		}
		var done atomic.Int32
		for n := range round {
			e.Parallel(n, func(_, _ int) { done.Add(1) })
		}
		if got := int(done.Load()); got != round*(round-1)/2 {
			t.Errorf("round %d: %d items ran", round, got)
		}
		e.Close()
	}
}
