package kernel

import (
	"runtime"
	"testing"
)

// TestGrownScratchGivesTheOldOneBack: memory that nobody may read any more is zero on Linux, where its pages are given back,
// and what lies beside it in the same pages is as it was.
func TestGrownScratchGivesTheOldOneBack(t *testing.T) {
	const page, pages = 16 << 10, 8
	all := make([]float32, pages*page)
	for i := range all {
		all[i] = 1
	}
	from, to := page/2, (pages-1)*page+page/2
	larger := grown(all[from:to:to], 2*len(all))
	if len(larger) < 2*len(all) {
		t.Fatalf("asked for %d floats, got %d", 2*len(all), len(larger))
	}
	for i, v := range all {
		if (i < from || i >= to) && v != 1 {
			t.Fatalf("float %d beside the old memory was given back too", i)
		}
	}
	if middle := all[pages/2*page]; runtime.GOOS == "linux" && middle != 0 {
		t.Errorf("the old memory still holds %v", middle)
	}
	if kept := grown(larger, 5); &kept[0] != &larger[0] {
		t.Error("a buffer that is large enough is replaced")
	}
	release(nil)
	release(all[:3:3])
}
