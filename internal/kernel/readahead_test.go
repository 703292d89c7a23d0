package kernel

import (
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// TestReadAheadAsksForEverything: every line of every row is asked for, none outside the matrix when the rows fill whole
// sums, and nothing more once all is read.
func TestReadAheadAsksForEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.IntRange(1, 40).Draw(t, "steps")
		half := rapid.Bool().Draw(t, "half")
		size := map[bool]int{false: 4, true: 2}[half]
		var ahead readAhead
		ahead.reset()
		wanted := map[uintptr]bool{}
		for range rapid.IntRange(0, len(ahead.regions)).Draw(t, "regions") {
			rows, cols := rapid.IntRange(0, 50).Draw(t, "rows"), rapid.IntRange(0, 100).Draw(t, "cols")
			left := rapid.IntRange(0, 30).Draw(t, "left")
			stride := left + cols + rapid.IntRange(0, 30).Draw(t, "right")
			o := rowsOf(arrayOf(half, rows*stride+1), stride)
			ahead.add(o, 0, rows, left, left+cols)
			for i := range rows {
				for byteOf := 0; byteOf < cols*size; byteOf += cacheLine {
					wanted[addressOf(o.Data)+uintptr((i*stride+left)*size+byteOf)] = true
				}
			}
		}
		var nothing float32
		otherwise := unsafe.Pointer(&nothing)
		for calls := 0; ; calls++ {
			first, step := ahead.next(steps, otherwise)
			if first == otherwise {
				if step != 0 || len(wanted) > 0 {
					t.Fatalf("ends after %d calls with a step of %d and %d lines never asked for", calls, step, len(wanted))
				}
				return
			}
			for i := range steps {
				delete(wanted, uintptr(first)+uintptr(i*step))
			}
		}
	})
}

// TestReadAheadOfNothing: neither sums without steps nor columns that lie apart are read ahead.
func TestReadAheadOfNothing(t *testing.T) {
	var nothing float32
	otherwise := unsafe.Pointer(&nothing)
	if first, step := (*readAhead)(nil).next(8, otherwise); first != otherwise || step != 0 {
		t.Error("none reads ahead")
	}
	var ahead readAhead
	matrix := rowsOf(F32(make([]float32, 64)), 8)
	ahead.add(matrix.transposed(), 0, 8, 0, 8)
	if first, _ := ahead.next(8, otherwise); first != otherwise {
		t.Error("columns are read ahead")
	}
	ahead.add(matrix, 0, 8, 0, 8)
	if first, _ := ahead.next(0, otherwise); first != otherwise {
		t.Error("a sum of nothing reads ahead")
	}
}

func arrayOf(half bool, n int) Array {
	if half {
		return BF16(make([]BFloat16, n))
	}
	return F32(make([]float32, n))
}

func addressOf(a Array) uintptr {
	if a.Half() {
		return uintptr(unsafe.Pointer(unsafe.SliceData(a.bf16)))
	}
	return uintptr(unsafe.Pointer(unsafe.SliceData(a.f32)))
}
