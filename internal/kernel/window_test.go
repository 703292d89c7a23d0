package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// drawWindow draws patches of any kind: taps beyond the map, pads of either sign, strides that leave columns out.
func drawWindow(t *rapid.T) (w window, images int) {
	w = window{
		height: rapid.IntRange(1, 7).Draw(t, "height"), width: rapid.IntRange(1, 9).Draw(t, "width"),
		channels:  2 * rapid.IntRange(1, 9).Draw(t, "channels"),
		outHeight: rapid.IntRange(1, 5).Draw(t, "out height"), outWidth: rapid.IntRange(1, 6).Draw(t, "out width"),
		tapsY: rapid.IntRange(1, 4).Draw(t, "taps y"), tapsX: rapid.IntRange(1, 4).Draw(t, "taps x"),
		stride: rapid.IntRange(1, 3).Draw(t, "stride"),
		padY:   rapid.IntRange(-2, 4).Draw(t, "pad y"), padX: rapid.IntRange(-2, 4).Draw(t, "pad x"),
	}
	return w, rapid.IntRange(1, 3).Draw(t, "images")
}

// element is the number of a patch as the comment of window says.
func (w window) element(in []float32, row, col int) float32 {
	image, y, x := row/(w.outHeight*w.outWidth), row/w.outWidth%w.outHeight, row%w.outWidth
	tapY, tapX, channel := col/(w.tapsX*w.channels), col/w.channels%w.tapsX, col%w.channels
	inY, inX := y*w.stride-w.padY+tapY, x*w.stride-w.padX+tapX
	if inY < 0 || inX < 0 || inY >= w.height || inX >= w.width {
		return 0
	}
	return in[((image*w.height+inY)*w.width+inX)*w.channels+channel]
}

// TestPatches gathers blocks of the matrix of patches, which must be what the definition says, and writes nothing between
// the rows.
func TestPatches(t *testing.T) {
	inFamilies(t, func(t *testing.T, e *Engine) {
		rapid.Check(t, func(t *rapid.T) {
			w, images := drawWindow(t)
			rows, cols := images*w.outHeight*w.outWidth, w.tapsY*w.tapsX*w.channels
			in := normals(randomOf(t), images*w.height*w.width*w.channels, 0, 1)
			rowFrom, colFrom := rapid.IntRange(0, rows-1).Draw(t, "first row"), rapid.IntRange(0, cols-1).Draw(t, "first column")
			rowTo := rapid.IntRange(rowFrom, rows).Draw(t, "end of rows")
			colTo := rapid.IntRange(colFrom, cols).Draw(t, "end of columns")
			stride := colTo - colFrom + rapid.IntRange(0, 3).Draw(t, "gap")
			s, dst := w.source(&e.product, F32(in)), dirty((rowTo-rowFrom)*stride)
			s.fill(&e.product, dst, stride, rowFrom, rowTo, colFrom, colTo)
			for at, got := range dst {
				row, col := at/stride, at%stride
				want := float32(math.NaN())
				if col < colTo-colFrom {
					want = w.element(in, rowFrom+row, colFrom+col)
				}
				if got != want && !(got != got && want != want) {
					t.Fatalf("%+v: row %d, column %d is %g, want %g", w, rowFrom+row, colFrom+col, got, want)
				}
			}
		})
	})
}

// TestPatchesOfHalves are gathered as words, each two channels of bf16.
func TestPatchesOfHalves(t *testing.T) {
	e := engine(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		w, images := drawWindow(t)
		rows, words := images*w.outHeight*w.outWidth, w.tapsY*w.tapsX*w.channels/2
		in := make([]BFloat16, images*w.height*w.width*w.channels)
		wide := make([]float32, len(in))
		for i, v := range normals(randomOf(t), len(in), 0, 1) {
			in[i] = RoundBFloat16(v)
			wide[i] = value(in[i])
		}
		s, dst := w.source(&e.pairs, BF16(in)), dirty(rows*words)
		s.fill(&e.pairs, dst, words, 0, rows, 0, words)
		for at, got := range dst {
			low, high := halves(got)
			row, col := at/words, 2*(at%words)
			if low != w.element(wide, row, col) || high != w.element(wide, row, col+1) {
				t.Fatalf("%+v: row %d, column %d is %g and %g", w, row, col, low, high)
			}
		}
	})
}

// TestSegments follow each other, cover every row once, and stay within one line of outputs.
func TestSegments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, images := drawWindow(t)
		rows := images * w.outHeight * w.outWidth
		from := rapid.IntRange(0, rows).Draw(t, "from")
		to := rapid.IntRange(from, rows).Draw(t, "to")
		at := from
		w.segments(from, to, func(row, image, y, x, count int) {
			if row != at-from || (image*w.outHeight+y)*w.outWidth+x != at {
				t.Fatalf("row %d is (%d, %d, %d), want row %d", row, image, y, x, at-from)
			}
			if count < 1 || x+count > w.outWidth {
				t.Fatalf("%d outputs from %d on of %d in a line", count, x, w.outWidth)
			}
			at += count
		})
		if at != to {
			t.Fatalf("segments end at %d of [%d, %d)", at, from, to)
		}
	})
}

// TestBlocksOfRows: strips and the blocks of statistics begin where the one before ends, from the first row to the last,
// whole tiles high but for the last.
func TestBlocksOfRows(t *testing.T) {
	e := engine(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		rows, cols := rapid.IntRange(1, 20000).Draw(t, "rows"), rapid.IntRange(1, 5000).Draw(t, "columns")
		for name, b := range map[string]blocks{
			"strips": e.product.stripBlocks(rows), "strips of pairs": e.pairs.stripBlocks(rows), "statistics": rowBlocks(rows, cols),
		} {
			if b.edge(0) != 0 || b.edge(b.count) != rows {
				t.Fatalf("%s of %d rows go from %d to %d", name, rows, b.edge(0), b.edge(b.count))
			}
			for i := range b.count {
				if from, to := b.edge(i), b.edge(i+1); to <= from || from%b.unit != 0 {
					t.Fatalf("%s: block %d of %d is [%d, %d) of %d rows", name, i, b.count, from, to, rows)
				}
			}
		}
	})
}

// TestArraysInEitherStorage: copies, sums and clearing, from each storage to each, touch what they are given and no more.
func TestArraysInEitherStorage(t *testing.T) {
	values := []float32{1, -2.5, 3.140625, float32(math.Inf(1)), 0}
	make3 := map[string]func() Array{
		"float32": func() Array { return F32(append([]float32(nil), values...)) },
		"bf16": func() Array {
			a := BF16(make([]BFloat16, len(values)))
			Copy(a, F32(values))
			return a
		},
	}
	for to, target := range make3 {
		for from, source := range make3 {
			dst, src := target(), source()
			dst.Clear()
			Copy(dst.Slice(1, 3), src.From(1))
			for i, want := range []float32{0, -2.5, 3.140625, 0, 0} {
				if dst.at(i) != want {
					t.Errorf("%s from %s: number %d is %g, want %g", to, from, i, dst.at(i), want)
				}
			}
			AddTo(dst.Slice(0, 4), src)
			for i, want := range []float32{1, -5, 6.28125, float32(math.Inf(1)), 0} {
				if dst.at(i) != want {
					t.Errorf("%s plus %s: number %d is %g, want %g", to, from, i, dst.at(i), want)
				}
			}
		}
	}
	if none := (Array{}); !none.None() || none.Len() != 0 || !none.From(0).None() || none.Half() {
		t.Error("nothing is something")
	}
	if got := panicOf(func() { BF16(make([]BFloat16, 1)).Float32() }); got == nil {
		t.Error("bf16 passed for float32")
	}
}
