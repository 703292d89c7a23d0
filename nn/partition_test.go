package nn

import (
	"testing"

	"pgregory.net/rapid"

	"pretrain/internal/kernel"
)

// drawParts draws the parts of a sum of that many rows, over inputs of one column.
func drawParts(t *rapid.T, c *Ctx, height int) []part {
	var parts []part
	for i := range rapid.IntRange(1, 6).Draw(t, "parts") {
		from := rapid.IntRange(0, height-1).Draw(t, "from")
		to := rapid.IntRange(from+1, height).Draw(t, "to")
		parts = append(parts, part{c.Input(string(rune('a'+i)), to-from, 1), from})
	}
	return parts
}

// TestPartitionsAgreeWithRowByRow counts, row by row, who comes first and who adds: what claims, overlaps and the
// segments say must follow from that alone.
func TestPartitionsAgreeWithRowByRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		height := rapid.IntRange(1, 12).Draw(t, "height")
		parts := drawParts(t, NewCtx(NewStore(1), true), height)
		p := newPartition(height, parts)
		covered := make([]int, height) // by how many parts so far
		holds := func(i, row int) bool { return row >= parts[i].row && row < parts[i].row+rows(parts[i].node) }
		for i := range parts {
			first := true
			for row := range height {
				if !holds(i, row) {
					continue
				}
				first = first && covered[row] == 0
				if got, ok := segmentOf(p.segments[i], row); !ok || got.add != (covered[row] > 0) {
					t.Fatalf("part %d is %+v at row %d, which %d parts cover before", i, got, row, covered[row])
				}
				covered[row]++
			}
			if p.claims(i) != first {
				t.Fatalf("part %d claims its rows: %v, is the first on all of them: %v", i, p.claims(i), first)
			}
			for j := i + 1; j < len(parts); j++ {
				common := false
				for row := range height {
					common = common || holds(i, row) && holds(j, row)
				}
				if p.overlaps(i, j) != common {
					t.Fatalf("part %d adds to rows of part %d: %v, they have rows in common: %v", j, i, p.overlaps(i, j), common)
				}
			}
		}
		for row, count := range covered {
			if _, unclaimed := segmentOf(p.unclaimed, row); unclaimed != (count == 0) {
				t.Fatalf("row %d, which %d parts cover, is unclaimed: %v", row, count, unclaimed)
			}
		}
	})
}

func segmentOf(segments []segment, row int) (segment, bool) {
	for _, s := range segments {
		if row >= s.from && row < s.to {
			return s, true
		}
	}
	return segment{}, false
}

// TestPartsAddUp writes the parts of a sum over rubbish, in both storages, as the executor does. Whole numbers below 256
// are exact in bf16.
func TestPartsAddUp(t *testing.T) {
	engine, err := kernel.New(kernel.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	rapid.Check(t, func(t *rapid.T) {
		height, width := rapid.IntRange(1, 12).Draw(t, "height"), 2*rapid.IntRange(1, 3).Draw(t, "half the width")
		parts := drawParts(t, NewCtx(NewStore(1), true), height)
		p := newPartition(height, parts)
		half := rapid.Bool().Draw(t, "bf16")
		sum := filledArray(height*width, half, func(int) float32 { return 99 })
		want := make([]float32, height*width)
		for i, part := range parts {
			data := filledArray(rows(part.node)*width, half, func(at int) float32 { return float32(i + at%5) })
			p.write(engine, sum, data, i, width)
			for at := range rows(part.node) * width {
				want[part.row*width+at] += float32(i + at%5)
			}
		}
		p.clear(sum, width)
		got := make([]float32, len(want))
		kernel.Copy(kernel.F32(got), sum)
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("number %d of the sum is %g, want %g", i, got[i], want[i])
			}
		}
	})
}

func filledArray(n int, half bool, number func(i int) float32) kernel.Array {
	values := make([]float32, n)
	for i := range values {
		values[i] = number(i)
	}
	if !half {
		return kernel.F32(values)
	}
	array := kernel.BF16(make([]kernel.BFloat16, n))
	kernel.Copy(array, kernel.F32(values))
	return array
}
